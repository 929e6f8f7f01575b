//! TLS settings of an origin: whom we trust, and who we are.

use super::{OriginSettings, OriginSetupError};
use crate::pem;
use rustls::client::WantsClientCert;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, crypto};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files that decide about a TLS connection. Origins that share them share connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Credentials {
    ca_file: Option<PathBuf>,
    /// Certificate chain and key.
    client: Option<(PathBuf, PathBuf)>,
    /// The origin speaks plain HTTP: this machine need not trust anybody for it.
    plain: bool,
}

impl Credentials {
    pub(super) fn of(origin: &OriginSettings) -> Result<Self, OriginSetupError> {
        let client = match (&origin.client_cert_file, &origin.client_key_file) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            (None, None) => None,
            _ => {
                return Err(OriginSetupError::new(
                    &origin.prefix,
                    "client_cert_file and client_key_file belong together: set both or neither",
                ));
            }
        };
        let plain = origin.prefix.starts_with("http://");
        Ok(Self { ca_file: origin.ca_file.clone(), client, plain })
    }

    /// Reads the files. TLS 1.2 and 1.3; which HTTP is spoken is negotiated later.
    pub(super) fn load(&self, origin: &str) -> Result<ClientConfig, OriginSetupError> {
        let failed = |message: String| OriginSetupError::new(origin, message);
        let roots = match &self.ca_file {
            Some(file) => pem::roots("ca_file", file).map_err(failed)?,
            None if self.plain => RootCertStore::empty(),
            None => system_roots().map_err(failed)?,
        };
        let builder = builder(roots).map_err(failed)?;
        let Some((certificate, key)) = &self.client else { return Ok(builder.with_no_client_auth()) };
        let chain = pem::certificates("client_cert_file", certificate).map_err(failed)?;
        let secret = pem::private_key("client_key_file", key).map_err(failed)?;
        builder
            .with_client_auth_cert(chain, secret)
            .map_err(|error| failed(misfit(certificate, key, &error)).about("client_key_file"))
    }
}

fn builder(roots: RootCertStore) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots))
}

fn misfit(certificate: &Path, key: &Path, error: &rustls::Error) -> String {
    format!(
        "client_key_file {} does not fit client_cert_file {} ({error}): give the key that this certificate was made for",
        key.display(),
        certificate.display()
    )
}

/// Whether certificate and key belong together, of those that can be read.
fn pair_mistake(certificate: &Path, key: &Path) -> Option<String> {
    let chain = pem::certificates("client_cert_file", certificate).ok()?;
    let secret = pem::private_key("client_key_file", key).ok()?;
    let fit = builder(RootCertStore::empty()).ok()?.with_client_auth_cert(chain, secret);
    fit.err().map(|error| misfit(certificate, key, &error))
}

/// What is wrong with each file of an origin, by configuration key.
pub(super) fn file_mistakes(origin: &OriginSettings) -> Vec<(&'static str, String)> {
    let OriginSettings { ca_file, client_cert_file, client_key_file, .. } = origin;
    let chain = |file: &PathBuf| pem::certificates("client_cert_file", file).err();
    let pair = || pair_mistake(client_cert_file.as_ref()?, client_key_file.as_ref()?);
    let found = [
        ("ca_file", ca_file.as_ref().and_then(|file| pem::roots("ca_file", file).err())),
        ("client_cert_file", client_cert_file.as_ref().and_then(chain)),
        (
            "client_key_file",
            client_key_file.as_ref().and_then(|file| pem::private_key("client_key_file", file).err()),
        ),
        ("client_key_file", pair()),
    ];
    found.into_iter().filter_map(|(key, message)| Some((key, message?))).collect()
}

fn system_roots() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(
            "this machine has no root certificates: install the package ca-certificates (ca-bundle on \
                    OpenWrt), or set ca_file"
                .to_owned(),
        );
    }
    Ok(roots)
}
