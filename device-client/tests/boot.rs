//! The boot program between a hostile relay and worn flash: it refuses, waits or recovers, and in the end it has the image
//! that was signed, or is still trying.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod model;

use model::device::{Device, End, Release};
use model::flash::How;
use model::{Server, image};
use sixfold_device::boot::{BootError, Cause, Choice, Event, Which, choose};
use sixfold_profile::coap::{Code, Szx};
use sixfold_profile::index::ChunkSize;
use sixfold_profile::ticket::{MAX_TICKET, TicketError};
use std::time::Duration;

const CHUNK: usize = 256;
const HOUR: Duration = Duration::from_secs(3600);

type Small = Device<4, 256>;

fn release(length: usize, seed: u32, sequence_number: u64) -> Release {
    Release::new(image(length, seed), ChunkSize::from_bytes(CHUNK as u32).unwrap(), sequence_number)
}

/// A device that runs release 7 and has a ticket for release 8.
fn prepared() -> (Small, Release) {
    let mut device = Small::new(false, 5, 8);
    let old = release(3 * CHUNK, 1, 7);
    device.prepare(&old).unwrap();
    assert_eq!(device.boot(&mut Server::new(old.image)), Ok(End::Runs(Which::B)));
    let new = release(4 * CHUNK + 10, 2, 8);
    device.prepare(&new).unwrap();
    device.events.clear();
    device.flash.operations = 0;
    (device, new)
}

fn boots_into(device: &mut Small, server: &mut Server, release: &Release) {
    let end = device.boot(server).unwrap();
    let End::Runs(which) = end else { panic!("{end:?}") };
    assert_eq!(device.slot(which, release.image.len()), release.image);
}

fn causes(device: &Small) -> Vec<Cause> {
    let causes = device.events.iter().filter_map(|event| match event {
        Event::Sleep { cause, .. } => Some(*cause),
        _ => None,
    });
    causes.collect()
}

/// Changes the `n`th datagram on its way to the device.
fn once(n: usize, change: impl Fn(&mut Vec<u8>) + 'static) -> Box<dyn FnMut(Vec<u8>) -> Vec<Vec<u8>>> {
    let mut count = 0;
    Box::new(move |mut datagram| {
        if count == n {
            change(&mut datagram);
        }
        count += 1;
        vec![datagram]
    })
}

#[test]
fn an_update_reports_its_chunks_and_asks_for_each_block_once() {
    let (mut device, new) = prepared();
    let mut server = Server::new(new.image.clone());
    boots_into(&mut device, &mut server, &new);
    let chunks = (0..5).map(|done| Event::Chunks { done, all: 5 });
    assert_eq!(device.events, chunks.chain([Event::Bootable]).collect::<Vec<_>>());
    assert_eq!(server.requests.len(), new.image.len().div_ceil(64));
    assert_eq!(device.boot(&mut server), Ok(End::Runs(Which::A)), "a reset changes nothing");
    assert_eq!(server.requests.len(), new.image.len().div_ceil(64), "and asks for nothing");
}

#[test]
fn chunks_that_the_old_image_has_are_not_fetched() {
    let (mut device, _) = prepared();
    let mut bytes = image(5 * CHUNK, 3);
    bytes[..2 * CHUNK].copy_from_slice(&image(3 * CHUNK, 1)[..2 * CHUNK]);
    let new = Release::new(bytes, ChunkSize::from_bytes(CHUNK as u32).unwrap(), 9);
    device.prepare(&new).unwrap();
    let mut server = Server::new(new.image.clone());
    boots_into(&mut device, &mut server, &new);
    assert_eq!(server.requests.len(), 3 * CHUNK / 64);
}

#[test]
fn every_bit_of_a_response_flipped_once_is_survived() {
    let (_, new) = prepared();
    let mut causes_seen = Vec::new();
    for bit in 0..80 * 8 {
        let (mut device, _) = prepared();
        device.link = once(5, move |datagram| {
            if let Some(byte) = datagram.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
        });
        boots_into(&mut device, &mut Server::new(new.image.clone()), &new);
        causes_seen.extend(causes(&device));
    }
    let wrong = causes_seen.iter().filter(|cause| **cause == Cause::WrongChunk).count();
    assert_eq!(wrong, 64 * 8, "each flipped bit of payload makes a wrong chunk");
}

#[test]
fn a_response_cut_short_at_any_length_is_survived() {
    let (_, new) = prepared();
    for length in 0..80 {
        let (mut device, _) = prepared();
        device.link = once(6, move |datagram| datagram.truncate(length));
        boots_into(&mut device, &mut Server::new(new.image.clone()), &new);
    }
}

#[test]
fn duplicates_and_stragglers_are_survived() {
    let (mut device, new) = prepared();
    let mut earlier: Vec<Vec<u8>> = Vec::new();
    device.link = Box::new(move |datagram| {
        earlier.push(datagram.clone());
        let straggler = earlier[earlier.len() / 2].clone();
        vec![straggler, datagram.clone(), datagram]
    });
    let mut server = Server::new(new.image.clone());
    boots_into(&mut device, &mut server, &new);
    assert_eq!(causes(&device), []);
}

#[test]
fn other_peoples_datagrams_are_ignored() {
    let (mut device, new) = prepared();
    let noise: [&[u8]; 5] = [
        &[],
        &[0x40],
        &[0xff; 30],
        &[0x44, 0x01, 0, 1, 1, 2, 3, 4],
        &[0x54, 0x45, 0, 1, 9, 9, 9, 9, 0xc1, 0x2a, 0xff, 1],
    ];
    device.link =
        Box::new(move |datagram| noise.iter().map(|noise| noise.to_vec()).chain([datagram]).collect());
    boots_into(&mut device, &mut Server::new(new.image.clone()), &new);
    assert_eq!(causes(&device), []);
}

#[test]
fn an_older_image_is_never_taken_for_the_new_one() {
    let (mut device, new) = prepared();
    let genuine = new.image.clone();
    // The same size, so that only the digests tell.
    let mut server = Server::new(image(new.image.len(), 77)).script(move |n, server| {
        if n == 20 {
            server.image.clone_from(&genuine);
        }
    });
    boots_into(&mut device, &mut server, &new);
    assert!(causes(&device).contains(&Cause::WrongChunk), "{:?}", causes(&device));
}

#[test]
fn swapped_blocks_are_found_out() {
    let (mut device, new) = prepared();
    let genuine = new.image.clone();
    let mut swapped = new.image.clone();
    swapped[64..192].rotate_left(64);
    let mut server = Server::new(swapped).script(move |n, server| {
        if n == 4 {
            server.image.clone_from(&genuine);
        }
    });
    boots_into(&mut device, &mut server, &new);
    assert_eq!(causes(&device), [Cause::WrongChunk]);
}

#[test]
fn an_image_of_another_size_is_refused_before_it_is_written() {
    for (length, cause) in [(4 * CHUNK, Cause::OtherSize), (4 * CHUNK + 11, Cause::OtherSize)] {
        let (mut device, new) = prepared();
        let mut other = new.image.clone();
        other.resize(length, 0);
        let genuine = new.image.clone();
        let mut server = Server::new(other).script(move |n, server| {
            if n == 30 {
                server.image.clone_from(&genuine);
            }
        });
        boots_into(&mut device, &mut server, &new);
        assert!(causes(&device).contains(&cause), "{length}: {:?}", causes(&device));
    }
}

#[test]
fn another_etag_in_the_middle_costs_nothing_where_the_bytes_are_the_signed_ones() {
    let (mut device, new) = prepared();
    let mut server = Server::new(new.image.clone()).script(|n, server| {
        if n == 6 {
            server.etag = b"two".to_vec();
        }
    });
    boots_into(&mut device, &mut server, &new);
    assert_eq!(causes(&device), []);
    assert_eq!(server.requests.len(), new.image.len().div_ceil(64));
}

#[test]
fn smaller_blocks_than_asked_for_are_fine() {
    let (mut device, new) = prepared();
    let mut server = Server::new(new.image.clone());
    server.szx = Szx::new(0).unwrap();
    boots_into(&mut device, &mut server, &new);
    assert_eq!(causes(&device), []);
}

#[test]
fn an_endless_5_03_is_waited_out_and_touches_no_flash() {
    let (mut device, new) = prepared();
    device.patience = HOUR;
    let mut server = Server::new(new.image.clone());
    server.error = Some((Code::SERVICE_UNAVAILABLE, 60));
    assert_eq!(device.boot(&mut server), Ok(End::StillTrying));
    assert!((59..=62).contains(&server.requests.len()), "{} requests in an hour", server.requests.len());
    assert_eq!(device.flash.operations, 3, "the old record retired, one chunk erased, and no more");
    server.error = None;
    boots_into(&mut device, &mut server, &new);
}

#[test]
fn a_max_age_of_a_century_is_a_day() {
    let (mut device, new) = prepared();
    let mut server = Server::new(new.image.clone()).script(|n, server| {
        server.error = (n == 0).then_some((Code::TOO_MANY_REQUESTS, u32::MAX));
    });
    boots_into(&mut device, &mut server, &new);
    assert_eq!(device.events[1], Event::Wait(Duration::from_secs(86_400)));
}

#[test]
fn errors_are_tried_again_for_ever_and_less_and_less_often() {
    for error in [Code::NOT_FOUND, Code::BAD_REQUEST, Code::INTERNAL_SERVER_ERROR] {
        let (mut device, new) = prepared();
        device.patience = 24 * HOUR;
        let mut server = Server::new(new.image.clone());
        server.error = Some((error, 0));
        assert_eq!(device.boot(&mut server), Ok(End::StillTrying));
        assert!((25..=60).contains(&server.requests.len()), "{} in a day", server.requests.len());
        assert!(causes(&device).iter().all(|cause| *cause == Cause::Refused));
        server.error = None;
        boots_into(&mut device, &mut server, &new);
    }
}

#[test]
fn a_relay_that_is_gone_for_a_day_is_found_again() {
    let (mut device, new) = prepared();
    device.patience = 24 * HOUR;
    let mut server = Server::new(new.image.clone());
    server.silent = true;
    assert_eq!(device.boot(&mut server), Ok(End::StillTrying));
    assert!(causes(&device).iter().all(|cause| *cause == Cause::Silence) && !causes(&device).is_empty());
    server.silent = false;
    boots_into(&mut device, &mut server, &new);
}

#[test]
fn a_rst_is_no_end() {
    let (mut device, new) = prepared();
    device.link = once(3, |datagram| {
        datagram.truncate(4);
        datagram[0] = 0x70;
        datagram[1] = 0;
    });
    boots_into(&mut device, &mut Server::new(new.image.clone()), &new);
    assert_eq!(causes(&device), [Cause::Silence]);
}

#[test]
fn a_relay_that_lies_for_ever_does_not_wear_the_flash_out() {
    let (mut device, new) = prepared();
    device.patience = 24 * HOUR;
    let mut server = Server::new(image(new.image.len(), 99));
    assert_eq!(device.boot(&mut server), Ok(End::StillTrying));
    let erasures_at_most = device.flash.operations / 5;
    assert!(erasures_at_most < 60, "{} flash operations in a day", device.flash.operations);
    assert_eq!(device.boot(&mut server), Ok(End::StillTrying), "nor does a reset make it run");
}

#[test]
fn worn_flash_is_noticed() {
    let (mut device, new) = prepared();
    let mut server = Server::new(new.image.clone());
    boots_into(&mut device, &mut server, &new);
    let newer = release(4 * CHUNK, 5, 9);
    device.prepare(&newer).unwrap();
    device.patience = Duration::ZERO;
    let mut halfway = Server::new(newer.image.clone());
    halfway.silent = true;
    assert_eq!(device.boot(&mut halfway), Ok(End::StillTrying));
    let record = device.layout.record(Which::B).clone();
    device.flash.bytes_mut()[record.start as usize + 20] ^= 1;
    assert_eq!(device.boot(&mut halfway), Ok(End::Lost), "a half image must not run");
}

#[test]
fn a_chunk_that_rots_after_it_was_marked_is_fetched_again() {
    let (mut device, new) = prepared();
    let slot = device.layout.slot(Which::A).start as usize;
    let mut server = Server::new(new.image.clone());
    // Power goes before the last mark; then a bit of the first chunk flips.
    let last = 2 + 5 * 6 - 2;
    device.flash.power_on(Some(model::flash::Cut { at: last, how: How::Before }), 1);
    assert_eq!(device.boot_or_power_gone(&mut server), End::PowerGone);
    device.flash.power_on(None, 1);
    device.flash.bytes_mut()[slot] ^= 1;
    boots_into(&mut device, &mut server, &new);
    assert_eq!(causes(&device), [Cause::WrongImage]);
}

#[test]
fn the_image_before_can_run_until_the_update_begins() {
    let (mut device, new) = prepared();
    let choice =
        |device: &mut Small| choose(&mut device.flash, &device.layout, &mut [0; MAX_TICKET]).unwrap();
    let waiting = Choice::Update { record: Which::A, fallback: Some(Which::B) };
    assert_eq!(choice(&mut device), waiting);
    let index = device.layout.record(Which::A).start as usize + 3 * 256;
    device.flash.bytes_mut()[index] ^= 1;
    assert_eq!(device.boot(&mut Server::new(new.image)), Err(BootError::Index), "a bit of the index rots");
    assert_eq!(choice(&mut device), waiting, "the image before is whole");
    device.flash.bytes_mut()[index] ^= 1;
    device.patience = Duration::from_secs(1);
    let mut silent = Server::new(Vec::new());
    silent.error = Some((Code::NOT_FOUND, 0));
    assert_eq!(device.boot(&mut silent), Ok(End::StillTrying));
    assert_eq!(choice(&mut device), Choice::Update { record: Which::A, fallback: None }, "it has begun");
}

#[test]
fn a_factory_image_runs_where_there_is_no_record() {
    let mut device = Small::new(false, 5, 8);
    assert_eq!(device.boot(&mut Server::new(Vec::new())), Ok(End::Factory));
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_written() {
    let mut device = Small::new(false, 5, 8);
    let large = release(8 * CHUNK + 1, 1, 1);
    assert_eq!(device.prepare(&large), Err(BootError::Layout));
    let mut wrong_index = release(CHUNK, 1, 1);
    wrong_index.index[0] ^= 1;
    let index = wrong_index.index.clone();
    wrong_index = release(CHUNK, 1, 1);
    let ticket = wrong_index.ticket();
    let refused = sixfold_device::boot::install(&mut device.flash, &device.layout, &ticket, &index);
    assert_eq!(refused, Err(BootError::Index));
    let mut many_options = wrong_index.ticket();
    let options = [0; MAX_TICKET];
    many_options.options = &options;
    let refused =
        sixfold_device::boot::install(&mut device.flash, &device.layout, &many_options, &wrong_index.index);
    assert!(matches!(refused, Err(BootError::Ticket(TicketError::Field(_)))));
    assert_eq!(device.flash.operations, 0);
}
