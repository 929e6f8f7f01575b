//! Transmission parameters and the times derived from them (RFC 7252 §4.8, RFC 7959, RFC 8768).

use core::time::Duration;

/// The UDP port of CoAP (RFC 7252 §6.1).
pub const PORT: u16 = 5683;
/// Time until the first retransmission of a Confirmable message, before jitter (§4.8).
pub const ACK_TIMEOUT: Duration = Duration::from_secs(2);
/// The initial time-out is drawn from `ACK_TIMEOUT` … `ACK_TIMEOUT × 3/2`: ACK_RANDOM_FACTOR is 1.5 (§4.8).
pub const ACK_RANDOM_SPREAD: Duration = Duration::from_secs(1);
/// How often a Confirmable message is repeated before it is given up (§4.8).
pub const MAX_RETRANSMIT: u8 = 4;
/// Outstanding interactions with one endpoint (§4.7).
pub const NSTART: usize = 1;
/// The period over which answers to a multicast request are spread (§4.8, §8.2).
pub const DEFAULT_LEISURE: Duration = Duration::from_secs(5);
/// From the first transmission of a Confirmable message until its last retransmission (§4.8.2).
pub const MAX_TRANSMIT_SPAN: Duration = Duration::from_secs(45);
/// From the first transmission of a Confirmable message until the sender gives up (§4.8.2).
pub const MAX_TRANSMIT_WAIT: Duration = Duration::from_secs(93);
/// How long a Message ID of a Confirmable message stays in use (§4.8.2).
pub const EXCHANGE_LIFETIME: Duration = Duration::from_secs(247);
/// How long a Message ID of a Non-confirmable message stays in use (§4.8.2).
pub const NON_LIFETIME: Duration = Duration::from_secs(145);
/// Max-Age of a response that carries none, in seconds (§5.10.5).
pub const DEFAULT_MAX_AGE_S: u32 = 60;
/// Hop-Limit of a request that carries none (RFC 8768 §3).
pub const DEFAULT_HOP_LIMIT: u8 = 16;
/// The longest Token (§3).
pub const MAX_TOKEN: usize = 8;
/// The longest ETag (§5.10.6).
pub const MAX_ETAG: usize = 8;
