//! The program as a publisher meets it: files, messages and exit statuses.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod desk;

use desk::{Desk, fails, succeeds, text};
use sixfold_edhoc::{Credential, Identity};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_signed_image_is_three_files_that_verify() {
    for algorithm in ["ed25519", "es256"] {
        let desk = Desk::new();
        succeeds(&desk.run(&["keygen", "other", "--algorithm", algorithm]));
        succeeds(&desk.sign(&["--sequence", "1"]));
        let signed = desk.run(&[
            "sign",
            "lamp.bin",
            "--key",
            "other",
            "--vendor",
            "example.com",
            "--class",
            "lamp",
            "-o",
            "www",
            "--sequence",
            "2",
            "--chunk-size",
            "1024",
        ]);
        assert!(succeeds(&signed).starts_with("www/lamp.bin\nwww/lamp.bin.idx\nwww/lamp.bin.suit\n"));
        let mut names: Vec<_> =
            fs::read_dir(desk.path("www")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["lamp.bin", "lamp.bin.idx", "lamp.bin.suit"]);
        assert_eq!(desk.read("www/lamp.bin"), desk.read("lamp.bin"));
        assert_eq!(desk.read("www/lamp.bin.idx").len(), 10 * 32);
        assert!(succeeds(&desk.verify("other.pub")).starts_with("verified: sequence number 2, "));
    }
}

#[test]
fn published_files_can_be_served_and_keys_cannot_be_read() {
    let desk = Desk::new();
    succeeds(&desk.sign(&["--sequence", "1"]));
    assert_eq!(mode(&desk.path("key")), 0o600);
    // The umask of whoever runs the tests may take away more.
    assert_eq!(mode(&desk.path("www/lamp.bin.suit")), mode(&desk.path("lamp.bin")) & 0o644);
}

#[test]
fn keys_are_never_overwritten() {
    let desk = Desk::new();
    let before = (desk.read("key"), desk.read("key.pub"));
    fails(&desk.run(&["keygen", "key"]), 1, "key.pub exists");
    fs::remove_file(desk.path("key.pub")).unwrap();
    fails(&desk.run(&["keygen", "key"]), 1, "key exists");
    assert_eq!(desk.read("key"), before.0);
    assert!(!desk.path("key.pub").exists());
    fails(&desk.run(&["keygen", "missing/key"]), 1, "cannot write missing/key");
}

#[test]
fn credentials_for_edhoc() {
    let desk = Desk::new();
    let keygen = ["keygen", "lamp", "--algorithm", "edhoc"];
    fails(&desk.run(&keygen), 2, "--name");
    let named = |name| desk.run(&[&keygen[..], &["--name", name]].concat());
    fails(&named("a name that is much too long"), 1, "1 to 23 printable");
    succeeds(&named("lamp-7"));
    fails(&named("lamp-8"), 1, "lamp.ccs exists");
    let credential = Credential::from_text(&text(&desk.read("lamp.ccs"))).unwrap();
    assert_eq!((credential.name(), credential.kid().len()), ("lamp-7", 4));
    let key = text(&desk.read("lamp"));
    assert_eq!(Identity::named(&key, "lamp-7").unwrap().credential(), &credential);
    assert!(Identity::new(&key, credential).is_ok());
}

#[test]
fn openssl_reads_our_keys() {
    let desk = Desk::new();
    succeeds(&desk.run(&["keygen", "es", "--algorithm", "es256"]));
    for (key, kind) in [("key", "ED25519 Private-Key"), ("es", "NIST CURVE: P-256")] {
        let private = desk.openssl(&["pkey", "-in", key, "-noout", "-text"]);
        assert!(private.status.success(), "{}", text(&private.stderr));
        assert!(text(&private.stdout).contains(kind), "{}", text(&private.stdout));
        let public = desk.openssl(&["pkey", "-in", key, "-pubout"]);
        assert_eq!(text(&public.stdout), text(&desk.read(&format!("{key}.pub"))));
    }
}

#[test]
fn keys_made_by_openssl_are_accepted() {
    let desk = Desk::new();
    let kinds: [&[&str]; 2] =
        [&["-algorithm", "ed25519"], &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]];
    for kind in kinds {
        assert!(desk.openssl(&[&["genpkey", "-out", "key"], kind].concat()).status.success());
        assert!(desk.openssl(&["pkey", "-in", "key", "-pubout", "-out", "public"]).status.success());
        succeeds(&desk.sign(&["--sequence", "1"]));
        succeeds(&desk.verify("public"));
    }
}

#[test]
fn keys_of_other_kinds_say_what_they_are() {
    let desk = Desk::new();
    let wrong: [(&[&str], &str); 4] = [
        (
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
            "neither for Ed25519 nor for ECDSA with P-256",
        ),
        (&["-algorithm", "X25519"], "neither for Ed25519"),
        (&["-algorithm", "ed25519", "-aes256", "-pass", "pass:x"], "protected by a password"),
        (&["-algorithm", "ed25519", "-outform", "DER"], "this is not a key"),
    ];
    for (kind, words) in wrong {
        assert!(desk.openssl(&[&["genpkey", "-out", "key"], kind].concat()).status.success());
        fails(&desk.sign(&["--sequence", "1"]), 1, words);
    }
}

#[test]
fn the_other_half_of_a_key_is_called_by_its_name() {
    let desk = Desk::new();
    let sign = [
        "sign",
        "lamp.bin",
        "--key",
        "key.pub",
        "--vendor",
        "v",
        "--class",
        "c",
        "-o",
        "www",
        "--sequence",
        "1",
    ];
    fails(&desk.run(&sign), 1, "key.pub: this is the public half of a key: give the private one");
    succeeds(&desk.sign(&["--sequence", "1"]));
    fails(&desk.verify("key"), 1, "key: this is the private half of a key");
}

/// The manifest is larger than the image here, and does not fit: then the image is not replaced either.
#[test]
fn without_room_for_all_files_none_is_replaced() {
    let desk = Desk::new();
    desk.write("lamp.bin", &[7; 100]);
    succeeds(&desk.sign(&["--sequence", "1"]));
    let published = |desk: &Desk| {
        let files = fs::read_dir(desk.path("www")).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        files.sort();
        files
    };
    let before = published(&desk);
    assert_eq!(before.len(), 3);
    desk.write("lamp.bin", &[8; 100]);
    let uri = format!("https://example.com/{}", "x".repeat(400));
    let arguments = ["--sequence", "2", "--uri", &uri];
    fails(&desk.with_little_room(1, &arguments), 1, "cannot write www/lamp.bin.suit");
    assert_eq!(published(&desk), before);
    succeeds(&desk.sign(&arguments));
    succeeds(&desk.verify("key.pub"));
}

#[test]
fn a_sequence_number_is_used_once() {
    let desk = Desk::new();
    succeeds(&desk.sign(&["--sequence", "5"]));
    succeeds(&desk.sign(&["--sequence", "5"]));
    desk.write("lamp.bin", &[8; 10_000]);
    let before = desk.read("www/lamp.bin.suit");
    for number in ["5", "4"] {
        fails(&desk.sign(&["--sequence", number]), 1, "sign with --sequence 6 or higher");
    }
    assert_eq!(desk.read("www/lamp.bin.suit"), before);
    assert_eq!(desk.read("www/lamp.bin"), [7; 10_000]);
    succeeds(&desk.sign(&["--sequence", "4", "--force"]));
    succeeds(&desk.verify("key.pub"));
    succeeds(&desk.sign(&["--sequence", "6"]));
}

#[test]
fn only_manifests_for_the_same_devices_count() {
    let desk = Desk::new();
    succeeds(&desk.sign(&["--sequence", "5"]));
    desk.write("bulb.bin", &[1]);
    let sign = |vendor, class| {
        let key = ["sign", "bulb.bin", "--key", "key", "-o", "www", "--sequence", "5"];
        desk.run(&[&key[..], &["--vendor", vendor, "--class", class]].concat())
    };
    fails(&sign("example.com", "lamp"), 1, "www/lamp.bin.suit has 5");
    succeeds(&sign("example.org", "lamp"));
    succeeds(&sign("example.org", "7fd968df-da31-5a19-b454-35f5cb2264c7"));
    succeeds(&sign("example.com", "bulb"));
    desk.write("www/torn.suit", b"torn");
    fails(&sign("example.com", "switch"), 1, "www/torn.suit may use the same sequence number");
}

#[test]
fn identifiers_are_names_or_uuids() {
    let desk = Desk::new();
    // What RFC 9562 §5.5 makes of "example.com", and of "lamp" in its name space.
    let (vendor, class) = ("cfbff0d1-9375-5685-968c-48ce8b15ae17", "7fd968df-da31-5a19-b454-35f5cb2264c7");
    for (vendor_argument, class_argument) in [("example.com", "lamp"), (vendor, class), (vendor, "lamp")] {
        let arguments = ["sign", "lamp.bin", "--key", "key", "-o", "www", "--sequence", "1"];
        let names = ["--vendor", vendor_argument, "--class", class_argument];
        let stdout = succeeds(&desk.run(&[&arguments[..], &names].concat()));
        assert!(stdout.contains(&format!("vendor {vendor}, class {class}")), "{stdout}");
    }
}

#[test]
fn what_was_changed_does_not_verify() {
    let desk = Desk::new();
    succeeds(&desk.run(&["keygen", "other"]));
    succeeds(&desk.sign(&["--sequence", "1"]));
    fails(&desk.verify("other.pub"), 1, "which is not trusted");
    let both = ["verify", "www/lamp.bin.suit", "lamp.bin", "--key", "other.pub", "--key", "key.pub"];
    succeeds(&desk.run(&both));
    desk.write("lamp.bin", &[8; 10_000]);
    fails(&desk.run(&both), 1, "its digest is another");
    desk.write("lamp.bin", &[7; 9_999]);
    fails(&desk.run(&both), 1, "its size is another");
    fails(&desk.verify("key"), 1, "this is the private half of a key");
    let mut envelope = desk.read("www/lamp.bin.suit");
    *envelope.last_mut().unwrap() ^= 1;
    desk.write("www/lamp.bin.suit", &envelope);
    fails(&desk.verify("key.pub"), 1, "the chunk index is not the one that was signed");
    desk.write("www/lamp.bin.suit", &vec![0; (1 << 20) + 1]);
    fails(&desk.verify("key.pub"), 1, "more than 1048576 bytes");
    fails(&desk.run(&["verify", "missing", "lamp.bin", "--key", "key.pub"]), 1, "cannot open missing");
}

#[test]
fn images_that_cannot_be_signed_are_refused() {
    let desk = Desk::new();
    desk.write("lamp.bin", b"");
    fails(&desk.sign(&["--sequence", "1"]), 1, "is empty");
    desk.write("lamp.bin", &vec![0; (1 << 15) * 256]);
    fails(&desk.sign(&["--sequence", "1", "--chunk-size", "256"]), 1, "sign with a larger --chunk-size");
    assert!(!desk.path("www").exists());
    fails(
        &desk.run(&[
            "sign",
            "x.suit",
            "--key",
            "key",
            "--vendor",
            "v",
            "--class",
            "c",
            "-o",
            "www",
            "--sequence",
            "1",
        ]),
        1,
        "rename it",
    );
    desk.write("file", b"");
    desk.write("lamp.bin", b"image");
    let onto_a_file = [
        "sign",
        "lamp.bin",
        "--key",
        "key",
        "--vendor",
        "v",
        "--class",
        "c",
        "-o",
        "file",
        "--sequence",
        "1",
    ];
    fails(&desk.run(&onto_a_file), 1, "cannot make the directory file");
}

#[test]
fn a_wrong_command_line_has_status_2() {
    let desk = Desk::new();
    fails(&desk.run(&[]), 2, "Usage");
    fails(&desk.run(&["sign"]), 2, "--key");
    fails(&desk.sign(&["--sequence", "1", "--cms-key", "key"]), 2, "--cms-chain");
    fails(&desk.run(&["verify", "a", "b"]), 2, "--anchor");
    fails(&desk.run(&["verify", "a", "b", "--anchor", "c", "--at", "noon"]), 2, "--at");
    fails(&desk.sign(&["--sequence", "-1"]), 2, "--sequence");
    fails(&desk.sign(&["--sequence", "1", "--chunk-size", "1000"]), 2, "not a power of two");
    fails(&desk.sign(&["--sequence", "1", "--uri", "#index"]), 2, "must name the image");
    fails(&desk.run(&["keygen", "new", "--algorithm", "rsa"]), 2, "es256");
    for command in ["keygen", "sign", "verify", "inspect"] {
        assert!(succeeds(&desk.run(&[command, "--help"])).contains("Examples:"));
    }
    assert!(succeeds(&desk.run(&["--help"])).contains("Exit status:"));
    assert!(succeeds(&desk.run(&["--version"])).starts_with("sixfold-publish "));
}
