//! What comes in as a session: agreed on just now, or kept from an earlier run.

use super::id::{Id, IdContext};
use sixfold_oscore::{Context, ContextError, Derived, KEY, NONCE, Parameters, Secret};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A session that was agreed on, by whatever way.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// What the device is called: by its certificate, or by the operator. Shown, never trusted to be printable.
    pub name: Arc<str>,
    /// The device's Sender ID, by which its requests name the context (`kid`): from [`crate::Engine::fresh_recipient_id`].
    pub recipient_id: Id,
    /// The relay's Sender ID; often empty.
    pub sender_id: Id,
    /// What keys are derived from.
    pub master: Master,
    /// How long it may be used; `None` for one that does not expire.
    pub lifetime: Option<Duration>,
}

/// The input of key derivation (RFC 8613 §3.2).
#[derive(Clone, PartialEq, Eq)]
pub struct Master {
    /// The Master Secret: uniformly random, or as good. 16 bytes where Sixfold agreed on it.
    pub secret: Vec<u8>,
    /// The Master Salt, maybe empty. 8 bytes where Sixfold agreed on it.
    pub salt: Vec<u8>,
    /// The ID Context, if there is one: requests have it as `kid context` then.
    pub id_context: Option<IdContext>,
}

/// A session as it is kept for the next run: it has keys in it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptSession {
    /// What the device is called.
    pub name: Arc<str>,
    /// How long it may still be used; `None` for one that does not expire.
    pub left: Option<Duration>,
    /// The first Sender Sequence Number that the next run may use (Appendix B.1.1).
    pub first_number: u64,
    /// Identifiers and keys.
    pub keys: Keys,
}

/// Identifiers and keys of one security context.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The relay's Sender ID.
    pub sender_id: Id,
    /// The relay's Recipient ID: the device's `kid`.
    pub recipient_id: Id,
    /// The ID Context, if there is one.
    pub id_context: Option<IdContext>,
    /// What the relay seals with.
    pub sender_key: [u8; KEY],
    /// What the relay opens with.
    pub recipient_key: [u8; KEY],
    /// The Common IV.
    pub common_iv: [u8; NONCE],
}

impl NewSession {
    /// The keys of the session (RFC 8613 §3.2).
    ///
    /// # Errors
    /// When the identifiers cannot make a context.
    pub fn keys(&self) -> Result<Keys, SessionError> {
        let secret = Secret {
            master_secret: &self.master.secret,
            master_salt: &self.master.salt,
            id_context: self.master.id_context.as_ref().map(IdContext::as_slice),
        };
        let derived = Derived::new(secret, self.sender_id.as_slice(), self.recipient_id.as_slice())?;
        // What was derived is no longer than its identifiers, which fit.
        Keys::of(&derived.parameters()).ok_or(SessionError::Context(ContextError::TooLong))
    }
}

impl Keys {
    fn of(parameters: &Parameters<'_>) -> Option<Self> {
        let id_context = match parameters.id_context {
            Some(bytes) => Some(IdContext::new(bytes)?),
            None => None,
        };
        Some(Self {
            sender_id: Id::new(parameters.sender_id)?,
            recipient_id: Id::new(parameters.recipient_id)?,
            id_context,
            sender_key: *parameters.sender_key,
            recipient_key: *parameters.recipient_key,
            common_iv: *parameters.common_iv,
        })
    }

    pub(crate) fn context(&self) -> Result<Context<'_>, ContextError> {
        Context::new(Parameters {
            sender_id: self.sender_id.as_slice(),
            recipient_id: self.recipient_id.as_slice(),
            sender_key: &self.sender_key,
            recipient_key: &self.recipient_key,
            common_iv: &self.common_iv,
            id_context: self.id_context.as_ref().map(IdContext::as_slice),
        })
    }
}

/// Why a session was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionError {
    /// There are `limits.sessions` already.
    Full,
    /// Another session has its Recipient ID and ID Context.
    Taken,
    /// The identifiers cannot make a context.
    Context(ContextError),
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("relay: as many sessions as sessions.limit allows"),
            Self::Taken => f.write_str("another session has this Recipient ID and ID Context"),
            Self::Context(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SessionError {}

impl From<ContextError> for SessionError {
    fn from(error: ContextError) -> Self {
        Self::Context(error)
    }
}

impl fmt::Debug for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Master").field("id_context", &self.id_context).finish_non_exhaustive()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("sender_id", &self.sender_id)
            .field("recipient_id", &self.recipient_id)
            .field("id_context", &self.id_context)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for KeptSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptSession")
            .field("name", &self.name)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
