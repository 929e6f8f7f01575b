//! Taking part in a group (`sixfold_device::Boot::listen`) for C.

use crate::boot::{Core, SixfoldBoot, SixfoldEvent, core_of, hear, status};
use crate::status::SixfoldStatus;
use core::slice;
use sixfold_device::boot::listening_memory;
use sixfold_profile::coap::Szx;

/// A group that the relay sends blocks to.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SixfoldGroup {
    /// Its IPv6 multicast address: to be joined on the interface towards the relay.
    pub address: [u8; 16],
    /// The UDP port that is sent to.
    pub port: u16,
}

/// The memory, in bytes, with which up to `missing` blocks of an image are found from parity symbols; with `missing` 0 these are
/// not used. `szx` is the exponent of the block size, 2 to 6 for 64 to 1024 bytes. 0 when it is another.
#[unsafe(no_mangle)]
pub extern "C" fn sixfold_listening_memory(image_size: u32, missing: u32, szx: u8) -> usize {
    let szx = Szx::new(szx).filter(|szx| *szx >= Szx::B64);
    szx.map_or(0, |szx| listening_memory(image_size, missing, szx))
}

/// Takes part in the ticket's group, in `size` bytes of memory (`sixfold_listening_memory`), which are used until the update is
/// over. To be called after `sixfold_boot_begin`, before anything else. Without a group in the ticket, or with too little memory, it
/// does nothing; `sixfold_boot_group` tells.
///
/// # Safety
/// `boot` is one that was begun, `memory` points to `size` bytes that nobody else uses and that stay where they are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sixfold_boot_listen(
    boot: *mut SixfoldBoot,
    memory: *mut u8,
    size: usize,
) -> SixfoldStatus {
    let listen = || {
        // SAFETY: this function's condition.
        let core = unsafe { core_of(boot) }?;
        if memory.is_null() {
            return Err(SixfoldStatus::Argument);
        }
        // SAFETY: it is not null; the rest is this function's condition.
        core.listen(unsafe { slice::from_raw_parts_mut(memory, size) });
        Ok(())
    };
    status(listen())
}

/// The group to be heard, in `group`. False when there is none, or none any more.
///
/// # Safety
/// `boot` is null or one that was begun, `group` is null or points to a group.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sixfold_boot_group(boot: *mut SixfoldBoot, group: *mut SixfoldGroup) -> bool {
    // SAFETY: this function's condition.
    let (core, group) = unsafe { (core_of(boot), group.as_mut()) };
    let (Ok(core), Some(group)) = (core, group) else { return false };
    let Some(endpoint) = core.group().map(|group| group.endpoint).filter(|endpoint| endpoint.port != 0)
    else {
        return false;
    };
    *group = SixfoldGroup { address: endpoint.address.octets(), port: endpoint.port };
    true
}

/// Takes a datagram that came from the relay's address and port to the group's. `event` may be null. As after
/// `sixfold_boot_datagram`, `sixfold_boot_timeout` is to be called then.
///
/// # Safety
/// `boot` is one that was begun, `datagram` points to `length` bytes, and nobody else uses them meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sixfold_boot_group_datagram(
    boot: *mut SixfoldBoot,
    now_us: u64,
    datagram: *const u8,
    length: usize,
    event: *mut SixfoldEvent,
) -> SixfoldStatus {
    let take = |core: &mut Core, now| {
        if datagram.is_null() {
            return Err(SixfoldStatus::Argument);
        }
        // SAFETY: it is not null; the rest is this function's condition.
        let bytes = unsafe { slice::from_raw_parts(datagram, length) };
        Ok(core.handle_group_datagram(now, bytes)?)
    };
    // SAFETY: this function's condition.
    unsafe { hear(boot, now_us, event, take) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ptr::{null, null_mut};

    #[test]
    fn memory_grows_with_what_may_be_missing() {
        let map = sixfold_listening_memory(96 << 10, 0, 2);
        assert_eq!(map, 96 * 1024 / 64 / 8);
        assert!(sixfold_listening_memory(96 << 10, 100, 2) > map + 100 * 64);
        for szx in [0, 1, 7] {
            assert_eq!(sixfold_listening_memory(96 << 10, 100, szx), 0, "{szx}");
        }
    }

    #[test]
    fn null_is_refused() {
        let mut group = SixfoldGroup { address: [0; 16], port: 0 };
        // SAFETY: null is checked for.
        unsafe {
            assert_eq!(sixfold_boot_listen(null_mut(), null_mut(), 0), SixfoldStatus::Argument);
            assert!(!sixfold_boot_group(null_mut(), &raw mut group));
            let heard = sixfold_boot_group_datagram(null_mut(), 0, null(), 0, null_mut());
            assert_eq!(heard, SixfoldStatus::Argument);
        }
    }
}
