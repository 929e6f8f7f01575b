//! SUIT manifests: signed with either test key, and refused ones.

use crate::{hex, keys, release};
use serde_json::{Value, json};
use sixfold_manifest::keys::SigningKey;
use sixfold_manifest::{Device, Manifest, suit};
use std::error::Error;

pub(crate) fn vectors() -> Result<Value, Box<dyn Error>> {
    let manifest = release::manifest();
    let elsewhere = Manifest { uri: Some("https://cdn.example/lamp.bin?v=8".to_owned()), ..manifest.clone() };
    let newest = Manifest { sequence_number: u64::MAX, ..manifest.clone() };
    Ok(json!({
        "format": "SUIT manifest",
        "version": 1,
        "vectors": [
            vector("Ed25519", &manifest, "ed25519", &keys::ed25519()?)?,
            vector("ES256", &manifest, "es256", &keys::es256()?)?,
            vector("an absolute URI", &elsewhere, "ed25519", &keys::ed25519()?)?,
            vector("no URI", &Manifest { uri: None, ..manifest.clone() }, "es256", &keys::es256()?)?,
            vector("the highest sequence number", &newest, "ed25519", &keys::ed25519()?)?,
        ],
        "refused": refused(&manifest)?,
        "not_for_this_device": not_for_this_device(&manifest),
    }))
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
    let (ed25519, es256) = (keys::ed25519()?, keys::es256()?);
    let good = suit::sign(manifest, &ed25519)?;
    // A signature is a byte string of 64 bytes, the last of the authentication wrapper; the manifest follows it.
    let signature = find(&good, &[0xf6, 0x58, 64])? + 3;
    let class = find(&good, manifest.class.as_bytes())?;
    let last = good.len() - 1;
    let with = |bytes: Vec<u8>, trusted: &[&str], name: &str, error: String| json!({ "name": name, "trusted": trusted, "bytes": hex(&bytes), "error": error });
    let both = ["ed25519", "es256"];
    let signature_error = |key: &SigningKey| format!("{:?}", suit::Error::Signature(key.key_id()));
    let es = suit::sign(manifest, &es256)?;
    let es_signature = find(&es, &[0xf6, 0x58, 64])? + 3;
    let untrusted = format!("{:?}", suit::Error::UntrustedKey(Some(ed25519.key_id())));
    Ok(vec![
        with(
            flip(&good, signature),
            &both,
            "a bit of the Ed25519 signature flipped",
            signature_error(&ed25519),
        ),
        with(flip(&es, es_signature), &both, "a bit of the ES256 signature flipped", signature_error(&es256)),
        with(flip(&good, class), &both, "a bit of the class identifier flipped", "ManifestDigest".to_owned()),
        with(flip(&good, last), &both, "a bit of the chunk index flipped", "Index".to_owned()),
        with(good.clone(), &["es256"], "signed with a key that is not trusted", untrusted),
        with(
            good.get(..last).unwrap_or_default().to_vec(),
            &both,
            "truncated",
            "Cbor(Envelope, Malformed)".to_owned(),
        ),
        with(
            [&good[..], &[0]].concat(),
            &both,
            "a byte behind the end",
            "Cbor(Envelope, Trailing)".to_owned(),
        ),
        with(
            good.get(2..).unwrap_or_default().to_vec(),
            &both,
            "without the tag 107",
            "NotAnEnvelope".to_owned(),
        ),
        with(Vec::new(), &both, "empty", "NotAnEnvelope".to_owned()),
    ])
}

/// The manifest is genuine, but the device is another, or has a newer one.
fn not_for_this_device(manifest: &Manifest) -> Vec<Value> {
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
