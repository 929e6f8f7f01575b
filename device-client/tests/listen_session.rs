//! Members of a group whose tickets have a session: what they ask is protected, what they are told is believed only if it is, and the
//! stream is taken as ever.
#![cfg(all(feature = "listen", feature = "oscore"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod model;

use model::device::Release;
use model::fleet::{Fleet, Guard};
use model::image;
use model::relay::{Item, Relay};
use model::session::{Agreement, answer};
use sixfold_device::boot::{Cause, Event, listening_memory};
use sixfold_oscore::{OscoreOption, Plain, Repetition, ReplayWindow, Request, SenderSequence};
use sixfold_profile::coap::{Code, Message, Szx, option};
use sixfold_profile::index::ChunkSize;
use sixfold_profile::ticket::Session;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

const CHUNK: usize = 512;
const DEVICES: usize = 6;

fn release(length: usize, seed: u32, number: u64) -> Release {
    Release::new(image(length, seed), ChunkSize::from_bytes(CHUNK as u32).unwrap(), number)
}

/// The relay's side of one session.
struct End {
    agreement: Agreement,
    window: ReplayWindow,
    numbers: SenderSequence,
    latest: Option<Request>,
}

/// Every number of every device, and the datagram that it made.
type Ledger = Rc<RefCell<HashMap<(usize, u64), Vec<u8>>>>;

struct Sessions {
    ends: Vec<End>,
    ledger: Ledger,
    /// Answers are refusals that anybody could send, until so many were sent.
    refusals: usize,
}

impl Sessions {
    fn new(refusals: usize) -> (Box<Self>, Ledger) {
        let end = |n: usize| End {
            agreement: Agreement::new(format!("the secret of {n}").as_bytes()),
            window: ReplayWindow::new(),
            numbers: SenderSequence::new(0..1 << 30),
            latest: None,
        };
        let ledger = Ledger::default();
        (Box::new(Self { ends: (0..DEVICES).map(end).collect(), ledger: ledger.clone(), refusals }), ledger)
    }
}

impl Guard for Sessions {
    fn session(&self, device: usize) -> Session<'_> {
        self.ends[device].agreement.session(16, false)
    }

    fn open(&mut self, device: usize, datagram: &[u8]) -> Option<Vec<u8>> {
        let message = Message::parse(datagram).unwrap();
        if message.code == Code::EMPTY {
            return None;
        }
        assert!(message.option(option::OSCORE).is_some(), "a request that is not protected");
        assert!(message.option(option::URI_PATH).is_none() && message.option(option::Q_BLOCK2).is_none());
        let number = OscoreOption::of(&message).unwrap().partial_iv.unwrap();
        let mut ledger = self.ledger.borrow_mut();
        let before = ledger.entry((device, number)).or_insert_with(|| datagram.to_vec());
        assert_eq!(before, datagram, "number {number} made two datagrams");
        let End { agreement, window, latest, .. } = &mut self.ends[device];
        let mut buffer = [0; 1024];
        // A retransmission is answered again.
        let request = agreement.context().unprotect_request(window, Repetition::Safe, &message, &mut buffer);
        let request = request.unwrap();
        let plain = buffer[..request.length].to_vec();
        *latest = Some(request);
        Some(plain)
    }

    fn seal(&mut self, device: usize, plain: &[u8]) -> Vec<u8> {
        let message = Message::parse(plain).unwrap();
        if self.refusals > 0 {
            self.refusals -= 1;
            return answer(&message, Code::SERVICE_UNAVAILABLE);
        }
        let End { agreement, numbers, latest, .. } = &mut self.ends[device];
        let (request, own) = (latest.as_mut().unwrap(), numbers.take().unwrap());
        let mut sealed = [0; 1024];
        let plain = Plain::from(&message);
        let context = agreement.context();
        let length = context.protect_response(&mut request.received, Some(&own), &plain, &mut sealed);
        sealed[..length.unwrap()].to_vec()
    }
}

fn fleet(loss: u32, refusals: usize) -> (Fleet, Ledger) {
    let (old, new) = (release(20 * CHUNK, 1, 7), release(20 * CHUNK + 77, 2, 8));
    let memory = listening_memory(new.image.len() as u32, 60, Szx::B64);
    let (guard, ledger) = Sessions::new(refusals);
    let relay = Relay::new(new.image.clone());
    let mut fleet = Fleet::guarded(relay, &new, &old, DEVICES, memory, Some(guard));
    fleet.loss = loss;
    (fleet, ledger)
}

#[test]
fn members_in_a_session_hear_the_stream_and_ask_protected() {
    for loss in [0, 5, 20] {
        let (mut fleet, ledger) = fleet(loss, 0);
        assert!(fleet.run(), "{loss} %");
        let is_parity = |item: &Item| matches!(item, Item::Parity(_));
        assert_eq!(fleet.relay.sent.iter().any(is_parity), loss > 0, "{loss} %");
        assert_eq!(fleet.relay.plain, 0, "all of them are members");
        assert!(fleet.relay.asked > 0 && !ledger.borrow().is_empty());
    }
}

/// After a reset a member goes on behind the numbers that it had reserved.
#[test]
fn resets_repeat_no_number() {
    let (mut fleet, ledger) = fleet(10, 0);
    for at in [20, 90, 160] {
        fleet.run_until(|fleet| fleet.relay.sent.len() >= at);
        let now = fleet.now;
        fleet.members.iter_mut().filter(|member| member.done.is_none()).for_each(|member| member.reset(now));
    }
    assert!(fleet.run());
    let resets: u32 = fleet.members.iter().map(|member| member.resets).sum();
    let ledger = ledger.borrow();
    let ahead = ledger.keys().filter(|(_, number)| *number >= 1000 + 256).count();
    assert!(
        resets as usize >= DEVICES && ahead > 0,
        "{resets} resets, {ahead} numbers behind the first entry"
    );
}

/// An unprotected 5.03 is no reason to wait, nor, after three of them, to fall back on blocks of one's own: it could be anybody's.
#[test]
fn an_unprotected_answer_to_a_member_is_not_believed() {
    let (mut fleet, _) = fleet(0, usize::MAX);
    fleet.relay.is_mute = true;
    fleet.patience = Duration::from_secs(1800);
    assert!(!fleet.run());
    assert!(fleet.relay.plain == 0 && fleet.relay.asked > 4 * DEVICES, "{} asked", fleet.relay.asked);
    let is_silence = |event: &Event| matches!(event, Event::Sleep { cause: Cause::Silence, .. });
    let is_progress = |event: &Event| matches!(event, Event::Chunks { .. });
    let mut events = fleet.members.iter().flat_map(|member| &member.events);
    assert!(events.all(|event| is_silence(event) || is_progress(event)));
    // The session is there still: a protected answer is believed.
    let (guard, _) = Sessions::new(0);
    fleet.guard = Some(guard);
    fleet.relay.is_mute = false;
    fleet.patience = Duration::from_secs(7200);
    assert!(fleet.run());
}
