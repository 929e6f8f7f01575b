//! EDHOC messages, to both sides, and credentials.

use sixfold_edhoc::{Credential, Failure, Identity, initiator, responder};

const RELAY_KEY: &str = include_str!("../../profile/edhoc/tests/relay.key");
const DEVICE_KEY: &str = include_str!("../../profile/edhoc/tests/device.key");
/// A connection identifier as relays choose them.
const C_R: [u8; 5] = [0xc1, 2, 3, 4, 5];
/// Bytes of G_Y.
const POINT: usize = 32;

/// The bytes are each of the four messages in an exchange that is sound but for it, the ciphertext of message_2 behind a sound key, and a
/// credential. Nothing panics, not even where it would be caught, and only the other side's own message leads on to keys.
pub fn edhoc(data: &[u8]) {
    credential(data);
    let relay = Identity::named(RELAY_KEY, "relay").expect("a credential");
    let device = Identity::named(DEVICE_KEY, "lamp-7").expect("a credential");
    let known = [device.credential().clone()];
    let respond = |message_1: &[u8]| responder::respond(&relay, message_1, &C_R, [2; 32]);
    let begin = || initiator::begin(&[], [1; 32]).expect("message_1");

    if let Some((waiting, _)) = refused_or(respond(data)) {
        refused_or(waiting.finish(data, &known));
    }
    let message_2 = respond(&begin().1).expect("message_2").1;
    let proceed = |message: &[u8]| begin().0.proceed(message, &device, relay.credential());
    let message_3 = proceed(&message_2).expect("message_3").1;
    let mut encrypted = [&[0x58, 0], message_2.get(2..2 + POINT).expect("G_Y"), data].concat();
    encrypted.truncate(2 + 255);
    if let [_, length, content @ ..] = &mut encrypted[..] {
        *length = content.len() as u8;
    }
    for hostile in [data, &encrypted] {
        let is_own = refused_or(proceed(hostile));
        assert!(is_own.is_none() || hostile == message_2, "another message_2");
    }
    let finish = |message: &[u8]| respond(&begin().1).expect("message_2").0.finish(message, &known);
    let is_own = refused_or(finish(data));
    assert!(is_own.is_none() || data == message_3, "another message_3");

    let (ours, message_4) = finish(&message_3).expect("message_4");
    let confirm = |message: &[u8]| proceed(&message_2).expect("message_3").0.confirm(message);
    let is_own = refused_or(confirm(data));
    assert!(is_own.is_none() || data == message_4, "another message_4");
    let theirs = confirm(&message_4).expect("the same keys");
    assert_eq!((ours.master_secret, ours.master_salt), (theirs.master_secret, theirs.master_salt));
}

/// What there is, if anything. A panic of lakers that was caught counts as a panic.
fn refused_or<T>(outcome: Result<T, Failure>) -> Option<T> {
    let outcome = outcome.map_err(|failure| assert_ne!(failure, Failure::Library, "a panic"));
    outcome.ok()
}

fn credential(data: &[u8]) {
    if let Ok(credential) = Credential::parse(data) {
        let again = Credential::from_text(&credential.to_text());
        assert_eq!(again.as_ref(), Ok(&credential));
        assert!((1..=23).contains(&credential.name().len()) && (1..=8).contains(&credential.kid().len()));
    }
    _ = Credential::from_text(&String::from_utf8_lossy(data));
}
