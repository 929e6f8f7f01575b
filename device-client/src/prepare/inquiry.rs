//! Asking a relay whether it sends an image to a group: GET with Observe 0 and Accept, one exchange, and no harm if nothing
//! comes of it.

use super::informative::Nonsense;
use crate::blocks::copy;
use crate::blocks::echo::Echo;
use crate::exchange::{Exchange, Heard};
use core::fmt;
use core::time::Duration;
use sixfold_profile::Instant;
use sixfold_profile::coap::params::DEFAULT_MAX_AGE_S;
use sixfold_profile::coap::{Code, Full, Message, Options, content_format, option};
use std::prelude::v1::*;

/// How long the answer is waited for. A device that has none by then can do without.
const PATIENCE: Duration = Duration::from_secs(20);

/// The question for one image.
///
/// After each input ([`Inquiry::handle_datagram`], [`Inquiry::handle_timeout`]), and at the start, call
/// [`Inquiry::poll_transmit`] until it has nothing more; then sleep until a datagram comes or [`Inquiry::poll_timeout`]. An
/// input that gives something ends it: the payload of an informative response ([`super::informative::read`]), or why there is none.
#[derive(Clone, Debug)]
pub struct Inquiry<'t> {
    target: Options<'t>,
    exchange: Exchange,
    echo: Echo,
    end: Instant,
    /// The relay asked us to come back then.
    pause: Option<Instant>,
}

/// Why there is no group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoGroup {
    /// The relay does not send this image to a group (4.06), or does not know the question.
    Refused(Code),
    /// The relay has something else to do (5.03 or 4.29).
    Busy,
    /// No answer in time, or RST.
    Silence,
    /// What the relay says cannot be used.
    Nonsense(Nonsense),
}

impl fmt::Display for NoGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(Code::NOT_ACCEPTABLE) => write!(
                f,
                "the relay answers {:?}: it does not pace this link, or fanout is off there ([[link]] in its configuration)",
                Code::NOT_ACCEPTABLE
            ),
            Self::Refused(code) => write!(f, "the relay answers {code:?}"),
            Self::Busy => f.write_str("the relay is busy"),
            Self::Silence => f.write_str("the relay does not answer"),
            Self::Nonsense(nonsense) => write!(f, "of the relay's informative response, {nonsense}"),
        }
    }
}

impl<'t> Inquiry<'t> {
    /// Asks for `target`: Uri-Path and Uri-Query, or Proxy-Uri. `seed` as in [`Exchange::new`].
    pub fn new(target: Options<'t>, now: Instant, seed: u32) -> Self {
        let mut exchange = Exchange::new(seed);
        exchange.request();
        Self { target, exchange, echo: Echo::none(), end: now + PATIENCE, pause: None }
    }

    /// Takes a datagram from the relay's address.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Option<Result<Vec<u8>, NoGroup>> {
        match self.exchange.handle_datagram(now, datagram) {
            Heard::Response(response) if self.echo.take(&response) => {
                self.exchange.request();
                None
            }
            Heard::Response(response) => self.judge(now, &response),
            Heard::Reset => Some(Err(NoGroup::Silence)),
            Heard::Nothing => None,
        }
    }

    /// To be called at [`Inquiry::poll_timeout`]; too early or too often does no harm.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Result<Vec<u8>, NoGroup>> {
        if now >= self.end || self.exchange.handle_timeout(now) {
            let cause = if self.pause.is_some() { NoGroup::Busy } else { NoGroup::Silence };
            return Some(Err(cause));
        }
        if self.pause.is_some_and(|pause| now >= pause) {
            self.pause = None;
            self.exchange.request();
        }
        None
    }

    /// Writes the next datagram that is to leave now, if any, and returns its length: also after the end, as there may be an
    /// acknowledgement.
    ///
    /// # Errors
    /// [`Full`] when `buffer` is too small for the request or the target is out of order.
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Result<Option<usize>, Full> {
        let Self { target, exchange, echo, .. } = self;
        exchange.poll_transmit(now, buffer, |writer| {
            let mut options = target.clone();
            copy(&mut options, option::OBSERVE, writer)?;
            writer.uint_option(option::OBSERVE, 0)?;
            copy(&mut options, option::ACCEPT, writer)?;
            writer.uint_option(option::ACCEPT, content_format::INFORMATIVE_RESPONSE.into())?;
            echo.write(&mut options, writer)?;
            copy(&mut options, u16::MAX, writer)
        })
    }

    /// When [`Inquiry::handle_timeout`] is to be called. Ask after [`Inquiry::poll_transmit`] has nothing more to send.
    pub fn poll_timeout(&self) -> Instant {
        let next = self.pause.or(self.exchange.poll_timeout());
        next.map_or(self.end, |next| next.min(self.end))
    }

    fn judge(&mut self, now: Instant, response: &Message<'_>) -> Option<Result<Vec<u8>, NoGroup>> {
        let is_busy = matches!(response.code, Code::SERVICE_UNAVAILABLE | Code::TOO_MANY_REQUESTS);
        if !is_busy {
            return Some(Err(NoGroup::Refused(response.code)));
        }
        let format = response.uint_option(option::CONTENT_FORMAT);
        let informs = response.code == Code::SERVICE_UNAVAILABLE
            && format == Some(content_format::INFORMATIVE_RESPONSE.into());
        if informs {
            // An option that we do not understand and must (RFC 7252 §5.4.1).
            let is_understood = !response.options().any(|opt| option::is_critical(opt.number));
            let malformed = NoGroup::Nonsense(Nonsense::Malformed);
            return Some(is_understood.then(|| response.payload.to_vec()).ok_or(malformed));
        }
        let max_age = response.uint_option(option::MAX_AGE).unwrap_or(DEFAULT_MAX_AGE_S);
        let again = now + Duration::from_secs(max_age.max(1).into());
        if again >= self.end {
            return Some(Err(NoGroup::Busy));
        }
        self.pause = Some(again);
        None
    }
}
