//! A body fetched block by block with GET and Block2 (RFC 7959 §2.4), all of one version.
//!
//! It keeps no byte of the body: every block is handed to the caller once, in order, without gap. It
//! decides nothing that is policy either: how often to start over, how long to wait, whether to try again.

use crate::blocks::{Answer, Blocks};
use crate::etag::ETag;
use crate::exchange::Exchange;
use core::fmt;
use core::time::Duration;
use sixfold_profile::Instant;
use sixfold_profile::coap::{Block, Code, Full, Message, Options, Szx, option};

pub use crate::blocks::Violation;

/// One body being fetched.
///
/// After each input ([`Fetch::handle_datagram`], [`Fetch::handle_timeout`]), and at the start, call
/// [`Fetch::poll_transmit`] until it has nothing more; then sleep until a datagram comes or
/// [`Fetch::poll_timeout`]. When that is `None`, the fetch is over.
#[derive(Clone, Debug)]
pub struct Fetch<'t> {
    blocks: Blocks<'t>,
    version: Version,
    /// No block was taken yet since the start: ask for the size too.
    first: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// The first block decides.
    Any,
    /// Every block must say this; `None`: must have no ETag.
    Is(Option<ETag>),
}

/// What happened. After all but [`Event::Block`] with `more`, [`Event::StartOver`] and [`Event::Wait`] the fetch
/// is over; to give up earlier, drop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'d> {
    /// The next bytes of the body.
    Block(Received<'d>),
    /// What was received so far is of no use: blocks will come from offset 0 again. A caller that has had enough
    /// of this drops the fetch.
    StartOver(Change),
    /// The server is busy (5.03 or 4.29): the same block will be asked for again after this time.
    Wait(Duration),
    /// The server answered with an error, or with a success that is no answer to GET.
    Refused {
        /// The response code.
        code: Code,
        /// The diagnostic payload: meant for humans, UTF-8 if the server keeps to RFC 7252 §5.5.2; often empty.
        diagnostic: &'d [u8],
    },
    /// No answer, after all retransmissions; or no separate response in time.
    TimedOut,
    /// The server rejected the request with RST.
    Reset,
    /// The server's answer contradicts RFC 7252 or RFC 7959.
    Violation(Violation),
}

/// One block of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'d> {
    /// Where it starts in the body, in bytes: exactly where the block before ended.
    pub offset: u32,
    /// Its bytes.
    pub payload: &'d [u8],
    /// More blocks follow. If not, the body is complete and `offset` + `payload.len()` bytes long.
    pub more: bool,
    /// The version, the same for all blocks; `None` when the server does not tell versions apart.
    pub etag: Option<ETag>,
    /// The size of the blocks from now on: what the server allows, at most what was asked for.
    pub szx: Szx,
    /// The length of the body in bytes, if the server said it: an indication only (RFC 7959 §4).
    pub size: Option<u32>,
}

/// Why the fetch starts over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The answer has another ETag than the blocks before.
    ETag,
    /// The server refused a block other than the first with 4.00, 4.02 or 4.08: the body became shorter, or the
    /// server serves blocks only in sequence.
    NoSuchBlock,
    /// The server sent a whole body where a later block was asked for.
    NotBlockwise,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ETag => "the server has another version now",
            Self::NoSuchBlock => "the server does not give the next block any more",
            Self::NotBlockwise => "the server sends the body in one piece now",
        })
    }
}

impl<'t> Fetch<'t> {
    /// Fetches from the first byte, in blocks of at most `szx`.
    ///
    /// `target` names the resource: Uri-Path and Uri-Query, or Proxy-Uri, and whatever else is to be in every
    /// request, but not Block2 and Size2. `seed` as in [`Exchange::new`].
    pub const fn new(target: Options<'t>, szx: Szx, seed: u32) -> Self {
        Self::begin(target, Block::first(szx), Version::Any, seed)
    }

    /// Goes on from the start of `block` with the version `etag`, of which the caller has all earlier bytes. When
    /// the server has another version now, the first event is [`Event::StartOver`].
    pub const fn resume(target: Options<'t>, block: Block, etag: ETag, seed: u32) -> Self {
        Self::begin(target, block, Version::Is(Some(etag)), seed)
    }

    const fn begin(target: Options<'t>, block: Block, version: Version, seed: u32) -> Self {
        let mut blocks = Blocks::new(target, seed);
        blocks.seek(block);
        Self { blocks, version, first: true }
    }

    /// The exchanges behind this fetch, for their counters.
    pub const fn exchange(&self) -> &Exchange {
        self.blocks.exchange()
    }

    /// Asks for nothing more. What acknowledges the last block is still to be sent: [`Fetch::poll_transmit`].
    pub const fn stop(&mut self) {
        self.blocks.stop();
    }

    /// Takes a datagram from the server's address.
    pub fn handle_datagram<'d>(&mut self, now: Instant, datagram: &'d [u8]) -> Option<Event<'d>> {
        let event = match self.blocks.handle_datagram(now, datagram)? {
            Answer::Block(block, response) => self.take(block, &response),
            Answer::NotBlockwise => self.start_over(Change::NotBlockwise),
            Answer::Refused(response) => self.refused(&response),
            Answer::Wait(time) => Event::Wait(time),
            Answer::TimedOut => Event::TimedOut,
            Answer::Reset => Event::Reset,
            Answer::Violation(violation) => Event::Violation(violation),
        };
        Some(event)
    }

    /// To be called at [`Fetch::poll_timeout`]; too early or too often does no harm.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Event<'static>> {
        self.blocks.handle_timeout(now).then_some(Event::TimedOut)
    }

    /// Writes the next datagram that is to leave now, if any, and returns its length.
    ///
    /// # Errors
    /// [`Full`] when `buffer` is too small for the request or `target` is out of order; the fetch cannot go on.
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Result<Option<usize>, Full> {
        self.blocks.poll_transmit(now, buffer, self.first)
    }

    /// When [`Fetch::handle_timeout`] is to be called; `None` when the fetch is over. Ask after
    /// [`Fetch::poll_transmit`] has nothing more to send.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.blocks.poll_timeout()
    }

    fn take<'d>(&mut self, block: Block, response: &Message<'d>) -> Event<'d> {
        let etag = response.option(option::ETAG).and_then(ETag::new);
        if self.version != Version::Any && self.version != Version::Is(etag) {
            return self.start_over(Change::ETag);
        }
        if block.more {
            let Some(next) = Block::new(block.num() + 1, false, block.szx) else {
                self.blocks.reject(Violation::BodyTooLong);
                return Event::Violation(Violation::BodyTooLong);
            };
            self.blocks.seek(next);
        }
        self.version = Version::Is(etag);
        self.first = false;
        let (offset, size) = (block.offset() as u32, response.uint_option(option::SIZE2));
        Event::Block(Received {
            offset,
            payload: response.payload,
            more: block.more,
            etag,
            szx: block.szx,
            size,
        })
    }

    fn refused<'d>(&mut self, response: &Message<'d>) -> Event<'d> {
        let no_such_block =
            matches!(response.code, Code::BAD_REQUEST | Code::BAD_OPTION | Code::REQUEST_ENTITY_INCOMPLETE);
        if no_such_block && self.blocks.block().num() > 0 {
            return self.start_over(Change::NoSuchBlock);
        }
        Event::Refused { code: response.code, diagnostic: response.payload }
    }

    const fn start_over(&mut self, change: Change) -> Event<'static> {
        self.version = Version::Any;
        self.first = true;
        self.blocks.seek(Block::first(self.blocks.block().szx));
        Event::StartOver(change)
    }
}
