//! The vectors that this crate speaks: SUIT manifests, CMS signatures, chunk indexes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

#[path = "../../vectors/tests/reader/mod.rs"]
mod reader;

use hmac_sha256::Hash;
use reader::{array, bytes, file, golden, list, number, refused, text};
use serde_json::Value;
use sixfold_manifest::cms::{self, TrustAnchors};
use sixfold_manifest::encryption::{
    ContentEncryptionKey, DecryptionKey, Encryption, Ephemeral, KDF_CONTEXT, KeyEncryptionKey, Recipient,
    RecipientKey,
};
use sixfold_manifest::keys::{KeyId, SigningKey, VerifyingKey};
use sixfold_manifest::{Device, Manifest, chunk_index, suit};
use sixfold_profile::index::ChunkSize;
use std::fs;

/// A file of the published test keys.
fn key_file(name: &str) -> String {
    fs::read_to_string(format!("{}/../vectors/keys/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn chunk_size(value: &Value) -> ChunkSize {
    ChunkSize::from_bytes(number(value) as u32).unwrap()
}

fn manifest(fields: &Value) -> Manifest {
    Manifest {
        sequence_number: number(&fields["sequence_number"]),
        vendor: text(&fields["vendor"]).parse().unwrap(),
        class: text(&fields["class"]).parse().unwrap(),
        image_size: number(&fields["image_size"]) as u32,
        image_digest: array(&fields["image_digest"]),
        chunk_size: chunk_size(&fields["chunk_size"]),
        index_digest: array(&fields["index_digest"]),
        index: (!fields["index"].is_null()).then(|| bytes(&fields["index"])),
        uri: fields["uri"].as_str().map(str::to_owned),
        encryption: (!fields["encryption"].is_null()).then(|| encryption(&fields["encryption"])),
    }
}

fn encryption(fields: &Value) -> Encryption {
    let recipient = |fields: &Value| Recipient {
        key_id: KeyId(array(&fields["key_id"])),
        ephemeral: fields["ephemeral"]
            .as_object()
            .map(|point| Ephemeral { x: array(&point["x"]), y: array(&point["y"]) }),
        wrapped: array(&fields["wrapped"]),
    };
    let recipients = fields["recipients"].as_array().unwrap().iter().map(recipient).collect();
    Encryption { iv: array(&fields["iv"]), recipients }
}

#[test]
fn chunk_indexes_are_made_and_checked() {
    let file = file(reader::INDEXES);
    for (name, vector) in list(&file, "vectors") {
        let index = chunk_index(&bytes(&vector["image"]), chunk_size(&vector["chunk_size"]));
        golden(name, Hash::hash(&index), array(&vector["digest"]));
        golden(name, index, bytes(&vector["bytes"]));
    }
    let any = self::file(reader::MANIFESTS);
    let any = manifest(&any["vectors"][0]["fields"]);
    for (name, vector) in list(&file, "refused") {
        let manifest = Manifest {
            image_size: number(&vector["image_size"]) as u32,
            chunk_size: chunk_size(&vector["chunk_size"]),
            index_digest: array(&vector["digest"]),
            ..any.clone()
        };
        refused(name, vector, manifest.check_index(&bytes(&vector["bytes"])));
    }
}

fn verifying_key(name: &str) -> VerifyingKey {
    VerifyingKey::from_pem(&key_file(&format!("{name}.pub"))).unwrap()
}

#[test]
fn manifests_are_signed_and_verified() {
    let file = file(reader::MANIFESTS);
    for (name, vector) in list(&file, "vectors") {
        let (manifest, key) = (manifest(&vector["fields"]), text(&vector["key"]));
        let envelope = bytes(&vector["bytes"]);
        golden(name, suit::verify(&envelope, &[verifying_key(key)]), Ok(manifest.clone()));
        let key = SigningKey::from_pem(&key_file(&format!("{key}.key"))).unwrap();
        golden(name, suit::sign(&manifest, &key).unwrap(), envelope);
    }
}

#[test]
fn bad_manifests_are_refused() {
    for (name, vector) in list(&file(reader::MANIFESTS), "refused") {
        let trusted = vector["trusted"].as_array().unwrap().iter();
        let trusted: Vec<_> = trusted.map(|key| verifying_key(text(key))).collect();
        refused(name, vector, suit::verify(&bytes(&vector["bytes"]), &trusted));
    }
}

fn device(fields: &Value) -> Device {
    let last = &fields["last_sequence_number"];
    Device {
        vendor: text(&fields["vendor"]).parse().unwrap(),
        class: text(&fields["class"]).parse().unwrap(),
        slot_size: number(&fields["slot_size"]) as u32,
        page_size: number(&fields["page_size"]) as u32,
        last_sequence_number: (!last.is_null()).then(|| number(last)),
    }
}

#[test]
fn genuine_manifests_are_for_some_devices_only() {
    let file = file(reader::MANIFESTS);
    for (name, vector) in list(&file, "devices") {
        let (_, signed) =
            list(&file, "vectors").find(|(name, _)| *name == text(&vector["manifest"])).unwrap();
        let result = manifest(&signed["fields"]).check(&device(&vector["device"]));
        if vector["error"].is_null() {
            golden(name, result, Ok(()));
        } else {
            refused(name, vector, result);
        }
    }
}

/// What a recipient of a vector has.
fn decryption_key(recipient: &Value) -> DecryptionKey {
    match text(&recipient["algorithm"]) {
        "A128KW" => KeyEncryptionKey::new(array(&recipient["key"])).into(),
        "ECDH-ES+A128KW" => {
            golden("the context", KDF_CONTEXT, &bytes(&recipient["kdf_context"]));
            RecipientKey::from_pem(&key_file(&format!("{}.key", text(&recipient["key"])))).unwrap().into()
        }
        other => panic!("{other}"),
    }
}

/// A publisher's part again, with its ephemeral keys.
fn encrypted_again(vector: &Value) -> Encryption {
    let key = ContentEncryptionKey::new(array(&vector["content_key"]));
    let mut encryption = Encryption::new(&key, &[]);
    for recipient in vector["recipients"].as_array().unwrap() {
        match decryption_key(recipient) {
            DecryptionKey::Shared(shared) => {
                encryption.recipients.extend(Encryption::new(&key, &[shared]).recipients);
            }
            DecryptionKey::Own(pair) => {
                let ephemeral = RecipientKey::from_seed(&array(&recipient["ephemeral_key"])).unwrap();
                encryption.add(&key, &pair.public_key(), &ephemeral);
            }
        }
    }
    encryption
}

#[test]
fn images_are_encrypted_and_each_recipient_has_the_key() {
    let file = file(reader::ENCRYPTIONS);
    let image = bytes(&file["image"]);
    for (name, vector) in list(&file, "vectors") {
        let encryption = encryption(vector);
        golden(name, encrypted_again(vector), encryption.clone());
        for recipient in vector["recipients"].as_array().unwrap() {
            let key = encryption.content_key(&[decryption_key(recipient)]).expect(name);
            golden(name, *key.as_bytes(), array(&vector["content_key"]));
            let mut encrypted = image.clone();
            encryption.apply(&key, &mut encrypted);
            golden(name, encrypted, bytes(&vector["encrypted"]));
        }
    }
    for (name, vector) in list(&file, "refused") {
        refused(name, vector, encryption(vector).content_key(&[decryption_key(&vector["reader"])]));
    }
}

fn trust(vector: &Value) -> TrustAnchors {
    let pem = |value: &Value| key_file(&format!("{}.pem", text(value)));
    let lists = &vector["revocation_lists"];
    TrustAnchors {
        certificates: cms::certificates(pem(&vector["anchor"]).as_bytes()).unwrap(),
        crls: if lists.is_null() {
            Vec::new()
        } else {
            cms::revocation_lists(pem(lists).as_bytes()).unwrap()
        },
    }
}

#[test]
fn signatures_are_made_and_verified() {
    let file = file(reader::SIGNATURES);
    let image = bytes(&file["image"]);
    for (name, vector) in list(&file, "vectors") {
        let (manifest, p7s) = (manifest(&vector["fields"]), bytes(&vector["bytes"]));
        let verified = cms::verify_image(&p7s, &image, &trust(vector), number(&vector["at"]));
        golden(name, verified, Ok(manifest.clone()));
        let key = key_file(&format!("{}.key", text(&vector["key"])));
        let key = cms::SigningKey::read(key.as_bytes()).unwrap();
        let chain = key_file(&format!("{}.pem", text(&vector["chain"])));
        let chain = cms::certificates(chain.as_bytes()).unwrap();
        golden(name, cms::sign(&manifest, &key, &chain).unwrap(), p7s);
    }
}

#[test]
fn bad_signatures_are_refused() {
    for (name, vector) in list(&file(reader::SIGNATURES), "refused") {
        let result = cms::verify(&bytes(&vector["bytes"]), &trust(vector), number(&vector["at"]));
        refused(name, vector, result);
    }
}
