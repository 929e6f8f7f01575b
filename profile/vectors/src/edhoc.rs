//! Agreements by EDHOC (RFC 9528): all four messages, from keys that are given, to the keys of the device.

use crate::{hex, keys};
use hmac_sha256::{HMAC, Hash};
use serde_json::{Value, json};
use sixfold_edhoc::{Agreed, BEFORE_MESSAGE_1, Failure, Identity, SEED, initiator, responder};
use sixfold_oscore::{Derived, Secret};
use std::error::Error;

/// What each side draws its ephemeral key from.
const DEVICE_SEED: [u8; SEED] = [0xd5; SEED];
const RELAY_SEED: [u8; SEED] = [0xe5; SEED];

/// Who agrees, and which identifiers they choose.
struct Sides {
    device: Identity,
    relay: Identity,
    c_i: Vec<u8>,
    c_r: Vec<u8>,
}

/// The messages, and what the device has in the end.
struct Trace {
    messages: [Vec<u8>; 4],
    second_request: Vec<u8>,
    agreed: Agreed,
}

pub(crate) fn vectors() -> Result<Value, Box<dyn Error>> {
    let usual = Sides::usual()?;
    let longest = Sides {
        device: Identity::make(&keys::edhoc_device()?, "a-name-of-23-characters", &[0xd1; 8])?,
        relay: Identity::make(&keys::edhoc_relay()?, "r", &[0x72])?,
        c_i: vec![0xe1; 7],
        c_r: vec![0xd1; 7],
    };
    let negative = Sides { c_i: vec![0x2d], c_r: vec![0x27], ..Sides::usual()? };
    Ok(json!({
        "format": "edhoc",
        "version": 1,
        "vectors": [
            vector("as devices and relays do it", &usual)?,
            vector("identifiers that are CBOR integers", &negative)?,
            vector("the longest name and identifiers", &longest)?,
        ],
        "refused": refused(&usual)?,
    }))
}

/// What the device of the first vector has in the end.
pub(crate) fn session() -> Result<Agreed, Box<dyn Error>> {
    Ok(Sides::usual()?.trace()?.agreed)
}

impl Sides {
    /// The relay chooses C_R as it does with this seed.
    fn usual() -> Result<Self, Box<dyn Error>> {
        let [a, b, c, d, e, ..] = Hash::hash(&RELAY_SEED);
        Ok(Self {
            device: Identity::named(&keys::edhoc_device()?, "lamp-7")?,
            relay: Identity::named(&keys::edhoc_relay()?, "sixfold-relay")?,
            c_i: Vec::new(),
            c_r: vec![a, b, c, d, e],
        })
    }

    fn trace(&self) -> Result<Trace, Failure> {
        let (waiting, message_1) = initiator::begin(&self.c_i, DEVICE_SEED)?;
        let (answered, message_2) = responder::respond(&self.relay, &message_1, &self.c_r, RELAY_SEED)?;
        let (confirming, message_3) = waiting.proceed(&message_2, &self.device, self.relay.credential())?;
        let (_, message_4) = answered.finish(&message_3, &[self.device.credential().clone()])?;
        let second_request = [confirming.before_message_3(), message_3.clone()].concat();
        let agreed = confirming.confirm(&message_4)?;
        Ok(Trace { messages: [message_1, message_2, message_3, message_4], second_request, agreed })
    }
}

fn vector(name: &str, sides: &Sides) -> Result<Value, Box<dyn Error>> {
    let Trace { messages, second_request, agreed } = sides.trace()?;
    let [message_1, message_2, message_3, message_4] = &messages;
    let Agreed { master_secret, master_salt, .. } = &agreed;
    let secret = Secret { master_secret, master_salt, id_context: None };
    let derived = Derived::new(secret, &sides.c_r, &sides.c_i)?;
    let keys = derived.parameters();
    Ok(json!({
        "name": name,
        "device": side("edhoc-device", &sides.device, DEVICE_SEED),
        "relay": side("edhoc-relay", &sides.relay, RELAY_SEED),
        "c_i": hex(&sides.c_i),
        "c_r": hex(&sides.c_r),
        "message_1": hex(message_1),
        "message_2": hex(message_2),
        "message_3": hex(message_3),
        "message_4": hex(message_4),
        "requests": [hex(&[&[BEFORE_MESSAGE_1], &message_1[..]].concat()), hex(&second_request)],
        "master_secret": hex(master_secret),
        "master_salt": hex(master_salt),
        "sender_key": hex(keys.sender_key),
        "recipient_key": hex(keys.recipient_key),
        "common_iv": hex(keys.common_iv),
    }))
}

fn side(key: &str, identity: &Identity, seed: [u8; SEED]) -> Value {
    let credential = identity.credential();
    json!({
        "key": key,
        "name": credential.name(),
        "kid": hex(credential.kid()),
        "credential": credential.to_text(),
        "seed": hex(&seed),
        "ephemeral_key": hex(&HMAC::mac(1_u32.to_be_bytes(), seed)),
    })
}

/// Each stands in place of one message of the first vector, whose others are as there.
fn refused(sides: &Sides) -> Result<Value, Box<dyn Error>> {
    let Trace { messages, .. } = sides.trace()?;
    let [message_1, message_2, message_3, message_4] = &messages;
    let changed = |message: &[u8], place: usize, value: u8| {
        let mut bytes = message.to_vec();
        bytes.get_mut(place).into_iter().for_each(|byte| *byte = value);
        bytes
    };
    let last = |message: &[u8]| {
        let mut bytes = message.to_vec();
        bytes.last_mut().into_iter().for_each(|byte| *byte ^= 1);
        bytes
    };
    let (_, own) = initiator::begin(&sides.c_r, DEVICE_SEED)?;
    let long = [message_1.split_last().map(|(_, rest)| rest).unwrap_or_default(), &[0x48], &[7; 8]].concat();
    let stranger = Identity::make(&keys::edhoc_device()?, "lamp-7", &[0])?;
    let (waiting, _) = initiator::begin(&sides.c_i, DEVICE_SEED)?;
    let (_, of_stranger) = waiting.proceed(message_2, &stranger, sides.relay.credential())?;
    let vector = |name: &str, message: usize, bytes: &[u8], error: &str, answer: Option<&str>| json!({ "name": name, "message": message, "bytes": hex(bytes), "error": error, "answer": answer });
    let plain = Some("016772656675736564");
    Ok(json!([
        vector("another method", 1, &changed(message_1, 0, 0), "Edhoc(UnsupportedMethod)", plain),
        vector(
            "another cipher suite",
            1,
            &changed(message_1, 1, 3),
            "Edhoc(UnsupportedCipherSuite)",
            Some("0202")
        ),
        vector("C_I of 8 bytes", 1, &long, "Identifier", plain),
        vector("C_I that is C_R", 1, &own, "Identifier", plain),
        vector(
            "message_1 that ends early",
            1,
            message_1.get(..30).unwrap_or_default(),
            "Edhoc(ParsingError)",
            plain
        ),
        vector(
            "message_2 that is no byte string",
            2,
            &changed(message_2, 0, 0x18),
            "Edhoc(ParsingError)",
            None
        ),
        vector(
            "a MAC of message_2 with a bit flipped",
            2,
            &last(message_2),
            "Edhoc(MacVerificationFailed)",
            None
        ),
        vector("message_3 of a device that is not known", 3, &of_stranger, "UnknownCredential", Some("03f5")),
        vector("message_3 with a bit flipped", 3, &last(message_3), "Edhoc(MacVerificationFailed)", plain),
        vector("message_4 with a bit flipped", 4, &last(message_4), "Edhoc(MacVerificationFailed)", None),
    ]))
}
