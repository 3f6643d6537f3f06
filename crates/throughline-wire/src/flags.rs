//! The trace flags of W3C Trace Context.

/// `trace-flags` (W3C Trace Context Level 2, section 3.2.2.5): the two bits that have a meaning.
///
/// The other six bits "MUST be set to zero" when sent, so they are dropped as soon as a byte is
/// read and cannot be represented.
///
/// ```
/// use throughline_wire::TraceFlags;
///
/// let flags = TraceFlags::from_byte(0xff);
/// assert!(flags.is_sampled() && flags.is_random());
/// assert_eq!(flags.to_byte(), 0x03);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceFlags(u8);

impl TraceFlags {
    /// No flag set: not sampled, id of unknown randomness. The default.
    pub const NONE: Self = Self(0x00);
    /// The caller may have recorded its span.
    pub const SAMPLED: Self = Self(0x01);
    /// The right-most 7 bytes of the trace id are random.
    pub const RANDOM: Self = Self(0x02);

    /// The known flags in `byte`; others are dropped.
    #[inline]
    #[must_use]
    pub const fn from_byte(byte: u8) -> Self {
        Self(byte & (Self::SAMPLED.0 | Self::RANDOM.0))
    }

    /// The byte to send: 0 to 3.
    #[inline]
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        self.0
    }

    /// Whether [`SAMPLED`](Self::SAMPLED) is set.
    #[inline]
    #[must_use]
    pub const fn is_sampled(self) -> bool {
        self.0 & Self::SAMPLED.0 != 0
    }

    /// Whether [`RANDOM`](Self::RANDOM) is set.
    #[inline]
    #[must_use]
    pub const fn is_random(self) -> bool {
        self.0 & Self::RANDOM.0 != 0
    }

    /// The same flags with [`SAMPLED`](Self::SAMPLED) set or cleared.
    #[inline]
    #[must_use]
    pub const fn with_sampled(self, sampled: bool) -> Self {
        Self(self.0 & !Self::SAMPLED.0 | sampled as u8)
    }

    /// The same flags with [`RANDOM`](Self::RANDOM) set or cleared.
    #[inline]
    #[must_use]
    pub const fn with_random(self, random: bool) -> Self {
        Self(self.0 & !Self::RANDOM.0 | (random as u8) << 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_flag_is_changed_without_the_other() {
        for byte in 0..4 {
            let flags = TraceFlags::from_byte(byte);
            assert_eq!(flags.with_sampled(true).to_byte(), byte | 1);
            assert_eq!(flags.with_sampled(false).to_byte(), byte & 2);
            assert_eq!(flags.with_random(true).to_byte(), byte | 2);
            assert_eq!(flags.with_random(false).to_byte(), byte & 1);
        }
    }
}
