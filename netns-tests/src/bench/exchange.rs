//! The messages of the load: one GET per block, and what its answer must look like.

use anyhow::{Context, Result, bail, ensure};
use sixfold_profile::coap::{Block, Code, Message, Szx, Type, Writer, option};

/// The longest message of the load or of an answer, in bytes.
pub(super) const MAX_MESSAGE: usize = 1280;

/// What is fetched, and how closely the answers are looked at.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    /// The Uri-Path segments.
    pub(super) path: Vec<String>,
    /// The body.
    pub(super) body: Vec<u8>,
    /// The server is the echo: its payloads have the right length and no meaning.
    pub(super) lengths_only: bool,
}

/// What a datagram means to the client that got it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The block asked for; `acknowledge` it if it came as a separate response.
    Block {
        /// The Message ID of a Confirmable response.
        acknowledge: Option<u16>,
    },
    /// The request has arrived; the response will come later.
    Later,
    /// It belongs to an earlier request.
    Old,
}

impl Resource {
    /// How many blocks of this size there are.
    pub(super) fn blocks(&self, szx: Szx) -> u32 {
        self.body.len().div_ceil(szx.size()) as u32
    }

    /// Writes the Confirmable GET for block `num`. The Token is the Message ID.
    pub(super) fn request(&self, message_id: u16, num: u32, szx: Szx, buffer: &mut [u8]) -> Result<usize> {
        let mut writer =
            Writer::new(buffer, Type::Confirmable, Code::GET, message_id, &message_id.to_be_bytes())?;
        for segment in &self.path {
            writer.option(option::URI_PATH, segment.as_bytes())?;
        }
        let block = Block::new(num, false, szx).context("the body has more blocks than NUM can count")?;
        writer.uint_option(option::BLOCK2, block.encode())?;
        Ok(writer.finish())
    }

    /// Compares a datagram with what the request for block `num` must be answered.
    ///
    /// # Errors
    /// When it answers the request and is wrong.
    pub(super) fn check(&self, datagram: &[u8], message_id: u16, num: u32, szx: Szx) -> Result<Answer> {
        let message = Message::parse(datagram)?;
        let is_ack = message.message_type == Type::Acknowledgement;
        if is_ack && message.message_id == message_id && message.code == Code::EMPTY {
            return Ok(Answer::Later);
        }
        if message.token != message_id.to_be_bytes() || (is_ack && message.message_id != message_id) {
            return Ok(Answer::Old);
        }
        ensure!(message.code == Code::CONTENT, "answer {:?} to the GET of block {num}", message.code);
        let start = num as usize * szx.size();
        let end = self.body.len().min(start + szx.size());
        let expected = &self.body[start..end];
        if self.lengths_only {
            ensure!(message.payload.len() == szx.size(), "block {num} has {} bytes", message.payload.len());
        } else {
            let block =
                message.option(option::BLOCK2).map(Block::decode).context("no Block2 in the answer")??;
            ensure!((block.num(), block.szx) == (num, szx), "{block:?} is not block {num} of {szx:?}");
            if message.payload != expected {
                bail!("block {num} has wrong bytes");
            }
        }
        let confirmable = message.message_type == Type::Confirmable;
        Ok(Answer::Block { acknowledge: confirmable.then_some(message.message_id) })
    }
}

/// An empty ACK.
pub(super) fn acknowledgement(message_id: u16) -> [u8; 4] {
    let [high, low] = message_id.to_be_bytes();
    [0x60, 0, high, low]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource() -> Resource {
        Resource { path: vec!["fw".into(), "image".into()], body: (0..100).collect(), lengths_only: false }
    }

    fn response(num: u32, message_type: Type, message_id: u16, payload: &[u8]) -> Vec<u8> {
        let mut buffer = [0; 200];
        let mut writer = Writer::new(&mut buffer, message_type, Code::CONTENT, message_id, &[0, 7]).unwrap();
        let block = Block::new(num, false, Szx::B64).unwrap();
        writer.uint_option(option::BLOCK2, block.encode()).unwrap();
        let length = writer.payload(payload).unwrap();
        buffer[..length].to_vec()
    }

    #[test]
    fn the_right_block_is_told_from_all_others() {
        let resource = resource();
        assert_eq!(resource.blocks(Szx::B64), 2);
        let check = |datagram: &[u8]| resource.check(datagram, 7, 1, Szx::B64);
        let last = &resource.body[64..];
        let piggybacked = response(1, Type::Acknowledgement, 7, last);
        assert_eq!(check(&piggybacked).unwrap(), Answer::Block { acknowledge: None });
        let separate = response(1, Type::Confirmable, 999, last);
        assert_eq!(check(&separate).unwrap(), Answer::Block { acknowledge: Some(999) });
        assert_eq!(check(&acknowledgement(7)).unwrap(), Answer::Later);
        assert_eq!(check(&response(1, Type::Acknowledgement, 8, last)).unwrap(), Answer::Old);
        assert!(check(&response(0, Type::Acknowledgement, 7, last)).is_err(), "another block");
        assert!(check(&response(1, Type::Acknowledgement, 7, &last[1..])).is_err(), "a byte is missing");
    }

    #[test]
    fn the_request_is_a_confirmable_get() {
        let mut buffer = [0; MAX_MESSAGE];
        let length = resource().request(7, 1, Szx::B64, &mut buffer).unwrap();
        let message = Message::parse(&buffer[..length]).unwrap();
        assert_eq!(
            (message.message_type, message.code, message.message_id),
            (Type::Confirmable, Code::GET, 7)
        );
        assert_eq!(message.option(option::BLOCK2), Some(&[0x12][..]));
    }
}
