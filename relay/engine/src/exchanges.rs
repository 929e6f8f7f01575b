//! Requests that cannot be answered yet (RFC 7252 §5.2.2): their bytes, or the origin's verdict, are still to come, or
//! the link has no room for the answer.

use crate::coap::{Token, Wants};
use crate::path::Path;
use crate::session::Bound;
use crate::timers::TimerId;
use foldhash::quality::FixedState;
use sixfold_profile::coap::{Message, Type};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// A request is known by its sender and its Message ID (RFC 7252 §4.4). One that is not protected cannot pass for one that is: anybody
/// can send it in the name of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ExchangeId {
    pub(crate) peer: SocketAddr,
    pub(crate) message_id: u16,
    pub(crate) is_protected: bool,
}

/// Where an answer goes and how it travels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply {
    pub(crate) path: Path,
    pub(crate) token: Token,
    pub(crate) message_id: u16,
    pub(crate) confirmable: bool,
    /// An empty ACK has left: the response must be separate.
    pub(crate) acknowledged: bool,
    /// The request was protected, and so is its answer.
    pub(crate) bound: Option<Bound>,
    /// How long the response may be, in bytes, because the address was not shown to be live.
    pub(crate) room: Option<usize>,
}

impl Reply {
    /// The answer to a request that was received just now.
    pub(crate) fn to(path: Path, request: &Message<'_>) -> Self {
        Self {
            path,
            token: Token::new(request.token),
            message_id: request.message_id,
            confirmable: request.message_type == Type::Confirmable,
            acknowledged: false,
            bound: None,
            room: None,
        }
    }

    pub(crate) fn exchange(&self) -> ExchangeId {
        let is_protected = self.bound.is_some();
        ExchangeId { peer: self.path.peer, message_id: self.message_id, is_protected }
    }
}

#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) reply: Reply,
    pub(crate) wants: Wants,
    pub(crate) url: Arc<str>,
    /// The next thing to do about it: acknowledge, or give up.
    pub(crate) timer: TimerId,
}

/// All waiting requests.
pub(crate) struct Exchanges(HashMap<ExchangeId, Exchange, FixedState>);

impl Exchanges {
    pub(crate) fn new(hasher: FixedState) -> Self {
        Self(HashMap::with_hasher(hasher))
    }

    pub(crate) fn add(&mut self, exchange: Exchange) {
        self.0.insert(exchange.reply.exchange(), exchange);
    }

    pub(crate) fn get(&self, id: ExchangeId) -> Option<&Exchange> {
        self.0.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: ExchangeId) -> Option<&mut Exchange> {
        self.0.get_mut(&id)
    }

    pub(crate) fn remove(&mut self, id: ExchangeId) -> Option<Exchange> {
        self.0.remove(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
