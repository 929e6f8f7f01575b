//! What happens besides the protocol: which datagrams are lost, and when the origin answers.

use sixfold_engine::{Failure, Freshness, Head, OriginEvent, Validator};
use std::time::Duration;

/// One update.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// Datagrams that do not arrive, counted from 0 over both directions.
    pub(super) lost: &'static [usize],
    /// How the origin takes each fetch of the relay, in order.
    pub(super) origin: &'static [Fetch],
}

/// How a fetch ends.
#[derive(Clone, Copy)]
pub(super) enum Fetch {
    /// The image comes, this long after it was asked for.
    Image(Duration),
    /// There is no connection.
    Fails,
}

pub(super) const SCENARIOS: [Scenario; 4] = [
    Scenario { name: "the relay has the image at once", lost: &[], origin: &[Fetch::Image(Duration::ZERO)] },
    Scenario {
        name: "a request and a response are lost",
        lost: &[4, 10],
        origin: &[Fetch::Image(Duration::ZERO)],
    },
    Scenario {
        name: "the origin takes three seconds: a separate response",
        lost: &[],
        origin: &[Fetch::Image(Duration::from_secs(3))],
    },
    Scenario {
        name: "the origin cannot be reached at first",
        lost: &[],
        origin: &[Fetch::Fails, Fetch::Image(Duration::ZERO)],
    },
];

impl Fetch {
    /// When the origin answers, and what.
    pub(super) fn answer(self, image: &[u8]) -> (Duration, Vec<OriginEvent>) {
        match self {
            Self::Fails => (Duration::ZERO, vec![OriginEvent::Failed(Failure::Connect)]),
            Self::Image(after) => {
                let data = OriginEvent::Data(image.to_vec().into());
                (after, vec![head(image.len()), data, OriginEvent::Complete])
            }
        }
    }
}

fn head(length: usize) -> OriginEvent {
    OriginEvent::Head(Head {
        validator: Some(Validator::Strong("\"8\"".to_owned())),
        length: Some(length as u64),
        media_type: Some("application/octet-stream".to_owned()),
        freshness: Freshness { max_age: Duration::from_secs(3600), stale_if_error: Duration::ZERO },
    })
}
