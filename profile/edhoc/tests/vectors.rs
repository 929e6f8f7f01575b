//! The vectors of EDHOC, played by both sides from their keys.
#![allow(clippy::unwrap_used, reason = "these are tests")]

#[path = "../../vectors/tests/reader/mod.rs"]
mod reader;

use p256::elliptic_curve::point::AffineCoordinates;
use reader::{array, bytes, file, golden, list, number, refused, text};
use serde_json::Value;
use sixfold_edhoc::{Agreed, BEFORE_MESSAGE_1, Credential, Failure, Identity, initiator, responder};
use std::fs;

/// Who this is, from a file of the published test keys.
fn identity(side: &Value) -> Identity {
    let path = format!("{}/../vectors/keys/{}.key", env!("CARGO_MANIFEST_DIR"), text(&side["key"]));
    let credential = Credential::parse(&bytes(&side["credential"])).unwrap();
    golden("name", credential.name(), text(&side["name"]));
    golden("key identifier", credential.kid(), &bytes(&side["kid"]));
    Identity::new(&fs::read_to_string(path).unwrap(), credential).unwrap()
}

/// What both sides say, and have in the end, where `message` of the vector has these bytes.
fn play(vector: &Value, number: u64, changed: &[u8]) -> Result<(Agreed, Agreed), Failure> {
    let [device, relay] = [identity(&vector["device"]), identity(&vector["relay"])];
    let (c_i, c_r) = (bytes(&vector["c_i"]), bytes(&vector["c_r"]));
    let name = text(&vector["name"]);
    let message = |this: u64, found: &[u8]| {
        golden(name, found, &bytes(&vector[format!("message_{this}")]));
        if this == number { changed.to_vec() } else { found.to_vec() }
    };
    let (waiting, message_1) = initiator::begin(&c_i, array(&vector["device"]["seed"]))?;
    let message_1 = message(1, &message_1);
    let (answered, message_2) =
        responder::respond(&relay, &message_1, &c_r, array(&vector["relay"]["seed"]))?;
    let message_2 = message(2, &message_2);
    let (confirming, message_3) = waiting.proceed(&message_2, &device, relay.credential())?;
    let message_3 = message(3, &message_3);
    golden(name, [&[BEFORE_MESSAGE_1], &message_1[..]].concat(), bytes(&vector["requests"][0]));
    let (theirs, message_4) = answered.finish(&message_3, &[device.credential().clone()])?;
    golden(name, [confirming.before_message_3(), message_3].concat(), bytes(&vector["requests"][1]));
    Ok((confirming.confirm(&message(4, &message_4))?, theirs))
}

#[test]
fn both_sides_say_exactly_this() {
    for (name, vector) in list(&file(reader::EDHOC), "vectors") {
        let (ours, theirs) = play(vector, 0, &[]).unwrap();
        for agreed in [&ours, &theirs] {
            golden(name, agreed.master_secret, array(&vector["master_secret"]));
            golden(name, agreed.master_salt, array(&vector["master_salt"]));
            golden(name, &agreed.device_id, &bytes(&vector["c_r"]));
            golden(name, &agreed.relay_id, &bytes(&vector["c_i"]));
        }
        golden(name, ours.name.as_str(), text(&vector["relay"]["name"]));
        golden(name, theirs.name.as_str(), text(&vector["device"]["name"]));
    }
}

/// Whoever has no such generator of ephemeral keys takes those that are in the vectors.
#[test]
fn ephemeral_keys_are_those_of_the_messages() {
    for (name, vector) in list(&file(reader::EDHOC), "vectors") {
        for (side, message) in [("device", "message_1"), ("relay", "message_2")] {
            let key = p256::SecretKey::from_slice(&bytes(&vector[side]["ephemeral_key"])).unwrap();
            let x: [u8; 32] = key.public_key().as_affine().x().into();
            let message = bytes(&vector[message]);
            assert!(message.windows(32).any(|place| place == x), "{name}: {side}");
        }
    }
}

#[test]
fn what_is_not_right_is_refused_with_its_answer() {
    let file = file(reader::EDHOC);
    for (name, hostile) in list(&file, "refused") {
        let outcome = play(&file["vectors"][0], number(&hostile["message"]), &bytes(&hostile["bytes"]));
        if let (Err(failure), Some(answer)) = (&outcome, hostile["answer"].as_str()) {
            golden(name, failure.message(), bytes(&answer.into()));
        }
        refused(name, hostile, outcome);
    }
}
