//! The one unsafe call of this workspace: glibc's allocator is asked for what it keeps. What the program frees goes back
//! to the system by itself only from the heap's top, so one long-lived block above a burst keeps all of it; no safe
//! crate offers the call. `tests/tidy.rs` knows this file and names every other.
//!
//! Why it is sound: `malloc_trim(3)` takes a number and gives one, reads no memory of ours, moves and frees no block
//! that is in use (only whole free pages go back, and read as zero when they are handed out again), takes its own locks
//! (`MT-Safe` in the manual) and may be called at any time from any thread. Rust's allocator is `malloc` here. Where
//! there is no glibc, nothing is asked.

/// Gives the free pages of all arenas back to the system; whether there were any. Who allocates from the same arena
/// meanwhile waits.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the head of this file says why it is sound and why no safe way does it")]
pub(super) fn give_back() -> bool {
    // SAFETY: no pointers, no preconditions, own locks.
    unsafe { libc::malloc_trim(0) != 0 }
}

/// Other allocators do as they do.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn give_back() -> bool {
    false
}
