//! Why there is no session, and whose fault that is.

use super::edhoc::EdhocError;
use rustls::{AlertDescription, Error};
use sixfold_oscore::ContextError;
use sixfold_profile::agreement::{AgreementError, Refusal};
use std::fmt;
use std::io;

/// Why there is no session.
#[derive(Debug)]
pub enum AgreeError {
    /// The device's own certificates or key cannot be used.
    Credentials(Error),
    /// The connection broke, or the relay was silent for too long.
    Connection(io::Error),
    /// The relay's certificate is not one that this device trusts, under the name that it was asked for.
    Untrusted(Error),
    /// The relay does not accept the device's certificate.
    Rejected(AlertDescription),
    /// Whoever answers does not agree on sessions.
    Protocol,
    /// The relay refuses, and says why.
    Refused(Refusal),
    /// The answer makes no sense.
    Answer(AgreementError),
    /// The relay chose identifiers that cannot be.
    Identifiers(ContextError),
    /// TLS failed in another way.
    Tls(Error),
    /// EDHOC led to nothing.
    Edhoc(EdhocError),
}

impl AgreeError {
    /// Whoever answers cannot show that it is a relay which this device trusts.
    pub const fn is_distrust(&self) -> bool {
        match self {
            Self::Untrusted(_) => true,
            Self::Edhoc(error) => error.is_distrust(),
            _ => false,
        }
    }

    /// The relay does not accept this device.
    pub const fn is_rejection(&self) -> bool {
        match self {
            Self::Rejected(_) => true,
            Self::Edhoc(error) => error.is_rejection(),
            _ => false,
        }
    }
}

impl fmt::Display for AgreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credentials(error) => write!(
                f,
                "the device's certificates or key cannot be used ({error}): give a chain and the key that its first certificate was made for"
            ),
            Self::Connection(error) if is_silence(error) => {
                f.write_str("the session port does not answer in time: see the link, and that the relay runs")
            }
            Self::Connection(error) if error.kind() == io::ErrorKind::UnexpectedEof => f.write_str(
                "the session port closed the connection without an answer: too many at once, or no session port",
            ),
            Self::Connection(error) => write!(f, "the connection to the session port: {error}"),
            Self::Untrusted(error) => write!(
                f,
                "the relay's certificate is not trusted ({error}): it needs the name that is asked for and an issuer that this device trusts, and the device's clock must be right"
            ),
            Self::Rejected(alert) => write!(
                f,
                "the relay does not accept the device's certificate ({alert:?}): it must be of an authority in the relay's sessions.client_ca, valid, and not revoked"
            ),
            Self::Protocol => f.write_str("whoever answers does not speak sixfold/1: is this the relay's session port?"),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Answer(error) => write!(f, "the relay's answer: {error}"),
            Self::Identifiers(error) => write!(f, "the relay's answer: {error}"),
            Self::Edhoc(error) => error.fmt(f),
            Self::Tls(error) => write!(f, "TLS with the session port failed: {error}"),
        }
    }
}

impl std::error::Error for AgreeError {}

/// What a read says of a time-out.
fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

impl From<io::Error> for AgreeError {
    fn from(error: io::Error) -> Self {
        match error.downcast::<Error>() {
            Ok(error) => error.into(),
            Err(error) => Self::Connection(error),
        }
    }
}

impl From<Error> for AgreeError {
    fn from(error: Error) -> Self {
        use AlertDescription as Alert;
        match error {
            Error::InvalidCertificate(_) => Self::Untrusted(error),
            Error::AlertReceived(Alert::NoApplicationProtocol) => Self::Protocol,
            Error::AlertReceived(
                alert @ (Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::DecryptError
                | Alert::CertificateRequired),
            ) => Self::Rejected(alert),
            Error::InvalidMessage(_) | Error::PeerIncompatible(_) => Self::Protocol,
            error => Self::Tls(error),
        }
    }
}
