//! A ticket that was changed in flash, at each of its bytes: nothing runs but what was signed, and nothing hangs.
//!
//! Who can write a whole ticket can make a device run anything (`profile/profile.md`, section 14.1). This is about worn flash, and about
//! a change of one byte whose CRC somebody made right again.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod model;

use model::device::{Device, End, Release};
use model::{Server, image};
use sixfold_device::boot::Which;
use sixfold_profile::crc32;
use sixfold_profile::index::ChunkSize;
use std::time::Duration;

type Small = Device<4, 256>;

fn release(seed: u32, number: u64) -> Release {
    Release::new(image(600, seed), ChunkSize::MIN, number)
}

/// A device that runs release 7 and has a ticket for release 8, where that is in flash, and how long it is.
fn prepared() -> (Small, usize, usize) {
    let mut device = Small::new(false, 5, 4);
    let old = release(1, 7);
    device.prepare(&old).unwrap();
    device.boot(&mut Server::new(old.image)).unwrap();
    let which = device.prepare(&release(2, 8)).unwrap();
    let at = device.layout.record(which).start as usize;
    let length = u16::from_be_bytes([device.flash.bytes()[at + 6], device.flash.bytes()[at + 7]]);
    device.patience = Duration::from_secs(600);
    (device, at, usize::from(length))
}

/// The image that runs, if any does, is one of the two that were signed.
fn runs_only_what_was_signed(device: &mut Small, what: &str) -> Option<End> {
    let (old, new) = (release(1, 7), release(2, 8));
    let end = device.boot(&mut Server::new(new.image.clone())).ok()?;
    match end {
        End::Runs(which) => {
            let running = device.slot(which, old.image.len());
            assert!(running == old.image || running == new.image, "{what}: other bytes run");
        }
        End::Factory => assert_eq!(device.slot(Which::A, old.image.len()), old.image, "{what}"),
        End::Lost | End::StillTrying | End::PowerGone => {}
    }
    Some(end)
}

#[test]
fn a_ticket_with_any_byte_changed_is_none() {
    let (prepared, at, length) = prepared();
    for offset in 0..length {
        let mut device = Small::new(false, 1, 1);
        (device.flash, device.layout) = (prepared.flash.clone(), prepared.layout.clone());
        device.flash.power_on(None, 1);
        device.flash.bytes_mut()[at + offset] ^= 0x55;
        let end = runs_only_what_was_signed(&mut device, &format!("byte {offset}"));
        assert!(matches!(end, Some(End::Runs(_))), "byte {offset}: {end:?}, and the image before is whole");
    }
}

#[test]
fn a_ticket_with_any_byte_changed_and_a_right_crc_runs_nothing_that_was_not_signed() {
    let (prepared, at, length) = prepared();
    for offset in 0..length - 4 {
        for change in [0x01, 0x55, 0x80, 0xff] {
            let mut device = Small::new(false, 1, 1);
            (device.flash, device.layout) = (prepared.flash.clone(), prepared.layout.clone());
            device.flash.power_on(None, 1);
            device.patience = prepared.patience;
            let ticket = &mut device.flash.bytes_mut()[at..at + length];
            ticket[offset] ^= change;
            let crc = crc32(&ticket[..length - 4]);
            ticket[length - 4..].copy_from_slice(&crc.to_be_bytes());
            runs_only_what_was_signed(&mut device, &format!("byte {offset}, {change:#x}"));
        }
    }
}
