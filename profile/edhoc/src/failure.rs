//! Why there is no context, and what the other side is told (RFC 9528 §6).

use lakers::EDHOCError;
use std::fmt;

/// Why an exchange ended.
#[derive(Debug, PartialEq)]
pub enum Failure {
    /// The message is longer than any that is expected.
    TooLong,
    /// The message, or what is in it, is wrong.
    Edhoc(EDHOCError),
    /// Nobody is known by the credential that the other side names.
    UnknownCredential,
    /// The other side chose a connection identifier that cannot be an OSCORE identifier: too long, or ours.
    Identifier,
    /// lakers could not cope with the message.
    Library,
}

impl Failure {
    /// An EDHOC error message (§6).
    pub fn message(&self) -> Vec<u8> {
        match self {
            // ERR_CODE 2, SUITES_R: 2.
            Self::Edhoc(EDHOCError::UnsupportedCipherSuite) => vec![0x02, 0x02],
            // ERR_CODE 3, true.
            Self::UnknownCredential => vec![0x03, 0xf5],
            // ERR_CODE 1 and a text, which says nothing of what was found: an attacker learns from it.
            _ => b"\x01\x67refused".to_vec(),
        }
    }
}

impl From<EDHOCError> for Failure {
    fn from(error: EDHOCError) -> Self {
        Self::Edhoc(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("the EDHOC message is too long"),
            Self::Edhoc(EDHOCError::MacVerificationFailed) => f.write_str(
                "the other side does not have the key of its credential, or the message was changed",
            ),
            Self::Edhoc(EDHOCError::UnsupportedMethod) => f.write_str("EDHOC with another method than 3"),
            Self::Edhoc(EDHOCError::UnsupportedCipherSuite) => {
                f.write_str("EDHOC with another cipher suite than 2")
            }
            Self::Edhoc(error) => write!(f, "the EDHOC message is wrong: {error:?}"),
            Self::UnknownCredential => f.write_str("the credential of the other side is not known"),
            Self::Identifier => f.write_str("the connection identifier of the other side cannot be used"),
            Self::Library => f.write_str("the EDHOC message cannot be processed"),
        }
    }
}

impl std::error::Error for Failure {}
