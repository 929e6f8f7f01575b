//! What device and relay say to each other on a session port, behind the handshake of TLS 1.3, and which keys come of it.
//!
//! The device asks, the relay grants, and both take the OSCORE Master Secret and Master Salt from the TLS exporter (RFC 8446
//! §7.5). TLS itself, certificates and the derivation of keys (RFC 8613 §3.2) are elsewhere. All integers are big-endian.
//!
//! ```text
//! Ask                                     Answer
//!   0  version: 1                           0  version: 1
//!   1  zero (3)                             1  outcome
//!   4  wanted lifetime in seconds (4)       2  CoAP port, 0 for no other than is known (2)
//!                                           4  lifetime in seconds (4)
//!                                           8  device's Sender ID: length (1), value (7)
//!                                          16  relay's Sender ID: length (1), value (7)
//! ```

use core::fmt;

/// The protocol's name in ALPN (RFC 7301).
pub const ALPN: &[u8] = b"sixfold/1";
/// The version of the layout above.
pub const VERSION: u8 = 1;
/// The exporter's label of the Master Secret.
pub const SECRET_LABEL: &[u8] = b"EXPORTER-sixfold-OSCORE-secret";
/// The exporter's label of the Master Salt.
pub const SALT_LABEL: &[u8] = b"EXPORTER-sixfold-OSCORE-salt";
/// Bytes of a Master Secret.
pub const MASTER_SECRET: usize = 16;
/// Bytes of a Master Salt.
pub const MASTER_SALT: usize = 8;
/// Bytes of an [`Ask`].
pub const ASK: usize = 8;
/// Bytes of an [`Answer`].
pub const ANSWER: usize = 24;
/// The most bytes of a Sender ID (RFC 8613 §3.3).
pub const MAX_ID: usize = 7;

/// The device's question, in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// How long the device wants the session to last, in seconds; 0 for as long as the relay allows.
    pub lifetime: u32,
}

/// The relay's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// There is a session.
    Granted(Grant<'a>),
    /// There is none.
    Refused(Refusal),
}

/// A session that the relay has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant<'a> {
    /// The UDP port that it serves CoAP on; `None` when it does not say.
    pub port: Option<u16>,
    /// How many seconds after the answer the session ends, at least 1.
    pub lifetime: u32,
    /// The device's Sender ID, which the relay finds the session by (kid): 1 to [`MAX_ID`] bytes.
    pub device_id: &'a [u8],
    /// The relay's Sender ID, up to [`MAX_ID`] bytes, and not the same.
    pub relay_id: &'a [u8],
}

/// Why there is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// The relay has as many sessions as it may.
    Full = 1,
    /// It does not know the version of the question. Its own is in the answer.
    Version = 2,
    /// The device's certificate has no name that the relay can call it by.
    Nameless = 3,
    /// It stops, or something in it failed.
    Unavailable = 4,
    /// It does not accept the device's certificate any more, which it had accepted before the handshake that was resumed.
    Certificate = 5,
}

/// Why bytes are no question or answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgreementError {
    /// A version that is not known.
    Version(u8),
    /// A field has a value that it must not have.
    Malformed,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the relay has as many sessions as it may: try later, or raise its sessions.limit",
            Self::Version => "the relay does not know this version of the agreement: one of both needs an update",
            Self::Nameless => {
                "the device's certificate has no name: it needs a DNS name, or a common name, of printable characters"
            }
            Self::Unavailable => "the relay cannot agree on a session now: try later, and see its log",
            Self::Certificate => "the relay does not accept the device's certificate any more: renew it",
        })
    }
}

impl fmt::Display for AgreementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => {
                write!(f, "version {version} of the agreement is not known here, {VERSION} is")
            }
            Self::Malformed => f.write_str("the agreement has a field out of range"),
        }
    }
}

impl core::error::Error for Refusal {}
impl core::error::Error for AgreementError {}

impl Ask {
    /// As bytes.
    pub const fn encode(&self) -> [u8; ASK] {
        let [a, b, c, d] = self.lifetime.to_be_bytes();
        [VERSION, 0, 0, 0, a, b, c, d]
    }

    /// From bytes.
    ///
    /// # Errors
    /// [`AgreementError`].
    pub const fn decode(bytes: &[u8; ASK]) -> Result<Self, AgreementError> {
        match *bytes {
            [VERSION, 0, 0, 0, a, b, c, d] => Ok(Self { lifetime: u32::from_be_bytes([a, b, c, d]) }),
            [VERSION, ..] => Err(AgreementError::Malformed),
            [version, ..] => Err(AgreementError::Version(version)),
        }
    }
}

impl<'a> Answer<'a> {
    /// As bytes.
    ///
    /// # Errors
    /// [`AgreementError::Malformed`] for what [`Answer::decode`] would not take.
    pub fn encode(&self) -> Result<[u8; ANSWER], AgreementError> {
        let mut bytes = [0; ANSWER];
        bytes[0] = VERSION;
        match self {
            Self::Refused(refusal) => bytes[1] = *refusal as u8,
            Self::Granted(grant) if grant.is_sound() => {
                bytes[2..4].copy_from_slice(&grant.port.unwrap_or(0).to_be_bytes());
                bytes[4..8].copy_from_slice(&grant.lifetime.to_be_bytes());
                for (place, id) in
                    bytes[8..].chunks_exact_mut(1 + MAX_ID).zip([grant.device_id, grant.relay_id])
                {
                    place
                        .iter_mut()
                        .zip([id.len() as u8].iter().chain(id))
                        .for_each(|(to, from)| *to = *from);
                }
            }
            Self::Granted(_) => return Err(AgreementError::Malformed),
        }
        Ok(bytes)
    }

    /// From bytes.
    ///
    /// # Errors
    /// [`AgreementError`]; a refusal because of the version is none, whatever version the relay has.
    pub fn decode(bytes: &'a [u8; ANSWER]) -> Result<Self, AgreementError> {
        let [version, outcome, p0, p1, l0, l1, l2, l3, ids @ ..] = bytes;
        if *outcome == Refusal::Version as u8 {
            return Ok(Self::Refused(Refusal::Version));
        }
        if *version != VERSION {
            return Err(AgreementError::Version(*version));
        }
        let refusals = [Refusal::Full, Refusal::Nameless, Refusal::Unavailable, Refusal::Certificate];
        if let Some(refusal) = refusals.into_iter().find(|refusal| *refusal as u8 == *outcome) {
            return Ok(Self::Refused(refusal));
        }
        let (device_id, relay_id) = ids.split_at(1 + MAX_ID);
        let grant = Grant {
            port: Some(u16::from_be_bytes([*p0, *p1])).filter(|port| *port != 0),
            lifetime: u32::from_be_bytes([*l0, *l1, *l2, *l3]),
            device_id: identifier(device_id).ok_or(AgreementError::Malformed)?,
            relay_id: identifier(relay_id).ok_or(AgreementError::Malformed)?,
        };
        if *outcome == 0 && grant.is_sound() {
            Ok(Self::Granted(grant))
        } else {
            Err(AgreementError::Malformed)
        }
    }
}

impl Grant<'_> {
    fn is_sound(&self) -> bool {
        let Self { device_id, relay_id, .. } = self;
        let fits = (1..=MAX_ID).contains(&device_id.len()) && relay_id.len() <= MAX_ID;
        fits && device_id != relay_id && self.lifetime > 0
    }
}

/// The context value of both labels (RFC 8446 §7.5): each Sender ID behind its length, the device's first. Returns the place
/// and how much of it counts; `None` for an identifier that is too long.
pub fn exporter_context(device_id: &[u8], relay_id: &[u8]) -> Option<([u8; 2 * (1 + MAX_ID)], usize)> {
    if device_id.len() > MAX_ID || relay_id.len() > MAX_ID {
        return None;
    }
    let mut context = [0; 2 * (1 + MAX_ID)];
    let lengths = [[device_id.len() as u8], [relay_id.len() as u8]];
    let parts = lengths[0].iter().chain(device_id).chain(&lengths[1]).chain(relay_id);
    context.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
    Some((context, 2 + device_id.len() + relay_id.len()))
}

/// A length and a place of [`MAX_ID`] bytes, with zeros behind the value.
fn identifier(place: &[u8]) -> Option<&[u8]> {
    let (length, place) = place.split_first()?;
    let (value, padding) = place.split_at_checked(usize::from(*length))?;
    padding.iter().all(|byte| *byte == 0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRANT: Grant<'_> =
        Grant { port: Some(5683), lifetime: 86_400, device_id: &[1, 2, 3, 4, 5], relay_id: &[] };

    #[test]
    fn questions_and_answers_come_back() {
        let ask = Ask { lifetime: 0x0102_0304 };
        assert_eq!(ask.encode(), [1, 0, 0, 0, 1, 2, 3, 4]);
        assert_eq!(Ask::decode(&ask.encode()), Ok(ask));
        let all =
            [Refusal::Full, Refusal::Version, Refusal::Nameless, Refusal::Unavailable, Refusal::Certificate];
        let all = all.map(Answer::Refused);
        let longest = Grant { port: None, device_id: &[7; 7], relay_id: &[8; 7], ..GRANT };
        for answer in all.into_iter().chain([GRANT, longest].map(Answer::Granted)) {
            assert_eq!(Answer::decode(&answer.encode().unwrap()), Ok(answer));
        }
    }

    #[test]
    fn what_is_out_of_range_is_refused_on_both_sides() {
        assert_eq!(Ask::decode(&[2, 0, 0, 0, 0, 0, 0, 0]), Err(AgreementError::Version(2)));
        assert_eq!(Ask::decode(&[1, 0, 0, 1, 0, 0, 0, 0]), Err(AgreementError::Malformed));
        let wrong = [
            Grant { device_id: &[], relay_id: &[1], ..GRANT },
            Grant { device_id: &[1], relay_id: &[1], ..GRANT },
            Grant { device_id: &[1; 8], ..GRANT },
            Grant { relay_id: &[1; 8], ..GRANT },
            Grant { lifetime: 0, ..GRANT },
        ];
        for grant in wrong {
            assert_eq!(Answer::Granted(grant).encode(), Err(AgreementError::Malformed), "{grant:?}");
        }
        let good = Answer::Granted(GRANT).encode().unwrap();
        for (place, value) in [(1, 6), (8, 0), (8, 8), (15, 1), (16, 8), (17, 1)] {
            let mut bad = good;
            bad[place] = value;
            assert_eq!(Answer::decode(&bad), Err(AgreementError::Malformed), "{place}");
        }
        let mut newer = good;
        newer[0] = 2;
        assert_eq!(Answer::decode(&newer), Err(AgreementError::Version(2)));
        newer[1] = Refusal::Version as u8;
        assert_eq!(Answer::decode(&newer), Ok(Answer::Refused(Refusal::Version)));
    }

    #[test]
    fn identifiers_do_not_run_together_in_the_context() {
        let of = exporter_context;
        assert_eq!(of(&[1, 2], &[]).unwrap().0[..4], [2, 1, 2, 0]);
        assert_ne!(of(&[1, 2], &[]), of(&[1], &[2]));
        assert_eq!(of(&[1; 7], &[2; 7]).unwrap().1, 16);
        assert_eq!(of(&[1; 8], &[]), None);
    }
}
