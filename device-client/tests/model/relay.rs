//! A relay that fans out, for tests: it knows one image and one link, answers at once, and streams at a fixed pace. Its codec is
//! coap-lite's, and its plans are simple: what was asked for, as blocks where much is missing and as parity symbols elsewhere.
#![allow(dead_code, unreachable_pub)] // Every test program uses its own part of this module.

use super::shortest;
use coap_lite::{CoapOption, MessageClass, MessageType, Packet};
use sixfold_profile::Instant;
use sixfold_profile::coap::{Block, Code, Szx, content_format, option};
use sixfold_profile::missing::{Deficit, Missing};
use sixfold_profile::parity::{Parity, SYMBOLS, word};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// A member that was not heard of for so long is gone.
const ACTIVE: Duration = Duration::from_secs(10);

/// One datagram of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    Block(u32),
    Parity(u32),
}

pub struct Relay {
    pub image: Vec<u8>,
    pub etag: Vec<u8>,
    pub token: Vec<u8>,
    /// Of so many datagrams of the stream one has the ETag.
    pub named: u32,
    pub szx: Szx,
    /// Time between datagrams of the stream.
    pub gap: Duration,
    /// What share of datagrams it expects to get lost, in percent.
    pub expected_loss: u32,
    /// It knows no Q-Block2.
    pub is_legacy: bool,
    /// It takes every device for one of many, and streams for ever.
    pub ghosts: bool,
    /// It promises a stream and never sends one.
    pub is_mute: bool,
    /// Every request of a member that came, and the Block2 requests.
    pub asked: usize,
    pub plain: usize,
    /// How often a member said that parity symbols do not help it.
    pub no_parity: usize,
    /// What went to the group.
    pub sent: Vec<Item>,
    /// How often it began to send after a silence.
    pub plans: usize,
    members: BTreeMap<usize, Instant>,
    plan: VecDeque<Item>,
    /// How many parity symbols of each segment are in the plan.
    parity: BTreeMap<u32, u32>,
    blocks: BTreeSet<u32>,
    next: Instant,
    seed: u16,
    message_id: u16,
}

impl Relay {
    pub fn new(image: Vec<u8>) -> Self {
        Self {
            image,
            etag: b"\x51\x52one".to_vec(),
            token: vec![0x51, 0x52],
            named: 1,
            szx: Szx::B64,
            gap: Duration::from_millis(6),
            expected_loss: 10,
            is_legacy: false,
            ghosts: false,
            is_mute: false,
            asked: 0,
            plain: 0,
            no_parity: 0,
            sent: Vec::new(),
            plans: 0,
            members: BTreeMap::new(),
            plan: VecDeque::new(),
            parity: BTreeMap::new(),
            blocks: BTreeSet::new(),
            next: Instant::ZERO,
            seed: 0,
            message_id: 0,
        }
    }

    /// When the next datagram of the stream leaves.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (!self.plan.is_empty()).then_some(self.next)
    }

    /// The next datagram of the stream, if it is to leave now.
    pub fn poll_stream(&mut self, now: Instant) -> Option<Vec<u8>> {
        if now < self.next {
            return None;
        }
        let item = self.plan.pop_front()?;
        self.next = now + self.gap;
        self.sent.push(item);
        if self.plan.is_empty() {
            self.parity.clear();
            self.blocks.clear();
            if self.ghosts {
                self.add_blocks(0..u32::MAX, self.szx);
            }
        }
        Some(self.datagram(item))
    }

    fn datagram(&mut self, item: Item) -> Vec<u8> {
        match item {
            Item::Block(num) => self.block(num),
            Item::Parity(segment) => {
                self.seed = self.seed.wrapping_add(1);
                self.parity(segment as u8, self.seed)
            }
        }
    }

    /// A block of the stream.
    pub fn block(&mut self, num: u32) -> Vec<u8> {
        let (block, payload) = self.at(Block::new(num, false, self.szx).unwrap());
        let payload = payload.to_vec();
        let mut packet = self.packet();
        packet.add_option(CoapOption::Block2, shortest(block.encode()));
        packet.payload = payload;
        packet.to_bytes().unwrap()
    }

    /// A parity symbol of the stream.
    pub fn parity(&mut self, segment: u8, seed: u16) -> Vec<u8> {
        let mut packet = self.packet();
        packet.add_option(CoapOption::ContentFormat, shortest(content_format::PARITY.into()));
        let size = self.szx.size();
        let mut sum = vec![0; size];
        let symbols = self.image.chunks(size).skip((u32::from(segment) * SYMBOLS) as usize);
        for (place, symbol) in (0..SYMBOLS).zip(symbols) {
            if word(seed, (place / 32) as u8) >> (place % 32) & 1 != 0 {
                sum.iter_mut().zip(symbol).for_each(|(to, from)| *to ^= from);
            }
        }
        packet.payload = [&Parity::header(segment, seed)[..], &sum].concat();
        packet.to_bytes().unwrap()
    }

    fn packet(&mut self) -> Packet {
        self.message_id = self.message_id.wrapping_add(1);
        let mut packet = Packet::new();
        packet.header.message_id = self.message_id;
        packet.header.set_type(MessageType::NonConfirmable);
        packet.header.code = MessageClass::from(Code::CONTENT.0);
        packet.set_token(self.token.clone());
        if u32::from(self.message_id) % self.named == 0 {
            packet.add_option(CoapOption::ETag, self.etag.clone());
        }
        packet
    }

    /// The answer to a request of a device.
    pub fn answer(&mut self, now: Instant, device: usize, request: &[u8]) -> Option<Vec<u8>> {
        let request = Packet::from_bytes(request).unwrap();
        if !matches!(request.header.code, MessageClass::Request(_)) {
            return None;
        }
        let mut answer = Packet::new();
        answer.header.message_id = request.header.message_id;
        answer.header.set_type(MessageType::Acknowledgement);
        answer.set_token(request.get_token().to_vec());
        let wanted: Vec<Block> =
            values(&request, option::Q_BLOCK2).iter().map(|value| Block::decode(value).unwrap()).collect();
        if let Some(block) = super::block2(&request) {
            assert!(wanted.is_empty() && request.get_option(CoapOption::Observe).is_none());
            self.plain += 1;
            self.content(&mut answer, block, option::BLOCK2);
        } else if self.is_legacy {
            answer.header.code = MessageClass::from(Code::BAD_OPTION.0);
        } else {
            assert_eq!(values(&request, option::OBSERVE), [Vec::<u8>::new()], "a member registers");
            self.asked += 1;
            self.member(now, device, &request, &wanted, &mut answer);
        }
        Some(answer.to_bytes().unwrap())
    }

    fn member(
        &mut self,
        now: Instant,
        device: usize,
        request: &Packet,
        wanted: &[Block],
        answer: &mut Packet,
    ) {
        self.members.insert(device, now);
        self.members.retain(|_, heard| now.since(*heard) < ACTIVE);
        let is_one = wanted.len() == 1 && !wanted[0].more;
        if self.members.len() == 1 && !self.ghosts && is_one && self.plan.is_empty() && !self.is_mute {
            return self.content(answer, wanted[0], option::Q_BLOCK2);
        }
        answer.header.code = MessageClass::from(Code::SERVICE_UNAVAILABLE.0);
        answer.add_option(CoapOption::MaxAge, vec![1]);
        if self.is_mute {
            return;
        }
        if self.plan.is_empty() {
            self.next = self.next.max(now);
            self.plans += 1;
        }
        let missing = values(request, option::MISSING);
        match missing.first() {
            Some(value) => self.add_missing(&Missing::read(value).unwrap(), wanted[0].szx),
            None if self.sent.is_empty() => self.add_blocks(0..u32::MAX, self.szx),
            None => wanted.iter().for_each(|block| self.add_blocks(block.num()..block.num() + 1, block.szx)),
        }
    }

    fn add_missing(&mut self, missing: &Missing<'_>, szx: Szx) {
        let mut scattered = BTreeMap::new();
        let deficit = match Deficit::read(missing.deficit) {
            Deficit::Symbols(deficit) => Some(u32::from(deficit)),
            Deficit::NoRoom(_) | Deficit::NoParity => None,
        };
        self.no_parity += usize::from(deficit.is_none());
        for (first, size, count) in missing.groups() {
            if count * 3 > size || deficit.is_none() && count > 0 {
                self.add_blocks(first..first + size, szx);
            } else {
                *scattered.entry(first / SYMBOLS).or_insert(0) += count;
            }
        }
        for (segment, count) in scattered {
            if count == 0 {
                continue;
            }
            let count = count.min(deficit.unwrap_or(0));
            let margin = 3 * count.isqrt() + 8;
            let wanted = count * 100 / (100 - self.expected_loss) + margin;
            let planned = self.parity.entry(segment).or_insert(0);
            for _ in *planned..wanted {
                self.plan.push_back(Item::Parity(segment));
            }
            *planned = wanted.max(*planned);
        }
    }

    /// Blocks of size `szx`, in blocks of the stream.
    fn add_blocks(&mut self, blocks: std::ops::Range<u32>, szx: Szx) {
        let shift = szx.bits() - self.szx.bits();
        let all = self.image.len().div_ceil(self.szx.size()) as u32;
        let end = blocks.end.saturating_mul(1 << shift).min(all);
        for num in blocks.start << shift..end {
            if self.blocks.insert(num) {
                self.plan.push_back(Item::Block(num));
            }
        }
    }

    fn content(&self, answer: &mut Packet, block: Block, number: u16) {
        let (block, payload) = self.at(block.at_most(self.szx).unwrap());
        answer.header.code = MessageClass::from(Code::CONTENT.0);
        answer.add_option(CoapOption::ETag, self.etag.clone());
        answer.add_option(CoapOption::from(number), shortest(block.encode()));
        answer.payload = payload.to_vec();
    }

    fn at(&self, block: Block) -> (Block, &[u8]) {
        let start = block.offset();
        let end = self.image.len().min(start + block.szx.size());
        (block.with_more(end < self.image.len()), &self.image[start..end])
    }
}

fn values(packet: &Packet, number: u16) -> Vec<Vec<u8>> {
    packet.get_option(CoapOption::from(number)).into_iter().flatten().cloned().collect()
}
