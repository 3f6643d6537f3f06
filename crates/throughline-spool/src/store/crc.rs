//! Copying and checking in one pass: each word of a record is loaded once, stored, and run through the CRC.
//!
//! Reading the copy back for its checksum would cost more than the checksum itself, since a processor cannot forward
//! narrow stores to a wide load. For reading records there is the `crc32c` crate, which this must agree with.

/// How far a copy may read and write past its end.
pub(crate) const OVERRUN: usize = 8;

/// Stores `head` at `to` and `len` bytes of `from` behind it; returns the CRC-32C of both, continued from `seed`.
///
/// # Safety
///
/// `to` is writable for `8 + len` bytes and `OVERRUN` more; `from` is readable for `len` bytes, and for `OVERRUN` more when
/// `may_overread`; the two do not overlap.
#[inline]
pub(crate) unsafe fn copy(to: *mut u8, head: u64, from: *const u8, len: usize, may_overread: bool, seed: u32) -> u32 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if std::arch::is_x86_feature_detected!("sse4.2") {
        // SAFETY: as of this function, and the processor has the instruction.
        return unsafe { copy_sse42(to, head, from, len, may_overread, seed) };
    }
    let _ = may_overread;
    // SAFETY: as of this function.
    unsafe {
        to.cast::<[u8; 8]>().write(head.to_le_bytes());
        to.add(8).copy_from_nonoverlapping(from, len);
        crc32c::crc32c_append(seed, std::slice::from_raw_parts(to, 8 + len))
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[target_feature(enable = "sse4.2")]
#[allow(
    unused_unsafe,
    reason = "the instructions are safe in newer versions of Rust than the oldest supported one"
)]
unsafe fn copy_sse42(to: *mut u8, head: u64, from: *const u8, len: usize, may_overread: bool, seed: u32) -> u32 {
    use std::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u16, _mm_crc32_u32, _mm_crc32_u64};

    // SAFETY: this function has the feature, as wherever it asks for the instruction below.
    let mut crc = unsafe { _mm_crc32_u64(u64::from(!seed), head) };
    // SAFETY: as of `copy`.
    unsafe { to.cast::<u64>().write_unaligned(head) };
    let mut done = 0;
    let mut word = |done: usize| {
        // SAFETY: callers keep `done + 8 <= len`.
        let word = unsafe { from.add(done).cast::<u64>().read_unaligned() };
        // SAFETY: as above, and `to` has 8 bytes more.
        unsafe { to.add(8 + done).cast::<u64>().write_unaligned(word) };
        // SAFETY: as the first one.
        crc = unsafe { _mm_crc32_u64(crc, word) };
    };
    while done + 32 <= len {
        word(done);
        word(done + 8);
        word(done + 16);
        word(done + 24);
        done += 32;
    }
    while done + 8 <= len {
        word(done);
        done += 8;
    }
    let mut crc = crc as u32;
    let left = len - done;
    if left > 0 {
        let word = if may_overread {
            // SAFETY: `done < len`, and 8 bytes behind `len` may be read.
            unsafe { from.add(done).cast::<u64>().read_unaligned() }
        } else {
            let mut word = [0; 8];
            // SAFETY: `left < 8` bytes are left to read.
            unsafe { word.as_mut_ptr().copy_from_nonoverlapping(from.add(done), left) };
            u64::from_le_bytes(word)
        };
        // SAFETY: 8 bytes behind `8 + len` may be written.
        unsafe { to.add(8 + done).cast::<u64>().write_unaligned(word) };
        let mut word = word;
        if left & 4 != 0 {
            // SAFETY: as the first one.
            crc = unsafe { _mm_crc32_u32(crc, word as u32) };
            word >>= 32;
        }
        if left & 2 != 0 {
            // SAFETY: as the first one.
            crc = unsafe { _mm_crc32_u16(crc, word as u16) };
            word >>= 16;
        }
        if left & 1 != 0 {
            // SAFETY: as the first one.
            crc = unsafe { _mm_crc32_u8(crc, word as u8) };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_every_length_have_the_crc_that_readers_compute() {
        let from: Vec<u8> = (0..600_u32).map(|n| (n * 7 + n / 256) as u8).collect();
        for len in (0..300).chain([511, 512, 513, 590]) {
            for may_overread in [false, true] {
                let mut to = vec![0xee; 8 + len + OVERRUN];
                let head = 0x0102_0304_0506_0708_u64;
                // SAFETY: `to` has the room, `from` is longer than `len + OVERRUN`.
                let crc = unsafe { copy(to.as_mut_ptr(), head, from.as_ptr(), len, may_overread, len as u32) };
                let mut expected = head.to_le_bytes().to_vec();
                expected.extend_from_slice(&from[..len]);
                assert_eq!(to[..8 + len], expected, "{len}");
                assert_eq!(crc, crc32c::crc32c_append(len as u32, &expected), "{len}");
            }
        }
    }
}
