//! How a link is paced, as the operator says it.

use super::airtime::Radio;
use super::rto::Algorithm;
use crate::fanout::Fanout;

/// How a link is paced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkConfig {
    /// Its radio.
    pub radio: Radio,
    /// The relay's own link-layer address there, if it is known: IPv6 addresses that are made of it are not sent.
    pub eui64: Option<[u8; 8]>,
    /// The longest IPv6 packet that devices take, in bytes: blocks are not larger than it allows.
    pub mtu: usize,
    /// How much of the time the relay may send, in percent: 1 to 100.
    pub duty_cycle: u8,
    /// How time-outs are estimated.
    pub algorithm: Algorithm,
    /// How blocks leave once for many devices; `None`: they do not.
    pub fanout: Option<Fanout>,
}

impl Default for LinkConfig {
    fn default() -> Self {
        let (radio, algorithm, fanout) = (Radio::default(), Algorithm::default(), Some(Fanout::default()));
        Self { radio, eui64: None, mtu: 1280, duty_cycle: 100, algorithm, fanout }
    }
}
