//! A main program's part: from the name of a manifest to a ticket with a group.

use super::DEVICE_SEED;
use super::script::PREPARATION;
use super::simulation::{Device, FLASH, Simulation, layout};
use super::step::Step;
use crate::flash::{Flash, PAGE};
use crate::{hex, keys, release, tickets};
use serde_json::{Value, json};
use sixfold_device::Fetch;
use sixfold_device::boot::record;
use sixfold_device::fetch::Event;
use sixfold_device::prepare::{Inquiry, NoGroup, Probe, Request, Source, Target, prepare};
use sixfold_device::uri::encode;
use sixfold_manifest::suit;
use sixfold_profile::Instant;
use sixfold_profile::coap::{Options, Szx};
use sixfold_profile::ticket::{MAX_TICKET, TicketError};
use std::error::Error;

/// What is asked for.
const MANIFEST: &str = "/fw/lamp.bin.suit";

/// The vector, and the ticket.
pub(super) fn vector() -> Result<(Value, Vec<u8>), Box<dyn Error>> {
    let manifest = release::manifest();
    let request = Request {
        relay: tickets::plain().relay,
        manifest: Target::new(MANIFEST)?,
        device: sixfold_manifest::Device {
            vendor: manifest.vendor,
            class: manifest.class,
            slot_size: 4 * PAGE,
            page_size: PAGE,
            last_sequence_number: None,
        },
        keys: Vec::new(),
        interface_identifier: tickets::plain().interface_identifier,
        szx: Szx::B64,
        group: true,
    };
    let mut flash = Flash::erased(FLASH);
    let mut relay = Relay { simulation: Simulation::new(&PREPARATION, true)?, seed: DEVICE_SEED };
    let trusted = [keys::ed25519()?.verifying_key()];
    let prepared =
        prepare(&mut flash, &layout(), &mut relay, |signed| suit::verify(signed, &trusted), &request)
            .map_err(|error| error.to_string())?;
    let which = prepared.record.ok_or("no record was written")?;
    let mut buffer = [0; MAX_TICKET];
    let ticket = record::read_ticket(&mut flash, layout().record(which), &mut buffer)
        .map_err(|error| error.to_string())?;
    let ticket = tickets::bytes(&ticket.fields().map_err(TicketError::Field)?)?;
    let vector = json!({
        "name": PREPARATION.name,
        "manifest": MANIFEST,
        "key": "ed25519",
        "ticket": hex(&ticket),
        "steps": relay.simulation.steps.iter().map(Step::to_json).collect::<Vec<_>>(),
    });
    Ok((vector, ticket))
}

struct Relay<'a> {
    simulation: Simulation<'a>,
    /// Of the next question.
    seed: u32,
}

impl Relay<'_> {
    fn body(&mut self, target: &Target, szx: Szx, is_probe: bool) -> Result<(Vec<u8>, Probe), String> {
        let options = encode(&target.options).map_err(|error| format!("{error:?}"))?;
        let fetch = Fetch::new(Options::new(&options), szx, self.seed);
        self.seed += 1;
        let probe = Probe { size: None, etag: None, szx };
        let mut body = Body { fetch, is_probe, bytes: Vec::new(), probe, is_done: false };
        self.simulation.drive(&mut body)?;
        Ok((body.bytes, body.probe))
    }
}

impl Source for Relay<'_> {
    type Error = String;

    fn fetch(&mut self, target: &Target, _limit: usize) -> Result<Vec<u8>, String> {
        Ok(self.body(target, Szx::MAX, false)?.0)
    }

    fn probe(&mut self, target: &Target, szx: Szx) -> Result<Probe, String> {
        Ok(self.body(target, szx, true)?.1)
    }

    fn group(&mut self, target: &Target) -> Result<Vec<u8>, NoGroup> {
        let options = encode(&target.options).map_err(|_| NoGroup::Silence)?;
        let inquiry = Inquiry::new(Options::new(&options), self.simulation.now(), self.seed);
        self.seed += 1;
        let mut question = Question { inquiry, answer: None };
        self.simulation.drive(&mut question).map_err(|_| NoGroup::Silence)?;
        question.answer.unwrap_or(Err(NoGroup::Silence))
    }
}

/// A body is fetched, or the first block of it.
struct Body<'t> {
    fetch: Fetch<'t>,
    is_probe: bool,
    bytes: Vec<u8>,
    probe: Probe,
    is_done: bool,
}

impl Body<'_> {
    fn take(&mut self, event: Option<&Event<'_>>) -> Result<(), String> {
        match event {
            Some(Event::Block(block)) => {
                self.bytes.extend_from_slice(block.payload);
                self.probe = Probe { size: block.size, etag: block.etag, szx: block.szx };
                self.is_done = self.is_probe || !block.more;
                Ok(())
            }
            Some(Event::Wait(_)) | None => Ok(()),
            Some(other) => Err(format!("{other:?}")),
        }
    }
}

impl Device for Body<'_> {
    fn transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Result<Option<usize>, String> {
        if self.is_done {
            return Ok(None);
        }
        self.fetch.poll_transmit(now, buffer).map_err(|error| format!("{error:?}"))
    }

    fn hear(&mut self, now: Instant, datagram: &[u8]) -> Result<(), String> {
        let event = self.fetch.handle_datagram(now, datagram);
        self.take(event.as_ref())
    }

    fn time_out(&mut self, now: Instant) -> Result<(), String> {
        let event = self.fetch.handle_timeout(now);
        self.take(event.as_ref())
    }

    fn due(&self) -> Option<Instant> {
        self.fetch.poll_timeout()
    }

    fn is_done(&self) -> bool {
        self.is_done
    }
}

/// Whether there is a group.
struct Question<'t> {
    inquiry: Inquiry<'t>,
    answer: Option<Result<Vec<u8>, NoGroup>>,
}

impl Device for Question<'_> {
    fn transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Result<Option<usize>, String> {
        self.inquiry.poll_transmit(now, buffer).map_err(|error| format!("{error:?}"))
    }

    fn hear(&mut self, now: Instant, datagram: &[u8]) -> Result<(), String> {
        self.answer = self.answer.take().or(self.inquiry.handle_datagram(now, datagram));
        Ok(())
    }

    fn time_out(&mut self, now: Instant) -> Result<(), String> {
        self.answer = self.answer.take().or(self.inquiry.handle_timeout(now));
        Ok(())
    }

    fn due(&self) -> Option<Instant> {
        Some(self.inquiry.poll_timeout())
    }

    fn is_done(&self) -> bool {
        self.answer.is_some()
    }
}
