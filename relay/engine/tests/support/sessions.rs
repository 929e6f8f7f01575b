//! Devices that have a session: the client's side of OSCORE.

use super::{Answer, Ask, Bench, read};
use sixfold_engine::{Event, Id, Master, NewSession, SessionRefusal};
use sixfold_oscore::{Derived, LAST, PartialIv, Plain, Secret, SenderSequence, UnprotectError};
use sixfold_profile::coap::Message;
use std::time::Duration;

pub const HOUR: Duration = Duration::from_secs(3600);

/// Why requests were refused, so far.
pub fn refusals(bench: &Bench) -> Vec<SessionRefusal> {
    let reason = |event: &Event| match event {
        Event::SessionRefused(reason) => Some(*reason),
        _ => None,
    };
    bench.events.iter().filter_map(reason).collect()
}

pub struct Device {
    pub peer: u16,
    derived: Derived,
    pub numbers: SenderSequence,
}

/// What a device and the relay agree on, whoever else does not know.
pub fn agreed(name: &str, kid: &[u8]) -> NewSession {
    NewSession {
        name: name.into(),
        recipient_id: Id::new(kid).unwrap(),
        sender_id: Id::new(&[]).unwrap(),
        master: Master { secret: vec![kid[0]; 16], salt: vec![9; 8], id_context: None },
        lifetime: Some(HOUR),
    }
}

impl Device {
    /// The other side of [`agreed`].
    pub fn new(peer: u16, kid: &[u8]) -> Self {
        let secret = Secret { master_secret: &[kid[0]; 16], master_salt: &[9; 8], id_context: None };
        let derived = Derived::new(secret, kid, &[]).unwrap();
        Self { peer, derived, numbers: SenderSequence::new(0..LAST) }
    }

    /// A device whose session the relay has.
    pub fn with_session(bench: &mut Bench, peer: u16, kid: &[u8]) -> Self {
        bench.engine.add_session(bench.now, agreed(&format!("device-{peer}"), kid)).unwrap();
        Self::new(peer, kid)
    }

    pub fn protect(&mut self, ask: &Ask) -> (Vec<u8>, PartialIv) {
        let number = self.numbers.take().unwrap();
        (self.protect_with(ask, &number), number)
    }

    pub fn protect_with(&self, ask: &Ask, number: &PartialIv) -> Vec<u8> {
        let plain = ask.datagram();
        let message = Message::parse(&plain).unwrap();
        let mut buffer = [0; 1500];
        let length =
            self.derived.context().protect_request(number, &Plain::from(&message), &mut buffer).unwrap();
        buffer[..length].to_vec()
    }

    /// What a datagram of the relay says in answer to the request with this number, and its own number.
    pub fn open(&self, request: u64, datagram: &[u8]) -> Result<(Answer, Option<u64>), UnprotectError> {
        let mut datagram = datagram.to_vec();
        let response = self.derived.context().unprotect_response(request, &mut datagram)?;
        let answer = read(&datagram[..response.length], super::path(self.peer).peer);
        Ok((answer, response.partial_iv))
    }

    /// Asks, and reads the one answer.
    pub fn ask(&mut self, bench: &mut Bench, ask: &Ask) -> Answer {
        let (datagram, number) = self.protect(ask);
        bench.datagram(self.peer, &datagram);
        let answers = bench.datagrams();
        assert_eq!(answers.len(), 1, "{answers:02x?}");
        self.open(number.number(), &answers[0]).unwrap().0
    }
}
