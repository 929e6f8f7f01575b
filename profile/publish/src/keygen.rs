//! `keygen`: a new key pair.

use crate::cli::Keygen;
use crate::failure::Failure;
use crate::files::{self, PUBLIC, SECRET};
use sixfold_manifest::keys::SigningKey;

pub(crate) fn run(arguments: &Keygen) -> Result<String, Failure> {
    let (private, public) = (&arguments.file, files::with_suffix(&arguments.file, ".pub"));
    if public.symlink_metadata().is_ok() {
        return Err(Failure::Exists(public));
    }
    let key = SigningKey::generate(arguments.algorithm.into()).map_err(Failure::NewKey)?;
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
