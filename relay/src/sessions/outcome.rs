//! What becomes of a connection to the session port, in the words of the log and of `sixfold_agreements_total`.

use rustls::{CertificateError, Error};
use sixfold_profile::agreement::Refusal;
use std::io;

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is a session, after a full handshake.
    Granted,
    /// There is a session, after a resumed handshake.
    Resumed,
    /// The source connects more often than it may, or has as many connections as it may.
    Rate,
    /// Its place went to another connection before the handshake was over.
    Displaced,
    /// Handshake and exchange took too long.
    Timeout,
    /// The connection broke.
    Broken,
    /// What came was no TLS, or not what follows.
    Malformed,
    /// TLS, but not this version or this protocol.
    Protocol,
    /// The device has no certificate.
    NoCertificate,
    /// The device's certificate is of another authority, or for another purpose.
    Untrusted,
    /// The device's certificate is expired, or not valid yet by the relay's clock.
    Expired,
    /// The device's certificate is revoked, or nobody can tell.
    Revoked,
    /// The device's certificate has no name that can be used.
    Nameless,
    /// The device does not accept the relay's certificate.
    Distrusted,
    /// There are as many sessions as there may be.
    Full,
    /// The relay could not: it stops, or failed.
    Unavailable,
}

impl Outcome {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 16] = [
        Self::Granted,
        Self::Resumed,
        Self::Rate,
        Self::Displaced,
        Self::Timeout,
        Self::Broken,
        Self::Malformed,
        Self::Protocol,
        Self::NoCertificate,
        Self::Untrusted,
        Self::Expired,
        Self::Revoked,
        Self::Nameless,
        Self::Distrusted,
        Self::Full,
        Self::Unavailable,
    ];

    /// As it is logged and counted.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Resumed => "resumed",
            Self::Rate => "rate",
            Self::Displaced => "displaced",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Malformed => "malformed",
            Self::Protocol => "protocol",
            Self::NoCertificate => "no_certificate",
            Self::Untrusted => "untrusted",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Nameless => "nameless",
            Self::Distrusted => "distrusted",
            Self::Full => "full",
            Self::Unavailable => "unavailable",
        }
    }

    /// Whose fault it is, and what to do; empty where nothing is to be done.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Granted | Self::Resumed => "",
            Self::Rate => "device: it connects too often; see sessions.handshakes_per_client",
            Self::Displaced => "device: it was slow, and others wanted its place; see sessions.handshakes",
            Self::Timeout => "device: too slow, or silent; see sessions.handshake_timeout",
            Self::Broken => "link: the connection broke",
            Self::Malformed => "device: what it sends is no TLS handshake; is this its port?",
            Self::Protocol => "device: it needs TLS 1.3 and the protocol sixfold/1",
            Self::NoCertificate => "device: it has no certificate; give it one of sessions.client_ca",
            Self::Untrusted => "device: its certificate is not of sessions.client_ca, or not for clients",
            Self::Expired => {
                "device: its certificate is expired, or not valid yet; renew it, and see that this machine's clock is right"
            }
            Self::Revoked => "device: its certificate is revoked, or sessions.client_crl does not tell",
            Self::Nameless => {
                "device: its certificate has neither a DNS name nor a common name of printable characters; issue another"
            }
            Self::Distrusted => {
                "operator: the device does not accept sessions.certificate; has it that name, and does the device trust its issuer?"
            }
            Self::Full => "operator: sessions.limit is reached; raise it",
            Self::Unavailable => "relay: no session could be made",
        }
    }

    /// The outcome of a handshake that failed.
    pub(super) fn of_handshake(error: &io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        tls.map_or(Self::Broken, Self::of_tls)
    }

    /// The outcome of what TLS says is wrong.
    pub(super) fn of_tls(error: &Error) -> Self {
        match error {
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::InvalidCertificate(error) => Self::of_certificate(error),
            Error::AlertReceived(_) => Self::Distrusted,
            Error::NoApplicationProtocol | Error::PeerIncompatible(_) => Self::Protocol,
            Error::General(_) | Error::FailedToGetRandomBytes | Error::FailedToGetCurrentTime => {
                Self::Unavailable
            }
            _ => Self::Malformed,
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Self::Expired,
            CertificateError::Revoked
            | CertificateError::UnknownRevocationStatus
            | CertificateError::ExpiredRevocationList
            | CertificateError::ExpiredRevocationListContext { .. } => Self::Revoked,
            _ => Self::Untrusted,
        }
    }
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Full => Self::Full,
            Refusal::Version => Self::Protocol,
            Refusal::Nameless => Self::Nameless,
            Refusal::Unavailable => Self::Unavailable,
            Refusal::Certificate => Self::Untrusted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places() {
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index, "{}", outcome.label());
        }
    }
}
