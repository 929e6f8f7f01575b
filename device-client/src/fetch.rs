//! A body fetched block by block with GET and Block2 (RFC 7959 §2.4).
//!
//! Asks for one block at a time, each with an exchange of its own, and checks that all blocks are of one
//! version. It keeps no byte of the body: every block is handed to the caller once, in order, without gap. It
//! decides nothing that is policy either: how often to start over, how long to wait, whether to try again.

use crate::etag::ETag;
use crate::exchange::{Exchange, Heard};
use core::fmt;
use core::ops::RangeBounds;
use core::time::Duration;
use sixfold_profile::Instant;
use sixfold_profile::coap::params::DEFAULT_MAX_AGE_S;
use sixfold_profile::coap::{Block, Code, Full, Message, Opt, Szx, Writer, option};

/// The longest that a server can make a client wait: Max-Age has room for 136 years.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// One body being fetched.
///
/// After each input ([`Fetch::handle_datagram`], [`Fetch::handle_timeout`]), and at the start, call
/// [`Fetch::poll_transmit`] until it has nothing more; then sleep until a datagram comes or
/// [`Fetch::poll_timeout`]. When that is `None`, the fetch is over.
#[derive(Clone, Debug)]
pub struct Fetch<'t> {
    target: &'t [Opt<'t>],
    exchange: Exchange,
    /// The block that is asked for.
    block: Block,
    version: Version,
    /// No block was taken yet since the start: ask for the size too.
    first: bool,
    /// The server asked us to come back then.
    pause: Option<Instant>,
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

/// How an answer contradicts the standards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A Block2 option that is too long or has SZX 7.
    BlockOption,
    /// Another block than the one asked for.
    WrongBlock,
    /// A larger block size than was asked for.
    LargerBlocks,
    /// Less payload than a whole block although more follow, or more than a whole block.
    PayloadSize,
    /// The next block number does not fit 20 bits: the body is too long for this block size.
    BodyTooLong,
    /// A critical option that a client without it must not ignore.
    CriticalOption(u16),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BlockOption => f.write_str("the Block2 option is invalid"),
            Self::WrongBlock => f.write_str("another block came than was asked for"),
            Self::LargerBlocks => f.write_str("the blocks are larger than was asked for"),
            Self::PayloadSize => f.write_str("the payload does not have the size of a block"),
            Self::BodyTooLong => f.write_str("the body is too long for this block size"),
            Self::CriticalOption(number) => write!(f, "the critical option {number} is not understood"),
        }
    }
}

impl<'t> Fetch<'t> {
    /// Fetches from the first byte, in blocks of at most `szx`.
    ///
    /// `target` names the resource: Uri-Path and Uri-Query, or Proxy-Uri, and whatever else is to be in every
    /// request, in ascending order of numbers, but not Block2 and Size2. `seed` as in [`Exchange::new`].
    pub const fn new(target: &'t [Opt<'t>], szx: Szx, seed: u32) -> Self {
        Self::begin(target, Block::first(szx), Version::Any, seed)
    }

    /// Goes on from the start of `block` with the version `etag`, of which the caller has all earlier bytes. When
    /// the server has another version now, the first event is [`Event::StartOver`].
    pub const fn resume(target: &'t [Opt<'t>], block: Block, etag: ETag, seed: u32) -> Self {
        Self::begin(target, block, Version::Is(Some(etag)), seed)
    }

    /// Fetches nothing yet: see [`Fetch::seek`]. For callers who know the bytes that they want, and judge them for
    /// themselves.
    pub const fn idle(target: &'t [Opt<'t>], szx: Szx, seed: u32) -> Self {
        let (block, exchange) = (Block::first(szx), Exchange::new(seed));
        Self { target, exchange, block, version: Version::Any, first: false, pause: None }
    }

    /// Fetches from the start of `block` on, of whatever version the server has; what was asked before is forgotten.
    pub const fn seek(&mut self, block: Block) {
        self.block = block;
        self.version = Version::Any;
        self.pause = None;
        self.exchange.request();
    }

    /// Asks for nothing more until [`Fetch::seek`]; stragglers are answered as they should be.
    pub const fn stop(&mut self) {
        self.pause = None;
        self.exchange.stop();
    }

    const fn begin(target: &'t [Opt<'t>], block: Block, version: Version, seed: u32) -> Self {
        let mut exchange = Exchange::new(seed);
        exchange.request();
        Self { target, exchange, block, version, first: true, pause: None }
    }

    /// The exchanges behind this fetch, for their counters.
    pub const fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// Takes a datagram from the server's address.
    pub fn handle_datagram<'d>(&mut self, now: Instant, datagram: &'d [u8]) -> Option<Event<'d>> {
        match self.exchange.handle_datagram(now, datagram) {
            Heard::Nothing => None,
            Heard::Reset => Some(Event::Reset),
            Heard::Response(response) => Some(self.response(now, &response).unwrap_or_else(|violation| {
                self.exchange.reject();
                Event::Violation(violation)
            })),
        }
    }

    /// To be called at [`Fetch::poll_timeout`]; too early or too often does no harm.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Event<'static>> {
        if self.pause.is_some_and(|until| now >= until) {
            self.pause = None;
            self.exchange.request();
        }
        self.exchange.handle_timeout(now).then_some(Event::TimedOut)
    }

    /// Writes the next datagram that is to leave now, if any, and returns its length.
    ///
    /// # Errors
    /// [`Full`] when `buffer` is too small for the request or `target` is out of order; the fetch cannot go on.
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Result<Option<usize>, Full> {
        let Self { target, exchange, block, first, .. } = self;
        exchange.poll_transmit(now, buffer, |writer| {
            copy(target, ..option::BLOCK2, writer)?;
            writer.uint_option(option::BLOCK2, block.encode())?;
            copy(target, option::BLOCK2..option::SIZE2, writer)?;
            if *first {
                writer.uint_option(option::SIZE2, 0)?;
            }
            copy(target, option::SIZE2.., writer)
        })
    }

    /// When [`Fetch::handle_timeout`] is to be called; `None` when the fetch is over. Ask after
    /// [`Fetch::poll_transmit`] has nothing more to send.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.pause.or(self.exchange.poll_timeout())
    }

    fn response<'d>(&mut self, now: Instant, response: &Message<'d>) -> Result<Event<'d>, Violation> {
        let block = block2(response)?;
        Ok(match response.code {
            Code::CONTENT => return self.content(response, block),
            Code::SERVICE_UNAVAILABLE | Code::TOO_MANY_REQUESTS => self.wait(now, response),
            Code::BAD_REQUEST | Code::BAD_OPTION | Code::REQUEST_ENTITY_INCOMPLETE
                if self.block.num() > 0 =>
            {
                self.start_over(Change::NoSuchBlock)
            }
            code => Event::Refused { code, diagnostic: response.payload },
        })
    }

    fn content<'d>(&mut self, response: &Message<'d>, block: Option<Block>) -> Result<Event<'d>, Violation> {
        let etag = response.option(option::ETAG).and_then(ETag::new);
        if self.version != Version::Any && self.version != Version::Is(etag) {
            return Ok(self.start_over(Change::ETag));
        }
        let more = match block {
            Some(block) => self.accept(block, response.payload.len())?,
            None if self.block.num() > 0 => return Ok(self.start_over(Change::NotBlockwise)),
            None => false,
        };
        let offset = self.block.offset() as u32;
        let szx = block.map_or(self.block.szx, |block| block.szx);
        if let Some(block) = block.filter(|_| more) {
            self.block = Block::new(block.num() + 1, false, szx).ok_or(Violation::BodyTooLong)?;
            self.exchange.request();
        }
        self.version = Version::Is(etag);
        self.first = false;
        let size = response.uint_option(option::SIZE2);
        Ok(Event::Block(Received { offset, payload: response.payload, more, etag, szx, size }))
    }

    /// Does this block answer the request? Smaller blocks at the same offset do (RFC 7959 §2.4). Returns `more`.
    const fn accept(&self, block: Block, length: usize) -> Result<bool, Violation> {
        if block.szx.size() > self.block.szx.size() {
            return Err(Violation::LargerBlocks);
        }
        if block.offset() != self.block.offset() {
            return Err(Violation::WrongBlock);
        }
        if length > block.szx.size() || block.more && length < block.szx.size() {
            return Err(Violation::PayloadSize);
        }
        Ok(block.more)
    }

    const fn start_over(&mut self, change: Change) -> Event<'static> {
        self.block = Block::first(self.block.szx);
        self.version = Version::Any;
        self.first = true;
        self.exchange.request();
        Event::StartOver(change)
    }

    /// RFC 7252 §5.9.3.4, RFC 8516 §3: Max-Age says when to try again.
    fn wait(&mut self, now: Instant, response: &Message<'_>) -> Event<'static> {
        let max_age = response.uint_option(option::MAX_AGE).unwrap_or(DEFAULT_MAX_AGE_S);
        let wait = Duration::from_secs(u64::from(max_age.max(1))).min(LONGEST_PAUSE);
        self.pause = Some(now + wait);
        Event::Wait(wait)
    }
}

fn copy(target: &[Opt<'_>], numbers: impl RangeBounds<u16>, writer: &mut Writer<'_>) -> Result<(), Full> {
    target
        .iter()
        .filter(|option| numbers.contains(&option.number))
        .try_for_each(|option| writer.option(option.number, option.value))
}

/// The Block2 option, if there is one. Any other critical option, and a second Block2, is one that we do not
/// understand (RFC 7252 §5.4.1, §5.4.5).
fn block2(response: &Message<'_>) -> Result<Option<Block>, Violation> {
    let mut critical = response.options().filter(|option| option::is_critical(option.number));
    let first = critical.next();
    match (first, critical.next()) {
        (None, _) => Ok(None),
        (Some(Opt { number: option::BLOCK2, value }), None) => {
            Block::decode(value).map(Some).map_err(|_| Violation::BlockOption)
        }
        (Some(Opt { number: option::BLOCK2, .. }), Some(Opt { number, .. }))
        | (Some(Opt { number, .. }), _) => Err(Violation::CriticalOption(number)),
    }
}
