//! Agreeing on a session with a relay over TLS 1.3, with certificates on both sides: the main program's part of
//! `profile/profile.md`, section 11.4. The other way is [`edhoc`].
//!
//! It opens no connection and reads no file: whoever calls it brings a connected stream, whose time-outs end a wait. An
//! [`Agent`] remembers its last handshake with each relay, so that the next one needs neither certificates nor signatures; that
//! is as long as the process lives, because rustls lets nothing out of which it could resume.

pub mod edhoc;
mod error;

pub use edhoc::{Edhoc, EdhocError};
pub use error::AgreeError;

use crate::prepare::Agreed;
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, RootCertStore, Stream, crypto};
use sixfold_oscore::{Derived, Secret};
use sixfold_profile::agreement::{
    ALPN, ANSWER, Answer, Ask, Grant, MASTER_SALT, MASTER_SECRET, SALT_LABEL, SECRET_LABEL, exporter_context,
};
use std::io::{Read, Write};
use std::prelude::v1::*;
use std::sync::Arc;
use std::time::Duration;

/// Relays whose handshakes are remembered.
const RELAYS: usize = 8;

/// Who the device is, and which relays it trusts.
#[derive(Debug)]
pub struct Credentials {
    /// Authorities whose relays are trusted.
    pub anchors: Vec<CertificateDer<'static>>,
    /// The device's chain of certificates, its own first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key of the first of them.
    pub key: PrivateKeyDer<'static>,
}

/// A device that agrees on sessions, again and again. Clones remember the same handshakes.
#[derive(Clone, Debug)]
pub struct Agent {
    tls: Arc<ClientConfig>,
}

impl Agent {
    /// Checks that the key is that of the certificate, and that anybody is trusted.
    ///
    /// # Errors
    /// [`AgreeError::Credentials`].
    pub fn new(credentials: Credentials) -> Result<Self, AgreeError> {
        let Credentials { anchors, chain, key } = credentials;
        let mut roots = RootCertStore::empty();
        anchors.into_iter().try_for_each(|anchor| roots.add(anchor)).map_err(AgreeError::Credentials)?;
        let mut tls = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .map_err(AgreeError::Credentials)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(AgreeError::Credentials)?;
        tls.alpn_protocols = vec![ALPN.to_vec()];
        tls.resumption = Resumption::in_memory_sessions(RELAYS);
        Ok(Self { tls: Arc::new(tls) })
    }

    /// Agrees on a session with the relay at the other end of `stream`, which must have a certificate for `relay`. The device
    /// wants it for `lifetime`, or for as long as the relay allows.
    ///
    /// # Errors
    /// [`AgreeError`].
    pub fn agree(
        &self,
        stream: &mut (impl Read + Write),
        relay: ServerName<'static>,
        lifetime: Option<Duration>,
    ) -> Result<Agreed, AgreeError> {
        let mut connection =
            ClientConnection::new(self.tls.clone(), relay).map_err(AgreeError::Credentials)?;
        let lifetime = lifetime.map_or(0, |time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX).max(1));
        let answer = ask(&mut connection, stream, Ask { lifetime });
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                // The alert tells the relay's operator why.
                say_last(&mut connection, stream);
                return Err(error);
            }
        };
        let agreed = match Answer::decode(&answer).map_err(AgreeError::Answer)? {
            Answer::Granted(grant) => take(&connection, grant)?,
            Answer::Refused(refusal) => return Err(AgreeError::Refused(refusal)),
        };
        connection.send_close_notify();
        say_last(&mut connection, stream);
        Ok(agreed)
    }
}

/// Handshake, question and answer.
fn ask(
    connection: &mut ClientConnection,
    stream: &mut (impl Read + Write),
    ask: Ask,
) -> Result<[u8; ANSWER], AgreeError> {
    let mut tls = Stream::new(connection, stream);
    // The relay answers to the device's part of the handshake only after this.
    tls.write_all(&ask.encode())?;
    if tls.conn.alpn_protocol() != Some(ALPN) {
        return Err(AgreeError::Protocol);
    }
    let mut answer = [0; ANSWER];
    tls.read_exact(&mut answer)?;
    Ok(answer)
}

/// Sends what TLS still has to say. What becomes of it changes nothing.
fn say_last(connection: &mut ClientConnection, stream: &mut impl Write) {
    while connection.wants_write() && connection.write_tls(stream).is_ok_and(|written| written > 0) {}
}

/// Keys from the TLS exporter (RFC 8446 §7.5).
fn take(connection: &ClientConnection, grant: Grant<'_>) -> Result<Agreed, AgreeError> {
    let Grant { port, lifetime, device_id, relay_id } = grant;
    let context = exporter_context(device_id, relay_id);
    let context = context.as_ref().and_then(|(context, length)| context.get(..*length));
    let master_secret = &connection.export_keying_material([0; MASTER_SECRET], SECRET_LABEL, context)?;
    let master_salt = &connection.export_keying_material([0; MASTER_SALT], SALT_LABEL, context)?;
    let secret = Secret { master_secret, master_salt, id_context: None };
    Ok(Agreed {
        keys: Derived::new(secret, device_id, relay_id).map_err(AgreeError::Identifiers)?,
        lifetime: Some(Duration::from_secs(lifetime.into())),
        port,
        plain_allowed: false,
    })
}
