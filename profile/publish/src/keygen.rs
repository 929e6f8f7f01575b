//! `keygen`: a new key pair, or a key for encrypted images.

use crate::cli::Keygen;
use crate::failure::Failure;
use crate::files::{self, PUBLIC, SECRET};
use sixfold_manifest::encryption::KeyEncryptionKey;
use sixfold_manifest::keys::{Algorithm, SigningKey};

pub(crate) fn run(arguments: &Keygen) -> Result<String, Failure> {
    match arguments.algorithm.of_signature() {
        Some(algorithm) => key_pair(arguments, algorithm),
        None => key_encryption_key(arguments),
    }
}

fn key_encryption_key(arguments: &Keygen) -> Result<String, Failure> {
    let key = KeyEncryptionKey::generate().map_err(Failure::NewKey)?;
    files::create(&arguments.file, key.to_text().as_bytes(), SECRET)?;
    let path = arguments.file.display();
    Ok(format!("{path}  secret, for the publisher and one device\nA128KW key {}\n", key.key_id()))
}

fn key_pair(arguments: &Keygen, algorithm: Algorithm) -> Result<String, Failure> {
    let (private, public) = (&arguments.file, files::with_suffix(&arguments.file, ".pub"));
    if public.symlink_metadata().is_ok() {
        return Err(Failure::Exists(public));
    }
    let key = SigningKey::generate(algorithm).map_err(Failure::NewKey)?;
    let private_pem = key.to_pem().map_err(Failure::NewKey)?;
    let public_pem = key.verifying_key().to_pem().map_err(Failure::NewKey)?;
    files::create(private, private_pem.as_bytes(), SECRET)?;
    files::create(&public, public_pem.as_bytes(), PUBLIC)?;
    Ok(format!(
        "{}  private key, keep it secret\n{}  public key, for every device\n{} key {}\n",
        private.display(),
        public.display(),
        key.algorithm(),
        key.key_id()
    ))
}
