//! From a representation and a question to a response: content negotiation, validation, blocks.

use crate::body::{Body, Cut};
use crate::coap::{Refusal, Response, Wants};
use crate::image::{ETag, Image};
use sixfold_profile::coap::{Block, Code, Szx};

/// A version as it can be answered from now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Representation<'a> {
    pub(crate) etag: ETag,
    pub(crate) content_format: Option<u16>,
    /// Seconds for which the answer stays fresh.
    pub(crate) max_age: u32,
    pub(crate) body: Body<'a>,
}

/// What a representation has to say to a question.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A block of the body.
    Block {
        response: Response,
        /// The version whose block it is.
        etag: ETag,
        /// Where the block starts in the body, in bytes.
        start: usize,
        /// It is the last one.
        last: bool,
    },
    /// Any other response: validation or error.
    Other(Response),
    /// Its bytes are still to come.
    NotYet,
}

impl<'a> Representation<'a> {
    pub(crate) fn of(image: &'a Image, max_age: u32) -> Self {
        let body = Body::whole(&image.body);
        Self { etag: image.etag, content_format: image.content_format, max_age, body }
    }

    /// Answers a question (RFC 7252 §5.5, §5.10.6; RFC 7959 §2.4).
    pub(crate) fn answer(&self, wants: &Wants, preferred: Szx) -> Answer {
        if wants.accept.is_some_and(|accept| self.content_format.map(u32::from) != Some(accept)) {
            return refuse(Code::NOT_ACCEPTABLE, "no representation in this Content-Format");
        }
        let common = Response { etag: Some(self.etag), max_age: Some(self.max_age), ..Response::default() };
        if wants.starts_body() && wants.etags.contains(&self.etag) {
            return Answer::Other(Response { code: Some(Code::VALID), ..common });
        }
        match self.body.cut(wants.block, preferred) {
            Cut::Ready(bytes, block) => Answer::Block {
                etag: self.etag,
                start: block.map_or(0, Block::offset),
                last: block.is_none_or(|block| !block.more),
                response: Response {
                    code: Some(Code::CONTENT),
                    content_format: self.content_format,
                    block: block.filter(|_| wants.lacks.is_none()),
                    q_block: block.filter(|_| wants.lacks.is_some()),
                    size: self.body.total.filter(|_| wants.size).and_then(|total| u32::try_from(total).ok()),
                    payload: bytes.to_vec(),
                    ..common
                },
            },
            Cut::NotYet => Answer::NotYet,
            Cut::BeyondEnd => refuse(Code::BAD_REQUEST, "Block2 beyond the end of the body"),
            Cut::TooManyBlocks => refuse(Code::BAD_REQUEST, "body needs larger blocks than this"),
        }
    }
}

fn refuse(code: Code, diagnostic: &'static str) -> Answer {
    Answer::Other(Response::refusal(Refusal::new(code, diagnostic), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETAG: ETag = ETag(*b"12345678");

    fn answer(wants: &Wants) -> Response {
        let body = Body::whole(&[9; 100]);
        let representation = Representation { etag: ETAG, content_format: Some(42), max_age: 7, body };
        match representation.answer(wants, Szx::MAX) {
            Answer::Block { response, .. } | Answer::Other(response) => response,
            Answer::NotYet => panic!("all is here"),
        }
    }

    #[test]
    fn every_block_names_its_version() {
        let wants = Wants { block: Block::new(1, false, Szx::B64), size: true, ..Wants::default() };
        let response = answer(&wants);
        assert_eq!((response.code(), response.etag, response.max_age), (Code::CONTENT, Some(ETAG), Some(7)));
        assert_eq!((response.size, response.payload.len()), (Some(100), 36));
        assert_eq!(answer(&Wants::default()).size, None, "only when asked");
    }

    #[test]
    fn validation_only_at_the_start() {
        let etags = vec![ETag([0; 8]), ETAG];
        let valid = answer(&Wants { etags: etags.clone(), ..Wants::default() });
        assert_eq!((valid.code(), valid.payload.len(), valid.etag), (Code::VALID, 0, Some(ETAG)));
        let second = Wants { etags, block: Block::new(1, false, Szx::B64), ..Wants::default() };
        assert_eq!(answer(&second).code(), Code::CONTENT);
    }

    #[test]
    fn accept_is_critical() {
        assert_eq!(answer(&Wants { accept: Some(42), ..Wants::default() }).code(), Code::CONTENT);
        assert_eq!(answer(&Wants { accept: Some(60), ..Wants::default() }).code(), Code::NOT_ACCEPTABLE);
    }
}
