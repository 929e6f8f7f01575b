//! Device and relay against each other, and what neither takes.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use proptest::prelude::*;
use sixfold_edhoc::{Agreed, Credential, CredentialError, Failure, Identity, initiator, responder};

const RELAY_KEY: &str = include_str!("relay.key");
const DEVICE_KEY: &str = include_str!("device.key");
/// A connection identifier as relays choose them.
const C_R: [u8; 5] = [0xc1, 2, 3, 4, 5];

fn relay() -> Identity {
    Identity::make(RELAY_KEY, "relay", &[0x72]).unwrap()
}

fn device() -> Identity {
    Identity::make(DEVICE_KEY, "lamp-7", &[1, 2, 3, 4]).unwrap()
}

/// The messages of a whole exchange, each changed as `change` says, and what both sides have in the end.
fn exchange(mut change: impl FnMut(usize, &mut Vec<u8>)) -> Result<(Agreed, Agreed), Failure> {
    let (relay, device) = (relay(), device());
    let (waiting, mut message_1) = initiator::begin(&[0x20], [1; 32])?;
    change(1, &mut message_1);
    let (answered, mut message_2) = responder::respond(&relay, &message_1, &C_R, [2; 32])?;
    change(2, &mut message_2);
    let (confirming, mut message_3) = waiting.proceed(&message_2, &device, relay.credential())?;
    change(3, &mut message_3);
    let (theirs, mut message_4) = answered.finish(&message_3, &[device.credential().clone()])?;
    change(4, &mut message_4);
    Ok((confirming.confirm(&message_4)?, theirs))
}

#[test]
fn both_sides_have_the_same() {
    let (ours, theirs) = exchange(|_, _| {}).unwrap();
    assert_eq!((ours.name.as_str(), theirs.name.as_str()), ("relay", "lamp-7"));
    assert_eq!((&ours.device_id[..], &ours.relay_id[..]), (&C_R[..], &[0x20][..]));
    assert_eq!(Agreed { name: theirs.name.clone(), ..ours.clone() }, theirs);
    assert_ne!(ours.master_secret[..8], ours.master_salt);
}

/// lakers would show the ephemeral key and what was derived from it.
#[test]
fn nothing_that_waits_shows_its_keys() {
    let (waiting, message_1) = initiator::begin(&[0x20], [1; 32]).unwrap();
    let shown = "Waiting { relay_id: [32], .. }";
    assert_eq!(format!("{waiting:?}"), shown);
    let (answered, message_2) = responder::respond(&relay(), &message_1, &C_R, [2; 32]).unwrap();
    assert_eq!(format!("{answered:?}"), shown);
    let (confirming, _) = waiting.proceed(&message_2, &device(), relay().credential()).unwrap();
    assert_eq!(format!("{confirming:?}").matches("..").count(), 2, "{confirming:?}");
    assert!(!format!("{confirming:?}").contains("state"), "{confirming:?}");
}

#[test]
fn other_randomness_makes_other_keys() {
    let (relay, device) = (relay(), device());
    let secret = |seed: u8| {
        let (waiting, message_1) = initiator::begin(&[], [seed; 32]).unwrap();
        let (answered, message_2) = responder::respond(&relay, &message_1, &C_R, [seed ^ 1; 32]).unwrap();
        let (_, message_3) = waiting.proceed(&message_2, &device, relay.credential()).unwrap();
        answered.finish(&message_3, &[device.credential().clone()]).unwrap().0.master_secret
    };
    assert_ne!(secret(2), secret(4));
    assert_eq!(secret(2), secret(2));
}

#[test]
fn every_flipped_bit_is_refused() {
    for message in 1..=4 {
        for bit in 0..8 * 60 {
            let flip = |number: usize, bytes: &mut Vec<u8>| {
                if number == message
                    && let Some(byte) = bytes.get_mut(bit / 8)
                {
                    *byte ^= 1 << (bit % 8);
                }
            };
            let is_beyond = std::cell::Cell::new(false);
            let outcome = exchange(|number, bytes| {
                if number == message {
                    is_beyond.set(bit / 8 >= bytes.len());
                }
                flip(number, bytes);
            });
            assert!(outcome.is_err() || is_beyond.get(), "message_{message}, bit {bit}");
        }
    }
}

#[test]
fn who_is_not_known_gets_nothing() {
    let (relay, device) = (relay(), device());
    let other = Identity::make(RELAY_KEY, "other", &[9]).unwrap();
    let (waiting, message_1) = initiator::begin(&[], [1; 32]).unwrap();
    let (answered, message_2) = responder::respond(&relay, &message_1, &C_R, [2; 32]).unwrap();
    let (_, message_3) = waiting.proceed(&message_2, &device, relay.credential()).unwrap();
    let refused = answered.finish(&message_3, &[other.credential().clone()]).unwrap_err();
    assert_eq!(refused, Failure::UnknownCredential);
    assert_eq!(refused.message(), [0x03, 0xf5]);
}

/// The name of a known device, and another key.
#[test]
fn a_name_without_its_key_gets_nothing() {
    let (relay, device) = (relay(), device());
    let thief = Identity::make(RELAY_KEY, "lamp-7", &[1, 2, 3, 4]).unwrap();
    let (waiting, message_1) = initiator::begin(&[], [1; 32]).unwrap();
    let (answered, message_2) = responder::respond(&relay, &message_1, &C_R, [2; 32]).unwrap();
    let (_, message_3) = waiting.proceed(&message_2, &thief, relay.credential()).unwrap();
    assert!(matches!(answered.finish(&message_3, &[device.credential().clone()]), Err(Failure::Edhoc(_))));
}

/// x = 0 has no point on P-256 that lakers' own back end could decompress: it would panic.
#[test]
fn a_public_key_that_is_none_leads_nowhere() {
    let (_, message_1) = initiator::begin(&[0x20], [1; 32]).unwrap();
    for x in [[0; 32], [0xff; 32], [5; 32]] {
        let mut hostile = message_1.clone();
        let place = hostile.windows(2).position(|head| head == [0x58, 0x20]).unwrap() + 2;
        hostile[place..place + 32].copy_from_slice(&x);
        let (answered, _) = responder::respond(&relay(), &hostile, &C_R, [2; 32]).unwrap();
        for message_3 in [&[][..], &[0x40], &[0x41, 0], &[0x52; 19], &[0x58, 0xff, 0]] {
            let Err(failure) = respond_again(&hostile).finish(message_3, &[]) else { panic!() };
            assert_ne!(failure, Failure::Library, "{message_3:?}");
        }
        drop(answered);
    }
}

fn respond_again(message_1: &[u8]) -> responder::Waiting {
    responder::respond(&relay(), message_1, &C_R, [2; 32]).unwrap().0
}

#[test]
fn an_identifier_that_is_too_long_is_refused_before_lakers_sees_it() {
    let (_, message_1) = initiator::begin(&[], [1; 32]).unwrap();
    let start = &message_1[..message_1.len() - 1];
    for length in 8..=30_u8 {
        let head = if length < 24 { vec![0x40 | length] } else { vec![0x58, length] };
        let long = [start, &head, &vec![7; length.into()]].concat();
        assert_eq!(responder::respond(&relay(), &long, &C_R, [2; 32]).unwrap_err(), Failure::Identifier);
        // The same behind a list of suites.
        let listed = [&[3, 0x82, 0x18, 0x58, 2][..], &long[2..]].concat();
        assert_eq!(responder::respond(&relay(), &listed, &C_R, [2; 32]).unwrap_err(), Failure::Identifier);
    }
}

#[test]
fn other_methods_and_suites_are_refused_with_what_there_is() {
    let (_, message_1) = initiator::begin(&[0x20], [1; 32]).unwrap();
    assert_eq!(message_1[..2], [3, 2], "method 3, suite 2");
    let refusal = |place: usize, value: u8| {
        let mut other = message_1.clone();
        other[place] = value;
        responder::respond(&relay(), &other, &C_R, [2; 32]).unwrap_err().message()
    };
    assert_eq!(refusal(1, 0), [0x02, 0x02], "SUITES_R");
    assert_eq!(refusal(0, 0)[0], 0x01);
}

#[test]
fn credentials_are_read_as_they_are_made() {
    let made = device();
    let read = Credential::parse(made.credential().as_bytes()).unwrap();
    assert_eq!((&read, read.name(), read.kid()), (made.credential(), "lamp-7", &[1, 2, 3, 4][..]));
    assert!(Identity::new(DEVICE_KEY, read.clone()).is_ok());
    assert_eq!(Identity::new(RELAY_KEY, read).unwrap_err(), CredentialError::OtherKey);
    let refused = |name: &str, kid: &[u8]| Identity::make(DEVICE_KEY, name, kid).unwrap_err();
    assert_eq!(refused("", &[1]), CredentialError::Name);
    assert_eq!(refused("a\nb", &[1]), CredentialError::Name);
    assert_eq!(refused(&"x".repeat(24), &[1]), CredentialError::Name);
    assert_eq!(refused("x", &[]), CredentialError::KeyIdentifier);
    assert_eq!(refused("x", &[0; 9]), CredentialError::KeyIdentifier);
    assert_eq!(Credential::parse(&[0xa0]), Err(CredentialError::Malformed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_bytes_make_either_side_panic(
        message_1 in prop::collection::vec(any::<u8>(), 0..250),
        message_3 in prop::collection::vec(any::<u8>(), 0..250),
    ) {
        let library = |failure: Option<Failure>| failure == Some(Failure::Library);
        prop_assert!(!library(responder::respond(&relay(), &message_1, &C_R, [2; 32]).err()));
        let (waiting, sound) = initiator::begin(&[], [1; 32]).unwrap();
        let waiting_3 = respond_again(&sound);
        prop_assert!(!library(waiting_3.finish(&message_3, &[device().credential().clone()]).err()));
        prop_assert!(!library(waiting.proceed(&message_3, &device(), relay().credential()).err()));
    }

    /// A prefix of a sound message, and noise behind it.
    #[test]
    fn no_cut_message_makes_either_side_panic(
        cut in 0usize..64,
        noise in prop::collection::vec(any::<u8>(), 0..40),
        message in 1usize..=4,
    ) {
        let mut sent = Vec::new();
        let outcome = exchange(|number, bytes| {
            if number == message {
                bytes.truncate(cut);
                bytes.extend_from_slice(&noise);
                sent.clone_from(bytes);
            }
        });
        if message == 1 {
            prop_assert_ne!(responder::respond(&relay(), &sent, &C_R, [2; 32]).err(), Some(Failure::Library));
        }
        prop_assert!(!matches!(outcome, Err(Failure::Library)));
    }

    /// Somebody who heard message_1 encrypts whatever it likes: lakers would panic for some of it.
    #[test]
    fn no_message_2_makes_the_device_panic(
        changes in prop::collection::vec((0usize..12, any::<u8>()), 1..4),
        noise in prop::collection::vec(any::<u8>(), 0..150),
        is_noise: bool,
    ) {
        let (relay, device) = (relay(), device());
        let (waiting, message_1) = initiator::begin(&[], [1; 32]).unwrap();
        let mut message_2 = responder::respond(&relay, &message_1, &C_R, [2; 32]).unwrap().1;
        let (_, ciphertext) = message_2.split_at_mut(2 + 32);
        for (place, change) in changes {
            let place = place % ciphertext.len();
            ciphertext[place] ^= change;
        }
        if is_noise {
            message_2.extend_from_slice(&noise);
            message_2[1] = (message_2.len() - 2) as u8;
        }
        let outcome = waiting.proceed(&message_2, &device, relay.credential());
        prop_assert_ne!(outcome.err(), Some(Failure::Library));
    }
}
