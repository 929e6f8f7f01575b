//! The relay: its engine, and an origin server that is a delay and a rate.

use crate::host::{Datagram, Host, Stream};
use crate::peers::{PATH, image_name, write_request};
use crate::scenario::Origin;
use bytes::Bytes;
use sixfold_engine::{
    Config, Engine, Event, Failure, FanoutEvent, FetchCommand, FetchId, Freshness, Head, LinkConfig,
    OriginEvent, Path, Route, UnboundedStore, Validator,
};
use sixfold_profile::Instant;
use sixfold_profile::coap::{Block, Message, Szx, option, params};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

/// The interface to the first radio; the others follow.
const INTERFACE: u32 = 1;
/// A stream that has sent nothing for so long is silent.
const SILENCE: Duration = Duration::from_millis(50);
/// How many bytes the origin's answer comes in at a time: as much as fits one TLS record.
const CHUNK: usize = 16 * 1024;

/// The relay of one run.
pub struct Relay {
    /// One for each interface.
    locals: Vec<SocketAddrV6>,
    engine: Engine<UnboundedStore>,
    images: Vec<Bytes>,
    origin: Origin,
    /// What the origin is about to say, and when.
    upcoming: VecDeque<(Instant, FetchId, OriginEvent)>,
    origin_bytes: u64,
    retransmissions: u64,
    stream: Stream,
    /// When something left to a group.
    streamed: Option<Instant>,
}

impl Relay {
    /// A relay at `locals`, an interface each, all like `link`, with an empty cache.
    pub fn new(
        locals: Vec<SocketAddrV6>,
        images: Vec<Bytes>,
        origin: Origin,
        link: LinkConfig,
        seed: [u8; 32],
    ) -> Self {
        let route = Route {
            path: vec![PATH[0].to_owned()],
            origin: "https://origin.example/".to_owned(),
            require_session: None,
        };
        let port = locals.first().map_or(params::PORT, SocketAddrV6::port);
        let config = Config { routes: vec![route], port, ..Config::default() };
        let mut engine = Engine::new(config, UnboundedStore::default(), seed);
        for (interface, _) in (INTERFACE..).zip(&locals) {
            engine.set_link(Instant::ZERO, interface, Some(link));
        }
        Self {
            locals,
            engine,
            images,
            origin,
            upcoming: VecDeque::new(),
            origin_bytes: 0,
            retransmissions: 0,
            stream: Stream::default(),
            streamed: None,
        }
    }

    /// The ETag that devices get with an image; of a relay that is good for nothing else then.
    pub(super) fn etag(mut self, number: u32) -> Option<Vec<u8>> {
        let to = *self.locals.first()?;
        let payload = write_request(1, [0; 4], &image_name(number), Block::first(Szx::MAX)).ok()?;
        let from = SocketAddrV6::new(Ipv6Addr::LOCALHOST, to.port(), 0, 0);
        self.handle_datagram(Instant::ZERO, &Datagram { from, to, payload });
        loop {
            let now = self.poll_timeout()?;
            self.handle_timeout(now);
            while let Some(answer) = self.poll_transmit(now) {
                let message = Message::parse(&answer.payload).ok()?;
                if let Some(etag) = message.option(option::ETAG) {
                    return Some(etag.to_vec());
                }
            }
        }
    }

    fn note(&mut self, now: Instant, event: FanoutEvent) {
        let stream = &mut self.stream;
        match event {
            FanoutEvent::Block(_) => stream.blocks += 1,
            FanoutEvent::Parity => stream.parity += 1,
            FanoutEvent::Started(_) => stream.starts += 1,
            FanoutEvent::Ended => _ = stream.first_ended.get_or_insert(now),
            _ => {}
        }
        if matches!(event, FanoutEvent::Block(_) | FanoutEvent::Parity) {
            stream.began.get_or_insert(now);
            let gap = self.streamed.replace(now).map_or(Duration::ZERO, |last| now.since(last));
            stream.silence += if gap > SILENCE { gap } else { Duration::ZERO };
        }
    }

    fn take_commands(&mut self, now: Instant) {
        while let Some(command) = self.engine.poll_fetch() {
            match command {
                FetchCommand::Start { id, url, have } => {
                    let begin = now + self.origin.delay;
                    match have {
                        Some(_) => {
                            self.upcoming.push_back((begin, id, OriginEvent::NotModified(self.freshness())));
                        }
                        None => self.answer(begin, id, &url),
                    }
                }
                FetchCommand::Cancel(id) => self.upcoming.retain(|(_, of, _)| *of != id),
            }
        }
    }

    fn answer(&mut self, begin: Instant, id: FetchId, url: &str) {
        let Some((number, image)) = (0..).zip(&self.images).find(|(number, _)| {
            url.strip_suffix(&image_name(*number)).is_some_and(|rest| rest.ends_with('/'))
        }) else {
            return self.upcoming.push_back((begin, id, OriginEvent::Failed(Failure::Status(404))));
        };
        let (image, number): (Bytes, u32) = (image.clone(), number);
        let head = Head {
            validator: Some(Validator::Strong(format!("\"{number}\""))),
            length: Some(image.len() as u64),
            media_type: None,
            freshness: self.freshness(),
        };
        self.upcoming.push_back((begin, id, OriginEvent::Head(head)));
        for start in (0..image.len()).step_by(CHUNK) {
            let chunk = image.slice(start..image.len().min(start + CHUNK));
            let at = begin + self.transfer_time(start + chunk.len());
            self.upcoming.push_back((at, id, OriginEvent::Data(chunk)));
        }
        let end = begin + self.transfer_time(image.len());
        self.upcoming.push_back((end, id, OriginEvent::Complete));
    }

    const fn freshness(&self) -> Freshness {
        Freshness { max_age: self.origin.max_age, stale_if_error: Duration::ZERO }
    }

    fn transfer_time(&self, bytes: usize) -> Duration {
        Duration::from_secs_f64(bytes as f64 / f64::from(self.origin.bytes_per_s))
    }
}

impl Host for Relay {
    fn handle_datagram(&mut self, now: Instant, datagram: &Datagram) {
        let multicast = datagram.to.ip().is_multicast();
        let asked = (INTERFACE..).zip(&self.locals).find(|(_, local)| local.ip() == datagram.to.ip());
        let Some(interface) = asked.map(|(interface, _)| interface).or(multicast.then_some(INTERFACE)) else {
            return;
        };
        if self.locals.iter().all(|local| local.port() != datagram.to.port()) {
            return;
        }
        let path = Path {
            peer: SocketAddr::V6(datagram.from),
            local: (!multicast).then_some(IpAddr::V6(*datagram.to.ip())),
            socket: 0,
            interface,
            multicast,
        };
        self.engine.handle_datagram(now, path, &datagram.payload);
        self.take_commands(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, id, event)) = self.upcoming.pop_front() {
            if at > now {
                self.upcoming.push_front((at, id, event));
                break;
            }
            if let OriginEvent::Data(chunk) = &event {
                self.origin_bytes += chunk.len() as u64;
            }
            self.engine.handle_origin(now, id, event);
        }
        self.engine.handle_timeout(now);
        self.take_commands(now);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Datagram> {
        while let Some(event) = self.engine.poll_event() {
            match event {
                Event::RetransmittedResponse => self.retransmissions += 1,
                Event::Fanout(event) => self.note(now, event),
                _ => {}
            }
        }
        let transmit = self.engine.poll_transmit()?;
        let SocketAddr::V6(to) = transmit.path.peer else { return None };
        let from = *self.locals.get((transmit.path.interface - INTERFACE) as usize)?;
        Some(Datagram { from, to, payload: transmit.bytes })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let origin = self.upcoming.front().map(|(at, ..)| *at);
        origin.into_iter().chain(self.engine.poll_timeout()).min()
    }

    fn retransmissions(&self) -> u64 {
        self.retransmissions
    }

    fn origin_bytes(&self) -> u64 {
        self.origin_bytes
    }

    fn stream(&self) -> Stream {
        self.stream
    }
}
