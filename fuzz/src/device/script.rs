//! Reads the input of `boot` as a script: datagrams, bits that rot, time, and when the power goes.

use super::model::flash::{Cut, How};
use super::world::{Next, Session, World};
use sixfold_profile::coap::Code;
use std::time::Duration;

/// Power cycles; more teach nothing new.
const MOST_RESETS: usize = 40;
/// Inputs between two resets.
const MOST_STEPS: usize = 300;

/// Plays the input to a device, lets it come to rest, and checks after each reset what may run.
pub fn boot(data: &[u8]) {
    let mut script = Script(data);
    let kind = script.byte();
    let memory = (kind & 2 != 0).then(|| usize::from(kind >> 2) * 32);
    let mut world = World::new(kind & 1 == 0, memory);
    for _ in 0..MOST_RESETS {
        if script.0.is_empty() {
            break;
        }
        match world.reset() {
            Next::New | Next::Lost => break,
            Next::Old => {
                let (cut, seed) = script.cut();
                world.prepare(cut, seed);
            }
            Next::Update(which) => {
                let (cut, seed) = script.cut();
                world.flash.power_on(cut, seed);
                let _ = world.session(which, |session| script.session(session));
            }
        }
    }
    world.come_to_rest();
}

/// What is left of the input. At its end it is all zeros.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    /// Until the power goes, or the script wants a reset.
    fn session(&mut self, session: &mut Session<'_>) {
        let mut goes_on = session.advance();
        for _ in 0..MOST_STEPS {
            if !goes_on || self.0.is_empty() {
                return;
            }
            goes_on = self.step(session);
        }
    }

    fn step(&mut self, session: &mut Session<'_>) -> bool {
        let act = self.byte();
        match act % 16 {
            0..=5 => {
                let answer = session.answer(false);
                session.hear(&answer)
            }
            6 => {
                let answer = session.answer(true);
                session.hear(&answer)
            }
            7 | 8 => {
                let mut answer = session.answer(act & 16 != 0);
                self.damage(&mut answer, act >> 5);
                session.hear(&answer)
            }
            9 => {
                let (length, rest) = (usize::from(self.byte()), self.0);
                let (datagram, rest) = rest.split_at(length.min(rest.len()));
                self.0 = rest;
                session.hear(datagram)
            }
            10 => {
                let refusal = session.refuse(Code(self.byte()), u32::from(self.byte()) << (act >> 4));
                session.hear(&refusal)
            }
            11 => {
                let (at, bit) = (usize::from(self.byte()), self.byte());
                match act & 32 {
                    0 => session.rot(at << 2 | usize::from(act >> 6), bit),
                    _ => session.rot_ticket(at, bit),
                }
                true
            }
            12 | 13 => session.advance(),
            14 => session.pass(Duration::from_millis(1 << (self.byte() % 20))),
            _ => self.overhear(session, act >> 4),
        }
    }

    /// What the group says: blocks, several of them, parity symbols, and what is none of these.
    fn overhear(&mut self, session: &mut Session<'_>, what: u8) -> bool {
        let number = self.byte();
        match what {
            0..=3 => session.overhear(&session.block(false, number.into())),
            4 => (0..number % 20).all(|step| session.overhear(&session.block(false, (number ^ step).into()))),
            5 => session.overhear(&session.block(true, number.into())),
            6..=9 => session.overhear(&session.parity(false, number.into())),
            10 => {
                (0..number % 20).all(|step| session.overhear(&session.parity(false, (number ^ step).into())))
            }
            11 => session.overhear(&session.parity(true, number.into())),
            12 | 13 => {
                let mut datagram = match what {
                    12 => session.block(false, number.into()),
                    _ => session.parity(false, number.into()),
                };
                self.damage(&mut datagram, number >> 5);
                session.overhear(&datagram)
            }
            14 => {
                let (datagram, rest) = self.0.split_at(usize::from(number).min(self.0.len()));
                self.0 = rest;
                session.overhear(datagram)
            }
            _ => false,
        }
    }

    /// Changes up to eight bytes, or the length.
    fn damage(&mut self, datagram: &mut Vec<u8>, times: u8) {
        for _ in 0..=times {
            let (at, value) = (usize::from(self.byte()), self.byte());
            match datagram.get_mut(at) {
                Some(byte) => *byte ^= value,
                None => datagram.resize(usize::from(value), 0),
            }
        }
    }

    /// The operation at which the power goes, if it does, and what decides about torn ones.
    fn cut(&mut self) -> (Option<Cut>, u64) {
        let (at, seed) = (self.byte(), self.byte());
        let how = How::ALL[usize::from(seed) % 3];
        ((at != 0).then(|| Cut { at: u32::from(at) - 1, how }), u64::from(seed))
    }

    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }
}
