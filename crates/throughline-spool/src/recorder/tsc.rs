//! The processor's time stamp counter, where it counts evenly.

/// Whether [`read`] counts at one rate on all processors, through sleep states and frequency changes.
///
/// True on x86-64 when the processor says so and the kernel itself keeps time by it.
#[must_use]
pub fn is_invariant() -> bool {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        #[allow(
            unused_unsafe,
            reason = "safe in newer versions of Rust than the oldest supported one"
        )]
        // SAFETY: every x86-64 processor has the instruction.
        let cpuid = |leaf| unsafe { std::arch::x86_64::__cpuid(leaf) };
        // Leaf 0x8000_0007, EDX bit 8: invariant TSC.
        let has_leaf = cpuid(0x8000_0000).eax >= 0x8000_0007;
        let is_promised = has_leaf && cpuid(0x8000_0007).edx & (1 << 8) != 0;
        is_promised && crate::platform::keeps_time_by_tsc()
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    false
}

/// Reads the counter; 0 on other machines than x86-64.
#[inline]
#[must_use]
pub fn read() -> u64 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: every x86-64 processor has the instruction, and Linux lets programs use it unless told otherwise (prctl
    // PR_SET_TSC), in which case `is_invariant` was never asked to be relied on by that program.
    unsafe {
        std::arch::x86_64::_rdtsc()
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    0
}
