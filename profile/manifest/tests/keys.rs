//! Keys as files, and what is not a key.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use sixfold_manifest::cms;
use sixfold_manifest::encryption::{DecryptionKey, RecipientPublicKey};
use sixfold_manifest::keys::{Algorithm, KeyError, SigningKey, VerifyingKey};

const ALGORITHMS: [Algorithm; 2] = [Algorithm::Ed25519, Algorithm::Es256];

#[test]
fn keys_survive_pem() {
    for algorithm in ALGORITHMS {
        let key = SigningKey::generate(algorithm).unwrap();
        let again = SigningKey::from_pem(&key.to_pem().unwrap()).unwrap();
        assert_eq!((again.algorithm(), again.sign(b"x")), (algorithm, key.sign(b"x")));
        let public = VerifyingKey::from_pem(&key.verifying_key().to_pem().unwrap()).unwrap();
        assert_eq!((public, public.key_id()), (key.verifying_key(), key.key_id()));
    }
}

#[test]
fn only_the_right_key_verifies_the_right_message() {
    for algorithm in ALGORITHMS {
        let key = SigningKey::from_seed(algorithm, &[1; 32]).unwrap();
        let (public, signature) = (key.verifying_key(), key.sign(b"message"));
        assert!(public.verify(b"message", &signature));
        assert!(!public.verify(b"massage", &signature));
        assert!(!public.verify(b"message", &signature[..63]));
        assert!(!public.verify(b"message", &[0; 64]));
        for other in ALGORITHMS {
            assert!(
                !SigningKey::from_seed(other, &[2; 32])
                    .unwrap()
                    .verifying_key()
                    .verify(b"message", &signature)
            );
        }
    }
}

/// The first test of RFC 8032 §7.1: seed, public key and the signature over nothing.
#[test]
fn the_signature_of_rfc_8032() {
    let seed = array("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let signature = SigningKey::from_seed(Algorithm::Ed25519, &seed).unwrap().sign(b"");
    assert_eq!(signature[..32], array("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"));
    assert_eq!(signature[32..], array("5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"));
}

/// RFC 6979 A.2.5, SHA-256 over "sample".
#[test]
fn the_signature_of_rfc_6979() {
    let seed = array("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
    let signature = SigningKey::from_seed(Algorithm::Es256, &seed).unwrap().sign(b"sample");
    assert_eq!(signature[..32], array("efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"));
    assert_eq!(signature[32..], array("f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"));
}

fn array(hex: &str) -> [u8; 32] {
    std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
}

#[test]
fn what_is_no_key_has_its_error() {
    let public = SigningKey::from_seed(Algorithm::Es256, &[1; 32]).unwrap().verifying_key().to_pem().unwrap();
    let private = SigningKey::from_seed(Algorithm::Ed25519, &[1; 32]).unwrap().to_pem().unwrap();
    let no_private = Err(KeyError::NotPem { wanted: "PRIVATE KEY" });
    let signing = |pem: &str| SigningKey::from_pem(pem).map(|key| key.key_id());
    for pem in ["", "hello", &public.replace("PUBLIC KEY", "CERTIFICATE")] {
        assert_eq!(signing(pem), no_private);
        assert_eq!(VerifyingKey::from_pem(pem), Err(KeyError::NotPem { wanted: "PUBLIC KEY" }));
    }
    let encrypted = private.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    assert_eq!(signing(&encrypted), Err(KeyError::Encrypted));
    assert_eq!(SigningKey::from_seed(Algorithm::Es256, &[0; 32]).map(|_| ()), Err(KeyError::Seed));
    assert_eq!(SigningKey::from_seed(Algorithm::Es256, &[255; 32]).map(|_| ()), Err(KeyError::Seed));
}

/// Who gives one half of a key where the other belongs is told so, and which file it is.
#[test]
fn the_other_half_of_a_key_is_called_by_its_name() {
    let key = SigningKey::from_seed(Algorithm::Es256, &[1; 32]).unwrap();
    let (private, public) = (key.to_pem().unwrap(), key.verifying_key().to_pem().unwrap());
    assert_eq!(SigningKey::from_pem(&public).map(|key| key.key_id()), Err(KeyError::Public));
    assert_eq!(DecryptionKey::from_text(&public).map(|_| ()), Err(KeyError::Public));
    let cms = cms::SigningKey::read(public.as_bytes()).map(|_| ());
    assert_eq!(cms, Err(cms::Error::Key(KeyError::Public.to_string())));
    let encrypted = private.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    for pem in [&private, &encrypted] {
        assert_eq!(VerifyingKey::from_pem(pem), Err(KeyError::Private));
        assert_eq!(RecipientPublicKey::from_pem(pem).map(|_| ()), Err(KeyError::Private));
    }
    assert!(KeyError::Private.to_string().contains("give the public half, which keygen wrote to FILE.pub"));
    assert!(
        KeyError::Public.to_string().contains("give the private one, the file of the same name without .pub")
    );
}
