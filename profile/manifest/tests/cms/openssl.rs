//! What the `openssl` command line makes verifies here, and what is made here verifies there.

use super::pki::{Leaf, NOW, image, intermediate, leaf, leaf_with, root, trust};
use rcgen::KeyPair;
use sixfold_manifest::cms::{Error, describe, verify, verify_detached, verify_image};
use std::path::Path;
use std::process::{Command, Output};

/// Runs it in `directory`, with arguments separated by spaces.
fn openssl(directory: &Path, arguments: &str) -> Output {
    Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .unwrap_or_else(|error| panic!("openssl does not run ({error}): install the package `openssl`"))
}

fn succeeds(directory: &Path, arguments: &str) {
    let output = openssl(directory, arguments);
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A directory with the image and the signer's files.
fn directory(leaf: &Leaf) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::write(path.join("image"), image()).unwrap();
    std::fs::write(path.join("leaf.pem"), &leaf.pem).unwrap();
    std::fs::write(path.join("key.pem"), leaf.key.serialize_pem()).unwrap();
    directory
}

const SIGN: &str = "cms -sign -binary -outform DER -in image -signer leaf.pem -inkey key.pem -out image.p7s";

fn signed_by_openssl(directory: &Path, options: &str) -> Vec<u8> {
    succeeds(directory, &format!("{SIGN} {options}"));
    std::fs::read(directory.join("image.p7s")).unwrap()
}

#[test]
fn ours_verifies_with_openssl() {
    let root = root("root");
    let between = intermediate("between", &root);
    let leaf = leaf(&between);
    let directory = directory(&leaf);
    std::fs::write(directory.path().join("image.p7s"), leaf.sign(&[&between])).unwrap();
    std::fs::write(directory.path().join("root.pem"), root.pem()).unwrap();
    let arguments = format!(
        "cms -verify -binary -inform DER -in image.p7s -content image -CAfile root.pem -purpose any \
         -x509_strict -attime {NOW} -out copy"
    );
    succeeds(directory.path(), &arguments);
    assert_eq!(std::fs::read(directory.path().join("copy")).unwrap(), image());
    std::fs::write(directory.path().join("image"), b"another").unwrap();
    assert!(!openssl(directory.path(), &arguments).status.success());
}

/// OpenSSL cannot add the attributes of RFC 4108, so that its objects verify as signatures but are no manifests.
#[test]
fn that_of_openssl_verifies_here() {
    let root = root("root");
    let between = intermediate("between", &root);
    let leaf = leaf(&between);
    let directory = directory(&leaf);
    std::fs::write(directory.path().join("between.pem"), between.pem()).unwrap();
    for options in ["", "-keyid", "-nosmimecap", "-certfile between.pem", "-econtent_type 1.2.3.4"] {
        let p7s = signed_by_openssl(directory.path(), &format!("-md sha256 -certfile between.pem {options}"));
        let signer = verify_detached(&p7s, &image(), &trust(&root), NOW).unwrap();
        assert_eq!(signer.subject, "CN=firmware", "{options}");
        assert!(signer.signing_time.is_some_and(|time| time > NOW), "{options}");
        assert_eq!(verify_detached(&p7s, b"other", &trust(&root), NOW), Err(Error::ImageDigest));
        assert!(describe(&p7s).contains("signer: CN=firmware"), "{}", describe(&p7s));
    }
    let p7s = signed_by_openssl(directory.path(), "-md sha256 -certfile between.pem");
    let missing = Err(Error::MissingAttribute("firmware package identifier"));
    assert_eq!(verify(&p7s, &trust(&root), NOW), missing);
    assert_eq!(verify_image(&p7s, &image(), &trust(&root), NOW), missing);
    let p7s = signed_by_openssl(directory.path(), "-certfile between.pem -econtent_type 1.2.3.4");
    assert_eq!(verify(&p7s, &trust(&root), NOW), Err(Error::ContentType));
}

#[test]
fn what_openssl_can_but_we_cannot_has_its_name() {
    let root = root("root");
    let directory = directory(&leaf(&root));
    let second = leaf(&root);
    std::fs::write(directory.path().join("second.pem"), second.key.serialize_pem() + &second.pem).unwrap();
    let errors = [
        ("-nodetach", Error::NotDetached),
        ("-noattr", Error::NoSignedAttributes),
        ("-nocerts", Error::NoSignerCertificate),
        ("-md sha512", Error::UnsupportedAlgorithm("the digest algorithm id-sha512".to_owned())),
        ("-outform PEM", Error::NotDer("PEM")),
        ("-stream", Error::NotDer("BER of indefinite length")),
        ("-signer second.pem", Error::SeveralSigners(2)),
    ];
    for (options, error) in errors {
        let p7s = signed_by_openssl(directory.path(), options);
        assert_eq!(verify_detached(&p7s, &image(), &trust(&root), NOW), Err(error), "{options}");
    }
}

#[test]
fn rsa_of_openssl_verifies_here() {
    let root = root("root");
    let key = tempfile::tempdir().unwrap();
    succeeds(key.path(), "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem");
    let pem = std::fs::read_to_string(key.path().join("rsa.pem")).unwrap();
    let directory = directory(&leaf_with(&root, KeyPair::from_pem(&pem).unwrap(), |_| ()));
    let judge = |options: &str| {
        let p7s = signed_by_openssl(directory.path(), options);
        verify_detached(&p7s, &image(), &trust(&root), NOW).map(|signer| signer.subject)
    };
    let firmware = Ok("CN=firmware".to_owned());
    assert_eq!(judge("-md sha256"), firmware);
    let mut p7s = signed_by_openssl(directory.path(), "-md sha256");
    let rsa_encryption = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let at = p7s.windows(13).rposition(|octets| octets == rsa_encryption).unwrap();
    p7s[at + 10] = 11;
    let named_with_hash = verify_detached(&p7s, &image(), &trust(&root), NOW);
    assert_eq!(named_with_hash.map(|signer| signer.subject), firmware, "sha256WithRSAEncryption");
    assert_eq!(judge("-md sha256 -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:digest"), firmware);
    assert_eq!(
        judge("-md sha256 -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:max"),
        Err(Error::PssParameters)
    );
}

#[test]
fn a_short_rsa_key_is_named() {
    let root = root("root");
    let directory = directory(&leaf(&root));
    succeeds(
        directory.path(),
        "req -x509 -newkey rsa:1024 -nodes -keyout key.pem -out leaf.pem -subj /CN=short",
    );
    let p7s = signed_by_openssl(directory.path(), "-md sha256");
    let short = Error::UnsupportedAlgorithm("an RSA key of less than 2048 bits".to_owned());
    assert_eq!(verify_detached(&p7s, &image(), &trust(&root), NOW), Err(short));
}
