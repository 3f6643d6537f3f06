#!/usr/bin/env python3
"""Prints the spans of a spool directory (format version 2), one JSON object a line: python3 read_spool.py ROOT

Written from docs/spool-format.md alone, with the standard library alone. It changes nothing.
The last line is {"processes": directories of processes, "damaged": stretches of bytes that had to be passed over}.
"""
import fcntl, json, os, re, stat, struct, sys
from functools import lru_cache
from typing import Iterator, NamedTuple, Optional

MOST = 64 << 20                                    # no more than this is read of a file
HEADER = 384
SIGNED = [*range(0, 28), *range(64, 128)]          # the bytes of a header that its checksum covers
CRC_TABLE = []
for n in range(256):
    for _ in range(8):
        n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
    CRC_TABLE.append(n)
damaged = 0


def crc32c(data: bytes, before: int = 0) -> int:
    crc = before ^ 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def note_damage(what: str) -> None:
    global damaged
    damaged += 1
    print("damaged:", what, file=sys.stderr)


# ---- files: regular ones of this user only, links never followed

def names(path: str, pattern: str) -> list[str]:
    try:
        return sorted(n for n in os.listdir(path) if re.fullmatch(pattern, n))
    except OSError:
        return []


def open_own(path: str) -> Optional[int]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    info = os.fstat(fd)
    if stat.S_ISREG(info.st_mode) and info.st_uid == os.geteuid():
        return fd
    os.close(fd)
    return None


def read(path: str) -> bytes:
    fd = open_own(path)
    if fd is None:
        return b""
    try:
        with open(fd, "rb") as file:
            return file.read(MOST)
    except OSError:
        return b""


def is_dead(directory: str) -> bool:
    fd = open_own(directory + "/lock")
    if fd is None:
        return False                               # in doubt it lives
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False
    finally:
        os.close(fd)                               # and this releases it


# ---- protobuf: the whole fields from the front on, so that a body that was cut gives what it has

def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        value |= (data[at] & 127) << shift         # an IndexError here means: cut off
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at
    raise IndexError


def fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    try:
        while at < len(data):
            key, at = varint(data, at)
            kind, start = key & 7, at
            if kind == 0:
                _, at = varint(data, at)
            elif kind == 2:
                length, start = varint(data, at)
                at = start + length
            elif kind in (1, 5):
                at += 8 if kind == 1 else 4
            else:
                return
            if at > len(data):
                return
            yield key >> 3, data[start:at]
    except IndexError:
        return


def last(data: bytes, number: int) -> Optional[bytes]:
    found = [value for n, value in fields(data) if n == number]
    return found[-1] if found else None


def text(data: Optional[bytes]) -> Optional[str]:
    return None if data is None else data.decode("utf-8", "replace")


def read_source(body: bytes) -> dict:
    """A source: four times length and bytes; the first is a Resource, the third an InstrumentationScope."""
    parts, at = [], 0
    while len(parts) < 4 and at + 4 <= len(body):
        length = struct.unpack_from("<I", body, at)[0]
        parts.append(body[at + 4:at + 4 + length])
        at += 4 + length
    parts += [b""] * (4 - len(parts))
    service = None
    for number, pair in fields(parts[0]):
        if number == 1 and last(pair, 1) == b"service.name":
            service = text(last(last(pair, 2) or b"", 1))
    return {"service": service, "scope": text(last(parts[2], 1))}


def read_manifest(data: bytes) -> Optional[dict[int, list[bytes]]]:
    if len(data) < 12 or data[:4] != b"TLM2" or crc32c(data[:-4]) != struct.unpack("<I", data[-4:])[0]:
        return None
    found, at = {}, 8
    while at + 5 <= len(data) - 4:
        tag, length = struct.unpack_from("<BI", data, at)
        found.setdefault(tag, []).append(data[at + 5:at + 5 + length])
        at += 5 + length
    return found


# ---- segments

@lru_cache(None)
def mendings() -> dict[int, tuple[int, int]]:
    """By the difference between the checksum as stored and as computed: which one byte is wrong, and by what."""
    zeros = bytearray(len(SIGNED))
    plain, table = crc32c(zeros), {}
    for place, at in enumerate(SIGNED):
        for wrong in range(1, 256):
            zeros[place] = wrong
            table.setdefault(crc32c(zeros) ^ plain, (at, wrong))
        zeros[place] = 0
    for wrong in range(1, 256):
        for place in range(4):
            table.setdefault(wrong << 8 * place, (28 + place, wrong))
    return table


class Header(NamedTuple):
    generation: int
    length: int
    signal: int
    destinations: int


def read_header(data: bytes) -> Optional[Header]:
    if len(data) < 128 or sum(a == b for a, b in zip(data, b"TLS2")) < 3:
        return None                                # more than one byte is wrong
    head = bytearray(data)
    wrong = crc32c(bytes(head[i] for i in SIGNED)) ^ struct.unpack_from("<I", head, 28)[0]
    if wrong:
        at, by = mendings().get(wrong, (0, 0))
        head[at] ^= by
        if not by:
            return None
    magic, own, generation, length, signal, destinations = struct.unpack_from("<4sIQIBB", head)
    good = magic == b"TLS2" and own == HEADER and length >= HEADER and length % 64 == 0 and destinations <= 8
    return Header(generation, length, signal, destinations) if good else None


def segments(data: bytes, step: int, where: str) -> Iterator[tuple[Header, bytes]]:
    at = 0
    while at < len(data):
        header = read_header(data[at:at + 128])
        if header is None:
            start = at
            while at < len(data) and read_header(data[at:at + 128]) is None:
                at += step
            if any(data[start:at]):
                note_damage(f"{where}: no segment at {start} to {min(at, len(data))}")
            continue
        if header.generation:
            yield header, data[at:at + header.length]
        at += -(-header.length // step) * step


def cursor(segment: bytes, header: Header, destination: int) -> int:
    best = (-1, HEADER)
    for at in (128 + destination * 32, 144 + destination * 32):
        if at + 16 <= len(segment):
            offset, sequence, _, crc = struct.unpack_from("<4I", segment, at)
            if crc == crc32c(segment[at:at + 12], header.generation & 0xFFFFFFFF) and HEADER <= offset <= header.length:
                best = max(best, (sequence, offset))
    return best[1]


class Record(NamedTuple):
    offset: int
    kind: int
    source: int
    body: bytes


def frame(segment: bytes, at: int, end: int) -> int:
    """The payload's length, if the commit word and the payload itself agree on it; otherwise 0."""
    if at + 16 > end:
        return 0
    length = struct.unpack_from("<I", segment, at)[0] & 0xFFFFFF
    lead, a, b, c = segment[at + 12:at + 16]
    agreed = lead == 0x12 and a & b & 0x80 and c < 0x80 and (a & 127 | (b & 127) << 7 | c << 14) + 4 == length
    return length if agreed and at + 12 + length <= end else 0


def verifies(segment: bytes, at: int, length: int, generation: int) -> bool:
    word, crc = struct.unpack_from("<II", segment, at)
    mixed = generation * 0x9E3779B97F4A7C15 >> 32
    seed = (mixed ^ at ^ word) & 0xFFFFFFFF
    return crc == crc32c(segment[at + 8:at + 12 + length], seed)


def records(segment: bytes, header: Header, where: str) -> Iterator[Record]:
    end, sealed = len(segment), False
    if len(segment) >= 64:
        stated, crc = struct.unpack_from("<I", segment, 32)[0], struct.unpack_from("<I", segment, 60)[0]
        sealed = crc == crc32c(segment[32:60], header.generation & 0xFFFFFFFF) and HEADER <= stated <= header.length
        if sealed:
            if stated > end:
                note_damage(f"{where}: cut off by the end of the file")
            end = min(end, stated)
    at, budget = HEADER, 8 * header.length
    while at + 4 <= end:
        length = frame(segment, at, end)
        if length and verifies(segment, at, length, header.generation):
            word, _, source = struct.unpack_from("<3I", segment, at)
            yield Record(at, word >> 24, source, segment[at + 16:at + 12 + length])
        elif length:
            note_damage(f"{where}: record at {at}")
        else:                                      # the end, or something broken: is there anything good behind it?
            found = segment.find(b"\x12", at + 20, end)
            while found >= 0 and budget > 0:
                if found % 8 == 4 and (length := frame(segment, found - 12, end)):
                    budget -= length
                    if verifies(segment, found - 12, length, header.generation):
                        break
                found = segment.find(b"\x12", found + 1, end)
            good = found >= 0 and budget > 0
            if good or sealed or any(segment[at:at + 4]):
                note_damage(f"{where}: bytes {at} to {found - 12 if good else end}")
            if not good:
                return
            at = found - 12
            continue
        at += 12 + length + 7 & ~7


# ---- spans

class Spool:
    def __init__(self) -> None:
        self.spans: dict[tuple, dict] = {}         # by what makes a record the same one: a copy of it is not another span
        self.ids: set[tuple[str, str]] = set()     # of all spans that have a record

    def add(self, key: tuple, body: bytes, state: str, source: dict, place: str, archived: bool) -> None:
        trace, span = (last(body, 1) or b"").hex(), (last(body, 2) or b"").hex()
        if len(trace) != 32 or len(span) != 16:
            return None if key[0] == "slot" else note_damage(f"{key}: not a span")
        if key[0] == "record":
            self.ids.add((trace, span))
        elif (trace, span) in self.ids:
            return None
        self.spans.setdefault(key + (trace, span), {
            "traceId": trace, "spanId": span, "name": text(last(body, 5)) or "", "state": state,
            "service": source.get("service"), "scope": source.get("scope"), "place": place, "archived": archived})

    def file(self, path: str, process: Optional[str], sources: dict) -> None:
        """All segments of a file; of an archive file if no process is named. `sources` gets those that it has."""
        for header, segment in segments(read(path), 64 if process is None else 16384, path):
            owner, own = process or f"{path}?", {}
            cursors = [cursor(segment, header, d) for d in range(header.destinations)]
            for record in records(segment, header, f"{path}, generation {header.generation}"):
                if record.kind == 4 and process is None:
                    owner = text((read_manifest(record.body) or {}).get(8, [owner.encode()])[0])
                elif record.kind == 3:
                    own[record.source] = read_source(record.body)
                    if header.generation >= sources.get(record.source, (0,))[0]:
                        sources[record.source] = (header.generation, own[record.source])
                elif record.kind in (1, 2) and header.signal == 1:
                    place = "local" if not cursors else "pending" if min(cursors) <= record.offset else "delivered"
                    self.add(("record", owner, header.generation, record.offset), record.body,
                             "finished" if record.kind == 1 else "unfinished", own.get(record.source, {}), place, process is None)


def read_slots(directory: str) -> dict[tuple[str, int], bytes]:
    return {(name, at): data[at:at + 1024] for name in names(directory, r"open-\d{4,}")
            for data in [read(f"{directory}/{name}")] for at in range(0, len(data) - 1023, 1024)}


def main(root: str) -> None:
    spool, waiting, processes = Spool(), [], 0
    boot = read_boot_id()
    for name in names(root, r"\d{8}T\d{6}\.\d{3}Z-\d+-[0-9a-fA-F]{16}"):
        directory = f"{root}/{name}"
        try:
            info = os.lstat(directory)
        except OSError:
            continue
        if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid():
            continue
        raw = read(directory + "/manifest")
        if raw[:4] == b"TLM2" and raw[4:8] != struct.pack("<I", 2):
            print(f"{directory}: of another version, left alone", file=sys.stderr)
            continue
        processes += 1
        manifest = read_manifest(raw)
        if manifest is None:
            note_damage(f"{directory}/manifest")
        state = "unfinished" if is_dead(directory) else "open"
        # Slots before segments: a span that ends meanwhile is seen in its record.
        first, second, sources = read_slots(directory), read_slots(directory), {}
        for file in names(directory, r"segments-\d{4,}"):
            spool.file(f"{directory}/{file}", name, sources)
        if manifest is None or not boot or text(manifest.get(4, [b""])[0]).strip() != boot:
            continue                               # slots of another boot are void
        place = "pending" if 9 in manifest or 10 in manifest else "local"
        for at, slot in first.items():
            word, source = struct.unpack_from("<II", slot)
            if word >> 30 in (1, 2) and word & 0xFFF <= 960 and second.get(at) == slot:
                waiting.append((("slot", name, *at), slot[64:64 + (word & 0xFFF)], state, sources.get(source, (0, {}))[1], place, False))
    for file in names(root + "/archive", r"\d{20}\.(pending|history)"):
        spool.file(f"{root}/archive/{file}", None, {})
    for slot in waiting:                           # after the archive: their records may have moved there already
        spool.add(*slot)
    for span in sorted(spool.spans.values(), key=lambda s: (s["traceId"], s["spanId"], s["state"])):
        print(json.dumps(span))
    print(json.dumps({"processes": processes, "damaged": damaged}))


def read_boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: read_spool.py ROOT")
    main(sys.argv[1])
