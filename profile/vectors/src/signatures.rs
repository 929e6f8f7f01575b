//! Detached CMS signatures, by the signer of `keys/chain.pem`, and refused ones.

use crate::manifests::fields;
use crate::{hex, keys, release};
use serde_json::{Value, json};
use sixfold_manifest::Manifest;
use sixfold_manifest::cms;
use std::error::Error;
use std::fs;
use std::path::Path;

/// 2030-01-01: all certificates are valid.
const VALID: u64 = 1_893_456_000;
/// 2024-01-01, a year before they are.
const TOO_EARLY: u64 = 1_704_067_200;
/// 2036-01-01, a year after they were.
const TOO_LATE: u64 = 2_082_758_400;

pub(crate) fn vectors() -> Result<Value, Box<dyn Error>> {
    let manifest = Manifest { index: None, uri: None, ..release::manifest() };
    let newest = Manifest { sequence_number: u64::MAX, ..manifest.clone() };
    let good = sign(&manifest)?;
    Ok(json!({
        "format": "CMS signature",
        "version": 1,
        "image": hex(&release::image()),
        "vectors": [
            vector("an image for lamps", &manifest, &good, None),
            vector("with revocation lists", &manifest, &good, Some("lists")),
            vector("the highest sequence number", &newest, &sign(&newest)?, None),
        ],
        "refused": refused(&good),
    }))
}

fn sign(manifest: &Manifest) -> Result<Vec<u8>, Box<dyn Error>> {
    let key = cms::SigningKey::read(keys::es256()?.to_pem()?.as_bytes())?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("keys/chain.pem");
    let chain = cms::certificates(&fs::read(path)?)?;
    Ok(cms::sign(manifest, &key, &chain)?)
}

fn vector(name: &str, manifest: &Manifest, p7s: &[u8], lists: Option<&str>) -> Value {
    json!({
        "name": name,
        "key": "es256",
        "chain": "chain",
        "anchor": "root",
        "revocation_lists": lists,
        "at": VALID,
        "fields": fields(manifest),
        "bytes": hex(p7s),
    })
}

fn refused(good: &[u8]) -> Vec<Value> {
    let refused = |name: &str, bytes: &[u8], anchor: &str, lists: Option<&str>, at: u64, error: &str| {
        json!({
            "name": name,
            "anchor": anchor,
            "revocation_lists": lists,
            "at": at,
            "bytes": hex(bytes),
            "error": error,
        })
    };
    let at_valid = |name, bytes: &[u8], error| refused(name, bytes, "root", None, VALID, error);
    let mut flipped = good.to_vec();
    flipped.iter_mut().rev().take(1).for_each(|byte| *byte ^= 1);
    let digest = release::manifest().image_digest;
    let attribute = good.windows(digest.len()).position(|window| window == digest);
    let mut changed = good.to_vec();
    changed.iter_mut().skip(attribute.unwrap_or(0)).take(1).for_each(|byte| *byte ^= 1);
    vec![
        at_valid("a bit of the signature flipped", &flipped, "BadSignature"),
        at_valid("a bit of the message digest flipped", &changed, "BadSignature"),
        at_valid("truncated", good.get(..good.len() - 1).unwrap_or_default(), "Malformed"),
        at_valid("a byte behind the end", &[good, &[0]].concat(), "Malformed"),
        refused("an anchor that did not issue the chain", good, "stranger", None, VALID, "UnknownIssuer"),
        refused("before the certificates are valid", good, "root", None, TOO_EARLY, "NotYetValid"),
        refused("after they were valid", good, "root", None, TOO_LATE, "Expired"),
        refused("the signer is revoked", good, "root", Some("lists-revoked"), VALID, "Revoked"),
    ]
}
