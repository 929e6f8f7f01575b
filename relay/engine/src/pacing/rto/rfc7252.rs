//! The default transmission parameters (RFC 7252 §4.2, §4.8): ACK_TIMEOUT, doubled each time. It learns nothing.

use super::Rto;
use sixfold_profile::coap::params::ACK_TIMEOUT;
use std::time::Duration;

/// A constant.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rfc7252;

impl Rto for Rfc7252 {
    fn sample(&mut self, _rtt: Duration, _repeats: u8) {}

    fn timeout(&self) -> Duration {
        ACK_TIMEOUT
    }

    fn after(&self, repeats: u8) -> Duration {
        ACK_TIMEOUT * (1 << repeats.min(4))
    }

    fn copy(&self) -> Box<dyn Rto> {
        Box::new(*self)
    }
}
