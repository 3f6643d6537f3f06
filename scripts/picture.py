#!/usr/bin/env python3
"""Run a command on a terminal of a given width, and draw what it shows as SVG.

Understands the colours and styles that `throughline` uses (SGR), and nothing that moves a cursor. A command that does not end by
itself, as `follow`, gets Ctrl-C when it has shown nothing new for a second.
"""

import argparse
import fcntl
import hashlib
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unicodedata
from xml.sax.saxutils import escape

# Readable on both light and dark pages: the picture brings its own background.
BACKGROUND, FOREGROUND, FAINT = "#1b1f24", "#d5dae1", "#8b949e"
COLOURS = {
    30: "#6e7681", 31: "#ff7b72", 32: "#7ee787", 33: "#e3b341",
    34: "#79c0ff", 35: "#d2a8ff", 36: "#76e3ea", 37: FOREGROUND,
    90: FAINT, 91: "#ffa198", 92: "#aff5b4", 93: "#f2cc60",
    94: "#a5d6ff", 95: "#e2c5ff", 96: "#b3f0ff", 97: "#ffffff",
}
CELL, LINE, MARGIN, SIZE = 8.4, 18, 14, 14


def shown_on_terminal(command, columns, meanwhile):
    """What `command` writes to a terminal so wide, while another one runs."""
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        os.execvp(command[0], command)
    output, interrupted = b"", False
    if meanwhile:
        time.sleep(1)  # It cannot be seen from outside that `command` has begun to look.
        subprocess.run(meanwhile, check=True, stdout=subprocess.DEVNULL)
    while True:
        ready, _, _ = select.select([terminal], [], [], 1.0)
        if not ready:
            if interrupted:
                raise SystemExit(f"{command[0]} does not end")
            os.kill(pid, signal.SIGINT)
            interrupted = True
            continue
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # Linux says so when the other side is gone.
            piece = b""
        if not piece:
            break
        output += piece
    os.waitpid(pid, 0)
    return output.decode().replace("\r\n", "\n").rstrip("\n")


def with_fixed_ids_and_times(text):
    """The same with ids and times of day that are the same in each run, and as long."""
    ids = {}

    def fixed_id(found):
        whole = found.group()
        start = whole[:8]
        number = ids.setdefault(start, len(ids) + 1)
        return hashlib.sha256(str(number).encode()).hexdigest()[: len(whole)]

    text = re.sub(r"\b(?:[0-9a-f]{32}|[0-9a-f]{16}|[0-9a-f]{8})\b", fixed_id, text)
    text = re.sub(r"\b\d{4}-\d\d-\d\d\b", "2026-11-21", text)
    first = []

    def fixed_time(found):
        hours, minutes, seconds, rest = found.groups()
        fraction = int(rest[1:].ljust(3, "0")) if rest else 0
        moment = ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + fraction
        first.append(moment)
        moment = (moment - first[0]) % 86_400_000 + 12 * 3_600_000
        seconds, fraction = divmod(moment, 1000)
        clock = f"{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        return clock + (f".{fraction:03}" if rest else "")

    return re.sub(r"\b(\d\d):(\d\d):(\d\d)(\.\d{3})?\b", fixed_time, text)


def runs(line, style):
    """The line as `(text, style)`, and the style at its end."""
    found = []
    for piece in re.split(r"(\x1b\[[0-9;]*m)", line):
        if not piece.startswith("\x1b["):
            if piece:
                found.append((piece, dict(style)))
            continue
        for code in [int(code or 0) for code in piece[2:-1].split(";")]:
            if code == 0:
                style = {}
            elif code == 1:
                style["bold"] = True
            elif code == 2:
                style["faint"] = True
            elif code == 22:
                style.pop("bold", None)
                style.pop("faint", None)
            elif code == 39:
                style.pop("colour", None)
            elif code in COLOURS:
                style["colour"] = COLOURS[code]
    return found, style


def cells(text):
    """How many columns it takes."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)


def rows(text, columns):
    """What stands in each row of the terminal, which breaks lines that are too long for it."""
    style = {}
    for line in text.split("\n"):
        found, style = runs(line, style)
        row, column = [], 0
        for piece, how in found:
            for letter in piece:
                if column + cells(letter) > columns:
                    yield row
                    row, column = [], 0
                if row and row[-1][1] is how:
                    row[-1] = (row[-1][0] + letter, how)
                else:
                    row.append((letter, how))
                column += cells(letter)
        yield row


def svg(text, columns, title):
    lines = list(rows(text, columns))
    width, height = columns * CELL + 2 * MARGIN, len(lines) * LINE + 2 * MARGIN
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img">',
        f"<title>{escape(title)}, in {columns} columns</title>",
        f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>',
        f'<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="{SIZE}" fill="{FOREGROUND}" xml:space="preserve">',
    ]
    for number, row in enumerate(lines):
        column, y = 0, MARGIN + number * LINE + SIZE
        for piece, how in row:
            # Each word where it belongs, however wide the reader's font is; text stays text, to be searched and copied.
            for part in re.finditer(r"\S+(?: \S+)*", piece):
                x = MARGIN + (column + cells(piece[: part.start()])) * CELL
                length = cells(part.group()) * CELL
                attributes = f'x="{x:g}" y="{y}" textLength="{length:g}" lengthAdjust="spacingAndGlyphs"'
                if "colour" in how:
                    attributes += f' fill="{how["colour"]}"'
                elif "faint" in how:
                    attributes += f' fill="{FAINT}"'
                if "bold" in how:
                    attributes += ' font-weight="bold"'
                out.append(f"<text {attributes}>{escape(part.group())}</text>")
            column += cells(piece)
    out += ["</g>", "</svg>", ""]
    return "\n".join(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--columns", type=int, required=True)
    parser.add_argument("--title", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--meanwhile", nargs="+", help="a command that runs while the other one shows something")
    parser.add_argument("--replace", default="", metavar="OLD=NEW", help="shows NEW for OLD, such as a temporary directory")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    text = with_fixed_ids_and_times(shown_on_terminal(options.command, options.columns, options.meanwhile))
    old, _, new = options.replace.partition("=")
    text = text.replace(old, new) if old else text
    with open(options.output, "w", encoding="utf-8") as picture:
        picture.write(svg(text, options.columns, options.title))


main()
