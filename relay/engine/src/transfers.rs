//! What a block that leaves says about the transfer of its device: when one begins, goes on and ends.
//!
//! It decides nothing about blocks.

use crate::engine::{Engine, Timer};
use crate::event::Event;
use crate::image::ETag;
use crate::peers::{SILENCE, Transfer};
use crate::store::Store;
use sixfold_profile::Instant;
use sixfold_profile::coap::Szx;
use std::net::SocketAddr;
use std::sync::Arc;

/// A block that has left: of which version, and where in its body.
#[derive(Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) etag: ETag,
    pub(crate) is_protected: bool,
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) last: bool,
    /// The largest block that might have been sent.
    pub(crate) offered: Szx,
}

impl<S: Store> Engine<S> {
    /// Follows a device through its image. A block that repeats what a finished transfer had already is no new
    /// transfer, unless it is the first.
    pub(crate) fn progress(&mut self, now: Instant, address: SocketAddr, url: &str, block: Sent) {
        self.event(Event::BlockSent(block.end - block.start));
        self.advance(now, address, url, block, false);
    }

    /// The same for what a device says of itself; `is_member` of a group.
    pub(crate) fn advance(
        &mut self,
        now: Instant,
        address: SocketAddr,
        url: &str,
        block: Sent,
        is_member: bool,
    ) {
        let Sent { etag, is_protected, start, end, last, offered } = block;
        let Some(peer) = self.peers.peek_mut(&address) else { return };
        peer.serve(url);
        match peer.transfer_mut(url, is_protected).filter(|transfer| transfer.etag == etag) {
            Some(transfer) if transfer.finished && start > 0 => {}
            Some(transfer) if !transfer.finished => {
                transfer.last = now;
                transfer.sent = transfer.sent.max(end);
                transfer.offered = offered;
                transfer.finished = last;
                let begins = is_member || last || start != transfer.from;
                let begins = begins && !std::mem::replace(&mut transfer.begun, true);
                if begins {
                    self.events.push_back(Event::TransferStarted);
                }
                if last {
                    self.conclude(address, url, is_protected);
                }
            }
            _ => self.start_transfer(now, address, url, block, is_member),
        }
    }

    /// The last block has left.
    fn conclude(&mut self, address: SocketAddr, url: &str, is_protected: bool) {
        let peer = self.peers.peek_mut(&address);
        let Some(transfer) = peer.and_then(|peer| peer.transfer_mut(url, is_protected)) else { return };
        let silence = transfer.silence.take();
        self.events.push_back(ended(address, transfer));
        silence.into_iter().for_each(|silence| self.timers.cancel(silence));
    }

    fn start_transfer(&mut self, now: Instant, address: SocketAddr, url: &str, block: Sent, is_member: bool) {
        let Sent { etag, is_protected, start, end, last, offered } = block;
        let Some(resource) = self.resources.peek(url) else { return };
        let url = resource.url.clone();
        let begun = is_member || last;
        let transfer = Transfer {
            url: url.clone(),
            is_protected,
            etag,
            started: now,
            last: now,
            from: start,
            sent: end,
            offered,
            finished: last,
            begun,
            silence: None,
        };
        let Some(peer) = self.peers.peek_mut(&address) else { return };
        let previous = peer.take_transfer(&url, is_protected);
        let displaced = peer.add_transfer(transfer);
        for old in [previous, displaced].into_iter().flatten() {
            self.end_transfer(address, &old);
        }
        if begun {
            self.event(Event::TransferStarted);
        }
        if last {
            self.conclude(address, &url, is_protected);
        } else {
            self.await_silence(now + SILENCE, address, url, is_protected);
        }
    }

    fn await_silence(&mut self, at: Instant, address: SocketAddr, url: Arc<str>, is_protected: bool) {
        let peer = self.peers.peek_mut(&address);
        if let Some(transfer) = peer.and_then(|peer| peer.transfer_mut(&url, is_protected)) {
            transfer.silence = Some(self.timers.set(at, Timer::Silence(address, url, is_protected)));
        }
    }

    /// A transfer ends by its own silence: its device may ask for other things for ever.
    pub(crate) fn end_if_silent(
        &mut self,
        now: Instant,
        address: SocketAddr,
        url: Arc<str>,
        is_protected: bool,
    ) {
        let Some(peer) = self.peers.peek_mut(&address) else { return };
        let Some(transfer) = peer.transfer_mut(&url, is_protected) else { return };
        transfer.silence = None;
        let at = transfer.last + SILENCE;
        if at > now {
            return self.await_silence(at, address, url, is_protected);
        }
        if let Some(transfer) = peer.take_transfer(&url, is_protected) {
            self.end_transfer(address, &transfer);
        }
    }

    /// A device is done with a version, as far as anybody can know.
    pub(crate) fn finish_transfer(&mut self, address: SocketAddr, url: &str, etag: ETag) {
        for is_protected in [false, true] {
            let peer = self.peers.peek_mut(&address);
            let transfer = peer.and_then(|peer| peer.transfer_mut(url, is_protected));
            if let Some(transfer) = transfer.filter(|transfer| transfer.etag == etag)
                && !std::mem::replace(&mut transfer.finished, true)
            {
                if !std::mem::replace(&mut transfer.begun, true) {
                    self.events.push_back(Event::TransferStarted);
                }
                self.conclude(address, url, is_protected);
            }
        }
    }

    /// Reports a transfer that will not go on, unless its end was reported already.
    pub(crate) fn end_transfer(&mut self, peer: SocketAddr, transfer: &Transfer) {
        if transfer.begun && !transfer.finished {
            self.event(ended(peer, transfer));
        }
        transfer.silence.into_iter().for_each(|silence| self.timers.cancel(silence));
    }
}

fn ended(peer: SocketAddr, transfer: &Transfer) -> Event {
    Event::TransferEnded {
        peer,
        finished: transfer.finished,
        duration: transfer.last.since(transfer.started),
    }
}
