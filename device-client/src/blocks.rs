//! Blocks of a body, asked for one at a time with GET and Block2 (RFC 7959 §2.4).
//!
//! Checks that an answer is one to the question, and waits when the server says so. Which block comes next is the owner's
//! choice, and whether blocks belong together its problem.

#[cfg(feature = "oscore")]
pub(crate) mod echo;
#[cfg(feature = "listen")]
mod member;

use crate::exchange::{Exchange, Heard};
use core::fmt;
use core::time::Duration;
use sixfold_profile::Instant;
use sixfold_profile::coap::params::DEFAULT_MAX_AGE_S;
use sixfold_profile::coap::{Block, Code, Full, Message, Opt, Options, Szx, Writer, option};

/// The longest that a server can make a client wait: Max-Age has room for 136 years.
const LONGEST_PAUSE_S: u32 = 24 * 60 * 60;

/// The blocks of one resource.
#[derive(Clone, Debug)]
pub struct Blocks<'t> {
    target: Options<'t>,
    exchange: Exchange,
    /// The block that is asked for.
    block: Block,
    /// The server asked us to come back then; zero when it did not.
    pause: Instant,
    /// The block is asked for with Q-Block2.
    #[cfg(feature = "listen")]
    is_member: bool,
    #[cfg(feature = "oscore")]
    echo: echo::Echo,
}

/// What came of a request. After all but [`Answer::Wait`] nothing more is asked until [`Blocks::seek`].
#[derive(Clone, Copy, Debug)]
pub enum Answer<'d> {
    /// The block that was asked for, or its beginning: `block` says how large it is. Without a Block2 option, the body is
    /// one block.
    Block(Block, Message<'d>),
    /// The server sent a whole body where a later block was asked for.
    NotBlockwise,
    /// The server is busy (5.03 or 4.29): the same block will be asked for again after this time.
    Wait(Duration),
    /// An error, or a success that is no answer to GET.
    Refused(Message<'d>),
    /// No answer, after all retransmissions; or no separate response in time.
    TimedOut,
    /// The server rejected the request with RST.
    Reset,
    /// The answer contradicts RFC 7252 or RFC 7959.
    Violation(Violation),
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

impl<'t> Blocks<'t> {
    /// Nothing is asked yet. `target` names the resource: Uri-Path and Uri-Query, or Proxy-Uri, and whatever else is to be
    /// in every request, but not Block2 and Size2. `seed` as in [`Exchange::new`].
    pub const fn new(target: Options<'t>, seed: u32) -> Self {
        let (block, exchange) = (Block::first(Szx::MAX), Exchange::new(seed));
        Self {
            target,
            exchange,
            block,
            pause: Instant::ZERO,
            #[cfg(feature = "listen")]
            is_member: false,
            #[cfg(feature = "oscore")]
            echo: echo::Echo::none(),
        }
    }

    /// Asks for this block; what was asked before is forgotten.
    pub const fn seek(&mut self, block: Block) {
        self.block = block;
        self.pause = Instant::ZERO;
        #[cfg(feature = "listen")]
        {
            self.is_member = false;
        }
        #[cfg(feature = "oscore")]
        self.echo.forget();
        self.exchange.request();
    }

    /// Asks for nothing more until [`Blocks::seek`]; stragglers are answered as they should be.
    pub const fn stop(&mut self) {
        self.pause = Instant::ZERO;
        self.exchange.stop();
    }

    /// The block that is, or was, asked for.
    pub const fn block(&self) -> Block {
        self.block
    }

    /// The exchanges behind this, for their counters.
    pub const fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// Random bits for whoever owns this: they come from the same seed.
    pub(crate) const fn random_bits(&mut self) -> u32 {
        self.exchange.random_bits()
    }

    /// Takes a datagram from the server's address.
    pub fn handle_datagram<'d>(&mut self, now: Instant, datagram: &'d [u8]) -> Option<Answer<'d>> {
        match self.exchange.handle_datagram(now, datagram) {
            Heard::Nothing => None,
            Heard::Reset => Some(Answer::Reset),
            #[cfg(feature = "oscore")]
            Heard::Response(response) if self.echo.take(&response) => {
                self.exchange.request();
                None
            }
            Heard::Response(response) => {
                Some(self.response(now, response).unwrap_or_else(|violation| self.reject(violation)))
            }
        }
    }

    /// Rejects the answer that was just heard.
    pub const fn reject<'d>(&mut self, violation: Violation) -> Answer<'d> {
        self.exchange.reject();
        Answer::Violation(violation)
    }

    /// To be called at [`Blocks::poll_timeout`]; too early or too often does no harm. True when the server did not answer
    /// in time.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        if self.pause != Instant::ZERO && now >= self.pause {
            self.pause = Instant::ZERO;
            self.exchange.request();
        }
        self.exchange.handle_timeout(now)
    }

    /// Writes the next datagram that is to leave now, if any, and returns its length. With `size`, a request asks how long
    /// the body is (Size2, RFC 7959 §4).
    ///
    /// # Errors
    /// [`Full`] when `buffer` is too small for the request or `target` is out of order.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        size: bool,
    ) -> Result<Option<usize>, Full> {
        let Self { target, exchange, block, .. } = self;
        #[cfg(feature = "oscore")]
        let echo = &self.echo;
        exchange.poll_transmit(now, buffer, |writer| {
            let mut options = target.clone();
            copy(&mut options, option::BLOCK2, writer)?;
            writer.uint_option(option::BLOCK2, block.encode())?;
            if size {
                copy(&mut options, option::SIZE2, writer)?;
                writer.uint_option(option::SIZE2, 0)?;
            }
            #[cfg(feature = "oscore")]
            echo.write(&mut options, writer)?;
            copy(&mut options, u16::MAX, writer)
        })
    }

    /// When [`Blocks::handle_timeout`] is to be called; `None` when nothing is asked. Ask after
    /// [`Blocks::poll_transmit`] has nothing more to send.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.pause == Instant::ZERO { self.exchange.poll_timeout() } else { Some(self.pause) }
    }

    /// The option that says which block: in a request, and in its answer.
    const fn number(&self) -> u16 {
        #[cfg(feature = "listen")]
        if self.is_member {
            return option::Q_BLOCK2;
        }
        option::BLOCK2
    }

    fn response<'d>(&mut self, now: Instant, response: Message<'d>) -> Result<Answer<'d>, Violation> {
        let block = block_option(&response, self.number())?;
        Ok(match (response.code, block) {
            (Code::CONTENT, Some(block)) => {
                self.check(block, response.payload.len())?;
                Answer::Block(block, response)
            }
            (Code::CONTENT, None) if self.block.num() > 0 => Answer::NotBlockwise,
            (Code::CONTENT, None) => Answer::Block(self.block, response),
            (Code::SERVICE_UNAVAILABLE | Code::TOO_MANY_REQUESTS, _) => self.wait(now, &response),
            _ => Answer::Refused(response),
        })
    }

    /// Does this block answer the request? Smaller blocks at the same offset do (RFC 7959 §2.4).
    const fn check(&self, block: Block, length: usize) -> Result<(), Violation> {
        if block.szx.exponent() > self.block.szx.exponent() {
            return Err(Violation::LargerBlocks);
        }
        if block.offset() != self.block.offset() {
            return Err(Violation::WrongBlock);
        }
        if length > block.szx.size() || block.more && length < block.szx.size() {
            return Err(Violation::PayloadSize);
        }
        Ok(())
    }

    /// RFC 7252 §5.9.3.4, RFC 8516 §3: Max-Age says when to try again.
    fn wait<'d>(&mut self, now: Instant, response: &Message<'_>) -> Answer<'d> {
        let max_age = response.uint_option(option::MAX_AGE).unwrap_or(DEFAULT_MAX_AGE_S);
        let seconds = max_age.clamp(1, LONGEST_PAUSE_S);
        // A million, without a multiplication of 64 bits: 15 625 seconds · 2⁶.
        self.pause = now.after_micros(u64::from(seconds * 15_625) << 6);
        Answer::Wait(Duration::from_secs(seconds.into()))
    }
}

/// Adds the next options, up to the number `last`.
pub(crate) fn copy(options: &mut Options<'_>, last: u16, writer: &mut Writer<'_>) -> Result<(), Full> {
    let mut ahead = options.clone();
    while let Some(Opt { number, value }) = ahead.next().filter(|option| option.number <= last) {
        writer.option(number, value)?;
        *options = ahead.clone();
    }
    Ok(())
}

/// The block option of this number, if there is one. Any other critical option, and a second one, is one that we do not
/// understand (RFC 7252 §5.4.1, §5.4.5).
pub(crate) fn block_option(response: &Message<'_>, expected: u16) -> Result<Option<Block>, Violation> {
    let mut block = None;
    for Opt { number, value } in response.options() {
        if number == expected && block.is_none() {
            block = Some(Block::decode(value).map_err(|_| Violation::BlockOption)?);
        } else if option::is_critical(number) {
            return Err(Violation::CriticalOption(number));
        }
    }
    Ok(block)
}
