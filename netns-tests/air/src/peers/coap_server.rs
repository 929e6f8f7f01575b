//! A stateless block-wise server (RFC 7252, RFC 7959), which answers as libcoap's does: at once, and piggybacked.
//!
//! It keeps nothing of its clients: no deduplication (allowed for a safe method, RFC 7252 §4.5), no pacing, and no
//! retransmission, because every answer rides on an acknowledgement. A request that comes twice is answered twice.
//! It serves one image; it has no discovery, no observation and no Q-Block.

use super::PATH;
use crate::host::{Datagram, Host};
use sixfold_profile::Instant;
use sixfold_profile::coap::{
    Block, BlockError, Code, Full, Message, Szx, Type, Writer, content_format, option,
};
use std::collections::VecDeque;
use std::net::SocketAddrV6;
use std::sync::Arc;

/// libcoap numbers its bodies; this is the first one.
const ETAG: &[u8] = &[1];
/// The largest block and everything in front of it: header 4, Token 8, options with their values 14, marker 1.
const MAX_MESSAGE: usize = 1024 + 32;

/// The server.
#[derive(Clone, Debug)]
pub struct CoapServer {
    local: SocketAddrV6,
    image: Arc<[u8]>,
    szx: Szx,
    /// Of the next message that is not an acknowledgement.
    message_id: u16,
    out: VecDeque<Datagram>,
}

impl CoapServer {
    /// A server at `local` that serves `image` in blocks of at most `szx`.
    pub const fn new(local: SocketAddrV6, image: Arc<[u8]>, szx: Szx) -> Self {
        Self { local, image, szx, message_id: 0, out: VecDeque::new() }
    }

    /// What is sent back for one message. A malformed one gets nothing (RFC 7252 §4.2 would also allow a Reset).
    fn answer(&mut self, message: &Message<'_>) -> Option<Vec<u8>> {
        let (message_type, message_id) = match message.message_type {
            Type::Confirmable if message.code.is_request() => (Type::Acknowledgement, message.message_id),
            Type::NonConfirmable if message.code.is_request() => {
                self.message_id = self.message_id.wrapping_add(1);
                (Type::NonConfirmable, self.message_id)
            }
            Type::Confirmable => return reset(message.message_id),
            _ => return None,
        };
        let mut buffer = [0; MAX_MESSAGE];
        let length = match self.check(message) {
            Ok(block) => self.write_content(&mut buffer, message_type, message_id, message, block),
            Err(code) => {
                Writer::new(&mut buffer, message_type, code, message_id, message.token).map(Writer::finish)
            }
        };
        buffer.get(..length.ok()?).map(<[u8]>::to_vec)
    }

    /// The block that is to be sent, or the response code that says why there is none.
    fn check(&self, request: &Message<'_>) -> Result<Block, Code> {
        if request.options().any(|option| option::is_critical(option.number) && !is_understood(option.number))
        {
            return Err(Code::BAD_OPTION);
        }
        if !is_image(request) {
            return Err(Code::NOT_FOUND);
        }
        if request.code != Code::GET {
            return Err(Code::METHOD_NOT_ALLOWED);
        }
        let asked = request.option(option::BLOCK2).map_or(Ok(Block::first(self.szx)), Block::decode);
        let block = asked.map_err(|error| match error {
            // An option whose length is out of bounds is treated as one that is not understood (RFC 7252 §5.4.3).
            BlockError::TooLong => Code::BAD_OPTION,
            BlockError::ReservedSzx => Code::BAD_REQUEST,
        })?;
        let block = block.at_most(self.szx).ok_or(Code::BAD_REQUEST)?;
        if block.num() == 0 || block.offset() < self.image.len() { Ok(block) } else { Err(Code::BAD_REQUEST) }
    }

    fn write_content(
        &self,
        buffer: &mut [u8],
        message_type: Type,
        message_id: u16,
        request: &Message<'_>,
        block: Block,
    ) -> Result<usize, Full> {
        let rest = self.image.get(block.offset()..).unwrap_or_default();
        let payload = rest.get(..block.szx.size()).unwrap_or(rest);
        let mut writer = Writer::new(buffer, message_type, Code::CONTENT, message_id, request.token)?;
        writer.option(option::ETAG, ETAG)?;
        writer.uint_option(option::CONTENT_FORMAT, content_format::OCTET_STREAM.into())?;
        writer.uint_option(option::BLOCK2, block.with_more(payload.len() < rest.len()).encode())?;
        if block.num() == 0 || request.option(option::SIZE2).is_some() {
            writer.uint_option(option::SIZE2, u32::try_from(self.image.len()).unwrap_or(u32::MAX))?;
        }
        writer.payload(payload)
    }
}

/// The critical options that the server takes; it serves every host name and query alike.
const fn is_understood(number: u16) -> bool {
    matches!(
        number,
        option::URI_HOST
            | option::URI_PORT
            | option::URI_PATH
            | option::URI_QUERY
            | option::ACCEPT
            | option::BLOCK2
    )
}

fn is_image(request: &Message<'_>) -> bool {
    let path =
        request.options().filter(|option| option.number == option::URI_PATH).map(|option| option.value);
    path.eq(PATH.map(str::as_bytes))
}

/// Rejects a Confirmable message that is no request, such as a ping (RFC 7252 §4.2, §4.3).
fn reset(message_id: u16) -> Option<Vec<u8>> {
    let mut buffer = [0; 4];
    Writer::new(&mut buffer, Type::Reset, Code::EMPTY, message_id, &[]).ok()?;
    Some(buffer.to_vec())
}

impl Host for CoapServer {
    fn handle_datagram(&mut self, _now: Instant, datagram: &Datagram) {
        if datagram.to.port() != self.local.port() {
            return;
        }
        let answer = Message::parse(&datagram.payload).ok().and_then(|message| self.answer(&message));
        let (from, to) = (self.local, datagram.from);
        self.out.extend(answer.map(|payload| Datagram { from, to, payload }));
    }

    fn handle_timeout(&mut self, _now: Instant) {}

    fn poll_transmit(&mut self, _now: Instant) -> Option<Datagram> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn retransmissions(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SERVER: &str = "[fe80::1]:5683";

    fn server() -> CoapServer {
        CoapServer::new(SERVER.parse().unwrap(), (0..200).collect(), Szx::B64)
    }

    /// Sends a datagram and returns the answers.
    fn ask(server: &mut CoapServer, payload: &[u8]) -> Vec<Vec<u8>> {
        let from = "[fe80::2]:61616".parse().unwrap();
        let datagram = Datagram { from, to: SERVER.parse().unwrap(), payload: payload.to_vec() };
        server.handle_datagram(Instant::ZERO, &datagram);
        let answers: Vec<_> = std::iter::from_fn(|| server.poll_transmit(Instant::ZERO)).collect();
        assert!(answers.iter().all(|answer| answer.to == from && answer.from == datagram.to));
        answers.into_iter().map(|answer| answer.payload).collect()
    }

    /// A Confirmable request with Message ID 0x1234 and Token 0xab.
    fn request(code: Code, options: Options<'_>) -> Vec<u8> {
        let mut buffer = [0; 128];
        let mut writer = Writer::new(&mut buffer, Type::Confirmable, code, 0x1234, &[0xab]).unwrap();
        for (number, value) in options {
            writer.option(*number, value).unwrap();
        }
        let length = writer.finish();
        buffer[..length].to_vec()
    }

    type Options<'a> = &'a [(u16, &'a [u8])];

    const FW: (u16, &[u8]) = (option::URI_PATH, b"fw");
    const IMAGE: (u16, &[u8]) = (option::URI_PATH, b"image");

    #[test]
    fn the_first_block_byte_by_byte() {
        let answers = ask(&mut server(), &request(Code::GET, &[FW, IMAGE, (option::BLOCK2, &[0x02])]));
        // ACK 2.05, Token; ETag 1, Content-Format 42, Block2 0/1/64, Size2 200.
        let mut expected = vec![0x61, 0x45, 0x12, 0x34, 0xab, 0x41, 1, 0x81, 42, 0xb1, 0x0a, 0x51, 200, 0xff];
        expected.extend(0..64);
        assert_eq!(answers, [expected]);
    }

    #[test]
    fn later_blocks_tell_the_size_only_when_asked() {
        let last: Options<'_> = &[FW, IMAGE, (option::BLOCK2, &[0x32])];
        let answers = ask(&mut server(), &request(Code::GET, last));
        let message = Message::parse(&answers[0]).unwrap();
        assert_eq!(message.payload, (192..200).collect::<Vec<u8>>());
        assert_eq!(message.option(option::BLOCK2), Some(&[0x32][..]), "block 3 is the last");
        assert_eq!(message.uint_option(option::SIZE2), None);
        let answers = ask(&mut server(), &request(Code::GET, &[last, &[(option::SIZE2, &[])]].concat()));
        assert_eq!(Message::parse(&answers[0]).unwrap().uint_option(option::SIZE2), Some(200));
    }

    #[test]
    fn blocks_become_smaller_but_not_larger() {
        for (asked, offset, block) in [(0x06, 0, 0x0a), (0x00, 0, 0x08), (0x13, 128, 0x2a)] {
            let answers = ask(&mut server(), &request(Code::GET, &[FW, IMAGE, (option::BLOCK2, &[asked])]));
            let message = Message::parse(&answers[0]).unwrap();
            assert_eq!(message.option(option::BLOCK2), Some(&[block][..]), "asked for {asked:02x}");
            assert_eq!(message.payload[0], offset);
        }
    }

    #[test]
    fn what_it_refuses() {
        let cases: [(Code, Options<'_>, Code); 9] = [
            (Code::GET, &[FW], Code::NOT_FOUND),
            (Code::GET, &[FW, IMAGE, FW], Code::NOT_FOUND),
            (Code::GET, &[], Code::NOT_FOUND),
            (Code::GET, &[(option::IF_MATCH, &[]), FW, IMAGE], Code::BAD_OPTION),
            (Code::GET, &[FW, IMAGE, (option::BLOCK2, &[0, 0, 0, 2])], Code::BAD_OPTION),
            (Code::GET, &[FW, IMAGE, (option::BLOCK2, &[7])], Code::BAD_REQUEST),
            (Code::GET, &[FW, IMAGE, (option::BLOCK2, &[0x42])], Code::BAD_REQUEST),
            (Code::GET, &[FW, IMAGE, (option::BLOCK2, &[0xff, 0xff, 0xf6])], Code::BAD_REQUEST),
            (Code::PUT, &[FW, IMAGE], Code::METHOD_NOT_ALLOWED),
        ];
        for (method, options, code) in cases {
            let answers = ask(&mut server(), &request(method, options));
            assert_eq!(Message::parse(&answers[0]).unwrap().code, code, "{method} {options:?}");
        }
    }

    #[test]
    fn a_request_that_comes_twice_is_answered_twice() {
        let mut server = server();
        let get = request(Code::GET, &[FW, IMAGE]);
        assert_eq!(ask(&mut server, &get), ask(&mut server, &get));
    }

    #[test]
    fn pings_are_reset_and_answers_ignored() {
        assert_eq!(ask(&mut server(), &[0x40, 0, 0x12, 0x34]), [[0x70, 0, 0x12, 0x34]]);
        for ignored in [&[0x60, 0, 0x12, 0x34][..], &[0x70, 0, 0x12, 0x34], &[0x50, 0x45, 0, 0], &[0x40], &[]]
        {
            assert!(ask(&mut server(), ignored).is_empty(), "{ignored:02x?}");
        }
    }

    #[test]
    fn a_non_confirmable_request_gets_a_non_confirmable_response() {
        let mut get = request(Code::GET, &[FW, IMAGE]);
        get[0] = 0x51;
        let answers = ask(&mut server(), &get);
        let message = Message::parse(&answers[0]).unwrap();
        assert_eq!((message.message_type, message.code), (Type::NonConfirmable, Code::CONTENT));
    }

    proptest! {
        #[test]
        fn garbage_does_no_harm(
            head in prop::array::uniform4(any::<u8>()),
            tail in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut server = server();
            ask(&mut server, &[&head[..], &tail].concat());
            ask(&mut server, &[&[0x40, 1, head[2], head[3]], &tail[..]].concat());
            let get = request(Code::GET, &[FW, IMAGE]);
            prop_assert_eq!(ask(&mut server, &get).len(), 1);
        }
    }
}
