//! Who wants to hear of new versions (RFC 7641).

use crate::coap::Token;
use crate::path::Path;
use crate::session::Bound;
use sixfold_profile::coap::Szx;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// One entry of the list of observers (RFC 7641 §4.1).
#[derive(Clone, Debug)]
pub(crate) struct Observer {
    pub(crate) path: Path,
    pub(crate) url: Arc<str>,
    /// The block size that it asked for.
    pub(crate) szx: Szx,
    /// The request that registered it, if that was protected.
    pub(crate) bound: Option<Bound>,
    /// The Message ID of the notification that it has not acknowledged yet.
    pub(crate) outstanding: Option<u16>,
}

/// All observers, by endpoint and Token.
#[derive(Debug, Default)]
pub(crate) struct Observers(BTreeMap<(SocketAddr, Token), Observer>);

impl Observers {
    /// Adds or replaces; returns the entry that was replaced.
    pub(crate) fn add(&mut self, token: Token, observer: Observer) -> Option<Observer> {
        self.0.insert((observer.path.peer, token), observer)
    }

    pub(crate) fn remove(&mut self, peer: SocketAddr, token: Token) -> Option<Observer> {
        self.0.remove(&(peer, token))
    }

    pub(crate) fn contains(&self, peer: SocketAddr, token: Token) -> bool {
        self.0.contains_key(&(peer, token))
    }

    pub(crate) fn get(&self, peer: SocketAddr, token: Token) -> Option<&Observer> {
        self.0.get(&(peer, token))
    }

    pub(crate) fn get_mut(&mut self, peer: SocketAddr, token: Token) -> Option<&mut Observer> {
        self.0.get_mut(&(peer, token))
    }

    /// The tokens of all observers of a resource.
    pub(crate) fn of(&self, url: &str) -> Vec<(SocketAddr, Token)> {
        self.0.iter().filter(|(_, observer)| &*observer.url == url).map(|(&key, _)| key).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
