//! Who the relay is, and whose devices it trusts: the files of the configuration, and TLS settings made of them.

use super::tickets::Tickets;
use crate::config;
use crate::pem;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::TLS13;
use rustls::{Error, ServerConfig, crypto};
use sixfold_profile::agreement::ALPN;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Below this much time left the relay's certificate should be renewed.
pub const RENEWAL: Duration = Duration::from_secs(14 * 24 * 3600);

/// What is wrong with files, by configuration key.
pub type FileMistakes = Vec<(&'static str, String)>;

/// Everything that a handshake needs.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// TLS 1.3, the relay's certificate, a device's certificate required.
    pub(super) tls: Arc<ServerConfig>,
    verifier: Arc<dyn ClientCertVerifier>,
    not_after: Option<SystemTime>,
}

impl Credentials {
    /// Reads the files of a port.
    ///
    /// # Errors
    /// What is wrong with each of them.
    pub fn load(port: &config::Port) -> Result<Self, FileMistakes> {
        let mut mistakes = Vec::new();
        let mut note = |key, message| mistakes.push((key, message));
        let chain = pem::certificates("certificate", &port.certificate);
        let chain = chain.map_err(|message| note("certificate", message)).ok();
        let key = pem::private_key("key", &port.key).map_err(|message| note("key", message)).ok();
        let roots = pem::roots("client_ca", &port.client_ca);
        let roots = roots.map_err(|message| note("client_ca", message)).ok();
        let crls = port.client_crl.as_ref().map(|file| pem::revocation_lists("client_crl", file));
        let crls = crls.transpose().map_err(|message| note("client_crl", message)).ok();
        let (Some(chain), Some(key), Some(roots), Some(crls)) = (chain, key, roots, crls) else {
            return Err(mistakes);
        };
        let not_after = chain.first().and_then(super::certificate::not_after);
        let provider = Arc::new(crypto::ring::default_provider());
        // Its hints would cost bytes on a slow link, and a device has one certificate.
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .with_crls(crls.unwrap_or_default())
            .clear_root_hint_subjects()
            .build()
            .map_err(|error| {
                vec![(
                    "client_crl",
                    format!("client_ca and client_crl cannot be used ({error}): replace them"),
                )]
            })?;
        let own = |error: Error| {
            let (certificate, key) = (port.certificate.display(), port.key.display());
            vec![(
                "key",
                format!(
                    "key {key} does not fit certificate {certificate} ({error}): give the key that this certificate was made for"
                ),
            )]
        };
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(own)?
            .with_client_cert_verifier(verifier.clone())
            .with_single_cert(chain, key)
            .map_err(own)?;
        tls.alpn_protocols = vec![ALPN.to_vec()];
        tls.session_storage = Arc::new(Tickets::new());
        // Each costs bytes on a slow link, and the next handshake brings another.
        tls.send_tls13_tickets = 1;
        Ok(Self { tls: Arc::new(tls), verifier, not_after })
    }

    /// Until when the relay's own certificate is valid.
    pub fn not_after(&self) -> Option<SystemTime> {
        self.not_after
    }

    /// Verifies a device's certificates as a full handshake does, at another time than that of the handshake.
    pub(super) fn verify(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Error> {
        let (own, intermediates) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
        self.verifier.verify_client_cert(own, intermediates, now).map(|_| ())
    }

    /// Takes over what was remembered of handshakes: a reload makes nobody's next one dear. Whoever resumes is verified by what
    /// is in force then.
    pub(super) fn remember(&mut self, older: &Self) {
        let mut tls = ServerConfig::clone(&self.tls);
        tls.session_storage = Arc::clone(&older.tls.session_storage);
        self.tls = Arc::new(tls);
    }
}

/// What is wrong with the files of a port, by configuration key.
pub fn file_mistakes(port: &config::Port) -> FileMistakes {
    Credentials::load(port).err().unwrap_or_default()
}

/// Until when the certificate of a port is valid, for people.
pub fn validity(port: &config::Port) -> String {
    let Ok(Some(not_after)) = Credentials::load(port).map(|credentials| credentials.not_after()) else {
        return "with a certificate that cannot be read".to_owned();
    };
    let tense = if not_after < SystemTime::now() { "EXPIRED at" } else { "is valid until" };
    format!("with a certificate that {tense} {}", humantime::format_rfc3339_seconds(not_after))
}
