//! Seccomp: system calls that a relay never makes, and whoever takes it over would.
//!
//! They are named, rather than those that it makes: which those are differs between C libraries, kernels and processors, and a
//! relay that dies of a new version of its C library serves nobody.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
mod filter;

use super::Reach;

/// Whether a filter can be written for this processor.
pub const fn is_supported() -> bool {
    filter::IS_SUPPORTED
}

/// From now on the calls above fail with EPERM, in this thread and those that it starts, and `clone3` does with ENOSYS: a filter
/// cannot see its flags, and C libraries then use `clone`.
pub(super) fn restrict() -> Reach {
    match filter::apply() {
        Ok(()) => Reach::Full,
        Err(error) => Reach::None(error.to_string()),
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
mod filter {
    pub(super) const IS_SUPPORTED: bool = false;

    pub(super) const fn apply() -> Result<(), &'static str> {
        Err("there is no filter for this processor")
    }
}
