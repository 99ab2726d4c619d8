//! The allocator's thresholds.

/// Tells glibc's allocator to keep freed memory instead of returning it to the kernel.
///
/// Training allocates and frees the same buffers of some megabytes in every step. By default glibc maps such buffers
/// afresh each time, and the kernel clears every page again: a fifth of a step. A binary calls this once, at its start;
/// on other allocators it does nothing. `true` says that the thresholds were set.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "mallopt is a C function")]
#[allow(clippy::must_use_candidate, reason = "the answer is only of interest to a benchmark")]
pub fn tune() -> bool {
    /// 32 MiB, the largest threshold for mapping that glibc accepts.
    const MMAP: libc::c_int = 1 << 25;
    const TRIM: libc::c_int = 1 << 30;
    // SAFETY: mallopt takes two integers, has no preconditions and only changes the allocator's parameters.
    unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, TRIM) == 1 && libc::mallopt(libc::M_MMAP_THRESHOLD, MMAP) == 1 }
}

/// Does nothing: the thresholds are glibc's.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
#[allow(clippy::must_use_candidate, reason = "the answer is only of interest to a benchmark")]
pub fn tune() -> bool {
    false
}
