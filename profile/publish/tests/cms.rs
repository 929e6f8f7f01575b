//! Signing and verifying for houses with a PKI, whose certificates the openssl command line makes.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod desk;

use desk::{Desk, fails, succeeds, text};
use std::process::Output;

/// Runs openssl with arguments separated by spaces.
fn openssl(desk: &Desk, arguments: &str) {
    let output = desk.openssl(&arguments.split_whitespace().collect::<Vec<_>>());
    assert!(output.status.success(), "openssl {arguments}: {}", text(&output.stderr));
}

const NEW_KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout";

/// A desk with root.pem, chain.pem (signer and intermediate), signer.key, and an empty revocation list of each issuer.
fn desk_with_pki() -> Desk {
    let desk = Desk::new();
    let ca =
        "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign -days 30";
    openssl(&desk, &format!("req -x509 {NEW_KEY} root.key -out root.pem -subj /CN=root {ca}"));
    openssl(
        &desk,
        &format!(
            "req -x509 {NEW_KEY} between.key -out between.pem -subj /CN=between {ca} -CA root.pem -CAkey root.key"
        ),
    );
    openssl(
        &desk,
        &format!(
            "req -x509 {NEW_KEY} signer.key -out signer.pem -subj /CN=signer -CA between.pem -CAkey between.key -days 30 \
             -addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature \
             -addext extendedKeyUsage=codeSigning"
        ),
    );
    desk.write("chain.pem", &[desk.read("signer.pem"), desk.read("between.pem")].concat());
    desk
}

/// The revocation lists of both issuers in lists.pem, with the signer's certificate if it `is_revoked`.
fn revocation_lists(desk: &Desk, is_revoked: bool) {
    desk.write(
        "ca.cnf",
        b"[ca]\ndefault_ca=own\n[own]\ndatabase=revoked\ndefault_md=sha256\ncrl_extensions=number\n\
        default_crl_days=30\ncrlnumber=number\n[number]\nauthorityKeyIdentifier=keyid\n",
    );
    let mut lists = Vec::new();
    for issuer in ["between", "root"] {
        desk.write("revoked", b"");
        desk.write("number", b"01\n");
        let ca = format!("ca -config ca.cnf -cert {issuer}.pem -keyfile {issuer}.key");
        if is_revoked && issuer == "between" {
            openssl(desk, &format!("{ca} -revoke signer.pem"));
        }
        openssl(desk, &format!("{ca} -gencrl -out list.pem"));
        lists.extend(desk.read("list.pem"));
    }
    desk.write("lists.pem", &lists);
}

const CMS: [&str; 4] = ["--cms-key", "signer.key", "--cms-chain", "chain.pem"];

fn sign(desk: &Desk, sequence: &str, more: &[&str]) -> Output {
    let usual = [
        "sign",
        "lamp.bin",
        "--vendor",
        "example.com",
        "--class",
        "lamp",
        "-o",
        "www",
        "--sequence",
        sequence,
    ];
    desk.run(&[&usual, more].concat())
}

fn verify(desk: &Desk, more: &[&str]) -> Output {
    desk.run(&[&["verify", "www/lamp.bin.p7s", "www/lamp.bin"], more].concat())
}

const TRUST: [&str; 2] = ["--anchor", "root.pem"];

#[test]
fn a_cms_signature_verifies_here_and_with_openssl() {
    let desk = desk_with_pki();
    let written = succeeds(&sign(&desk, "1", &CMS));
    assert!(written.starts_with("www/lamp.bin\nwww/lamp.bin.idx\nwww/lamp.bin.p7s\n"), "{written}");
    assert!(!desk.path("www/lamp.bin.suit").exists());
    let with_index = [&TRUST[..], &["--index", "www/lamp.bin.idx"]].concat();
    assert!(succeeds(&verify(&desk, &with_index)).starts_with("verified: sequence number 1, "));
    let there = "cms -verify -binary -inform DER -in www/lamp.bin.p7s -content www/lamp.bin -CAfile root.pem -purpose any -out copy";
    openssl(&desk, there);
    assert_eq!(desk.read("copy"), desk.read("lamp.bin"));
    let shown = succeeds(&desk.run(&["inspect", "www/lamp.bin.p7s"]));
    for words in [
        "NOT VERIFIED",
        "signer: CN=signer",
        "issued by CN=between",
        "sequence number: 1",
        "image: 10000 bytes",
    ] {
        assert!(shown.contains(words), "{words:?} is not in {shown}");
    }
}

#[test]
fn both_kinds_are_signed_at_once() {
    let desk = desk_with_pki();
    let written = succeeds(&sign(&desk, "1", &[&CMS[..], &["--key", "key"]].concat()));
    assert!(written.contains("www/lamp.bin.suit\nwww/lamp.bin.p7s\n"), "{written}");
    succeeds(&desk.verify("key.pub"));
    succeeds(&verify(&desk, &TRUST));
    fails(&verify(&desk, &["--key", "key.pub"]), 1, "www/lamp.bin.p7s needs --anchor");
    let suit = ["verify", "www/lamp.bin.suit", "lamp.bin", "--anchor", "root.pem"];
    fails(&desk.run(&suit), 1, "www/lamp.bin.suit needs --key");
}

#[test]
fn a_sequence_number_is_used_once_by_either_kind() {
    let desk = desk_with_pki();
    succeeds(&sign(&desk, "5", &CMS));
    let before = desk.read("www/lamp.bin.p7s");
    succeeds(&sign(&desk, "5", &CMS));
    assert_eq!(desk.read("www/lamp.bin.p7s"), before, "signatures are deterministic");
    desk.write("lamp.bin", &[8; 10_000]);
    for signer in [&CMS[..], &["--key", "key"]] {
        fails(&sign(&desk, "5", signer), 1, "www/lamp.bin.p7s has 5");
    }
    fails(&sign(&desk, "6", &["--key", "key"]), 1, "www/lamp.bin.p7s signs other bytes");
    succeeds(&sign(&desk, "5", &[&CMS[..], &["--force"]].concat()));
    desk.write("www/torn.p7s", b"0torn");
    fails(&sign(&desk, "7", &CMS), 1, "www/torn.p7s may use the same sequence number");
}

#[test]
fn what_was_changed_is_refused_with_its_reason() {
    let desk = desk_with_pki();
    succeeds(&sign(&desk, "1", &CMS));
    let good = desk.read("www/lamp.bin.p7s");
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    desk.write("www/lamp.bin.p7s", &flipped);
    fails(&verify(&desk, &TRUST), 1, "the signature is wrong");
    desk.write("www/lamp.bin.p7s", &good[..good.len() - 1]);
    fails(&verify(&desk, &TRUST), 1, "damaged or no CMS SignedData");
    desk.write("www/lamp.bin.p7s", b"torn");
    fails(&verify(&desk, &TRUST), 1, "damaged or no CMS SignedData");
    desk.write("www/lamp.bin.p7s", &good);
    desk.write("www/lamp.bin", &[8; 10_000]);
    fails(&verify(&desk, &TRUST), 1, "its digest is another");
    desk.write("www/lamp.bin", &desk.read("lamp.bin"));
    let with_index = [&TRUST[..], &["--index", "www/lamp.bin.idx"]].concat();
    desk.write("www/lamp.bin.idx", &[0; 96]);
    fails(&verify(&desk, &with_index), 1, "www/lamp.bin.idx: the chunk index is not the one that was signed");
}

#[test]
fn certificates_are_judged_at_a_time_and_by_revocation_lists() {
    let desk = desk_with_pki();
    succeeds(&sign(&desk, "1", &CMS));
    let at = |time| verify(&desk, &[&TRUST[..], &["--at", time]].concat());
    fails(&at("2020-01-01T00:00:00Z"), 1, "this clock is wrong, or the publisher was too early");
    fails(&at("2199-01-01T00:00:00Z"), 1, "expired");
    fails(&verify(&desk, &["--anchor", "between.key"]), 1, "between.key: ");
    openssl(&desk, &format!("req -x509 {NEW_KEY} other.key -out other.pem -subj /CN=other"));
    fails(&verify(&desk, &["--anchor", "other.pem"]), 1, "no trust anchor issued");
    let with_lists = [&TRUST[..], &["--crl", "lists.pem"]].concat();
    revocation_lists(&desk, false);
    succeeds(&verify(&desk, &with_lists));
    revocation_lists(&desk, true);
    fails(&verify(&desk, &with_lists), 1, "is revoked");
}

#[test]
fn keys_and_chains_that_do_not_fit_are_refused() {
    let desk = desk_with_pki();
    let with = |key, chain| sign(&desk, "1", &["--cms-key", key, "--cms-chain", chain]);
    fails(&with("key", "chain.pem"), 1, "key: the signing key cannot be read");
    fails(&with("root.key", "chain.pem"), 1, "does not belong to the first certificate");
    fails(&with("signer.key", "signer.key"), 1, "signer.key: ");
    fails(&with("signer.key", "missing"), 1, "cannot open missing");
    assert!(!desk.path("www").exists());
}
