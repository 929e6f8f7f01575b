//! The parts of a security context that never change (RFC 8613 §3.1). Sequence numbers and replay windows are beside it.

use crate::aead::{KEY, Key, NONCE};
use core::fmt;
use sixfold_profile::ticket::Session;

/// The most bytes of a Sender ID or Recipient ID: what the nonce has room for (§3.3).
pub const MAX_ID: usize = 7;
/// The most bytes of an ID Context here: RFC 8613 has no limit but the option's length.
pub const MAX_ID_CONTEXT: usize = 16;

/// A security context for AES-CCM-16-64-128, as it stands in a ticket, or was derived.
///
/// It is used for one direction as client and the other as server: each endpoint may send requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context<'a> {
    pub(crate) sender_id: &'a [u8],
    pub(crate) recipient_id: &'a [u8],
    pub(crate) sender_key: Key<'a>,
    pub(crate) recipient_key: Key<'a>,
    pub(crate) common_iv: &'a [u8; NONCE],
    pub(crate) id_context: Option<&'a [u8]>,
}

/// What a context is made of.
#[derive(Clone, Copy)]
pub struct Parameters<'a> {
    /// Up to [`MAX_ID`] bytes.
    pub sender_id: &'a [u8],
    /// Up to [`MAX_ID`] bytes.
    pub recipient_id: &'a [u8],
    /// The Sender Key.
    pub sender_key: &'a [u8; KEY],
    /// The Recipient Key.
    pub recipient_key: &'a [u8; KEY],
    /// The Common IV.
    pub common_iv: &'a [u8; NONCE],
    /// The ID Context, up to [`MAX_ID_CONTEXT`] bytes; requests carry it.
    pub id_context: Option<&'a [u8]>,
}

/// Identifiers that no context can have. Whoever agreed on them is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextError {
    /// A Sender ID, Recipient ID or ID Context is too long.
    TooLong,
    /// Sender ID and Recipient ID are the same: both sides would use the same nonces with the same key (§3.3).
    SameIds,
}

impl fmt::Display for ContextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "an identifier of the OSCORE context is too long",
            Self::SameIds => "both sides of the OSCORE context have the same identifier",
        })
    }
}

impl core::error::Error for ContextError {}

impl<'a> Context<'a> {
    /// Checks the identifiers.
    ///
    /// # Errors
    /// [`ContextError`].
    pub fn new(parameters: Parameters<'a>) -> Result<Self, ContextError> {
        let Parameters { sender_id, recipient_id, sender_key, recipient_key, common_iv, id_context } =
            parameters;
        check(sender_id, recipient_id, id_context)?;
        let (sender_key, recipient_key) = (Key(sender_key), Key(recipient_key));
        Ok(Self { sender_id, recipient_id, sender_key, recipient_key, common_iv, id_context })
    }

    /// The context of a ticket. The numbers to send with are its `numbers`.
    ///
    /// # Errors
    /// [`ContextError`], which [`Ticket::session`](sixfold_profile::ticket::Ticket::session) has ruled out.
    pub fn of_session(session: &Session<'a>) -> Result<Self, ContextError> {
        Self::new(Parameters {
            sender_id: session.sender_id,
            recipient_id: session.recipient_id,
            sender_key: session.sender_key,
            recipient_key: session.recipient_key,
            common_iv: session.common_iv,
            id_context: None,
        })
    }

    /// What this endpoint is called in the requests that it sends.
    pub const fn sender_id(&self) -> &'a [u8] {
        self.sender_id
    }

    /// What the other endpoint is called in its requests: a server finds the context by it.
    pub const fn recipient_id(&self) -> &'a [u8] {
        self.recipient_id
    }
}

pub(crate) fn check(
    sender_id: &[u8],
    recipient_id: &[u8],
    id_context: Option<&[u8]>,
) -> Result<(), ContextError> {
    let is_too_long = sender_id.len() > MAX_ID
        || recipient_id.len() > MAX_ID
        || id_context.is_some_and(|id_context| id_context.len() > MAX_ID_CONTEXT);
    if is_too_long {
        return Err(ContextError::TooLong);
    }
    if sender_id == recipient_id { Err(ContextError::SameIds) } else { Ok(()) }
}
