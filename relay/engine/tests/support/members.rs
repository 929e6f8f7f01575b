//! Devices that take part in a group: they listen, ask when the stream is silent, and know of parity symbols only which
//! blocks are in them. A model for tests; the real ones are `sixfold-device`'s.

use super::{Answer, Ask, Bench};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sixfold_engine::Instant;
use sixfold_profile::coap::{Block, Code, content_format, option};
use sixfold_profile::missing::{NO_PARITY, count, group};
use sixfold_profile::parity::{Parity, SYMBOLS, word};
use std::time::Duration;

/// Where [`super::read`] puts what is sent to port 61616.
pub const GROUP: u16 = 61_616 - 10_000;
/// Parity symbols that a device keeps.
const ROWS: usize = 512;
const SZX: u8 = 2;
const MS: Duration = Duration::from_millis(1);

/// One device.
pub struct Member {
    pub peer: u16,
    pub missing: Vec<bool>,
    rows: Vec<(u8, u16)>,
    /// It will ask then, unless it hears something.
    pub asks_at: Instant,
    heard: Option<Instant>,
    gap: Duration,
    message_id: u16,
    pub asked: u32,
    pub done: Option<Instant>,
}

/// Devices on one link, with the loss of what goes to all, in percent. Unicast is repeated by the link, as 802.15.4 does: it
/// is lost with the square of that.
pub struct Fleet {
    pub bench: Bench,
    pub members: Vec<Member>,
    pub loss: u32,
    pub rng: ChaCha12Rng,
    pub blocks: usize,
    pub parity: usize,
    /// Every answer to a member, and every datagram to the group.
    pub answers: Vec<Answer>,
}

impl Fleet {
    /// `count` devices without anything, that start within a second.
    pub fn new(bench: Bench, blocks: usize, count: u16, loss: u32, seed: u8) -> Self {
        let mut rng = ChaCha12Rng::from_seed([seed; 32]);
        let members = (0..count).map(|peer| Member {
            peer,
            missing: vec![true; blocks],
            rows: Vec::new(),
            asks_at: bench.now + MS * (rng.next_u32() % 1000),
            heard: None,
            gap: MS * 8,
            message_id: 1000,
            asked: 0,
            done: None,
        });
        let members = members.collect();
        Self { bench, members, loss, rng, blocks: 0, parity: 0, answers: Vec::new() }
    }

    fn lost(&mut self, unicast: bool) -> bool {
        let percent = self.rng.next_u32() % 100;
        percent < self.loss && (!unicast || self.rng.next_u32() % 100 < self.loss)
    }

    /// Lets time pass until all have everything, or for so long.
    pub fn run(&mut self, limit: Duration) {
        let end = self.bench.now + limit;
        while self.members.iter().any(|member| member.done.is_none()) && self.bench.now < end {
            self.step(end);
        }
    }

    /// The next thing that happens.
    pub fn step(&mut self, end: Instant) {
        let asks = self.members.iter().filter(|member| member.done.is_none()).map(|member| member.asks_at);
        let next = asks.chain(self.bench.engine.poll_timeout()).min().unwrap_or(end).min(end);
        self.bench.now = self.bench.now.max(next);
        let now = self.bench.now;
        self.bench.engine.handle_timeout(now);
        for place in 0..self.members.len() {
            if self.members[place].done.is_none() && self.members[place].asks_at <= now {
                let ask = self.members[place].ask(now);
                if !self.lost(true) {
                    self.bench.send(&ask);
                }
            }
        }
        for answer in self.bench.answers() {
            self.hear(&answer);
            self.answers.push(answer);
        }
    }

    fn hear(&mut self, answer: &Answer) {
        let now = self.bench.now;
        if answer.peer == GROUP {
            match answer.uint(option::CONTENT_FORMAT) {
                Some(format) if format == u32::from(content_format::PARITY) => self.parity += 1,
                _ => self.blocks += 1,
            }
        }
        for place in 0..self.members.len() {
            let unicast = answer.peer != GROUP;
            if unicast && answer.peer != self.members[place].peer || self.lost(unicast) {
                continue;
            }
            let pause = self.quiet(place);
            let member = &mut self.members[place];
            if unicast { member.answered(now, answer) } else { member.listen(now, answer, pause) }
        }
    }

    /// How long a device waits after what it heard.
    fn quiet(&mut self, place: usize) -> Duration {
        let slot = 9 - (self.rng.next_u32().leading_zeros()).min(9);
        let jitter = Duration::from_micros(u64::from(self.rng.next_u32() % 16_000));
        (self.members[place].gap * 8).max(MS * 64) + MS * 16 * slot + jitter
    }

    /// When the last had everything.
    pub fn last(&self) -> Option<Instant> {
        self.members.iter().map(|member| member.done).collect::<Option<Vec<_>>>()?.into_iter().max()
    }
}

impl Member {
    pub fn lacking(&self) -> Vec<u32> {
        (0..).zip(&self.missing).filter(|(_, missing)| **missing).map(|(num, _)| num).collect()
    }

    fn ask(&mut self, now: Instant) -> Ask {
        self.message_id += 1;
        self.asked += 1;
        self.asks_at = now + MS * 2500;
        let lacking = self.lacking();
        let ask = Ask::get(self.peer, self.message_id, "image.bin").uint(option::OBSERVE, 0);
        if self.heard.is_none() {
            return ask.uint(option::Q_BLOCK2, q_block(lacking[0], false));
        }
        if lacking.len() <= 8 {
            return lacking.iter().fold(ask, |ask, &num| ask.uint(option::Q_BLOCK2, q_block(num, false)));
        }
        ask.uint(option::Q_BLOCK2, q_block(lacking[0], true)).with(option::MISSING, &self.counts(&lacking))
    }

    fn counts(&self, lacking: &[u32]) -> Vec<u8> {
        let size = group(self.missing.len() as u32);
        let deficit = match lacking.len() {
            0..=ROWS => lacking.len().saturating_sub(self.rows.len()).max(1) as u16,
            _ => NO_PARITY,
        };
        let mut value = deficit.to_be_bytes().to_vec();
        value.push(size);
        let parts = self.missing.chunks(1 << size);
        value.extend(parts.map(|part| count(size, part.iter().filter(|missing| **missing).count() as u32)));
        value
    }

    fn answered(&mut self, now: Instant, answer: &Answer) {
        match answer.code {
            Code::CONTENT => {
                let block = Block::decode(&answer.value(option::Q_BLOCK2)).unwrap();
                self.take(now, block.num());
                self.asks_at = now + MS * 5;
            }
            Code::SERVICE_UNAVAILABLE => {
                let age = Duration::from_secs(answer.uint(option::MAX_AGE).unwrap().into());
                self.asks_at = now + age;
            }
            Code::EMPTY => {}
            other => panic!("{other:?}"),
        }
    }

    fn listen(&mut self, now: Instant, answer: &Answer, pause: Duration) {
        if let Some(before) = self.heard.replace(now) {
            self.gap = (self.gap * 7 + now.since(before).min(MS * 100)) / 8;
        }
        self.asks_at = now + pause;
        if self.done.is_some() {
            return;
        }
        match answer.uint(option::BLOCK2) {
            Some(_) => self.take(now, answer.block().num()),
            None => {
                let parity = Parity::read(&answer.payload).unwrap();
                if self.lacking().len() <= ROWS {
                    self.rows.push((parity.segment, parity.seed));
                    self.solve(now);
                }
            }
        }
    }

    fn take(&mut self, now: Instant, num: u32) {
        self.missing[num as usize] = false;
        self.solve(now);
    }

    /// All is known when the symbols that are kept say as much as is missing.
    fn solve(&mut self, now: Instant) {
        let lacking = self.lacking();
        if lacking.is_empty() {
            self.done.get_or_insert(now);
            return;
        }
        if self.rows.len() < lacking.len() {
            return;
        }
        let mut pivots: Vec<Option<Vec<u64>>> = vec![None; lacking.len()];
        let mut rank = 0;
        for &(segment, seed) in &self.rows {
            let mut row = vec![0_u64; lacking.len().div_ceil(64)];
            for (place, &num) in
                lacking.iter().enumerate().filter(|(_, num)| **num / SYMBOLS == segment.into())
            {
                let symbol = num % SYMBOLS;
                if word(seed, (symbol / 32) as u8) >> (symbol % 32) & 1 == 1 {
                    row[place / 64] |= 1 << (place % 64);
                }
            }
            while let Some(pivot) = (0..lacking.len()).find(|place| row[place / 64] >> (place % 64) & 1 == 1)
            {
                match &pivots[pivot] {
                    Some(other) => row.iter_mut().zip(other).for_each(|(word, other)| *word ^= other),
                    None => {
                        pivots[pivot] = Some(row);
                        rank += 1;
                        break;
                    }
                }
            }
        }
        if rank == lacking.len() {
            self.missing.fill(false);
            self.done = Some(now);
        }
    }
}

/// The value of a Q-Block2 option.
pub fn q_block(num: u32, more: bool) -> u32 {
    Block::new(num, more, sixfold_profile::coap::Szx::new(SZX).unwrap()).unwrap().encode()
}
