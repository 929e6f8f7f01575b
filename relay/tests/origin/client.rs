//! The client under test, and what its fetches came to.

use crate::support::{Authority, Setup, TestOrigin};
use bytes::Bytes;
use hyper_util::client::proxy::matcher::Matcher;
use sixfold_engine::{Failure, FetchCommand, FetchId, Freshness, Head, OriginEvent, Validator};
use sixfold_relay::origin::{OriginClient, OriginSettings, Retries, Settings, Timeouts};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Generous: reached only by a test that fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// An authority, an origin with its certificate, and a client that trusts it.
pub(crate) struct World {
    pub(crate) authority: Authority,
    pub(crate) origin: TestOrigin,
    pub(crate) client: Client,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn http2() -> Self {
        let authority = Authority::new();
        let origin = TestOrigin::start(&Setup::new(&authority).http2()).await;
        let client = Client::new(settings(&authority, &origin));
        Self { authority, origin, client }
    }

    pub(crate) async fn with(adjust: impl FnOnce(&mut Settings)) -> Self {
        let authority = Authority::new();
        let origin = TestOrigin::start(&Setup::new(&authority)).await;
        let mut settings = settings(&authority, &origin);
        adjust(&mut settings);
        let client = Client::new(settings);
        Self { authority, origin, client }
    }
}

pub(crate) fn origin_settings(authority: &Authority, origin: &TestOrigin) -> OriginSettings {
    OriginSettings {
        prefix: origin.url("/"),
        ca_file: Some(authority.ca_file()),
        ..OriginSettings::default()
    }
}

/// Patient with a busy machine, impatient only between attempts.
pub(crate) fn settings(authority: &Authority, origin: &TestOrigin) -> Settings {
    Settings {
        origins: vec![origin_settings(authority, origin)],
        timeouts: Timeouts { connect: DEADLINE, headers: DEADLINE, idle: DEADLINE },
        retries: Retries {
            attempts: 3,
            first_delay: Duration::from_millis(2),
            max_delay: Duration::from_secs(2),
        },
        proxy: Arc::new(Matcher::builder().build()),
        ..Settings::default()
    }
}

pub(crate) struct Client {
    pub(crate) inner: OriginClient,
    events: mpsc::Receiver<(FetchId, OriginEvent)>,
    last: u64,
}

/// A fetch, summed up.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Fetched {
    pub(crate) heads: Vec<Head>,
    /// The bytes since the last head.
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

#[derive(Debug, Default, PartialEq)]
pub(crate) enum End {
    #[default]
    Open,
    Complete,
    NotModified(Freshness),
    Failed(Failure),
}

impl Client {
    pub(crate) fn new(settings: Settings) -> Self {
        Self::with_channel(settings, 16)
    }

    pub(crate) fn with_channel(settings: Settings, capacity: usize) -> Self {
        let (sender, events) = mpsc::channel(capacity);
        Self { inner: OriginClient::new(settings, sender).unwrap(), events, last: 0 }
    }

    pub(crate) fn start(&mut self, url: &str, have: Option<Validator>) -> FetchId {
        self.last += 1;
        let id = FetchId(self.last);
        self.inner.execute(FetchCommand::Start { id, url: url.to_owned(), have });
        id
    }

    pub(crate) async fn event(&mut self) -> OriginEvent {
        let (id, event) = timeout(DEADLINE, self.events.recv()).await.expect("an event in time").unwrap();
        assert_eq!(id, FetchId(self.last));
        event
    }

    /// Events up to the end of the fetch; asserts the order that the contract promises.
    pub(crate) async fn finish(&mut self) -> Fetched {
        let mut fetched = Fetched::default();
        loop {
            match self.event().await {
                OriginEvent::Head(head) => {
                    fetched.heads.push(head);
                    fetched.body.clear();
                }
                OriginEvent::Data(data) => {
                    assert!(!fetched.heads.is_empty() && !data.is_empty() && data.len() <= 64 << 10);
                    fetched.body.extend_from_slice(&data);
                }
                OriginEvent::Complete => {
                    assert!(!fetched.heads.is_empty());
                    fetched.end = End::Complete;
                    return fetched;
                }
                OriginEvent::NotModified(freshness) => {
                    assert!(fetched.heads.is_empty());
                    fetched.end = End::NotModified(freshness);
                    return fetched;
                }
                OriginEvent::Failed(failure) => {
                    fetched.end = End::Failed(failure);
                    return fetched;
                }
            }
        }
    }

    pub(crate) async fn get(&mut self, url: &str) -> Fetched {
        self.start(url, None);
        self.finish().await
    }

    pub(crate) async fn get_if_changed(&mut self, url: &str, have: Validator) -> Fetched {
        self.start(url, Some(have));
        self.finish().await
    }

    /// A fetch that must succeed with this body after this many heads.
    pub(crate) async fn expect(&mut self, url: &str, body: &Bytes, heads: usize) -> Fetched {
        let fetched = self.get(url).await;
        assert_eq!((fetched.heads.len(), &fetched.end), (heads, &End::Complete));
        assert!(fetched.body == *body, "the body differs");
        fetched
    }

    /// A fetch that must fail without a single byte.
    pub(crate) async fn refused(&mut self, url: &str) -> Failure {
        let fetched = self.get(url).await;
        assert_eq!((fetched.heads.as_slice(), fetched.body.as_slice()), (&[][..], &[][..]));
        match fetched.end {
            End::Failed(failure) => failure,
            end => panic!("{end:?} is no failure"),
        }
    }

    /// How many requests had this outcome.
    pub(crate) fn outcome(&self, label: &str) -> u64 {
        self.inner.traffic().requests().find(|(known, _)| *known == label).expect("a known label").1
    }
}

/// Waits until it is so.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < DEADLINE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(crate) fn strong(tag: &str) -> Validator {
    Validator::Strong(tag.to_owned())
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
