//! What device and relay agreed on, on whatever way, for the ticket.

use sixfold_oscore::{Derived, Parameters};
use sixfold_profile::ticket::{Numbers, Session};
use std::time::Duration;
use std::vec::Vec;

/// A session that the relay has, and the boot program is to use. Its numbers are all unused, so it is for one ticket: it cannot be
/// cloned.
///
/// ```compile_fail,E0599
/// fn two_tickets(agreed: sixfold_device::prepare::Agreed) -> [sixfold_device::prepare::Agreed; 2] {
///     [agreed.clone(), agreed]
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The session's identifiers and keys.
    pub keys: Derived,
    /// The relay forgets the session after this time, if it said so.
    pub lifetime: Option<Duration>,
    /// The port that the relay serves CoAP on, if it said so.
    pub port: Option<u16>,
    /// Whether the boot program may go on without protection when the relay does not know the session any more.
    pub plain_allowed: bool,
}

/// What is left of a session that went into a ticket: no keys, because the numbers are the ticket's from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InTicket {
    /// The device's Sender ID.
    pub sender_id: Vec<u8>,
    /// The relay forgets the session after this time, if it said so.
    pub lifetime: Option<Duration>,
}

impl Agreed {
    /// When its ticket is written.
    pub(super) fn spent(self) -> InTicket {
        InTicket { sender_id: self.keys.parameters().sender_id.to_vec(), lifetime: self.lifetime }
    }

    /// As it stands in a ticket: nobody has used a number before, and whoever wants protection gets no plain mode.
    pub(super) fn session(&self) -> Session<'_> {
        let Parameters { sender_id, recipient_id, sender_key, recipient_key, common_iv, .. } =
            self.keys.parameters();
        let numbers = Numbers { first: 0, exponent: 40 };
        Session {
            sender_id,
            recipient_id,
            sender_key,
            recipient_key,
            common_iv,
            numbers,
            plain_allowed: self.plain_allowed,
        }
    }
}
