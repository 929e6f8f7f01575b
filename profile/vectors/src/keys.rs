//! The published test keys. Whoever reads this has them: never trust them.

use crate::File;
use sixfold_manifest::encryption::RecipientKey;
use sixfold_manifest::keys::{Algorithm, KeyError, SigningKey};

/// Signs SUIT manifests with Ed25519: the seed is 32 bytes of value 1.
pub(crate) fn ed25519() -> Result<SigningKey, KeyError> {
    SigningKey::from_seed(Algorithm::Ed25519, &[1; 32])
}

/// Signs SUIT manifests with ES256, and CMS: the secret scalar is 32 bytes of value 2.
pub(crate) fn es256() -> Result<SigningKey, KeyError> {
    SigningKey::from_seed(Algorithm::Es256, &[2; 32])
}

/// Of a device that agrees by EDHOC, as PEM: the secret scalar is 32 bytes of value 4.
pub(crate) fn edhoc_device() -> Result<String, KeyError> {
    Ok(SigningKey::from_seed(Algorithm::Es256, &[4; 32])?.to_pem()?.as_str().to_owned())
}

/// Of its relay: the secret scalar is 32 bytes of value 5.
pub(crate) fn edhoc_relay() -> Result<String, KeyError> {
    Ok(SigningKey::from_seed(Algorithm::Es256, &[5; 32])?.to_pem()?.as_str().to_owned())
}

/// Of a device that images are encrypted for: the secret scalar is 32 bytes of value 6.
pub(crate) fn recipient() -> Result<RecipientKey, KeyError> {
    RecipientKey::from_seed(&[6; 32])
}

/// All keys as PEM: PKCS #8, and of those that sign, and of the recipient, SubjectPublicKeyInfo.
pub(crate) fn files() -> Result<Vec<File>, KeyError> {
    let mut files = vec![
        File { name: "keys/edhoc-device.key".into(), text: edhoc_device()? },
        File { name: "keys/edhoc-relay.key".into(), text: edhoc_relay()? },
    ];
    let recipient = SigningKey::from_seed(Algorithm::Es256, &[6; 32])?;
    for (name, key) in [("ed25519", ed25519()?), ("es256", es256()?), ("recipient", recipient)] {
        files.push(File { name: format!("keys/{name}.key"), text: key.to_pem()?.to_string() });
        files.push(File { name: format!("keys/{name}.pub"), text: key.verifying_key().to_pem()? });
    }
    Ok(files)
}
