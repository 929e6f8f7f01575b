//! The rules in CDDL accept what the code signs, and what relays say of groups.

use crate::{bytes, fenced, file, reader};

/// `cddl-cat` knows no tags: they are taken off here, from the rules as from the bytes.
#[test]
fn the_cddl_describes_what_is_signed() {
    let cddl = fenced("6.1. Envelope", "cddl")
        .replace("#6.107(SUIT_Envelope)", "SUIT_Envelope")
        .replace("#6.18(COSE_Sign1)", "COSE_Sign1")
        .replace("block: bstr .cbor COSE_Sign1_Tagged", "block: bstr")
        .replace("#6.96(COSE_Encrypt)", "COSE_Encrypt")
        .replace("19 => bstr .cbor COSE_Encrypt_Tagged", "19 => bstr");
    assert!(!cddl.contains("#6."), "the rules have other tags");
    for golden in ["ed25519", "es256"] {
        let envelope = bytes(&file(&format!("profile/manifest/tests/golden/{golden}.hex")));
        let untagged = envelope.strip_prefix(&[0xd8, 107]).unwrap();
        let checked = cddl_cat::validate_cbor_bytes("SUIT_Envelope_Tagged", &cddl, untagged);
        assert!(checked.is_ok(), "{golden}: {checked:?}");
        let block = cddl_cat::validate_cbor_bytes("COSE_Sign1_Tagged", &cddl, signature_block(&envelope));
        assert!(block.is_ok(), "{golden}: {block:?}");
    }
    let (mut encrypted, manifests) = (0, reader::file(reader::MANIFESTS));
    for (name, vector) in reader::list(&manifests, "vectors") {
        let envelope = reader::bytes(&vector["bytes"]);
        let untagged = envelope.strip_prefix(&[0xd8, 107]).unwrap();
        let checked = cddl_cat::validate_cbor_bytes("SUIT_Envelope_Tagged", &cddl, untagged);
        assert!(checked.is_ok(), "{name}: {checked:?}");
        if let Some(info) = encryption_info(&envelope) {
            let checked = cddl_cat::validate_cbor_bytes("COSE_Encrypt_Tagged", &cddl, info);
            assert!(checked.is_ok(), "{name}: {checked:?}");
            encrypted += 1;
        }
    }
    assert!(encrypted >= 2, "{encrypted}");
}

/// The COSE_Encrypt of an envelope, behind its tag, in a byte string whose length is one byte or two.
fn encryption_info(envelope: &[u8]) -> Option<&[u8]> {
    let at = envelope.windows(3).position(|bytes| bytes == [0xd8, 96, 0x84])?;
    let length = match envelope[..at] {
        [.., 0x59, high, low] => usize::from(u16::from_be_bytes([high, low])),
        [.., 0x58, length] => length.into(),
        _ => panic!("the byte string has another head"),
    };
    Some(&envelope[at + 2..at + length])
}

/// What it cannot say, a device looks at itself: whose the server is, what a group's address is, what a phantom request is.
#[test]
fn the_cddl_describes_informative_responses() {
    let cddl = fenced("5.6. Groups", "cddl");
    let groups = reader::file(reader::GROUPS);
    let check = |vector: &serde_json::Value| {
        cddl_cat::validate_cbor_bytes("informative_response", &cddl, &reader::bytes(&vector["bytes"]))
    };
    for (name, vector) in reader::list(&groups, "informative") {
        let checked = check(vector);
        assert!(checked.is_ok(), "{name}: {checked:?}");
    }
    let mut others = 0;
    for (name, vector) in reader::list(&groups, "uninformative") {
        if matches!(reader::text(&vector["error"]), "TransportInformation" | "Token") {
            assert!(check(vector).is_err(), "{name}");
            others += 1;
        }
    }
    assert!(others > 5, "{others}");
}

/// The COSE_Sign1 of an envelope, behind its tag: an array of four that begins with a short byte string, in a byte string
/// whose length is one byte.
fn signature_block(envelope: &[u8]) -> &[u8] {
    let at = envelope.windows(3).position(|bytes| bytes == [0xd2, 0x84, 0x43]).unwrap();
    &envelope[at + 1..at + usize::from(envelope[at - 1])]
}
