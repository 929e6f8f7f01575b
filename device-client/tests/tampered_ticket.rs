//! A ticket that was changed in flash, at each of its bytes: nothing runs but what was signed, and nothing hangs.
//!
//! Who can write a whole ticket can make a device run anything (`profile/profile.md`, section 14.1). This is about worn flash, and about
//! a change of one byte whose CRC somebody made right again. The same with a session in the ticket: its identifiers, keys and numbers.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod model;

use model::device::{Device, End, Release};
use model::{Peer, Server, image};
use sixfold_device::boot::{Which, install};
use sixfold_profile::crc32;
use sixfold_profile::index::ChunkSize;
use sixfold_profile::ticket::Fields;
use std::time::Duration;

type Small = Device<4, 256>;

fn release(seed: u32, number: u64) -> Release {
    Release::new(image(600, seed), ChunkSize::MIN, number)
}

/// A device that runs release 7 and has a ticket for release 8, where that is in flash, and how long it is.
fn prepared() -> (Small, usize, usize) {
    prepared_with(release(2, 8).ticket())
}

fn prepared_with(ticket: Fields<'_>) -> (Small, usize, usize) {
    let mut device = Small::new(false, 9, 4);
    let old = release(1, 7);
    device.prepare(&old).unwrap();
    device.boot(&mut Server::new(old.image)).unwrap();
    let which = install(&mut device.flash, &device.layout, &ticket, &release(2, 8).index).unwrap();
    let at = device.layout.record(which).start as usize;
    let length = u16::from_be_bytes([device.flash.bytes()[at + 6], device.flash.bytes()[at + 7]]);
    device.patience = Duration::from_secs(600);
    (device, at, usize::from(length))
}

/// The image that runs, if any does, is one of the two that were signed.
fn runs_only_what_was_signed(device: &mut Small, relay: &mut impl Peer, what: &str) -> Option<End> {
    let (old, new) = (release(1, 7), release(2, 8));
    let end = device.boot(relay).ok()?;
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

/// The device with its flash as it was, but for what is done to the ticket.
fn changed(prepared: &(Small, usize, usize), change: impl FnOnce(&mut [u8])) -> Small {
    let (prepared, at, length) = prepared;
    let mut device = Small::new(false, 1, 1);
    (device.flash, device.layout) = (prepared.flash.clone(), prepared.layout.clone());
    device.flash.power_on(None, 1);
    device.patience = prepared.patience;
    change(&mut device.flash.bytes_mut()[*at..at + length]);
    device
}

fn any_byte_is_none<P: Peer>(prepared: &(Small, usize, usize), relay: impl Fn() -> P) {
    for offset in 0..prepared.2 {
        let mut device = changed(prepared, |ticket| ticket[offset] ^= 0x55);
        let end = runs_only_what_was_signed(&mut device, &mut relay(), &format!("byte {offset}"));
        assert!(matches!(end, Some(End::Runs(_))), "byte {offset}: {end:?}, and the image before is whole");
    }
}

/// `judge` is given each relay afterwards, and which byte it was.
fn any_byte_with_a_right_crc<P: Peer>(
    prepared: &(Small, usize, usize),
    relay: impl Fn() -> P,
    mut judge: impl FnMut(&P, usize, Option<End>),
) {
    for offset in 0..prepared.2 - 4 {
        // Each flag alone, those of a session together, and more.
        for change in [0x01, 0x02, 0x04, 0x06, 0x08, 0x55, 0x80, 0xff] {
            let mut device = changed(prepared, |ticket| {
                let (ticket, crc) = ticket.split_last_chunk_mut::<4>().unwrap();
                ticket[offset] ^= change;
                *crc = crc32(ticket).to_be_bytes();
            });
            let mut relay = relay();
            let end =
                runs_only_what_was_signed(&mut device, &mut relay, &format!("byte {offset}, {change:#x}"));
            judge(&relay, offset, end);
        }
    }
}

fn relay() -> Server {
    Server::new(release(2, 8).image)
}

#[test]
fn a_ticket_with_any_byte_changed_is_none() {
    any_byte_is_none(&prepared(), relay);
}

#[test]
fn a_ticket_with_any_byte_changed_and_a_right_crc_runs_nothing_that_was_not_signed() {
    any_byte_with_a_right_crc(&prepared(), relay, |_, _, _| {});
}

#[cfg(feature = "oscore")]
mod with_a_session {
    use super::model::session::{Agreement, Guarded};
    use super::*;
    use std::collections::BTreeSet;
    use std::ops::Range;

    fn agreement() -> Agreement {
        Agreement::new(b"a master secret!")
    }

    fn prepared(plain_allowed: bool) -> (Small, usize, usize) {
        let agreement = agreement();
        let session = Some(agreement.session(10, plain_allowed));
        prepared_with(Fields { session, ..release(2, 8).ticket() })
    }

    /// It keeps account of every number, and of what was asked without protection.
    fn guarded() -> Guarded {
        Guarded::new(relay(), agreement())
    }

    #[test]
    fn a_ticket_with_a_session_and_any_byte_changed_is_none() {
        for plain_allowed in [false, true] {
            any_byte_is_none(&prepared(plain_allowed), guarded);
        }
    }

    /// Where the ticket has the Sender ID with its length, and the keys with what nonces are made of. The Recipient ID between them is in
    /// no response to a request's own nonce (RFC 8613 §5.2, §5.4).
    const SENDER_ID: Range<usize> = 148..156;
    const SENDER_KEY: Range<usize> = 164..180;
    const RECIPIENT_KEY: Range<usize> = 180..196;
    const COMMON_IV: Range<usize> = 196..209;
    const NUMBERS: Range<usize> = 209..215;

    /// Without what both agreed on there is no answer that the device takes, and nothing makes it ask without protection.
    #[test]
    fn a_ticket_with_a_session_any_byte_changed_and_a_right_crc_runs_nothing_that_was_not_signed() {
        let mut plain = BTreeSet::new();
        let mut answered = BTreeSet::new();
        any_byte_with_a_right_crc(&prepared(false), guarded, |relay, offset, end| {
            let is_asked = !relay.ledger.is_empty();
            if relay.plain > 0 {
                plain.insert(offset);
            } else if is_asked && matches!(end, Some(End::Runs(_))) {
                answered.insert(offset);
            }
        });
        // Without flag S what is in place of a session makes the ticket none; with flag P the session is not lost yet.
        assert!(plain.is_empty(), "{plain:?}");
        for place in [SENDER_ID, SENDER_KEY, RECIPIENT_KEY, COMMON_IV] {
            assert!(answered.range(place).next().is_none(), "{answered:?}");
        }
        assert!(answered.range(NUMBERS).next().is_some(), "other numbers do as well: {answered:?}");
    }

    /// With flag P the device goes around a session that the relay refuses, and around no other.
    #[test]
    fn a_ticket_that_allows_plain_mode_with_any_byte_changed_runs_nothing_that_was_not_signed() {
        let mut plain = BTreeSet::new();
        any_byte_with_a_right_crc(&prepared(true), guarded, |relay, offset, _| {
            if relay.plain > 0 {
                plain.insert(offset);
            }
        });
        assert!(SENDER_KEY.chain(COMMON_IV).all(|offset| plain.contains(&offset)), "{plain:?}");
        assert!(
            plain.range(RECIPIENT_KEY).next().is_none(),
            "it is not refused, but not understood: {plain:?}"
        );
    }
}
