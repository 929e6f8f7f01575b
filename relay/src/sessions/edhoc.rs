//! EDHOC (RFC 9528) with devices that have no TCP: the relay answers message_1 of anybody, and finds in message_3 one of the
//! devices that it knows.
//!
//! The work of public keys, a millisecond or so, is done between two datagrams, so there are only so many a second. What is half
//! finished is forgotten after a while. Where there are too many the oldest makes room, of the source that has the most
//! ([`crate::guests`]).

use super::Outcome;
use super::credentials::FileMistakes;
use crate::config::EdhocFiles;
use crate::driver::door::{Door, Entry};
use crate::guests::Source;
use crate::secret;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use sha2::{Digest, Sha256};
use sixfold_edhoc::{BEFORE_MESSAGE_1, Credential, Failure, Identity, responder};
use sixfold_engine::{EdhocAnswer, Engine, Id, Instant, Master, NewSession, Store};
use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What the relay calls itself in its credential.
const NAME: &str = "sixfold-relay";
/// Messages a second that are answered, of all devices.
const RATE: NonZeroU32 = NonZeroU32::new(20).unwrap();
/// Messages a second of one source, and at once.
const CLIENT_RATE: (u32, u32) = (2, 6);
/// Exchanges that wait for message_3, or may see it again.
const HALF_OPEN: usize = 64;
/// How long they do: longer than a message is repeated (MAX_TRANSMIT_SPAN, RFC 7252 §4.8.2).
const PATIENCE: Duration = Duration::from_secs(60);
/// The head of a C_R that is ours: a byte string of 5 bytes.
const HEAD: u8 = 0x45;
const ID: usize = 5;

/// What came of a message.
#[derive(Debug)]
pub(crate) struct Reaction {
    pub(crate) answer: EdhocAnswer,
    /// The exchange is over, and how.
    pub(crate) outcome: Option<Outcome>,
    /// Who it was.
    pub(crate) name: Option<Arc<str>>,
}

/// Who the relay is, whom it knows, and what is half finished.
pub(crate) struct Responder {
    identity: Identity,
    devices: Vec<Credential>,
    lifetime: Duration,
    /// The oldest first.
    exchanges: VecDeque<Exchange>,
    door: Door,
    rate: DefaultDirectRateLimiter,
}

struct Exchange {
    source: Source,
    device_id: Id,
    since: Instant,
    state: State,
}

enum State {
    Waiting(Box<responder::Waiting>),
    /// message_3 may come again, when its answer was lost.
    Done {
        message_3: Vec<u8>,
        message_4: Vec<u8>,
    },
}

/// The relay's key in a PEM file (PKCS #8), with the credential that belongs to it.
///
/// # Errors
/// What is wrong, and what to do.
pub fn identity(file: &Path) -> Result<Identity, String> {
    let shown = file.display();
    secret::guarded(file).map_err(|message| format!("edhoc_key {message}"))?;
    let text = std::fs::read_to_string(file).map_err(|error| {
        format!("edhoc_key {shown} cannot be read ({error}): check the path, and that the relay's user may read it")
    })?;
    // The identifier follows from the key, so that a credential need not be kept beside it.
    Identity::named(&text, NAME).map_err(|error| {
        format!(
            "edhoc_key {shown}: {error}; openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 makes one"
        )
    })
}

/// Known devices: a CCS a line, in hexadecimal; `#` begins a comment.
///
/// # Errors
/// What is wrong, and what to do.
pub fn devices(file: &Path) -> Result<Vec<Credential>, String> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| {
        format!("edhoc_devices {shown} cannot be read ({error}): check the path, and that the relay's user may read it")
    })?;
    let mut devices: Vec<Credential> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let content = line.split('#').next().unwrap_or_default().trim();
        if content.is_empty() {
            continue;
        }
        let wrong = |what: &str| format!("edhoc_devices {shown}, line {}: {what}", index + 1);
        let device = Credential::from_text(content).map_err(|error| wrong(&error.to_string()))?;
        if devices.iter().any(|known| known.kid() == device.kid()) {
            return Err(wrong("another line has this key identifier; each device needs its own"));
        }
        devices.push(device);
    }
    Ok(devices)
}

/// What is wrong with the files, by configuration key.
pub fn file_mistakes(files: &EdhocFiles) -> FileMistakes {
    let found = [("edhoc_key", identity(&files.key).err()), ("edhoc_devices", devices(&files.devices).err())];
    found.into_iter().filter_map(|(key, message)| Some((key, message?))).collect()
}

/// The credential of the relay, in hexadecimal: what devices have to know.
pub fn shown(files: &EdhocFiles) -> String {
    let Ok(identity) = identity(&files.key) else { return "cannot be read".to_owned() };
    identity.credential().to_text()
}

impl Responder {
    pub(crate) fn new(identity: Identity, devices: Vec<Credential>, lifetime: Duration) -> Self {
        Self {
            identity,
            devices,
            lifetime,
            exchanges: VecDeque::new(),
            door: Door::new(CLIENT_RATE.0, CLIENT_RATE.1),
            rate: RateLimiter::direct(Quota::per_second(RATE)),
        }
    }

    /// Takes an EDHOC message. `random` is for it alone.
    pub(crate) fn handle<S: Store>(
        &mut self,
        now: Instant,
        source: Source,
        payload: &[u8],
        random: [u8; sixfold_edhoc::SEED],
        engine: &mut Engine<S>,
    ) -> Reaction {
        while self.exchanges.front().is_some_and(|oldest| now.since(oldest.since) > PATIENCE) {
            self.exchanges.pop_front();
        }
        self.door.sweep(CLIENT_RATE.0, CLIENT_RATE.1);
        if self.door.judge(source.address()) != Entry::Admitted || self.rate.check().is_err() {
            return Reaction::end(EdhocAnswer::Later, Outcome::Rate);
        }
        match payload {
            [BEFORE_MESSAGE_1, message_1 @ ..] => self.open(now, source, message_1, random, engine),
            [HEAD, rest @ ..] if rest.len() > ID => {
                let (device_id, message_3) = rest.split_at(ID);
                self.close(now, device_id, message_3, engine)
            }
            _ => Reaction::refused(&Failure::TooLong, Outcome::Malformed),
        }
    }

    fn open<S: Store>(
        &mut self,
        now: Instant,
        source: Source,
        message_1: &[u8],
        random: [u8; sixfold_edhoc::SEED],
        engine: &mut Engine<S>,
    ) -> Reaction {
        // Of what is random, but not of the keys that are made of it.
        let digest: [u8; 32] = Sha256::digest(random).into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        let fresh = engine.fresh_recipient_id([a, b, c, d, e, f, g, h]);
        let is_ours = |id: &Id| self.exchanges.iter().any(|exchange| exchange.device_id == *id);
        let Some(device_id) = fresh.filter(|id| !is_ours(id)) else {
            return Reaction::end(EdhocAnswer::Later, Outcome::Unavailable);
        };
        match responder::respond(&self.identity, message_1, device_id.as_slice(), random) {
            Ok((waiting, message_2)) => {
                if self.exchanges.len() >= HALF_OPEN {
                    self.make_room();
                }
                let state = State::Waiting(Box::new(waiting));
                self.exchanges.push_back(Exchange { source, device_id, since: now, state });
                Reaction { answer: EdhocAnswer::Message(message_2), outcome: None, name: None }
            }
            Err(failure) => Reaction::refused(&failure, outcome(&failure)),
        }
    }

    /// Forgets the oldest exchange of the source that has the most; of two that have as many, the one whose oldest is older.
    fn make_room(&mut self) {
        let mut counts: HashMap<Source, usize> = HashMap::new();
        for exchange in &self.exchanges {
            *counts.entry(exchange.source).or_default() += 1;
        }
        let most = counts.values().max().copied().unwrap_or_default();
        let of_busiest = |exchange: &Exchange| counts.get(&exchange.source) == Some(&most);
        if let Some(place) = self.exchanges.iter().position(of_busiest) {
            self.exchanges.remove(place);
        }
    }

    fn close<S: Store>(
        &mut self,
        now: Instant,
        device_id: &[u8],
        message_3: &[u8],
        engine: &mut Engine<S>,
    ) -> Reaction {
        let place = self.exchanges.iter().position(|exchange| exchange.device_id.as_slice() == device_id);
        let Some(exchange) = place.and_then(|place| self.exchanges.remove(place)) else {
            return Reaction::refused(&Failure::Identifier, Outcome::Malformed);
        };
        let waiting = match exchange.state {
            State::Waiting(waiting) => *waiting,
            State::Done { message_3: taken, message_4 } => {
                let is_repeated = taken == message_3;
                let answer = EdhocAnswer::Message(message_4.clone());
                let state = State::Done { message_3: taken, message_4 };
                self.exchanges.push_back(Exchange { since: now, state, ..exchange });
                return if is_repeated {
                    Reaction { answer, outcome: None, name: None }
                } else {
                    Reaction::refused(&Failure::Identifier, Outcome::Malformed)
                };
            }
        };
        let (agreed, message_4) = match waiting.finish(message_3, &self.devices) {
            Ok(done) => done,
            Err(failure) => return Reaction::refused(&failure, outcome(&failure)),
        };
        let name: Arc<str> = agreed.name.as_str().into();
        let Some(sender_id) = Id::new(&agreed.relay_id) else {
            return Reaction::refused(&Failure::Identifier, Outcome::Malformed);
        };
        let master = Master {
            secret: agreed.master_secret.to_vec(),
            salt: agreed.master_salt.to_vec(),
            id_context: None,
        };
        let lifetime = Some(self.lifetime);
        let (source, recipient_id) = (exchange.source, exchange.device_id);
        let session = NewSession { name: name.clone(), recipient_id, sender_id, master, lifetime };
        if engine.add_session(now, session).is_err() {
            return Reaction { name: Some(name), ..Reaction::end(EdhocAnswer::Later, Outcome::Full) };
        }
        let state = State::Done { message_3: message_3.to_vec(), message_4: message_4.clone() };
        self.exchanges.push_back(Exchange { source, device_id: recipient_id, since: now, state });
        Reaction { name: Some(name), ..Reaction::end(EdhocAnswer::Message(message_4), Outcome::Granted) }
    }
}

impl Reaction {
    const fn end(answer: EdhocAnswer, outcome: Outcome) -> Self {
        Self { answer, outcome: Some(outcome), name: None }
    }

    fn refused(failure: &Failure, outcome: Outcome) -> Self {
        Self::end(EdhocAnswer::Error(failure.message()), outcome)
    }
}

fn outcome(failure: &Failure) -> Outcome {
    use sixfold_edhoc::EdhocError as Error;
    match failure {
        Failure::UnknownCredential | Failure::Edhoc(Error::MacVerificationFailed) => Outcome::Untrusted,
        Failure::Edhoc(Error::UnsupportedMethod | Error::UnsupportedCipherSuite) => Outcome::Protocol,
        _ => Outcome::Malformed,
    }
}

#[cfg(test)]
#[path = "../../../profile/vectors/tests/reader/mod.rs"]
mod reader;

#[cfg(test)]
mod tests {
    use super::reader::{EDHOC, array, bytes, file, golden, list};
    use super::*;
    use sixfold_edhoc::initiator;
    use sixfold_engine::{Config, UnboundedStore};
    use std::net::Ipv6Addr;

    /// The answers of the vector; the device is the vector.
    #[tokio::test]
    async fn a_relay_answers_exactly_what_the_vectors_say() {
        let file = file(EDHOC);
        let (name, vector) = list(&file, "vectors").next().unwrap();
        let key = include_str!("../../../profile/vectors/keys/edhoc-relay.key");
        let identity = Identity::named(key, NAME).unwrap();
        golden(name, identity.credential().as_bytes(), &bytes(&vector["relay"]["credential"]));
        let device = Credential::parse(&bytes(&vector["device"]["credential"])).unwrap();
        let mut engine = Engine::new(Config::default(), UnboundedStore::default(), [0; 32]);
        let mut responder = Responder::new(identity, vec![device], Duration::from_secs(60));
        for (request, answer) in [(0, "message_2"), (1, "message_4")] {
            let (now, source) = (Instant::ZERO, Source::of(Ipv6Addr::LOCALHOST.into(), &[]));
            let (payload, random) = (bytes(&vector["requests"][request]), array(&vector["relay"]["seed"]));
            let reaction = responder.handle(now, source, &payload, random, &mut engine);
            let EdhocAnswer::Message(found) = reaction.answer else { panic!("{reaction:?}") };
            golden(name, found, bytes(&vector[answer]));
        }
        let sessions = engine.sessions(Instant::ZERO, 0, 9);
        let found: Vec<_> = sessions.iter().map(|one| (&*one.name, one.recipient_id.as_slice())).collect();
        golden(name, found, vec![("lamp-7", &bytes(&vector["c_r"])[..])]);
    }

    /// One network begins exchanges without end from ever new addresses: the device's own, which is older than all of them, waits on.
    #[test]
    fn one_network_does_not_push_out_the_exchange_of_another() {
        let key = include_str!("../../../profile/vectors/keys/edhoc-relay.key");
        let mut engine = Engine::new(Config::default(), UnboundedStore::default(), [0; 32]);
        let mut responder =
            Responder::new(Identity::named(key, NAME).unwrap(), Vec::new(), Duration::from_secs(60));
        let mut sources = Vec::new();
        for n in 0..=HALF_OPEN as u8 + 1 {
            // Two devices come first, from networks of their own.
            let network = u16::from(n.min(2));
            let address = Ipv6Addr::new(0x2001, 0xdb8, 0, network, 0, 0, 0, n.into());
            let source = Source::of(address.into(), &[]);
            let (_, message_1) = initiator::begin(&[], [n; 32]).unwrap();
            let reaction = responder.open(Instant::ZERO, source, &message_1, [n; 32], &mut engine);
            assert!(matches!(reaction.answer, EdhocAnswer::Message(_)), "{reaction:?}");
            sources.push(source);
        }
        assert_eq!(responder.exchanges.len(), HALF_OPEN);
        for device in &sources[..2] {
            assert!(responder.exchanges.iter().any(|exchange| exchange.source == *device));
        }
        let (mut admitted, now) = (0, Instant::ZERO);
        for n in 0..20 {
            let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 9, 0, 0, 0, n);
            let source = Source::of(address.into(), &[]);
            let reaction = responder.handle(now, source, &[], [0; 32], &mut engine);
            admitted += usize::from(reaction.outcome != Some(Outcome::Rate));
        }
        assert!(admitted < 10, "{admitted}: a network is one source");
    }
}
