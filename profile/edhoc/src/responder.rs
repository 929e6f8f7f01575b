//! The relay's side. It answers whoever sends message_1, and learns from message_3 who that is.

use crate::credential::{Credential, Identity};
use crate::crypto::Crypto;
use crate::{
    Agreed, Failure, MASTER_SALT, MASTER_SECRET, MAX_ID, POINT, TAG, buffer, byte_string, contained, first,
    is_short_identifier, refuse_critical,
};
use lakers::{ConnId, CredentialTransfer, EDHOCMethod, EdhocResponder, EdhocResponderWaitM3};
use std::fmt;

/// An exchange that waits for message_3.
pub struct Waiting {
    state: EdhocResponderWaitM3<Crypto>,
    device_id: Vec<u8>,
    relay_id: Vec<u8>,
}

/// Without the ephemeral key.
impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("relay_id", &self.relay_id).finish_non_exhaustive()
    }
}

/// Takes message_1 (without what stands before it), and gives message_2. `device_id` becomes C_R: no other exchange or session
/// of the relay has it. `seed` is random, and for this exchange alone.
///
/// # Errors
/// [`Failure`], whose message is the answer.
pub fn respond(
    identity: &Identity,
    message_1: &[u8],
    device_id: &[u8],
    seed: [u8; crate::SEED],
) -> Result<(Waiting, Vec<u8>), Failure> {
    if !has_short_identifier(message_1) {
        return Err(Failure::Identifier);
    }
    let message_1 = buffer(message_1)?;
    contained(|| {
        let responder = EdhocResponder::new(
            Crypto::new(seed),
            EDHOCMethod::StatStat,
            identity.key,
            identity.credential.ccs,
        );
        let (responder, c_i, ead) = responder.process_message_1(&message_1)?;
        refuse_critical(ead)?;
        let relay_id = c_i.as_slice().to_vec();
        let c_r = ConnId::from_slice(device_id).ok_or(Failure::Identifier)?;
        if relay_id.len() > MAX_ID || relay_id == device_id {
            return Err(Failure::Identifier);
        }
        let (state, message_2) =
            responder.prepare_message_2(CredentialTransfer::ByReference, Some(c_r), &None)?;
        let waiting = Waiting { state, device_id: device_id.to_vec(), relay_id };
        Ok((waiting, message_2.as_slice().to_vec()))
    })
}

/// Whether C_I, behind METHOD, SUITES_I and G_X (RFC 9528 §5.2.1), is one that lakers has room for: it panics for a longer one.
/// What is no message_1 is left to lakers.
fn has_short_identifier(message_1: &[u8]) -> bool {
    let Some((_method, rest)) = integer(message_1) else { return true };
    let suites = match rest {
        [head @ 0x80..=0x97, rest @ ..] => (0..head - 0x80).try_fold(rest, |rest, _| Some(integer(rest)?.1)),
        rest => integer(rest).map(|(_, rest)| rest),
    };
    let g_x = suites.and_then(|rest| rest.strip_prefix(&[0x58, POINT as u8]));
    let head = g_x.and_then(|rest| rest.get(POINT));
    head.is_none_or(|head| is_short_identifier(*head))
}

/// The first byte of a CBOR integer of one or two bytes, and what follows it.
const fn integer(bytes: &[u8]) -> Option<(u8, &[u8])> {
    match bytes {
        [head @ (0x18 | 0x38), _, rest @ ..] | [head @ (0..=0x17 | 0x20..=0x37), rest @ ..] => {
            Some((*head, rest))
        }
        _ => None,
    }
}

impl Waiting {
    /// Takes message_3, finds out who it is among those who are known, and gives message_4.
    ///
    /// # Errors
    /// [`Failure`], whose message is the answer. The exchange is over then.
    pub fn finish(self, message_3: &[u8], known: &[Credential]) -> Result<(Agreed, Vec<u8>), Failure> {
        let message_3 = byte_string(message_3, TAG)?;
        let Self { state, device_id, relay_id } = self;
        contained(|| {
            let (state, id, ead) = state.parse_message_3(&message_3)?;
            refuse_critical(ead)?;
            let device = known.iter().find(|known| known.is_named_by(&id));
            let device = device.ok_or(Failure::UnknownCredential)?;
            let (state, _) = state.verify_message_3(device.ccs)?;
            let (mut done, message_4) = state.prepare_message_4(&None)?;
            let agreed = Agreed {
                name: device.name().to_owned(),
                device_id,
                relay_id,
                master_secret: first(&done.edhoc_exporter(0, &[], MASTER_SECRET)),
                master_salt: first(&done.edhoc_exporter(1, &[], MASTER_SALT)),
            };
            Ok((agreed, message_4.as_slice().to_vec()))
        })
    }
}
