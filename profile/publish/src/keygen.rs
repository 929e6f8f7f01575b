//! `keygen`: a new key pair, a key for encrypted images, or who somebody is in EDHOC.

use crate::cli::{self, Keygen};
use crate::failure::Failure;
use crate::files;
use sixfold_edhoc::Identity;
use sixfold_manifest::encryption::KeyEncryptionKey;
use sixfold_manifest::keys::{Algorithm, SigningKey};

pub(crate) fn run(arguments: &Keygen) -> Result<String, Failure> {
    match arguments.algorithm.of_signature() {
        Some(algorithm) => key_pair(arguments, algorithm, "for every device", &algorithm.to_string()),
        None => match arguments.algorithm {
            cli::Algorithm::Edhoc => edhoc(arguments),
            cli::Algorithm::Ecdh => {
                // A key for ES256 is one on P-256, too.
                key_pair(
                    arguments,
                    Algorithm::Es256,
                    "for the publisher (sign --recipient)",
                    "ECDH-ES+A128KW",
                )
            }
            _ => key_encryption_key(arguments),
        },
    }
}

fn edhoc(arguments: &Keygen) -> Result<String, Failure> {
    let (private, credential) = (&arguments.file, files::with_suffix(&arguments.file, ".ccs"));
    // A key for ES256 is one on P-256: the curve is the same, and this one signs nothing.
    let key = SigningKey::generate(Algorithm::Es256).map_err(Failure::NewKey)?;
    let pem = key.to_pem().map_err(Failure::NewKey)?;
    let name = arguments.name.as_deref().unwrap_or_default();
    let identity = Identity::named(&pem, name).map_err(Failure::Credential)?;
    let text = format!("{}\n", identity.credential().to_text());
    files::create_pair((private, pem.as_bytes()), (&credential, text.as_bytes()))?;
    let (private, credential) = (private.display(), credential.display());
    Ok(format!("{private}  private key, keep it secret\n{credential}  credential, for the other side\n"))
}

fn key_encryption_key(arguments: &Keygen) -> Result<String, Failure> {
    let key = KeyEncryptionKey::generate().map_err(Failure::NewKey)?;
    files::create_secret(&arguments.file, key.to_text().as_bytes())?;
    let path = arguments.file.display();
    Ok(format!("{path}  secret, for the publisher and one device\nA128KW key {}\n", key.key_id()))
}

/// Writes both halves, of which the public one is for somebody.
fn key_pair(
    arguments: &Keygen,
    algorithm: Algorithm,
    whom: &str,
    use_of_it: &str,
) -> Result<String, Failure> {
    let (private, public) = (&arguments.file, files::with_suffix(&arguments.file, ".pub"));
    let key = SigningKey::generate(algorithm).map_err(Failure::NewKey)?;
    let private_pem = key.to_pem().map_err(Failure::NewKey)?;
    let public_pem = key.verifying_key().to_pem().map_err(Failure::NewKey)?;
    files::create_pair((private, private_pem.as_bytes()), (&public, public_pem.as_bytes()))?;
    Ok(format!(
        "{}  private key, keep it secret\n{}  public key, {whom}\n{use_of_it} key {}\n",
        private.display(),
        public.display(),
        key.key_id()
    ))
}
