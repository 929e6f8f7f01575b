//! The datagrams of a stream: Non-confirmable, with the group's Token, each complete in itself.

use super::parity::symbol;
use crate::body::{Body, Cut};
use crate::coap::{Response, Token};
use crate::image::ETag;
use sixfold_profile::coap::{Block, Code, Szx, Type, content_format};

/// Header, Token, ETag, Block2 and payload marker, in bytes. Content-Format and the header of a parity symbol are as long.
pub(crate) const AROUND_BLOCK: usize = 4 + 2 + 9 + 4 + 1;

/// The Token of a group: the first bytes of the ETag, so that it is the same after a restart of the relay.
pub(crate) fn token(etag: ETag) -> Token {
    let [first, second, ..] = etag.0;
    Token::new(&[first, second])
}

/// A block; `None` when its bytes are not here.
pub(crate) fn block(etag: ETag, message_id: u16, body: &Body<'_>, num: u32, szx: Szx) -> Option<Vec<u8>> {
    let Cut::Ready(bytes, Some(block)) = body.cut(Block::new(num, false, szx), szx) else { return None };
    let response = Response { block: Some(block), payload: bytes.to_vec(), ..content(etag) };
    Some(response.datagram(Type::NonConfirmable, message_id, token(etag)))
}

/// A parity symbol; `None` when not all of its segment is here.
pub(crate) fn parity(
    etag: ETag,
    message_id: u16,
    body: &Body<'_>,
    segment: u8,
    szx: Szx,
    seed: u16,
) -> Option<Vec<u8>> {
    let payload = symbol(body.available, body.total?, segment, szx, seed)?;
    let response = Response { content_format: Some(content_format::PARITY), payload, ..content(etag) };
    Some(response.datagram(Type::NonConfirmable, message_id, token(etag)))
}

fn content(etag: ETag) -> Response {
    Response { code: Some(Code::CONTENT), etag: Some(etag), ..Response::default() }
}
