//! The datagrams of a stream: Non-confirmable, with the group's Token, each complete in itself.

use super::parity::symbol;
use crate::body::{Body, Cut};
use crate::coap::{Response, Token};
use crate::image::ETag;
use sixfold_profile::coap::{Block, Code, Szx, Type, content_format};

/// One in this many datagrams has the ETag. The Token is made of it, and a device compares all that it gets with digests; in
/// frames of 127 bytes an ETag each time would cost a twentieth of the link.
const NAMED: u16 = 16;
/// Header, Token, Block2 and payload marker, in bytes, and the share of an ETag. Content-Format and the header of a parity
/// symbol are as long as Block2.
pub(crate) const AROUND_BLOCK: usize = 4 + 2 + 4 + 1 + 1;

/// The Token of a group: the first bytes of the ETag, so that it is the same after a restart of the relay.
pub(crate) fn token(etag: ETag) -> Token {
    let [first, second, ..] = etag.0;
    Token::new(&[first, second])
}

/// A block, and how many bytes of the body it has; `None` when they are not here.
pub(crate) fn block(
    etag: ETag,
    message_id: u16,
    body: &Body<'_>,
    num: u32,
    szx: Szx,
) -> Option<(Vec<u8>, usize)> {
    let Cut::Ready(bytes, Some(block)) = body.cut(Block::new(num, false, szx), szx) else { return None };
    let response = Response { block: Some(block), payload: bytes.to_vec(), ..content(etag, message_id) };
    Some((response.datagram(Type::NonConfirmable, message_id, token(etag)), bytes.len()))
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
    let response =
        Response { content_format: Some(content_format::PARITY), payload, ..content(etag, message_id) };
    Some(response.datagram(Type::NonConfirmable, message_id, token(etag)))
}

fn content(etag: ETag, message_id: u16) -> Response {
    let etag = (message_id % NAMED == 1).then_some(etag);
    Response { code: Some(Code::CONTENT), etag, ..Response::default() }
}
