//! The device's side. It knows which relay it speaks to, and believes message_4 only from that one.

use crate::credential::{Credential, Identity};
use crate::crypto::Crypto;
use crate::{
    Agreed, Failure, MASTER_SALT, MASTER_SECRET, MAX_ID, POINT, TAG, byte_string, contained, first,
    is_short_identifier, refuse_critical,
};
use hmac_sha256::{HKDF, Hash};
use lakers::{
    ConnId, CredentialTransfer, CryptoTrait, EDHOCError, EDHOCMethod, EDHOCSuite, EdhocInitiator,
    EdhocInitiatorWaitM2, EdhocInitiatorWaitM4,
};
use std::fmt;

/// An exchange that waits for message_2.
pub struct Waiting {
    state: EdhocInitiatorWaitM2<Crypto>,
    relay_id: Vec<u8>,
    seed: [u8; crate::SEED],
    hash_of_message_1: [u8; 32],
}

/// Without the ephemeral key.
impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("relay_id", &self.relay_id).finish_non_exhaustive()
    }
}

/// An exchange that waits for message_4.
pub struct Confirming {
    state: EdhocInitiatorWaitM4<Crypto>,
    agreed: Agreed,
}

/// Without the ephemeral key.
impl fmt::Debug for Confirming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirming").field("agreed", &self.agreed).finish_non_exhaustive()
    }
}

/// Gives message_1 (without what stands before it). `relay_id` becomes C_I. `seed` is random, and for this exchange alone.
///
/// # Errors
/// [`Failure::Identifier`] for an identifier of more than 7 bytes.
pub fn begin(relay_id: &[u8], seed: [u8; crate::SEED]) -> Result<(Waiting, Vec<u8>), Failure> {
    let c_i = ConnId::from_slice(relay_id).filter(|_| relay_id.len() <= MAX_ID).ok_or(Failure::Identifier)?;
    contained(|| {
        let initiator =
            EdhocInitiator::new(Crypto::new(seed), EDHOCMethod::StatStat, EDHOCSuite::CipherSuite2);
        let (state, message_1) = initiator.prepare_message_1(Some(c_i), &None)?;
        let message_1 = message_1.as_slice().to_vec();
        let hash_of_message_1 = Hash::hash(&message_1);
        Ok((Waiting { state, relay_id: relay_id.to_vec(), seed, hash_of_message_1 }, message_1))
    })
}

impl Waiting {
    /// Takes message_2, verifies that it is of `relay`, and gives message_3.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn proceed(
        self,
        message_2: &[u8],
        identity: &Identity,
        relay: &Credential,
    ) -> Result<(Confirming, Vec<u8>), Failure> {
        let message_2 = byte_string(message_2, POINT + TAG)?;
        self.check(&self.plaintext_2(message_2.as_slice()), relay)?;
        let Self { state, relay_id, .. } = self;
        contained(|| {
            let (mut state, c_r, id, ead) = state.parse_message_2(&message_2)?;
            refuse_critical(ead)?;
            if !relay.is_named_by(&id) {
                return Err(Failure::UnknownCredential);
            }
            let device_id = c_r.as_slice().to_vec();
            if device_id.len() > MAX_ID || device_id == relay_id {
                return Err(Failure::Identifier);
            }
            state.set_identity(identity.key, identity.credential.ccs)?;
            let state = state.verify_message_2(relay.ccs)?;
            let (state, message_3, _) = state.prepare_message_3(CredentialTransfer::ByReference, &None)?;
            let agreed = Agreed {
                name: relay.name().to_owned(),
                device_id,
                relay_id,
                master_secret: [0; MASTER_SECRET],
                master_salt: [0; MASTER_SALT],
            };
            Ok((Confirming { state, agreed }, message_3.as_slice().to_vec()))
        })
    }

    /// What PLAINTEXT_2 (RFC 9528 §5.3.2) begins with is checked before lakers sees it, which panics for a longer C_R than it has room
    /// for, and for some nested ID_CRED_R: anybody who heard message_1 can encrypt a message_2 (§4.1.1.1).
    fn check(&self, plaintext: &[u8], relay: &Credential) -> Result<(), Failure> {
        let c_r = match plaintext.first() {
            Some(head) if !is_short_identifier(*head) => return Err(Failure::Identifier),
            Some(head @ 0x40..=0x5f) => 1 + usize::from(head - 0x40),
            _ => 1,
        };
        let rest = plaintext.get(c_r..).ok_or(Failure::Edhoc(EDHOCError::ParsingError))?;
        if relay.begins(rest) { Ok(()) } else { Err(Failure::UnknownCredential) }
    }

    /// PLAINTEXT_2: CIPHERTEXT_2 and KEYSTREAM_2 (RFC 9528 §5.3.2, §4.1.1.1, §4.1.2).
    fn plaintext_2(&self, message_2: &[u8]) -> Vec<u8> {
        // `byte_string` has seen that the head has two bytes.
        let content = message_2.get(2..).unwrap_or_default();
        let Some((g_y, ciphertext)) = content.split_first_chunk::<POINT>() else { return Vec::new() };
        let mut crypto = Crypto::new(self.seed);
        let (x, _) = crypto.p256_generate_key_pair();
        let head = [0x58, 32];
        let th_2 = Hash::hash(&[&head[..], g_y, &head, &self.hash_of_message_1].concat());
        let prk_2e = HKDF::extract(th_2, crypto.p256_ecdh(&x, g_y));
        let length = ciphertext.len() as u8;
        let length = if length < 24 { vec![length] } else { vec![0x18, length] };
        let mut plaintext = vec![0; ciphertext.len()];
        HKDF::expand(&mut plaintext, prk_2e, [&[0], &head[..], &th_2, &length].concat());
        plaintext.iter_mut().zip(ciphertext).for_each(|(key, byte)| *key ^= byte);
        plaintext
    }
}

impl Confirming {
    /// C_R in CBOR: what stands before message_3 in a request (RFC 9528 Appendix A.2.1).
    pub fn before_message_3(&self) -> Vec<u8> {
        ConnId::from_slice(&self.agreed.device_id).map(|id| id.as_cbor().to_vec()).unwrap_or_default()
    }

    /// Takes message_4: now the relay has the same.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn confirm(self, message_4: &[u8]) -> Result<Agreed, Failure> {
        let message_4 = byte_string(message_4, TAG)?;
        let Self { state, agreed } = self;
        contained(|| {
            let (mut done, ead) = state.process_message_4(&message_4)?;
            refuse_critical(ead)?;
            Ok(Agreed {
                master_secret: first(&done.edhoc_exporter(0, &[], MASTER_SECRET)),
                master_salt: first(&done.edhoc_exporter(1, &[], MASTER_SALT)),
                ..agreed
            })
        })
    }
}
