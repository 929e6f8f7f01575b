//! All sockets of the relay: one for each address in `listen.coap`.

use crate::config::Listen;
use crate::udp::{Change, Listener, ListenerConfig, RecvBatch};
use anyhow::Context;
use sixfold_engine::Transmit;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;

/// The sockets, in the order of the configuration: a datagram's path names its socket by this order.
pub(crate) struct Links {
    listeners: Vec<Listener>,
    /// Which socket is asked first, so that a busy one does not silence the others.
    turn: usize,
}

impl Links {
    /// Opens every socket, or starts to wait for its interface.
    pub(crate) fn open(listen: &Listen) -> anyhow::Result<Self> {
        let mut listeners = Vec::new();
        for (index, &address) in listen.coap.iter().enumerate() {
            let config = ListenerConfig { address, interface: listen.interface.clone(), index };
            let (listener, changes) = Listener::open(config).with_context(|| {
                format!("operator: cannot serve CoAP on {address}; is another program on this port? See listen.coap")
            })?;
            changes.iter().for_each(log);
            listeners.push(listener);
        }
        Ok(Self { listeners, turn: 0 })
    }

    /// Changes to other addresses. If one of them cannot be had, the sockets stay as they were.
    pub(crate) fn reopen(&mut self, listen: &Listen) -> anyhow::Result<()> {
        *self = Self::open(listen)?;
        Ok(())
    }

    pub(crate) fn addresses(&mut self) -> Vec<SocketAddr> {
        let open = self.listeners.iter_mut().filter_map(Listener::socket);
        open.filter_map(|socket| socket.local_addr().ok()).collect()
    }

    /// Waits until a socket has datagrams, and says which. Cancel safe.
    pub(crate) async fn readable(&mut self) -> usize {
        let count = self.listeners.len();
        let first = self.turn;
        let ready = poll_fn(|context| {
            for index in (0..count).map(|step| (first + step) % count) {
                if let Some(listener) = self.listeners.get(index)
                    && pin!(listener.readable()).poll(context).is_ready()
                {
                    return Poll::Ready(index);
                }
            }
            Poll::Pending
        })
        .await;
        self.turn = (ready + 1) % count;
        ready
    }

    /// Fills the batch from one socket.
    pub(crate) fn receive(&mut self, index: usize, batch: &mut RecvBatch) {
        let socket = self.listeners.get_mut(index).and_then(Listener::socket);
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
            let index = first.path.socket;
            let run = rest.iter().take_while(|transmit| transmit.path.socket == index).count();
            let (ours, others) = rest.split_at(run);
            refused += self.send_through(index, ours).await;
            rest = others;
        }
        outbox.clear();
        refused
    }

    async fn send_through(&mut self, index: usize, mut transmits: &[Transmit]) -> usize {
        let Some(socket) = self.listeners.get_mut(index).and_then(Listener::socket) else { return transmits.len() };
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
        for listener in &mut self.listeners {
            listener.poll_interfaces().iter().for_each(log);
        }
    }
}

fn log(change: &Change) {
    match change {
        Change::Failed(_) | Change::Absent(_) => tracing::warn!("{change}"),
        Change::Listening { .. } => tracing::info!("{change}"),
        Change::Multicast(_) => tracing::debug!("{change}"),
    }
}
