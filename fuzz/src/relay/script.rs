//! Reads the input of `engine_datagram` as a script: which datagram, which move of the origin, how much time.

use super::world::{Kind, OriginMove, World};
use sixfold_engine::Failure;
use sixfold_profile::coap::{Block, Code, Szx, Type, Writer, content_format, option};
use std::time::Duration;

/// Steps are short; more than this many teach nothing new.
const MAX_STEPS: usize = 2000;

/// Plays the input to an engine, lets it come to rest, and checks everything that it does.
pub fn engine_datagram(data: &[u8]) {
    let mut script = Script(data);
    let mut world = World::new(script.byte());
    for _ in 0..MAX_STEPS {
        if script.0.is_empty() {
            break;
        }
        script.step(&mut world);
    }
    world.come_to_rest();
}

/// What is left of the input. At its end it is all zeros.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn step(&mut self, world: &mut World) {
        match self.byte() % 8 {
            0 => {
                let (device, length) = (self.byte(), usize::from(self.byte()));
                let bytes = self.0.get(..length).unwrap_or(self.0);
                self.0 = self.0.get(length..).unwrap_or_default();
                world.datagram(device & 0x7f, device >= 0x80, bytes);
            }
            1..=3 => {
                let device = self.byte() % 40;
                let request = self.request();
                world.datagram(device, false, &request);
            }
            4 | 5 => {
                let number = usize::from(self.byte());
                let act = self.origin_move();
                world.origin(number, act);
            }
            6 => match self.byte() {
                0..=99 => world.pass_to_deadline(),
                100..=149 => world.react_to_last(Type::Acknowledgement),
                150..=199 => world.react_to_last(Type::Reset),
                millis => world.pass(Duration::from_millis(1 << (millis % 17))),
            },
            _ => {
                let request = self.request();
                world.datagram(self.byte() % 40, true, &request);
            }
        }
    }

    /// A request that makes sense, or nearly.
    fn request(&mut self) -> Vec<u8> {
        let (shape, message_id, resource) = (self.byte(), self.byte(), self.byte());
        let message_type = if shape & 1 == 0 { Type::Confirmable } else { Type::NonConfirmable };
        let code = if shape & 0xc0 == 0xc0 { Code(self.byte() & 0x1f) } else { Code::GET };
        let name = [b'a' + resource % 16];
        let etag = [resource; 8];
        let observe = [shape >> 1 & 1];
        let num = u32::from(self.byte());
        let szx = Szx::new(shape >> 3 & 7).unwrap_or(Szx::MIN);
        let block = Block::new(num, false, szx).map_or(0, Block::encode).to_be_bytes();
        let member = (shape & 0xc0 == 0x40).then(|| self.member(num, szx));
        let mut options: Vec<(u16, &[u8])> = match resource >> 6 {
            0 | 1 => vec![(option::URI_PATH, b"fw"), (option::URI_PATH, &name)],
            2 => vec![(option::PROXY_URI, b"https://forward/f")],
            _ => vec![(option::URI_PATH, b".well-known"), (option::URI_PATH, b"core")],
        };
        if let Some(member) = &member {
            options.extend(member.iter().map(|(number, value)| (*number, value.as_slice())));
        } else if shape & 2 != 0 {
            options.push((option::OBSERVE, &observe));
        }
        if shape & 4 != 0 && member.is_none() {
            options.push((option::BLOCK2, &block[1..]));
        }
        if shape & 0xa0 == 0xa0 {
            options.push((option::ETAG, &etag));
        }
        options.sort_by_key(|(number, _)| *number);
        let mut buffer = [0; 256];
        write(&mut buffer, message_type, code, u16::from(message_id), &options).unwrap_or_default()
    }

    /// What a member of a group says it lacks, or asks of the group.
    fn member(&mut self, num: u32, szx: Szx) -> Vec<(u16, Vec<u8>)> {
        const INFORMATIVE_RESPONSE: [u8; 2] = content_format::INFORMATIVE_RESPONSE.to_be_bytes();
        let mut options = vec![(option::OBSERVE, Vec::new())];
        let mut q_block = |num: u32, more: bool| {
            let value = Block::new(num, more, szx).map_or(0, Block::encode).to_be_bytes();
            options.push((option::Q_BLOCK2, value[1..].to_vec()));
        };
        let (kind, count) = (self.byte(), usize::from(self.byte() % 40));
        match kind % 4 {
            0 => options.push((option::ACCEPT, INFORMATIVE_RESPONSE.to_vec())),
            1 => (0..count).for_each(|step| q_block(num + step as u32 * 3, false)),
            _ => {
                q_block(num, true);
                options.push((option::MISSING, (0..count).map(|_| self.byte()).collect()));
            }
        }
        options
    }

    fn origin_move(&mut self) -> OriginMove {
        const FAILURES: [Failure; 4] =
            [Failure::Status(404), Failure::Status(503), Failure::TimedOut, Failure::Interrupted];
        let (act, detail) = (self.byte(), self.byte());
        match act % 8 {
            0..=2 => OriginMove::Head {
                version: detail,
                length: usize::from(self.byte()) * 90,
                announced: act & 8 != 0,
                validator: Kind::ALL[usize::from(act >> 4) % 3],
            },
            3 => OriginMove::Data(usize::from(detail) * 20),
            4 | 5 => OriginMove::Finish,
            6 if detail < 128 => OriginMove::NotModified,
            6 => OriginMove::Complete,
            _ => OriginMove::Fail(FAILURES[usize::from(detail) % FAILURES.len()]),
        }
    }

    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }
}

fn write(
    buffer: &mut [u8],
    message_type: Type,
    code: Code,
    message_id: u16,
    options: &[(u16, &[u8])],
) -> Option<Vec<u8>> {
    let token = &message_id.to_be_bytes()[1..];
    let mut writer = Writer::new(buffer, message_type, code, message_id, token).ok()?;
    for (number, value) in options {
        writer.option(*number, value).ok()?;
    }
    let length = writer.finish();
    Some(buffer[..length].to_vec())
}
