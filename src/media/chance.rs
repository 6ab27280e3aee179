//! Numbers that need not be secret (ports, first sequence numbers, times of reports), each from a state that was
//! seeded by the system's source. Keys do not come from here.

/// The next number of a sequence, SplitMix64.
pub(super) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A number from 0 to `bound` - 1; 0 when there is none.
pub(super) fn below(state: &mut u64, bound: usize) -> usize {
    let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
    usize::try_from(next(state) % bound).unwrap_or(0)
}

/// The upper half of the next number.
pub(super) fn word(state: &mut u64) -> u32 {
    u32::try_from(next(state) >> 32).unwrap_or(0)
}

/// A quarter of the next number.
pub(super) fn half_word(state: &mut u64) -> u16 {
    u16::try_from(next(state) >> 48).unwrap_or(0)
}
