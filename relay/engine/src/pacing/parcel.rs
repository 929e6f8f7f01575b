//! What leaves, as far as a link cares, and what devices say of what has left.

/// The usual request for a block: header, Token, Uri-Path, Block2.
pub(crate) const REQUEST: usize = 24;
/// Header, ETag, Block2, Max-Age, payload marker, as they usually are, in bytes.
pub(crate) const AROUND_PAYLOAD: usize = 4 + 9 + 4 + 3 + 1;
/// An empty message.
pub(super) const EMPTY: usize = 4;

/// What a request says about the answer before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// It arrived: the next block is asked for.
    Delivered,
    /// It was lost: the same block is asked for again, after the time-out.
    Lost,
    /// It was on its way still when the same block was asked for.
    Late,
}

/// What tells that an answer arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// The next request: it is a block.
    Request,
    /// An acknowledgement: it is a notification.
    Acknowledgement,
    /// Nothing: the client has what it wanted.
    Nothing,
    /// Nothing, because it goes to a group. The link is taken while it is on the air, and then free again. The number is the length
    /// of its compressed headers in bytes.
    Group(usize),
}

/// An answer, as far as a link cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parcel {
    /// Its CoAP message.
    pub(crate) bytes: usize,
    /// What of it is payload.
    pub(crate) payload: usize,
    pub(crate) sign: Sign,
}
