//! A CoAP server that gives the image block by block and remembers nothing of its clients (RFC 7959 §2.4).
//!
//! Every request is answered at once, in the acknowledgement, and a repeated one is answered again: what libcoap's
//! server does for a resource of its own. No separate responses, no deduplication, no pacing.

use crate::host::{Datagram, Host};
use crate::sim::PATH;
use sixfold_profile::Instant;
use sixfold_profile::coap::{Block, Code, Full, Message, Szx, Type, Writer, option};
use std::collections::VecDeque;
use std::net::SocketAddrV6;
use std::sync::Arc;

const LONGEST_MESSAGE: usize = 1152; // RFC 7252 §4.6
const ETAG: [u8; 8] = *b"\x5f\x1e\x3d\x07\xa2\x94\xc8\x61";

/// The server.
#[derive(Debug)]
pub struct CoapServer {
    local: SocketAddrV6,
    image: Arc<[u8]>,
    answers: VecDeque<Datagram>,
}

impl CoapServer {
    /// A server at `local` for one image.
    pub const fn new(local: SocketAddrV6, image: Arc<[u8]>) -> Self {
        Self { local, image, answers: VecDeque::new() }
    }

    fn answer(&self, request: &Message<'_>) -> Option<Vec<u8>> {
        let message_type = match request.message_type {
            Type::Confirmable => Type::Acknowledgement,
            Type::NonConfirmable => Type::NonConfirmable,
            Type::Acknowledgement | Type::Reset => return None,
        };
        if !request.code.is_request() {
            return None;
        }
        let mut buffer = [0; LONGEST_MESSAGE];
        let respond =
            |code, buffer| Writer::new(buffer, message_type, code, request.message_id, request.token);
        let length = match self.block(request) {
            Ok(block) => {
                respond(Code::CONTENT, &mut buffer).and_then(|writer| self.content(writer, request, block))
            }
            Err(code) => respond(code, &mut buffer).map(Writer::finish),
        };
        Some(buffer[..length.ok()?].to_vec())
    }

    /// The block that is asked for: the first one, of the largest size, without a Block2 option.
    fn block(&self, request: &Message<'_>) -> Result<Block, Code> {
        if request.code != Code::GET {
            return Err(Code::METHOD_NOT_ALLOWED);
        }
        let path = request.options().filter(|option| option.number == option::URI_PATH);
        if !path.map(|segment| segment.value).eq(PATH.map(str::as_bytes)) {
            return Err(Code::NOT_FOUND);
        }
        let unknown = |number| {
            option::is_critical(number)
                && ![option::URI_HOST, option::URI_PATH, option::BLOCK2].contains(&number)
        };
        if request.options().any(|option| unknown(option.number)) {
            return Err(Code::BAD_OPTION);
        }
        let Some(value) = request.option(option::BLOCK2) else { return Ok(Block::first(Szx::MAX)) };
        let block = Block::decode(value).map_err(|_| Code::BAD_OPTION)?;
        if block.offset() < self.image.len() { Ok(block) } else { Err(Code::BAD_REQUEST) }
    }

    fn content(&self, mut writer: Writer<'_>, request: &Message<'_>, block: Block) -> Result<usize, Full> {
        let end = self.image.len().min(block.offset() + block.szx.size());
        writer.option(option::ETAG, &ETAG)?;
        writer.uint_option(option::BLOCK2, block.with_more(end < self.image.len()).encode())?;
        if block.num() == 0 || request.option(option::SIZE2).is_some() {
            writer.uint_option(option::SIZE2, self.image.len() as u32)?;
        }
        writer.payload(&self.image[block.offset()..end])
    }
}

impl Host for CoapServer {
    fn handle_datagram(&mut self, _now: Instant, datagram: &Datagram) {
        if datagram.to.port() != self.local.port() {
            return;
        }
        let Ok(request) = Message::parse(&datagram.payload) else { return };
        if let Some(payload) = self.answer(&request) {
            self.answers.push_back(Datagram { from: self.local, to: datagram.from, payload });
        }
    }

    fn handle_timeout(&mut self, _now: Instant) {}

    fn poll_transmit(&mut self, _now: Instant) -> Option<Datagram> {
        self.answers.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn retransmissions(&self) -> u64 {
        0
    }
}
