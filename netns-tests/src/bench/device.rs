//! The client's side of a session, and how the relay is told of it.

use super::exchange::MAX_MESSAGE;
use anyhow::{Context as _, Result, bail};
use sixfold_oscore::{Derived, Plain, Secret, SenderSequence};
use sixfold_profile::Hex;
use sixfold_profile::coap::{Code, Message};

/// A device with its number as Sender ID, in two bytes; the relay's is empty.
pub(super) struct Device {
    derived: Derived,
    numbers: SenderSequence,
    /// That of the latest request.
    number: u64,
}

impl Device {
    pub(super) fn new(number: u16) -> Result<Self> {
        let own = secret(number);
        let secret = Secret { master_secret: &own, master_salt: &[], id_context: None };
        let derived = Derived::new(secret, &number.to_be_bytes(), &[])?;
        Ok(Self { derived, numbers: SenderSequence::new(0..u64::from(u32::MAX)), number: 0 })
    }

    /// Protects a request.
    pub(super) fn protect(&mut self, request: &[u8]) -> Result<Vec<u8>> {
        let number = self.numbers.take().context("no number is left")?;
        self.number = number.number();
        let mut buffer = vec![0; MAX_MESSAGE];
        let message = Message::parse(request)?;
        let length = self.derived.context().protect_request(&number, &Plain::from(&message), &mut buffer)?;
        buffer.truncate(length);
        Ok(buffer)
    }

    /// Unprotects a response to the latest request, in place; its length. What is empty, or has another Token than that request, is
    /// left as it is.
    pub(super) fn unprotect(&self, datagram: &mut [u8], token: &[u8]) -> Result<usize> {
        let message = Message::parse(datagram)?;
        if message.code == Code::EMPTY || message.token != token {
            return Ok(datagram.len());
        }
        match self.derived.context().unprotect_response(self.number, datagram) {
            Ok(response) => Ok(response.length),
            Err(error) => bail!("an answer in a session: {error}"),
        }
    }
}

/// Each device has a secret of its own: the relay refuses contexts that share a key.
pub(super) fn secret(number: u16) -> [u8; 16] {
    let mut secret = [7; 16];
    secret[..2].copy_from_slice(&number.to_be_bytes());
    secret
}

/// The file that the relay reads so many sessions from (`sessions.contexts`).
pub(super) fn contexts(devices: usize) -> String {
    let one = |number: usize| {
        let secret = Hex(&secret(number as u16)).to_string();
        format!(
            "[[context]]\nname = \"client-{number}\"\nrecipient_id = \"{number:04x}\"\nmaster_secret = \"{secret}\"\n"
        )
    };
    (0..devices).map(one).collect()
}
