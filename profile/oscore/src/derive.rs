//! Keys from a Master Secret (RFC 8613 §3.2.1): HKDF with SHA-256 (RFC 5869).

use crate::aead::{ALGORITHM, KEY, Key, NONCE, byte_string};
use crate::context::{Context, ContextError, MAX_ID, MAX_ID_CONTEXT, Parameters, check};
use core::fmt;
use hmac_sha256::HKDF;

/// The longest `info`: a head, ID, ID Context, algorithm, "Key" and a length.
const MAX_INFO: usize = 1 + 1 + MAX_ID + 1 + MAX_ID_CONTEXT + 1 + 4 + 1;

/// What two endpoints agreed on.
#[derive(Clone, Copy)]
pub struct Secret<'a> {
    /// The Master Secret: uniformly random, or as good.
    pub master_secret: &'a [u8],
    /// The Master Salt; empty where there is none.
    pub master_salt: &'a [u8],
    /// The ID Context, up to [`MAX_ID_CONTEXT`] bytes.
    pub id_context: Option<&'a [u8]>,
}

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("id_context", &self.id_context).finish_non_exhaustive()
    }
}

/// A security context with the bytes that it is made of.
#[derive(Clone, PartialEq, Eq)]
pub struct Derived {
    sender_id: Short<MAX_ID>,
    recipient_id: Short<MAX_ID>,
    sender_key: [u8; KEY],
    recipient_key: [u8; KEY],
    common_iv: [u8; NONCE],
    id_context: Option<Short<MAX_ID_CONTEXT>>,
}

impl fmt::Debug for Derived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.context().fmt(f)
    }
}

impl Derived {
    /// Derives the context of the endpoint that sends with `sender_id`.
    ///
    /// # Errors
    /// [`ContextError`].
    pub fn new(secret: Secret<'_>, sender_id: &[u8], recipient_id: &[u8]) -> Result<Self, ContextError> {
        let Secret { master_secret, master_salt, id_context } = secret;
        check(sender_id, recipient_id, id_context)?;
        let prk = HKDF::extract(master_salt, master_secret);
        Ok(Self {
            sender_id: Short::new(sender_id),
            recipient_id: Short::new(recipient_id),
            sender_key: expand(&prk, sender_id, id_context, b"\x63Key"),
            recipient_key: expand(&prk, recipient_id, id_context, b"\x63Key"),
            common_iv: expand(&prk, &[], id_context, b"\x62IV"),
            id_context: id_context.map(Short::new),
        })
    }

    /// The context.
    pub fn context(&self) -> Context<'_> {
        self.context_of(&self.sender_id, &self.sender_key, &self.recipient_id, &self.recipient_key)
    }

    /// The context of the other endpoint.
    pub fn peer(&self) -> Context<'_> {
        self.context_of(&self.recipient_id, &self.recipient_key, &self.sender_id, &self.sender_key)
    }

    /// What a ticket needs, and who has the context as it is has besides.
    pub fn parameters(&self) -> Parameters<'_> {
        Parameters {
            sender_id: self.sender_id.as_slice(),
            recipient_id: self.recipient_id.as_slice(),
            sender_key: &self.sender_key,
            recipient_key: &self.recipient_key,
            common_iv: &self.common_iv,
            id_context: self.id_context.as_ref().map(Short::as_slice),
        }
    }

    fn context_of<'d>(
        &'d self,
        sender_id: &'d Short<MAX_ID>,
        sender_key: &'d [u8; KEY],
        recipient_id: &'d Short<MAX_ID>,
        recipient_key: &'d [u8; KEY],
    ) -> Context<'d> {
        Context {
            sender_id: sender_id.as_slice(),
            recipient_id: recipient_id.as_slice(),
            sender_key: Key(sender_key),
            recipient_key: Key(recipient_key),
            common_iv: &self.common_iv,
            id_context: self.id_context.as_ref().map(Short::as_slice),
        }
    }
}

/// HKDF-Expand with this `info`; `what` is a type with its head.
///
/// ```text
/// info = [ id: bstr, id_context: bstr / nil, alg_aead: int, type: tstr, L: uint ]
/// ```
fn expand<const L: usize>(prk: &[u8; 32], id: &[u8], id_context: Option<&[u8]>, what: &[u8]) -> [u8; L] {
    const { assert!(L < 24, "in the head of an integer") };
    let (context_head, context) =
        id_context.map_or((0xf6, &[][..]), |bytes| (byte_string(bytes.len()), bytes));
    let heads =
        [&[0x85, byte_string(id.len())][..], id, &[context_head], context, &[ALGORITHM], what, &[L as u8]];
    let (mut info, mut length) = ([0; MAX_INFO], 0);
    for (to, from) in info.iter_mut().zip(heads.into_iter().flatten()) {
        *to = *from;
        length += 1;
    }
    let mut key = [0; L];
    HKDF::expand(&mut key, prk, info.get(..length).unwrap_or_default());
    key
}

/// A few bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Short<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Short<N> {
    /// The first `N` of `from`.
    fn new(from: &[u8]) -> Self {
        let mut bytes = [0; N];
        bytes.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        Self { bytes, length: from.len().min(N) }
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}
