//! What happened, for whoever counts or logs it. The engine itself keeps no counters.

use crate::image::ETag;
use crate::origin::Failure;
use sixfold_profile::coap::Code;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Something that an operator may want counted or logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request was accepted for processing.
    Request(Code),
    /// A request came again with the Message ID of an earlier one: the answer, or the request, was lost or late.
    RetransmittedRequest,
    /// A Confirmable response or notification left once more: no acknowledgement had come.
    RetransmittedResponse,
    /// A response left. Counted once per response, also when it is retransmitted.
    Response(Code),
    /// How a request met the cache.
    Cache(CacheResult),
    /// A block of an image left, with this many payload bytes.
    BlockSent(usize),
    /// A datagram was not processed or not answered.
    Dropped(DropReason),
    /// A device began to fetch an image: it got a second block, or all in one, or takes part in a group. Who asks for a first block
    /// alone only looks.
    TransferStarted,
    /// A device has no more to do with an image: it got the last block, or fell silent.
    TransferEnded {
        /// Which device.
        peer: SocketAddr,
        /// Did the last block leave?
        finished: bool,
        /// From its first block to its last.
        duration: Duration,
    },
    /// All bytes of a version are here.
    ImageFetched {
        /// Where from.
        url: String,
        /// Its name towards devices.
        etag: ETag,
        /// Its length.
        bytes: u64,
        /// From the first request to the last byte.
        duration: Duration,
    },
    /// The origin has another version than the one held before.
    ImageChanged {
        /// Where.
        url: String,
        /// The version held before.
        from: ETag,
        /// The version that the origin has now.
        to: ETag,
    },
    /// The origin confirmed the version held.
    Revalidated {
        /// Where.
        url: String,
    },
    /// A fetch or revalidation failed for good.
    FetchFailed {
        /// Where.
        url: String,
        /// Why.
        failure: Failure,
        /// A stale copy is served in its place (RFC 5861 §4).
        stale: bool,
    },
    /// The pacer of a link learned what became of an answer.
    Link(LinkEvent),
    /// Fan-out decided something.
    Fanout(FanoutEvent),
    /// A request was refused for the sake of sessions.
    SessionRefused(SessionRefusal),
    /// The pacer of a link decided something.
    Decided(LinkDecision),
    /// A session came or went.
    Session {
        /// What the device is called.
        name: Arc<str>,
        /// What happened.
        event: SessionEvent,
    },
    /// A device registered as observer (RFC 7641).
    ObserverAdded,
    /// An observer is gone: it said so, rejected a notification or did not acknowledge one.
    ObserverRemoved,
}

/// What became of a session: the `event` of `sixfold_session_events_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionEvent {
    /// It was agreed on, or brought back after a restart.
    Added,
    /// Its device has two newer ones.
    Replaced,
    /// Its time was over.
    Expired,
    /// The operator ended it.
    Revoked,
    /// Its device could not be told of it.
    Withdrawn,
}

impl SessionEvent {
    /// Every variant.
    pub const ALL: [Self; 5] = [Self::Added, Self::Replaced, Self::Expired, Self::Revoked, Self::Withdrawn];

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// Why a request was refused for the sake of sessions: the `reason` of `sixfold_session_refused_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionRefusal {
    /// 4.02: an OSCORE option, or what was encrypted, that cannot be read.
    Undecodable,
    /// 4.01: no such session, any more or at all.
    UnknownContext,
    /// 4.01: its number was received before, in another message.
    Replayed,
    /// 4.00: not made with the session's key, or changed on the way.
    Forged,
    /// 4.01 with Echo: the relay lost the session's window when it restarted, or the address is not live, and the device has to show
    /// that it is there.
    Freshness,
    /// 4.01: plain, where a session is required.
    Required,
    /// 4.01: the session ended while its answer waited.
    Ended,
}

impl SessionRefusal {
    /// Every variant.
    pub const ALL: [Self; 7] = [
        Self::Undecodable,
        Self::UnknownContext,
        Self::Replayed,
        Self::Forged,
        Self::Freshness,
        Self::Required,
        Self::Ended,
    ];

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::UnknownContext => "unknown_context",
            Self::Replayed => "replayed",
            Self::Forged => "forged",
            Self::Freshness => "freshness",
            Self::Required => "required",
            Self::Ended => "ended",
        }
    }
}

/// How a request met the cache: the `result` of `sixfold_cache_requests_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheResult {
    /// Answered from a fresh image, or from the version that the device's transfer began with.
    Hit,
    /// The image was being fetched already; the request joined it.
    Joined,
    /// The origin had to be asked for the image.
    Miss,
    /// The same, for an image that was here and is not any more: it had to make room for others, or was purged.
    Evicted,
    /// The origin had to be asked whether the image is still current.
    Revalidation,
    /// Answered from an image past its freshness, because the origin failed.
    Stale,
    /// Answered from the memory of an earlier failure.
    Negative,
}

impl CacheResult {
    /// Every variant.
    pub const ALL: [Self; 7] =
        [Self::Hit, Self::Joined, Self::Miss, Self::Evicted, Self::Revalidation, Self::Stale, Self::Negative];

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Joined => "joined",
            Self::Miss => "miss",
            Self::Evicted => "evicted",
            Self::Revalidation => "revalidation",
            Self::Stale => "stale",
            Self::Negative => "negative",
        }
    }
}

/// Why a datagram was not processed or not answered: the `reason` of `sixfold_dropped_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// Not a CoAP message, or one that must be rejected.
    Malformed,
    /// A response, ACK or RST that belongs to no exchange of ours.
    Unmatched,
    /// The client asked faster than `limits.client_rate`.
    ClientRate,
    /// `limits.exchanges` requests were waiting already.
    Exchanges,
    /// The client was refused several times in a row and asks on.
    Refused,
    /// A request to a multicast group that is not answered.
    Multicast,
    /// The client did not want this response (RFC 7967), or it went unacknowledged until the end.
    NoResponse,
    /// A separate response or notification was never acknowledged.
    Unacknowledged,
    /// An answer could not be protected: its session has no numbers that are reserved.
    NoNumber,
    /// The operating system would not take the datagram.
    Send,
}

impl DropReason {
    /// Every variant.
    pub const ALL: [Self; 10] = [
        Self::Malformed,
        Self::Unmatched,
        Self::ClientRate,
        Self::Exchanges,
        Self::Refused,
        Self::Multicast,
        Self::NoResponse,
        Self::Unacknowledged,
        Self::NoNumber,
        Self::Send,
    ];

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unmatched => "unmatched",
            Self::ClientRate => "client_rate",
            Self::Exchanges => "exchanges",
            Self::Refused => "refused",
            Self::Multicast => "multicast",
            Self::NoResponse => "no_response",
            Self::Unacknowledged => "unacknowledged",
            Self::NoNumber => "no_number",
            Self::Send => "send",
        }
    }
}

/// What the pacer of a link heard of an answer: the `event` of `sixfold_link_answers_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkEvent {
    /// The next block was asked for: the answer before it arrived.
    Delivered,
    /// The same block was asked for again: its answer was lost.
    Lost,
    /// The same block was asked for again while its answer was on its way.
    Late,
    /// Nothing was heard of an answer within the time-out; its place in the window is free again.
    Expired,
}

impl LinkEvent {
    /// Every variant.
    pub const ALL: [Self; 4] = [Self::Delivered, Self::Lost, Self::Late, Self::Expired];

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Lost => "lost",
            Self::Late => "late",
            Self::Expired => "expired",
        }
    }
}

/// What fan-out did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FanoutEvent {
    /// A device was told where streams of an image go.
    Informed,
    /// A member that is alone asked for a block: it is answered as everybody else.
    Alone,
    /// A member asked, and a stream began.
    Started(PlanKind),
    /// A member asked while a stream moved.
    Merged,
    /// A member asked that does not hear the stream, as it seems.
    Ignored,
    /// A member asked so often that it is told nothing this time.
    Silenced,
    /// A block left to a group, with this many bytes of payload.
    Block(usize),
    /// A parity symbol left to a group.
    Parity,
    /// All that was planned has left.
    Ended,
    /// A group was forgotten: nobody asks any more, its image is gone, or its link.
    Disbanded,
}

/// What a stream is made of when it begins: the `kind` of `sixfold_fanout_streams_started_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlanKind {
    /// The image, from the first block that anybody asked for.
    Pass,
    /// Blocks that somebody lacks.
    Blocks,
    /// Parity symbols.
    Parity,
    /// Both.
    Both,
}

impl PlanKind {
    /// Every variant.
    pub const ALL: [Self; 4] = [Self::Pass, Self::Blocks, Self::Parity, Self::Both];

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Blocks => "blocks",
            Self::Parity => "parity",
            Self::Both => "both",
        }
    }
}

/// What the pacer of a link decided: the `decision` of `sixfold_link_decisions_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkDecision {
    /// An answer left at once.
    Passed,
    /// An answer waits for its turn.
    Queued,
    /// An answer has waited for half of ACK_TIMEOUT: an empty ACK left, the response will be separate.
    Separated,
    /// A newcomer was told to come back later (5.03): there is no place.
    Refused,
    /// A client has as many requests waiting as it may have (4.29).
    Limited,
    /// A client was refused several times in a row, and hears nothing this time.
    Silenced,
    /// The window became smaller, because an answer was lost.
    Cut,
    /// The next answer leaves later, so that a device that is missing has a quiet moment.
    Quiet,
    /// Smaller blocks are offered, because many frames are lost.
    SmallerBlocks,
    /// Larger blocks are offered again.
    LargerBlocks,
}

impl LinkDecision {
    /// Every variant.
    pub const ALL: [Self; 10] = [
        Self::Passed,
        Self::Queued,
        Self::Separated,
        Self::Refused,
        Self::Limited,
        Self::Silenced,
        Self::Cut,
        Self::Quiet,
        Self::SmallerBlocks,
        Self::LargerBlocks,
    ];

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Queued => "queued",
            Self::Separated => "separated",
            Self::Refused => "refused",
            Self::Limited => "limited",
            Self::Silenced => "silenced",
            Self::Cut => "cut",
            Self::Quiet => "quiet",
            Self::SmallerBlocks => "smaller_blocks",
            Self::LargerBlocks => "larger_blocks",
        }
    }
}
