//! Encrypted images: the keys that they are made with, and who gets at them.

use crate::manifests::recipient;
use crate::{hex, release};
use serde_json::{Value, json};
use sixfold_manifest::encryption::{ContentEncryptionKey, Encryption, KDF_CONTEXT, KEY};
use std::error::Error;

/// As in [`release::encryption`]: the content-encryption key, and those of the recipients that share one.
const CONTENT_KEY: [u8; KEY] = [0xb1; KEY];
const SHARED: [[u8; KEY]; 2] = [[0xb2; KEY], [0xb3; KEY]];

pub(crate) fn vectors() -> Result<Value, Box<dyn Error>> {
    let (with_pair, seed) = release::encryption_with_a_pair()?;
    let pair = json!({
        "algorithm": "ECDH-ES+A128KW",
        "key": "recipient",
        "ephemeral_key": hex(&seed),
        "kdf_context": hex(KDF_CONTEXT),
    });
    let shared = SHARED.map(|key| json!({ "algorithm": "A128KW", "key": hex(&key) }));
    let [first, second] = &shared;
    let alone = Encryption {
        recipients: with_pair.recipients.iter().skip(2).copied().collect(),
        ..with_pair.clone()
    };
    Ok(json!({
        "format": "SUIT_Encryption_Info",
        "version": 1,
        "image": hex(&release::image()),
        "vectors": [
            vector("two shared keys", &release::encryption(), &[first, second]),
            vector("a key pair", &alone, &[&pair]),
            vector("two shared keys and a key pair", &with_pair, &[first, second, &pair]),
        ],
        "refused": refused(&alone, &release::encryption(), &pair, first),
    }))
}

fn vector(name: &str, encryption: &Encryption, keys: &[&Value]) -> Value {
    let mut encrypted = release::image();
    encryption.apply(&ContentEncryptionKey::new(CONTENT_KEY), &mut encrypted);
    let recipients = encryption.recipients.iter().zip(keys).map(|(said, key)| {
        let mut both = recipient(said);
        if let (Some(both), Some(key)) = (both.as_object_mut(), key.as_object()) {
            both.extend(key.clone());
        }
        both
    });
    json!({
        "name": name,
        "content_key": hex(&CONTENT_KEY),
        "iv": hex(&encryption.iv),
        "recipients": recipients.collect::<Vec<_>>(),
        "encrypted": hex(&encrypted),
    })
}

/// What a reader gets no key from: one recipient each.
fn refused(of_pair: &Encryption, shared: &Encryption, pair: &Value, shared_key: &Value) -> Value {
    let changed = |encryption: &Encryption, change: &dyn Fn(&mut Encryption)| {
        let mut encryption = encryption.clone();
        encryption.recipients.truncate(1);
        change(&mut encryption);
        json!(encryption.recipients.iter().map(recipient).collect::<Vec<_>>())
    };
    let flip = |encryption: &mut Encryption| {
        encryption.recipients.iter_mut().for_each(|recipient| recipient.wrapped[23] ^= 1);
    };
    let off_curve = |encryption: &mut Encryption| {
        encryption.recipients.iter_mut().filter_map(|recipient| recipient.ephemeral.as_mut()).for_each(
            |point| {
                point.y[31] ^= 1;
            },
        );
    };
    let vector = |name: &str, recipients: Value, reader: &Value, error: &str| json!({ "name": name, "iv": hex(&of_pair.iv), "recipients": recipients, "reader": reader, "error": error });
    json!([
        vector("a key pair that it is not for", changed(shared, &|_| ()), pair, "NotForUs"),
        vector("a shared key that it is not for", changed(of_pair, &|_| ()), shared_key, "NotForUs"),
        vector(
            "a wrapped key with a bit flipped, for a shared key",
            changed(shared, &flip),
            shared_key,
            "Damaged"
        ),
        vector("a wrapped key with a bit flipped, for a key pair", changed(of_pair, &flip), pair, "Damaged"),
        vector("an ephemeral key that is not on the curve", changed(of_pair, &off_curve), pair, "Damaged"),
    ])
}
