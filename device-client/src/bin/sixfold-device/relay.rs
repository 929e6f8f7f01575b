//! A relay as a source of manifests and chunk indexes.

use crate::failure::Failure;
use crate::session::Wanted;
use crate::wire::{MAX_REQUEST, Wire};
use sixfold_device::fetch::{Event, Fetch, Received};
use sixfold_device::prepare::{Agreed, Inquiry, NoGroup, Probe, Source, Target};
use sixfold_device::uri::encode;
use sixfold_profile::Instant;
use sixfold_profile::coap::{Full, Options, Szx};
use std::hash::{BuildHasher, RandomState};

/// How often a changed resource is fetched from the start again.
const MAX_CHANGES: u32 = 3;

/// A number that differs from run to run.
pub(crate) fn seed() -> u32 {
    RandomState::new().hash_one(std::process::id()) as u32
}

/// The way to a relay. Bodies are small here: they stay in memory.
pub(crate) struct Relay {
    pub(crate) wire: Wire,
    pub(crate) deadline: Option<Instant>,
    /// The session that is to be agreed on.
    pub(crate) session: Option<Wanted>,
}

impl Relay {
    /// Hands every block to `take` until that says that it is enough, or the body is complete.
    fn blocks(
        &mut self,
        target: &Target,
        szx: Szx,
        mut take: impl FnMut(Option<&Received<'_>>) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let options = encode(&target.options)
            .map_err(|Full| Failure::Usage("the URI is too long for a request".to_owned()))?;
        let mut fetch = Fetch::new(Options::new(&options), szx, seed());
        let mut buffer = vec![0; 1 << 16];
        let mut changes = 0;
        loop {
            match self.wire.step(&mut fetch, self.deadline, &mut buffer)? {
                Some(Event::Block(block)) => {
                    if take(Some(&block))? || !block.more {
                        fetch.stop();
                        return self.wire.send_due(&mut fetch);
                    }
                }
                Some(Event::StartOver(change)) if changes >= MAX_CHANGES => {
                    return Err(Failure::Unstable(change));
                }
                Some(Event::StartOver(_)) => {
                    changes += 1;
                    take(None)?;
                }
                Some(Event::Refused { code, diagnostic }) => return Err(Failure::refused(code, diagnostic)),
                Some(Event::TimedOut) => return Err(self.silent()),
                Some(Event::Reset) => return Err(Failure::Reset),
                Some(Event::Violation(violation)) => return Err(Failure::Violation(violation)),
                Some(Event::Wait(_)) | None => {}
            }
            if self.deadline.is_some_and(|deadline| self.wire.now() >= deadline) {
                return Err(self.silent());
            }
        }
    }

    fn silent(&self) -> Failure {
        let trouble = self.wire.trouble().map(|trouble| format!("; {trouble}")).unwrap_or_default();
        Failure::TimedOut(format!("no answer (relay {}{trouble})", self.wire.peer()))
    }
}

impl Source for Relay {
    type Error = Failure;

    fn fetch(&mut self, target: &Target, limit: usize) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        self.blocks(target, Szx::MAX, |block| {
            let Some(block) = block else {
                body.clear();
                return Ok(false);
            };
            body.extend_from_slice(block.payload);
            if body.len() > limit { Err(Failure::TooLong(limit)) } else { Ok(false) }
        })?;
        Ok(body)
    }

    fn probe(&mut self, target: &Target, szx: Szx) -> Result<Probe, Failure> {
        let mut probe = Probe { size: None, etag: None, szx };
        self.blocks(target, szx, |block| {
            if let Some(block) = block {
                let whole = (!block.more).then_some(block.payload.len() as u32);
                probe = Probe { size: block.size.or(whole), etag: block.etag, szx: block.szx };
            }
            Ok(block.is_some())
        })?;
        Ok(probe)
    }

    fn session(&mut self) -> Result<Option<Agreed>, Failure> {
        self.session.as_ref().map(Wanted::agree).transpose()
    }

    fn group(&mut self, target: &Target) -> Result<Vec<u8>, NoGroup> {
        // A target that was fetched fits a request, with two short options more.
        let too_long = |Full| NoGroup::Silence;
        let options = encode(&target.options).map_err(too_long)?;
        let mut inquiry = Inquiry::new(Options::new(&options), self.wire.now(), seed());
        let mut request = [0; MAX_REQUEST];
        let mut buffer = vec![0; 1 << 16];
        let mut outcome = None;
        loop {
            let now = self.wire.now();
            while let Some(length) = inquiry.poll_transmit(now, &mut request).map_err(too_long)? {
                self.wire.send(&request[..length]);
            }
            if let Some(outcome) = outcome {
                return outcome;
            }
            let datagram = self.wire.receive(inquiry.poll_timeout(), &mut buffer);
            let now = self.wire.now();
            outcome = match datagram {
                Some(datagram) => inquiry.handle_datagram(now, datagram),
                None => inquiry.handle_timeout(now),
            };
        }
    }
}
