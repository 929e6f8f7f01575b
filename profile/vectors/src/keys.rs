//! The published test keys. Whoever reads this has them: never trust them.

use crate::File;
use sixfold_manifest::keys::{Algorithm, KeyError, SigningKey};

/// Signs SUIT manifests with Ed25519: the seed is 32 bytes of value 1.
pub(crate) fn ed25519() -> Result<SigningKey, KeyError> {
    SigningKey::from_seed(Algorithm::Ed25519, &[1; 32])
}

/// Signs SUIT manifests with ES256, and CMS: the secret scalar is 32 bytes of value 2.
pub(crate) fn es256() -> Result<SigningKey, KeyError> {
    SigningKey::from_seed(Algorithm::Es256, &[2; 32])
}

/// Both keys as PEM: PKCS #8, and SubjectPublicKeyInfo.
pub(crate) fn files() -> Result<Vec<File>, KeyError> {
    let mut files = Vec::new();
    for (name, key) in [("ed25519", ed25519()?), ("es256", es256()?)] {
        files.push(File { name: format!("keys/{name}.key"), text: key.to_pem()?.to_string() });
        files.push(File { name: format!("keys/{name}.pub"), text: key.verifying_key().to_pem()? });
    }
    Ok(files)
}
