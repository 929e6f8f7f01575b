//! SUIT manifests: signed with either test key, and refused ones.

use crate::{hex, keys, release};
use serde_json::{Value, json};
use sixfold_manifest::encryption::{Encryption, Recipient};
use sixfold_manifest::keys::SigningKey;
use sixfold_manifest::{Device, Manifest, suit};
use std::error::Error;

pub(crate) fn vectors() -> Result<Value, Box<dyn Error>> {
    let manifest = release::manifest();
    let elsewhere = Manifest { uri: Some("https://cdn.example/lamp.bin?v=8".to_owned()), ..manifest.clone() };
    let encrypted = Manifest { encryption: Some(release::encryption()), ..manifest.clone() };
    let pairs = Some(release::encryption_with_a_pair()?.0);
    let with_pairs = Manifest { encryption: pairs, ..manifest.clone() };
    let newest = Manifest { sequence_number: u64::MAX, ..manifest.clone() };
    Ok(json!({
        "format": "SUIT manifest",
        "version": 1,
        "vectors": [
            vector("Ed25519", &manifest, "ed25519", &keys::ed25519()?)?,
            vector("ES256", &manifest, "es256", &keys::es256()?)?,
            vector("an absolute URI", &elsewhere, "ed25519", &keys::ed25519()?)?,
            vector("no URI", &Manifest { uri: None, ..manifest.clone() }, "es256", &keys::es256()?)?,
            vector("an encrypted image", &encrypted, "es256", &keys::es256()?)?,
            vector("an encrypted image, for a key pair too", &with_pairs, "ed25519", &keys::ed25519()?)?,
            vector("the highest sequence number", &newest, "ed25519", &keys::ed25519()?)?,
        ],
        "refused": refused(&manifest)?,
        "devices": devices(&manifest),
    }))
}

/// The envelope of [`release::manifest`] that the key `ed25519` signed.
pub(crate) fn plain() -> Result<Vec<u8>, Box<dyn Error>> {
    Ok(suit::sign(&release::manifest(), &keys::ed25519()?)?)
}

fn vector(name: &str, manifest: &Manifest, key_name: &str, key: &SigningKey) -> Result<Value, suit::Error> {
    Ok(json!({
        "name": name,
        "key": key_name,
        "fields": fields(manifest),
        "bytes": hex(&suit::sign(manifest, key)?),
    }))
}

/// What a manifest says.
pub(crate) fn fields(manifest: &Manifest) -> Value {
    json!({
        "sequence_number": manifest.sequence_number.to_string(),
        "vendor": manifest.vendor.to_string(),
        "class": manifest.class.to_string(),
        "image_size": manifest.image_size,
        "image_digest": hex(&manifest.image_digest),
        "chunk_size": manifest.chunk_size.bytes(),
        "index_digest": hex(&manifest.index_digest),
        "index": manifest.index.as_deref().map(hex),
        "uri": manifest.uri,
        "encryption": manifest.encryption.as_ref().map(encryption),
    })
}

fn encryption(encryption: &Encryption) -> Value {
    json!({
        "iv": hex(&encryption.iv),
        "recipients": encryption.recipients.iter().map(recipient).collect::<Vec<_>>(),
    })
}

/// What a manifest says of who can decrypt.
pub(crate) fn recipient(recipient: &Recipient) -> Value {
    json!({
        "key_id": hex(&recipient.key_id.0),
        "ephemeral": recipient.ephemeral.map(|point| json!({ "x": hex(&point.x), "y": hex(&point.y) })),
        "wrapped": hex(&recipient.wrapped),
    })
}

/// Where in an envelope something is changed by flipping the lowest bit.
fn flip(envelope: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = envelope.to_vec();
    bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1);
    bytes
}

/// Where `needle` begins.
fn find(envelope: &[u8], needle: &[u8]) -> Result<usize, String> {
    let mut windows = envelope.windows(needle.len());
    windows.position(|window| window == needle).ok_or_else(|| "the envelope has another form".to_owned())
}

fn refused(manifest: &Manifest) -> Result<Vec<Value>, Box<dyn Error>> {
    let good = suit::sign(manifest, &keys::ed25519()?)?;
    let es256 = suit::sign(manifest, &keys::es256()?)?;
    let (class, last) = (find(&good, manifest.class.as_bytes())?, good.len() - 1);
    let with_trust = |trusted: &[&str], name: &str, bytes: &[u8], error: &str| json!({ "name": name, "trusted": trusted, "bytes": hex(bytes), "error": error });
    let refused = |name, bytes: &[u8], error| with_trust(&["ed25519", "es256"], name, bytes, error);
    Ok(vec![
        refused("a bit of the Ed25519 signature flipped", &flip(&good, signature(&good)?), "Signature"),
        refused("a bit of the ES256 signature flipped", &flip(&es256, signature(&es256)?), "Signature"),
        refused("a bit of the class identifier flipped", &flip(&good, class), "ManifestDigest"),
        refused("a bit of the chunk index flipped", &flip(&good, last), "Index"),
        with_trust(&["es256"], "signed with a key that is not trusted", &good, "UntrustedKey"),
        refused("truncated", good.get(..last).unwrap_or_default(), "Cbor(Envelope, Malformed)"),
        refused("a byte behind the end", &[&good[..], &[0]].concat(), "Cbor(Envelope, Trailing)"),
        refused("without the tag 107", good.get(2..).unwrap_or_default(), "NotAnEnvelope"),
        refused("empty", &[], "NotAnEnvelope"),
    ])
}

/// Where the signature is: in COSE_Sign1, a byte string of 64 bytes behind the payload that is detached, nil.
fn signature(envelope: &[u8]) -> Result<usize, String> {
    Ok(find(envelope, &[0xf6, 0x58, 64])? + 3)
}

/// The manifest is genuine; which devices it is for.
fn devices(manifest: &Manifest) -> Vec<Value> {
    let device = Device {
        vendor: manifest.vendor,
        class: manifest.class,
        slot_size: 4096,
        page_size: 256,
        last_sequence_number: Some(7),
    };
    let vector = |name: &str, device: Device, error: Option<&str>| {
        json!({
            "name": name,
            "manifest": "Ed25519",
            "device": {
                "vendor": device.vendor.to_string(),
                "class": device.class.to_string(),
                "slot_size": device.slot_size,
                "page_size": device.page_size,
                "last_sequence_number": device.last_sequence_number.map(|number| number.to_string()),
            },
            "error": error,
        })
    };
    let same = Some(manifest.sequence_number);
    vec![
        vector("an older image is installed", device.clone(), None),
        vector("no image was ever installed", Device { last_sequence_number: None, ..device.clone() }, None),
        vector("the same image is installed", Device { last_sequence_number: same, ..device.clone() }, None),
        vector(
            "a newer image is installed",
            Device { last_sequence_number: Some(9), ..device.clone() },
            Some("Sequence"),
        ),
        vector("another vendor", Device { vendor: manifest.class, ..device.clone() }, Some("Vendor")),
        vector("another class", Device { class: manifest.vendor, ..device.clone() }, Some("Class")),
        vector("the slot is a byte too small", Device { slot_size: 999, ..device.clone() }, Some("TooLarge")),
        vector("a chunk is half a page", Device { page_size: 512, ..device }, Some("ChunkSize")),
    ]
}
