//! What happens besides the protocol: which datagrams are lost, and when the origin answers.

use sixfold_engine::{Failure, Freshness, Head, OriginEvent, Validator};
use std::time::Duration;

/// One exchange.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// Datagrams that do not arrive as they left, counted from 0 over both directions.
    pub(super) fates: &'static [(usize, Fate)],
    /// How the origin takes each fetch of the relay, in order.
    pub(super) origin: &'static [Fetch],
}

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Arrives,
    Lost,
    /// It arrives with the lowest bit of its last byte flipped.
    Flipped,
}

impl Fate {
    /// What arrives.
    pub(super) fn of(self, bytes: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Arrives => Some(bytes.to_vec()),
            Self::Lost => None,
            Self::Flipped => {
                let (last, rest) = bytes.split_last()?;
                Some([rest, &[last ^ 1]].concat())
            }
        }
    }
}

/// How a fetch ends.
#[derive(Clone, Copy)]
pub(super) enum Fetch {
    /// The image or the manifest comes, this long after it was asked for.
    Image(Duration),
    /// There is no connection.
    Fails,
}

pub(super) const SCENARIOS: [Scenario; 5] = [
    Scenario { name: "the relay has the image at once", fates: &[], origin: &[Fetch::Image(Duration::ZERO)] },
    Scenario {
        name: "a request and a response are lost",
        fates: &[(4, Fate::Lost), (10, Fate::Lost)],
        origin: &[Fetch::Image(Duration::ZERO)],
    },
    Scenario {
        name: "a bit of a block is flipped on the way: the chunk is fetched again",
        fates: &[(7, Fate::Flipped)],
        origin: &[Fetch::Image(Duration::ZERO)],
    },
    Scenario {
        name: "the origin takes three seconds: a separate response",
        fates: &[],
        origin: &[Fetch::Image(Duration::from_secs(3))],
    },
    Scenario {
        name: "the origin cannot be reached at first",
        fates: &[],
        origin: &[Fetch::Fails, Fetch::Image(Duration::ZERO)],
    },
];

/// In a session.
pub(super) const SESSIONS: [Scenario; 2] = [
    Scenario {
        name: "in a session: a request and a response are lost",
        fates: &[(4, Fate::Lost), (10, Fate::Lost)],
        origin: &[Fetch::Image(Duration::ZERO)],
    },
    Scenario {
        name: "in a session: a bit of a response is flipped, and the origin takes three seconds",
        fates: &[(7, Fate::Flipped)],
        origin: &[Fetch::Image(Duration::from_secs(3))],
    },
];

/// A main program's.
pub(super) const PREPARATION: Scenario = Scenario {
    name: "a manifest, the first block of its image, and a group",
    fates: &[],
    origin: &[Fetch::Image(Duration::ZERO), Fetch::Image(Duration::ZERO)],
};

/// A member's.
pub(super) const MEMBER: Scenario = Scenario {
    name: "a stream, of which much is lost: the device says what it misses",
    fates: &[
        (3, Fate::Lost),
        (4, Fate::Lost),
        (5, Fate::Lost),
        (6, Fate::Lost),
        (8, Fate::Lost),
        (9, Fate::Lost),
        (10, Fate::Lost),
        (11, Fate::Lost),
        (12, Fate::Lost),
        (13, Fate::Lost),
    ],
    origin: &[Fetch::Image(Duration::ZERO)],
};

impl Fetch {
    /// When the origin answers, and what.
    pub(super) fn answer(self, body: &[u8]) -> (Duration, Vec<OriginEvent>) {
        match self {
            Self::Fails => (Duration::ZERO, vec![OriginEvent::Failed(Failure::Connect)]),
            Self::Image(after) => {
                let data = OriginEvent::Data(body.to_vec().into());
                (after, vec![head(body.len()), data, OriginEvent::Complete])
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
