//! EDHOC over CoAP (RFC 9528 Appendix A.2): requests to `/.well-known/edhoc`. What is in them is not the engine's, which has no
//! public keys: whoever owns it takes each with [`Engine::poll_edhoc`] and answers it with [`Engine::answer_edhoc`], at once.

use crate::coap::{Ask, Refusal, Response, Wants};
use crate::engine::Engine;
use crate::exchanges::Reply;
use crate::store::Store;
use sixfold_profile::Instant;
use sixfold_profile::coap::{Code, Message, content_format, option};
use std::net::SocketAddr;

/// Requests that wait to be taken; more are answered 5.03.
const WAITING: usize = 64;

/// A request with an EDHOC message.
#[derive(Debug)]
pub struct EdhocRequest {
    /// Whose it is.
    pub peer: SocketAddr,
    /// `true` and message_1, or C_R and message_3.
    pub payload: Vec<u8>,
    reply: Reply,
    wants: Wants,
}

/// What an EDHOC message is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EdhocAnswer {
    /// The next message: 2.04.
    Message(Vec<u8>),
    /// An EDHOC error message (§6): 4.00.
    Error(Vec<u8>),
    /// Nothing now: 5.03.
    Later,
}

impl<S: Store> Engine<S> {
    /// The next EDHOC message, which waits for its answer.
    pub fn poll_edhoc(&mut self) -> Option<EdhocRequest> {
        self.edhoc.pop_front()
    }

    /// Answers an EDHOC message.
    pub fn answer_edhoc(&mut self, now: Instant, request: EdhocRequest, answer: EdhocAnswer) {
        let EdhocRequest { reply, wants, .. } = request;
        let (code, payload) = match answer {
            EdhocAnswer::Message(payload) => (Code::CHANGED, payload),
            EdhocAnswer::Error(payload) => (Code::BAD_REQUEST, payload),
            EdhocAnswer::Later => {
                let refusal = Refusal::new(Code::SERVICE_UNAVAILABLE, "relay: too many agreements");
                self.refuse(now, reply, &wants, refusal);
                return self.release(now);
            }
        };
        let content_format = Some(content_format::EDHOC_CBOR_SEQ);
        let response = Response { code: Some(code), content_format, payload, ..Response::default() };
        self.respond(now, reply, &wants, response);
        self.release(now);
    }

    pub(crate) fn is_edhoc(&self, message: &Message<'_>) -> bool {
        let path = message.options().filter(|opt| opt.number == option::URI_PATH).map(|opt| opt.value);
        self.config.edhoc && message.code == Code::POST && path.eq([&b".well-known"[..], b"edhoc"])
    }

    pub(crate) fn take_edhoc(
        &mut self,
        now: Instant,
        reply: Reply,
        message: &Message<'_>,
        ask: &Ask<'_>,
    ) -> Result<(), Refusal> {
        let cid = u32::from(content_format::CID_EDHOC_CBOR_SEQ);
        if ask.content_format.is_some_and(|format| format != cid) {
            let diagnostic = "EDHOC: the Content-Format of requests is 65";
            return Err(Refusal::new(Code::UNSUPPORTED_CONTENT_FORMAT, diagnostic));
        }
        // Forged addresses take no place, and cost no public keys (RFC 9175 §2.3).
        if reply.room.is_some() {
            self.challenge(now, reply, &ask.wants);
            return Ok(());
        }
        if self.edhoc.len() >= WAITING {
            return Err(Refusal::new(Code::SERVICE_UNAVAILABLE, "relay: too many agreements"));
        }
        let (peer, payload) = (reply.path.peer, message.payload.to_vec());
        self.edhoc.push_back(EdhocRequest { peer, payload, reply, wants: ask.wants.clone() });
        Ok(())
    }
}
