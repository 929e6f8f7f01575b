//! A boot program in C's terms hears an image that goes to a group.
#![allow(unsafe_code, clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

use core::ffi::{c_int, c_void};
use hmac_sha256::Hash;
use sixfold::{
    SIXFOLD_TICKET_SIZE, SixfoldBoot, SixfoldFlash, SixfoldGroup, SixfoldLayout, SixfoldRange, SixfoldStatus,
    sixfold_boot_begin, sixfold_boot_group, sixfold_boot_group_datagram, sixfold_boot_is_bootable,
    sixfold_boot_listen, sixfold_boot_timeout, sixfold_listening_memory, sixfold_page_size,
    sixfold_write_size,
};
use sixfold_profile::coap::{Block, Code, Szx, Type, Writer, option};
use sixfold_profile::index::ChunkSize;
use sixfold_profile::ticket::{Endpoint, Fields, Group, MAX_TICKET};
use std::mem::MaybeUninit;
use std::ptr::null_mut;

const PAGE: usize = 4096;
const TOKEN: &[u8] = b"\x51\x52";

/// # Safety
/// `context` is the bytes of the flash, and the rest is within them.
unsafe extern "C" fn read(context: *mut c_void, offset: u32, to: *mut u8, length: usize) -> c_int {
    // SAFETY: this function's condition.
    unsafe { context.cast::<u8>().add(offset as usize).copy_to(to, length) };
    0
}

/// # Safety
/// As for [`read`].
unsafe extern "C" fn write(context: *mut c_void, offset: u32, from: *const u8, length: usize) -> c_int {
    // SAFETY: this function's condition.
    unsafe { context.cast::<u8>().add(offset as usize).copy_from(from, length) };
    0
}

/// # Safety
/// As for [`read`].
unsafe extern "C" fn erase(context: *mut c_void, from: u32, to: u32) -> c_int {
    // SAFETY: this function's condition.
    unsafe { context.cast::<u8>().add(from as usize).write_bytes(0xff, (to - from) as usize) };
    0
}

fn image() -> Vec<u8> {
    (0..10_000_u32).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect()
}

/// Record A and a slot, with a ticket whose group is ff02::fd, port 5685.
fn flash() -> (Vec<u8>, SixfoldLayout) {
    let index: Vec<u8> = image().chunks(PAGE).flat_map(Hash::hash).collect();
    let group =
        Group { endpoint: Endpoint { address: "ff02::fd".parse().unwrap(), port: 5685 }, token: TOKEN };
    let ticket = Fields {
        image_size: 10_000,
        image_digest: Hash::hash(&image()),
        index_digest: Hash::hash(&index),
        chunk_size: ChunkSize::from_bytes(PAGE as u32).unwrap(),
        szx: Szx::B64,
        sequence_number: 8,
        relay: Endpoint { address: "fe80::1".parse().unwrap(), port: 5683 },
        interface_identifier: [2, 0, 0, 0, 0, 0, 0, 1],
        etag: None,
        group: Some(group),
        session: None,
        options: &[0xb2, b'f', b'w'],
    };
    let mut bytes = vec![0xff; 9 * PAGE];
    let mut buffer = [0; MAX_TICKET];
    let length = ticket.write(&mut buffer).unwrap();
    bytes[..length].copy_from_slice(&buffer[..length]);
    bytes[2 * PAGE..2 * PAGE + index.len()].copy_from_slice(&index);
    let place = |first: usize, pages: usize| SixfoldRange {
        start: (first * PAGE) as u32,
        end: ((first + pages) * PAGE) as u32,
    };
    (bytes, SixfoldLayout { records: [place(0, 3), place(3, 3)], slots: [place(6, 3), place(6, 3)] })
}

fn datagram(num: usize) -> Vec<u8> {
    let mut buffer = [0; 128];
    let payload = image().chunks(64).nth(num).unwrap().to_vec();
    let block = Block::new(num as u32, (num + 1) * 64 < 10_000, Szx::B64).unwrap();
    let mut writer =
        Writer::new(&mut buffer, Type::NonConfirmable, Code::CONTENT, num as u16, TOKEN).unwrap();
    writer.uint_option(option::BLOCK2, block.encode()).unwrap();
    let length = writer.payload(&payload).unwrap();
    buffer[..length].to_vec()
}

#[test]
fn an_image_is_heard() {
    let (mut bytes, layout) = flash();
    let flash = SixfoldFlash {
        context: bytes.as_mut_ptr().cast(),
        read: Some(read),
        write: Some(write),
        erase: Some(erase),
        page_size: sixfold_page_size(),
        write_size: sixfold_write_size(),
    };
    let mut boot = MaybeUninit::<SixfoldBoot>::uninit();
    let boot = boot.as_mut_ptr();
    let mut ticket = [0; SIXFOLD_TICKET_SIZE];
    let mut memory = vec![0xaa; sixfold_listening_memory(10_000, 20, 64)];
    assert_eq!(sixfold_listening_memory(10_000, 20, 65), 0, "no such block");
    // SAFETY: everything is alive until the end of the test, and used by nothing else.
    unsafe {
        let begun =
            sixfold_boot_begin(boot, &raw const flash, &raw const layout, 0, &raw mut ticket, 1, null_mut());
        assert_eq!(begun, SixfoldStatus::Ok);
        let mut group = SixfoldGroup { address: [0; 16], port: 0 };
        assert!(!sixfold_boot_group(boot, &raw mut group), "it does not listen yet");
        assert_eq!(sixfold_boot_listen(boot, null_mut(), 1), SixfoldStatus::Argument);
        assert_eq!(sixfold_boot_listen(boot, memory.as_mut_ptr(), memory.len()), SixfoldStatus::Ok);
        assert!(sixfold_boot_group(boot, &raw mut group));
        assert_eq!((group.address[..2].to_vec(), group.address[15], group.port), (vec![0xff, 2], 0xfd, 5685));
        for _ in 0..3 {
            assert_eq!(sixfold_boot_timeout(boot, 0, null_mut()), SixfoldStatus::Ok);
        }
        for num in 0..157 {
            assert!(!sixfold_boot_is_bootable(boot));
            let datagram = datagram(num);
            let heard =
                sixfold_boot_group_datagram(boot, 1000, datagram.as_ptr(), datagram.len(), null_mut());
            assert_eq!(heard, SixfoldStatus::Ok);
            assert_eq!(sixfold_boot_timeout(boot, 1000, null_mut()), SixfoldStatus::Ok);
        }
        assert!(sixfold_boot_is_bootable(boot));
    }
    assert!(bytes[6 * PAGE..].starts_with(&image()));
}
