//! Encrypted images: what is in flash is what was signed, whoever sent it and whenever the power went.
#![cfg(feature = "encrypted")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod model;

use model::device::{Device, End, Release};
use model::flash::{Cut, How};
use model::{Server, image};
use sixfold_device::boot::{Cause, Event, Which};
use sixfold_oscore::Keystream;
use sixfold_profile::coap::Szx;
use sixfold_profile::index::ChunkSize;
use sixfold_profile::ticket::ContentKey;

const CHUNK: usize = 512;
const KEY: ContentKey<'static> = ContentKey { key: &[0x4b; 16], iv: &[0x49; 16] };
const OTHER: ContentKey<'static> = ContentKey { key: &[0x4f; 16], iv: KEY.iv };

fn release(length: usize, seed: u32, number: u64) -> Release {
    Release::new(image(length, seed), ChunkSize::from_bytes(CHUNK as u32).unwrap(), number)
}

/// An image that ends in the middle of a block, of a write unit and of an AES block, encrypted on its way.
fn encrypted() -> Release {
    Release { content_key: Some(KEY), ..release(4 * CHUNK + 77, 2, 8) }
}

/// What the relay has.
fn published(release: &Release) -> Vec<u8> {
    let mut image = release.image.clone();
    Keystream::new(KEY.key, KEY.iv).apply(0, &mut image);
    image
}

/// A device that runs release 7.
fn running<const WRITE: usize, const ERASE: usize>(two_slots: bool) -> Device<WRITE, ERASE> {
    let pages = |bytes: usize| bytes.div_ceil(ERASE) as u32;
    let mut device = Device::new(two_slots, pages(512) + 4, pages(6 * CHUNK));
    let old = release(3 * CHUNK + 10, 1, 7);
    device.prepare(&old).unwrap();
    assert!(matches!(device.boot(&mut Server::new(old.image)), Ok(End::Runs(_))));
    device.events.clear();
    device
}

fn updates<const WRITE: usize, const ERASE: usize>(two_slots: bool, szx: u8) {
    let new = encrypted();
    let mut device = running::<WRITE, ERASE>(two_slots);
    device.prepare(&new).unwrap();
    let mut server = Server::new(published(&new));
    server.szx = Szx::new(szx).unwrap();
    let Ok(End::Runs(which)) = device.boot(&mut server) else { panic!("{:?}", device.events) };
    assert_eq!(device.slot(which, new.image.len()), new.image);
    assert!(device.events.iter().all(|event| !matches!(event, Event::Sleep { .. })));
    assert_eq!(device.boot(&mut server), Ok(End::Runs(which)));
}

#[test]
fn an_encrypted_image_is_decrypted_while_it_is_written() {
    for two_slots in [false, true] {
        for szx in [0, 1, 2] {
            updates::<1, 512>(two_slots, szx);
            updates::<4, 256>(two_slots, szx);
            updates::<16, 512>(two_slots, szx);
        }
    }
}

#[test]
fn without_the_right_key_nothing_runs() {
    let new = encrypted();
    for (key, served) in
        [(Some(OTHER), published(&new)), (None, published(&new)), (Some(KEY), new.image.clone())]
    {
        let mut device = running::<4, 256>(false);
        device.prepare(&Release { content_key: key, ..new.clone() }).unwrap();
        assert_eq!(device.boot(&mut Server::new(served)), Ok(End::StillTrying));
        let is_wrong = |event: &Event| matches!(event, Event::Sleep { cause: Cause::WrongChunk, .. });
        assert!(device.events.iter().any(is_wrong));
    }
}

#[test]
fn chunks_of_the_old_image_are_not_fetched_again() {
    let old = release(3 * CHUNK + 10, 1, 7);
    let mut bytes = image(4 * CHUNK, 2);
    bytes[..2 * CHUNK].copy_from_slice(&old.image[..2 * CHUNK]);
    let chunk_size = ChunkSize::from_bytes(CHUNK as u32).unwrap();
    let new = Release { content_key: Some(KEY), ..Release::new(bytes, chunk_size, 8) };
    let mut device = running::<4, 256>(false);
    device.prepare(&new).unwrap();
    let mut server = Server::new(published(&new));
    assert_eq!(device.boot(&mut server), Ok(End::Runs(Which::A)));
    assert_eq!(server.requests.len(), 2 * CHUNK / 64);
}

/// Each flash operation of an update, cut once before, after and in the middle.
#[test]
fn a_power_cut_at_any_flash_operation_changes_nothing_of_what_is_decrypted() {
    let new = encrypted();
    for two_slots in [false, true] {
        let mut prepared = running::<4, 256>(two_slots);
        prepared.prepare(&new).unwrap();
        let life = |cut: Option<Cut>, seed: u64| {
            let mut device = Device::<4, 256>::new(two_slots, 1, 1);
            device.flash = prepared.flash.clone();
            device.layout = prepared.layout.clone();
            device.flash.power_on(cut, seed);
            let mut server = Server::new(published(&new));
            let mut end = device.boot_or_power_gone(&mut server);
            let operations = device.flash.operations;
            assert_eq!(end == End::PowerGone, cut.is_some());
            if cut.is_some() {
                device.flash.power_on(None, seed);
                end = device.boot_or_power_gone(&mut server);
            }
            let End::Runs(which) = end else { panic!("{cut:?}: {end:?}") };
            assert_eq!(device.slot(which, new.image.len()), new.image, "{cut:?}");
            operations
        };
        let operations = life(None, 0);
        for at in 0..operations {
            for how in How::ALL {
                for seed in 0..if how == How::Torn { 4 } else { 1 } {
                    life(Some(Cut { at, how }), seed);
                }
            }
        }
    }
}

/// Members of a group take blocks and parity symbols of the encrypted image, as many as of a plain one.
#[cfg(feature = "listen")]
#[test]
fn members_make_up_with_parity_for_what_they_miss_of_an_encrypted_stream() {
    use model::fleet::Fleet;
    use model::relay::{Item, Relay};
    use sixfold_device::boot::listening_memory;

    let (old, new) = (release(20 * CHUNK, 1, 7), release(20 * CHUNK + 77, 2, 8));
    let encrypted = Release { content_key: Some(KEY), ..new.clone() };
    let run = |new: &Release, served: Vec<u8>, szx: Szx, loss: u32| {
        let memory = listening_memory(new.image.len() as u32, 100, szx);
        let mut relay = Relay::new(served);
        relay.szx = szx;
        let mut fleet = Fleet::new(relay, new, &old, 8, memory);
        fleet.loss = loss;
        assert!(fleet.run(), "{loss} %");
        assert_eq!(fleet.relay.no_parity, 0);
        let is_parity = |item: &&Item| matches!(item, Item::Parity(..));
        (fleet.relay.sent.iter().filter(is_parity).count(), fleet.relay.sent.len())
    };
    for szx in [Szx::B64, Szx::from_size(256).unwrap()] {
        for loss in [0, 5, 20] {
            let of_plain = run(&new, new.image.clone(), szx, loss);
            let of_encrypted = run(&encrypted, published(&new), szx, loss);
            assert_eq!(of_encrypted, of_plain, "{loss} %, blocks of {} bytes", szx.size());
            assert!(
                of_encrypted.0 > 0 || loss < 20 || szx > Szx::B64,
                "without parity there is nothing to see"
            );
        }
    }
}
