//! All sockets of the relay: one for each address in `listen.coap`. Datagrams are never kept here.

use crate::config::Listen;
use crate::udp::{Change, Listener, ListenerConfig, RecvBatch};
use anyhow::Context;
use sixfold_engine::Transmit;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::Poll;

/// An address, and the interface that it is limited to.
type Place = (SocketAddr, Option<String>);

struct Link {
    /// What the path of its datagrams says of their socket; never used again for another one.
    id: usize,
    place: Place,
    listener: Listener,
}

/// The sockets.
pub(crate) struct Links {
    links: Vec<Link>,
    next_id: usize,
    /// Which socket is asked first, so that a busy one does not silence the others.
    turn: usize,
}

impl Links {
    /// Opens every socket, or starts to wait for its interface.
    pub(crate) fn open(listen: &Listen) -> anyhow::Result<Self> {
        let mut links = Self { links: Vec::new(), next_id: 0, turn: 0 };
        places(listen).try_for_each(|place| links.add(place))?;
        Ok(links)
    }

    /// Changes to other addresses; those that stay are not touched. If one cannot be had, the old ones are
    /// opened again.
    pub(crate) fn reopen(&mut self, listen: &Listen) -> anyhow::Result<()> {
        let wanted: Vec<Place> = places(listen).collect();
        let (kept, closed): (Vec<_>, Vec<_>) =
            self.links.drain(..).partition(|link| wanted.contains(&link.place));
        let old: Vec<Place> = closed.into_iter().map(|link| link.place).collect();
        self.links = kept;
        let kept = self.links.len();
        let missing = wanted.into_iter().filter(|place| self.links.iter().all(|link| link.place != *place));
        let missing: Vec<Place> = missing.collect();
        let outcome = missing.into_iter().try_for_each(|place| self.add(place));
        if outcome.is_err() {
            self.links.truncate(kept);
            for place in old {
                self.add(place).unwrap_or_else(|error| tracing::error!("{error:#}"));
            }
        }
        outcome
    }

    fn add(&mut self, place: Place) -> anyhow::Result<()> {
        let id = self.next_id;
        let (address, interface) = place.clone();
        let (listener, changes) = Listener::open(ListenerConfig { address, interface, index: id })
            .with_context(|| {
                format!(
                    "operator: cannot serve CoAP on {address}; is another program using it? See listen.coap"
                )
            })?;
        changes.iter().for_each(log);
        self.next_id += 1;
        self.links.push(Link { id, place, listener });
        Ok(())
    }

    pub(crate) fn addresses(&mut self) -> Vec<SocketAddr> {
        let open = self.links.iter_mut().filter_map(|link| link.listener.socket());
        open.filter_map(|socket| socket.local_addr().ok()).collect()
    }

    /// Waits until a socket has datagrams, and says which. Cancel safe.
    pub(crate) async fn readable(&mut self) -> usize {
        let count = self.links.len();
        let first = self.turn;
        let ready = poll_fn(|context| {
            for index in (0..count).map(|step| (first + step) % count) {
                if let Some(link) = self.links.get(index)
                    && link.listener.poll_readable(context).is_ready()
                {
                    return Poll::Ready(index);
                }
            }
            Poll::Pending
        })
        .await;
        self.turn = ready + 1;
        ready
    }

    /// Fills the batch from one socket, named by [`Links::readable`].
    pub(crate) fn receive(&mut self, index: usize, batch: &mut RecvBatch) {
        let socket = self.links.get_mut(index).and_then(|link| link.listener.socket());
        let Some(socket) = socket else { return batch.clear() };
        if let Err(error) = socket.recv(batch) {
            batch.clear();
            tracing::debug!("receiving: {error}");
        }
    }

    /// Sends everything in order and empties `outbox`; returns how many datagrams the system refused.
    pub(crate) async fn send(&mut self, outbox: &mut Vec<Transmit>) -> usize {
        let mut refused = 0;
        let mut rest = outbox.as_slice();
        while let Some(first) = rest.first() {
            let id = first.path.socket;
            let run = rest.iter().take_while(|transmit| transmit.path.socket == id).count();
            let (ours, others) = rest.split_at(run);
            refused += self.send_through(id, ours).await;
            rest = others;
        }
        outbox.clear();
        refused
    }

    async fn send_through(&mut self, id: usize, mut transmits: &[Transmit]) -> usize {
        let link = self.links.iter_mut().find(|link| link.id == id);
        let Some(socket) = link.and_then(|link| link.listener.socket()) else { return transmits.len() };
        let mut refused = 0;
        loop {
            let sent = socket.send(transmits, |transmit, error| {
                refused += 1;
                tracing::debug!("sending to {}: {error}", transmit.path.peer);
            });
            transmits = transmits.get(sent..).unwrap_or_default();
            if transmits.is_empty() {
                return refused;
            }
            if socket.writable().await.is_err() {
                return refused + transmits.len();
            }
        }
    }

    /// Follows interfaces that come and go.
    pub(crate) fn poll_interfaces(&mut self) {
        for link in &mut self.links {
            link.listener.poll_interfaces().iter().for_each(log);
        }
    }
}

fn places(listen: &Listen) -> impl Iterator<Item = Place> {
    listen.coap.iter().map(|&address| (address, listen.interface.clone()))
}

fn log(change: &Change) {
    match change {
        Change::Failed(_) | Change::Absent(_) => tracing::warn!("{change}"),
        Change::Listening { .. } => tracing::info!("{change}"),
        Change::Multicast(_) => tracing::debug!("{change}"),
    }
}
