//! Agreeing on a session with a relay by EDHOC over CoAP, for main programs without TCP: the device's part of
//! `profile/profile.md`, section 11.5. Two requests, one after the other.
//!
//! It opens no socket and draws no random numbers: whoever calls it brings both.

use super::AgreeError;
use crate::blocks::echo::Echo;
use crate::exchange::{Exchange, Heard};
use crate::prepare::Agreed;
use sixfold_edhoc::initiator::{self, Confirming, Waiting};
use sixfold_edhoc::{BEFORE_MESSAGE_1, Credential, Failure, Identity, SEED};
use sixfold_oscore::{Derived, Secret};
use sixfold_profile::Instant;
use sixfold_profile::coap::params::DEFAULT_MAX_AGE_S;
use sixfold_profile::coap::{Code, Full, Message, content_format, option};
use std::fmt;
use std::prelude::v1::*;
use std::time::Duration;

/// How long both answers together are waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// C_I, the relay's Sender ID. It is never in a message that OSCORE protects, so the shortest will do.
const RELAY_ID: &[u8] = &[];

/// Why EDHOC led to no session.
#[derive(Debug, PartialEq)]
pub enum EdhocError {
    /// The relay is not the one that it should be, or what it says is wrong.
    Relay(Failure),
    /// An EDHOC error message (RFC 9528 §6): its ERR_CODE.
    Refused(u8),
    /// The relay answers with this code, and not as RFC 9528 says.
    Answer(Code),
    /// The relay has something else to do (5.03 or 4.29).
    Busy,
    /// No answer in time.
    Silence,
    /// The relay rejected the request with RST.
    Reset,
}

impl EdhocError {
    /// The relay cannot show that it has the key which this device trusts.
    pub const fn is_distrust(&self) -> bool {
        use sixfold_edhoc::EdhocError as Error;
        matches!(self, Self::Relay(Failure::UnknownCredential | Failure::Edhoc(Error::MacVerificationFailed)))
    }

    /// The relay does not know this device: ERR_CODE 3 (RFC 9528 §6.4).
    pub const fn is_rejection(&self) -> bool {
        matches!(self, Self::Refused(3))
    }
}

impl fmt::Display for EdhocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relay(Failure::UnknownCredential) => f.write_str(
                "the relay has another credential than the one that this device trusts: sixfold-relay check prints the relay's",
            ),
            Self::Relay(failure) => write!(f, "{failure}: is this the relay's credential, and the right relay?"),
            Self::Refused(3) => f.write_str(
                "the relay does not know this device's credential: it must be a line of the relay's sessions.edhoc_devices",
            ),
            Self::Refused(code) => write!(
                f,
                "the relay refuses EDHOC (ERR_CODE {code}): its sessions.edhoc_devices must have the credential that belongs to this device's key, and both must speak profile version 1"
            ),
            Self::Answer(Code::NOT_FOUND | Code::METHOD_NOT_ALLOWED) => {
                f.write_str("the relay does not speak EDHOC: it needs sessions.edhoc_key and sessions.edhoc_devices")
            }
            Self::Answer(code) => write!(f, "the relay answers {code:?} to EDHOC"),
            Self::Busy => f.write_str("the relay is busy, or has as many sessions as it may"),
            Self::Silence => f.write_str("the relay does not answer in time: see the link, and that the relay runs"),
            Self::Reset => f.write_str("the relay rejects EDHOC with RST: is this its CoAP port?"),
        }
    }
}

impl From<Failure> for AgreeError {
    fn from(failure: Failure) -> Self {
        Self::Edhoc(EdhocError::Relay(failure))
    }
}

/// What is waited for.
#[derive(Debug)]
enum Step {
    Message2(Box<Waiting>),
    Message4(Box<Confirming>),
}

/// An agreement under way.
///
/// After each input ([`Edhoc::handle_datagram`], [`Edhoc::handle_timeout`]), and at the start, call [`Edhoc::poll_transmit`]
/// until it has nothing more; then sleep until a datagram comes or [`Edhoc::poll_timeout`]. An input that gives something ends
/// it.
#[derive(Debug)]
pub struct Edhoc<'c> {
    identity: &'c Identity,
    relay: &'c Credential,
    exchange: Exchange,
    /// `None` when it is over.
    step: Option<Step>,
    payload: Vec<u8>,
    echo: Echo,
    end: Instant,
    /// The relay asked us to come back then.
    pause: Option<Instant>,
}

impl<'c> Edhoc<'c> {
    /// Agrees as `identity` with the relay that has the key of `relay`. `secret_seed` is random, and for this agreement alone;
    /// `seed` as in [`Exchange::new`].
    ///
    /// # Errors
    /// [`AgreeError::Edhoc`], for a library that fails.
    pub fn new(
        identity: &'c Identity,
        relay: &'c Credential,
        now: Instant,
        secret_seed: [u8; SEED],
        seed: u32,
    ) -> Result<Self, AgreeError> {
        let (waiting, message_1) = initiator::begin(RELAY_ID, secret_seed)?;
        let mut exchange = Exchange::new(seed);
        exchange.request();
        Ok(Self {
            identity,
            relay,
            exchange,
            step: Some(Step::Message2(Box::new(waiting))),
            payload: [&[BEFORE_MESSAGE_1], &message_1[..]].concat(),
            echo: Echo::none(),
            end: now + PATIENCE,
            pause: None,
        })
    }

    /// Takes a datagram from the relay's address.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Option<Result<Agreed, AgreeError>> {
        let Self { exchange, echo, .. } = self;
        match exchange.handle_datagram(now, datagram) {
            Heard::Response(response) if echo.take(&response) => {
                exchange.request();
                None
            }
            Heard::Response(response) => self.judge(now, &response),
            Heard::Reset => Some(Err(AgreeError::Edhoc(EdhocError::Reset))),
            Heard::Nothing => None,
        }
    }

    /// To be called at [`Edhoc::poll_timeout`]; too early or too often does no harm.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Result<Agreed, AgreeError>> {
        if now >= self.end || self.exchange.handle_timeout(now) {
            let cause = if self.pause.is_some() { EdhocError::Busy } else { EdhocError::Silence };
            return Some(Err(AgreeError::Edhoc(cause)));
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
    /// [`Full`] when `buffer` has less than 300 bytes.
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Result<Option<usize>, Full> {
        let Self { exchange, payload, echo, .. } = self;
        exchange.poll_transmit_with(now, buffer, Code::POST, |mut writer| {
            writer.option(option::URI_PATH, b".well-known")?;
            writer.option(option::URI_PATH, b"edhoc")?;
            writer.uint_option(option::CONTENT_FORMAT, content_format::CID_EDHOC_CBOR_SEQ.into())?;
            if let Some(value) = echo.value() {
                writer.option(option::ECHO, value)?;
            }
            writer.payload(payload)
        })
    }

    /// When [`Edhoc::handle_timeout`] is to be called. Ask after [`Edhoc::poll_transmit`] has nothing more to send.
    pub fn poll_timeout(&self) -> Instant {
        let next = self.pause.or(self.exchange.poll_timeout());
        next.map_or(self.end, |next| next.min(self.end))
    }

    fn judge(&mut self, now: Instant, response: &Message<'_>) -> Option<Result<Agreed, AgreeError>> {
        let is_understood = !response.options().any(|option| option::is_critical(option.number));
        let refused = |error| Some(Err(AgreeError::Edhoc(error)));
        match (response.code, response.payload) {
            (Code::CHANGED, message) if is_understood => self.proceed(message).transpose(),
            (Code::SERVICE_UNAVAILABLE | Code::TOO_MANY_REQUESTS, _) => {
                let max_age = response.uint_option(option::MAX_AGE).unwrap_or(DEFAULT_MAX_AGE_S);
                let again = now + Duration::from_secs(max_age.max(1).into());
                self.pause = Some(again);
                if again >= self.end { refused(EdhocError::Busy) } else { None }
            }
            (Code::BAD_REQUEST, [code @ 0..=3, ..]) => refused(EdhocError::Refused(*code)),
            (code, _) => refused(EdhocError::Answer(code)),
        }
    }

    /// Takes message_2 or message_4.
    fn proceed(&mut self, message: &[u8]) -> Result<Option<Agreed>, AgreeError> {
        match self.step.take() {
            Some(Step::Message2(waiting)) => {
                let (confirming, message_3) = waiting.proceed(message, self.identity, self.relay)?;
                self.payload = [confirming.before_message_3(), message_3].concat();
                self.step = Some(Step::Message4(Box::new(confirming)));
                self.exchange.request();
                Ok(None)
            }
            Some(Step::Message4(confirming)) => agreed(&confirming.confirm(message)?).map(Some),
            None => Ok(None),
        }
    }
}

/// The session that belongs to what came of EDHOC (RFC 9528 Appendix A.1).
fn agreed(agreed: &sixfold_edhoc::Agreed) -> Result<Agreed, AgreeError> {
    let sixfold_edhoc::Agreed { master_secret, master_salt, device_id, relay_id, .. } = agreed;
    let secret = Secret { master_secret, master_salt, id_context: None };
    Ok(Agreed {
        keys: Derived::new(secret, device_id, relay_id).map_err(AgreeError::Identifiers)?,
        lifetime: None,
        port: None,
        plain_allowed: false,
    })
}
