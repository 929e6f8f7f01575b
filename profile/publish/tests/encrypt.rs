//! `sign --encrypt`: what is published cannot be read without a key, and is the image with one.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod desk;

use desk::{Desk, fails, succeeds};
use sixfold_manifest::encryption::KeyEncryptionKey;
use sixfold_manifest::keys::SigningKey;
use sixfold_manifest::{chunk_index, suit};
use std::fs;
use std::os::unix::fs::PermissionsExt;

const KEYS: [&str; 2] = ["one.kek", "two.kek"];

fn desk() -> Desk {
    let desk = Desk::new();
    for key in KEYS {
        succeeds(&desk.run(&["keygen", key, "--algorithm", "a128kw"]));
    }
    desk
}

fn verify(desk: &Desk, image: &str, more: &[&str]) -> std::process::Output {
    let usual = ["verify", "www/lamp.bin.suit", image, "--key", "key.pub"];
    desk.run(&[&usual, more].concat())
}

#[test]
fn a_key_is_one_secret_file() {
    let desk = desk();
    assert_eq!(fs::metadata(desk.path("one.kek")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!desk.path("one.kek.pub").exists());
    assert_ne!(desk.read("one.kek"), desk.read("two.kek"));
    fails(&desk.run(&["keygen", "one.kek", "--algorithm", "a128kw"]), 1, "one.kek exists");
}

#[test]
fn who_has_a_key_reads_the_image_and_nobody_else() {
    let desk = desk();
    succeeds(&desk.sign(&["--sequence", "1", "--encrypt", "one.kek", "--encrypt", "two.kek"]));
    let (image, published) = (desk.read("lamp.bin"), desk.read("www/lamp.bin"));
    assert_eq!(image.len(), published.len());
    assert!(image.chunks(16).zip(published.chunks(16)).all(|(a, b)| a != b));
    for key in KEYS {
        succeeds(&verify(&desk, "www/lamp.bin", &["--decrypt-with", key]));
    }
    succeeds(&verify(&desk, "lamp.bin", &[]));
    fails(&verify(&desk, "www/lamp.bin", &[]), 1, "--decrypt-with");
    succeeds(&desk.run(&["keygen", "three.kek", "--algorithm", "a128kw"]));
    let refused = verify(&desk, "www/lamp.bin", &["--decrypt-with", "three.kek"]);
    fails(&refused, 1, "not encrypted for this key");
    // Digests are of what will be in flash.
    let manifest = suit::claims(&desk.read("www/lamp.bin.suit")).unwrap();
    assert_eq!(desk.read("www/lamp.bin.idx"), chunk_index(&image, manifest.chunk_size));
    let shown = succeeds(&desk.run(&["inspect", "www/lamp.bin.suit"]));
    let key = KeyEncryptionKey::from_text(&String::from_utf8(desk.read("one.kek")).unwrap()).unwrap();
    assert!(shown.contains(&format!("A128CTR, for {}", key.key_id())), "{shown}");
}

/// One key for two images would tell their difference.
#[test]
fn every_image_has_a_key_of_its_own_and_keeps_it() {
    let desk = desk();
    let sign = |sequence: &str, keys: &[&str]| {
        succeeds(&desk.sign(&[&["--sequence", sequence], keys].concat()));
        desk.read("www/lamp.bin")
    };
    let first = sign("1", &["--encrypt", "one.kek"]);
    assert_eq!(sign("1", &["--encrypt", "one.kek", "--encrypt", "two.kek"]), first, "one recipient more");
    succeeds(&verify(&desk, "www/lamp.bin", &["--decrypt-with", "two.kek"]));
    desk.write("lamp.bin", &[8; 10_000]);
    let second = sign("2", &["--encrypt", "one.kek"]);
    let difference: Vec<_> = first.iter().zip(&second).map(|(a, b)| a ^ b).collect();
    assert!(difference.iter().filter(|byte| **byte == 15).count() < 1000, "both have the same key stream");
    // A manifest that somebody else signed does not choose the key.
    desk.write("lamp.bin", &[7; 10_000]);
    succeeds(&desk.run(&["keygen", "other"]));
    let third = sign("3", &["--encrypt", "one.kek"]);
    fs::rename(desk.path("key"), desk.path("old")).unwrap();
    fs::rename(desk.path("other"), desk.path("key")).unwrap();
    assert_ne!(sign("3", &["--encrypt", "one.kek"]), third);
}

/// A key that is kept is used with the IV zero: whoever began elsewhere has used part of that key stream for other bytes.
#[test]
fn a_key_that_was_used_with_another_iv_is_not_kept() {
    let desk = desk();
    succeeds(&desk.sign(&["--sequence", "1", "--encrypt", "one.kek"]));
    let first = desk.read("www/lamp.bin");
    let mut manifest = suit::claims(&desk.read("www/lamp.bin.suit")).unwrap();
    manifest.encryption.as_mut().unwrap().iv[15] = 1;
    let key = SigningKey::from_pem(&String::from_utf8(desk.read("key")).unwrap()).unwrap();
    desk.write("www/lamp.bin.suit", &suit::sign(&manifest, &key).unwrap());
    succeeds(&desk.sign(&["--sequence", "1", "--encrypt", "one.kek"]));
    assert_ne!(desk.read("www/lamp.bin"), first);
}

#[test]
fn who_has_a_private_key_reads_the_image_and_the_publisher_has_no_secret_of_it() {
    let desk = desk();
    for device in ["one", "two", "three"] {
        let said = succeeds(&desk.run(&["keygen", device, "--algorithm", "ecdh"]));
        assert!(said.contains("sign --recipient") && said.contains("ECDH-ES+A128KW key"), "{said}");
    }
    let recipients = ["--encrypt", "--recipient", "one.pub", "--recipient", "two.pub"];
    succeeds(&desk.sign(&[&["--sequence", "1"], &recipients[..]].concat()));
    for key in ["one", "two"] {
        succeeds(&verify(&desk, "www/lamp.bin", &["--decrypt-with", key]));
    }
    let refused = verify(&desk, "www/lamp.bin", &["--decrypt-with", "three", "--decrypt-with", "one.kek"]);
    fails(&refused, 1, "not encrypted for this key");
    let shown = succeeds(&desk.run(&["inspect", "www/lamp.bin.suit"]));
    let recipients = suit::claims(&desk.read("www/lamp.bin.suit")).unwrap().encryption.unwrap().recipients;
    assert!(recipients.iter().all(|recipient| shown.contains(&recipient.key_id.to_string())), "{shown}");
    let [Some(first), Some(second)] = [recipients[0].ephemeral, recipients[1].ephemeral] else { panic!() };
    assert_ne!(first, second, "each recipient has a key pair of its own");
    // With a key of the publisher's it stays as it was, and without one it cannot.
    let first = desk.read("www/lamp.bin");
    succeeds(&desk.sign(&["--sequence", "1", "--recipient", "one.pub", "--encrypt", "one.kek"]));
    let second = desk.read("www/lamp.bin");
    assert_ne!(first, second);
    succeeds(&desk.sign(&["--sequence", "1", "--recipient", "three.pub", "--encrypt", "one.kek"]));
    assert_eq!(desk.read("www/lamp.bin"), second);
    succeeds(&verify(&desk, "www/lamp.bin", &["--decrypt-with", "three"]));
}

#[test]
fn what_is_no_key_is_refused() {
    let desk = desk();
    fails(&desk.sign(&["--sequence", "1", "--encrypt", "key"]), 1, "32 hexadecimal digits");
    fails(&desk.sign(&["--sequence", "1", "--recipient", "key.pub"]), 1, "is for Ed25519");
    fails(&desk.sign(&["--sequence", "1", "--recipient", "one.kek"]), 1, "BEGIN PUBLIC KEY");
    fails(&desk.sign(&["--sequence", "1", "--encrypt"]), 1, "encrypted for nobody");
    assert!(!desk.path("www").exists());
    let both = desk.sign(&["--sequence", "1", "--encrypt", "one.kek", "--cms-key", "k", "--cms-chain", "c"]);
    fails(&both, 2, "cannot be used with");
}
