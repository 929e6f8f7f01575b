//! The course of one fetch: ask, check that the answer fits, deliver; after trouble ask again for what is missing.

use super::delivery::{Delivery, Stop};
use super::retry::Backoff;
use super::traffic::{Outcome, Traffic, Underway};
use super::trouble::{Retry, Trouble};
use super::{Origin, Origins, fields, freshness, target};
use crate::spool::Stored;
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use sixfold_engine::{Failure, FetchId, Freshness, Head, OriginEvent, Validator};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

const MAX_REDIRECTS: usize = 5;
/// A transfer that brought this many bytes before it broke has moved on.
const PROGRESS: u64 = 64 << 10;

/// One fetch.
#[derive(Debug)]
pub(super) struct Fetch {
    origins: Arc<Origins>,
    traffic: Arc<Traffic>,
    /// The validator of the version that the engine holds.
    have: Option<Validator>,
    /// The version on disk, if the engine holds none.
    stored: Option<Stored>,
    delivery: Delivery,
    /// How often the representation changed under way.
    restarts: u32,
    /// The origin cannot be asked for a part of this representation.
    whole_only: bool,
}

/// What a request asks for.
enum Question {
    /// The representation.
    Whole,
    /// The representation, if it is another version.
    IfChanged(Validator),
    /// What is missing of the version with this strong entity-tag.
    Rest { start: u64, tag: String },
}

impl Fetch {
    pub(super) fn new(
        id: FetchId,
        url: String,
        have: Option<Validator>,
        origins: Arc<Origins>,
        events: mpsc::Sender<(FetchId, OriginEvent)>,
        traffic: Arc<Traffic>,
    ) -> Self {
        let delivery = Delivery::new(id, url, events, origins.spool.clone());
        Self { origins, traffic, have, stored: None, delivery, restarts: 0, whole_only: false }
    }

    /// Fetches, and tells the engine what happens, until the end.
    pub(super) async fn run(mut self) {
        let ended = self.fetch().await;
        self.note_streak(&ended);
        let ended = match ended {
            Err(Stop::Failed(trouble)) => self.give_up(trouble).await,
            ended => ended,
        };
        if ended.is_err() {
            debug!(url = self.delivery.url(), "nobody waits for this fetch any more");
        }
    }

    /// Who answers that it has no such thing is there. Fetches that a reload has left behind say nothing: their origin may be one
    /// that is not asked any more.
    fn note_streak(&self, ended: &Result<(), Stop>) {
        if self.origins.is_replaced.load(Ordering::Relaxed) {
            return;
        }
        let uri: Option<Uri> = self.delivery.url().parse().ok();
        let Some(origin) = uri.as_ref().and_then(target::authority) else { return };
        let streaks = self.traffic.streaks();
        match ended {
            Ok(()) => streaks.answered(&origin),
            Err(Stop::Unwanted) => {}
            Err(Stop::Failed(trouble)) => match trouble.failure {
                Failure::Status(400..=499) => streaks.answered(&origin),
                Failure::NotConfigured => {}
                _ => streaks.failed(&origin),
            },
        }
    }

    async fn fetch(&mut self) -> Result<(), Stop> {
        let origins = Arc::clone(&self.origins);
        let uri: Option<Uri> = self.delivery.url().parse().ok();
        let covered = uri.and_then(|uri| origins.covering(&uri).map(|origin| (uri, origin)));
        let Some((uri, origin)) = covered else {
            return Err(Trouble::new(Failure::NotConfigured, "no origin covers it").into());
        };
        if self.have.is_none() {
            let stored = self.delivery.load_stored().await;
            self.stored = stored.filter(|stored| stored.head().length <= Some(origins.max_object));
        }
        let mut backoff = Backoff::new(origins.retries);
        loop {
            let (before, restarts) = (self.delivery.delivered(), self.restarts);
            let Err(stop) = self.attempt(&uri, origin).await else { return Ok(()) };
            let Stop::Failed(trouble) = stop else { return Err(stop) };
            if self.restarts == restarts && self.delivery.delivered() >= before + PROGRESS {
                backoff.reset();
            }
            let Some(delay) = backoff.next(trouble.retry) else { return Err(trouble.into()) };
            self.traffic.retried();
            debug!(url = self.delivery.url(), ?delay, "{}; asking again", trouble.detail);
            sleep(delay).await;
        }
    }

    /// One request, with the redirects that it leads through, to its end.
    async fn attempt(&mut self, uri: &Uri, origin: &Origin) -> Result<(), Stop> {
        let underway = Underway::new(&self.traffic);
        match self.exchange(uri, origin).await {
            Ok(outcome) => underway.end(outcome),
            Err(Stop::Failed(trouble)) => {
                underway.end(Outcome::Failed(trouble.failure));
                return Err(trouble.into());
            }
            Err(Stop::Unwanted) => return Err(Stop::Unwanted),
        }
        Ok(())
    }

    async fn exchange(&mut self, uri: &Uri, origin: &Origin) -> Result<Outcome, Stop> {
        let question = self.question();
        let (response, body) = self.ask(uri, &question).await?.into_parts();
        let headers = response.headers;
        match (response.status, question) {
            (StatusCode::OK, _) => self.whole(&headers, body, origin).await,
            (StatusCode::PARTIAL_CONTENT, Question::Rest { .. }) => self.rest(&headers, body).await,
            (StatusCode::PARTIAL_CONTENT, _) => Err(mismatch("a part that nobody asked for")),
            (StatusCode::NOT_MODIFIED, Question::IfChanged(_)) => self.not_modified(&headers, origin).await,
            (StatusCode::RANGE_NOT_SATISFIABLE, Question::Rest { .. }) => {
                self.whole_only = true;
                Err(Trouble::new(
                    Failure::Interrupted,
                    "the origin has nothing to add to a transfer that broke",
                )
                .into())
            }
            (status, _) => Err(refusal(status, &headers).into()),
        }
    }

    fn question(&self) -> Question {
        match (self.delivery.head(), self.delivery.delivered()) {
            (None, _) => {
                let stored = self.stored.as_ref().and_then(|stored| stored.head().validator.clone());
                self.have.clone().or(stored).map_or(Question::Whole, Question::IfChanged)
            }
            (Some(Head { validator: Some(Validator::Strong(tag)), .. }), start @ 1..) if !self.whole_only => {
                Question::Rest { start, tag: tag.clone() }
            }
            _ => Question::Whole,
        }
    }

    /// Asks until the answer is no redirect.
    async fn ask(&self, uri: &Uri, question: &Question) -> Result<Response<Incoming>, Trouble> {
        let mut uri = uri.clone();
        for _ in 0..=MAX_REDIRECTS {
            let Some(origin) = self.origins.covering(&uri) else {
                return Err(Trouble::new(Failure::Redirect, format!("it was redirected to {uri}")));
            };
            let response = self.ask_once(origin, &uri, question).await?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            self.traffic.request(Outcome::Redirected);
            let target = fields::location(response.headers()).and_then(|to| target::resolve(&uri, to));
            uri = target
                .ok_or_else(|| Trouble::new(Failure::Redirect, "a redirect without a usable Location"))?;
        }
        Err(Trouble::new(Failure::Redirect, format!("more than {MAX_REDIRECTS} redirects")))
    }

    async fn ask_once(
        &self,
        origin: &Origin,
        uri: &Uri,
        question: &Question,
    ) -> Result<Response<Incoming>, Trouble> {
        let request = self.request(uri, question);
        let limit = self.origins.timeouts.connect + self.origins.timeouts.headers;
        match timeout(limit, origin.client.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                let otherwise = if error.is_connect() { Failure::Connect } else { Failure::Interrupted };
                Err(Trouble::diagnose(&error, otherwise))
            }
            Err(_) => Err(Trouble::new(Failure::TimedOut, "no answer within the time allowed")),
        }
    }

    fn request(&self, uri: &Uri, question: &Question) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = uri.clone();
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, self.origins.user_agent.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        match question {
            Question::Whole => {}
            Question::IfChanged(have) => fields::ask_if_changed(headers, have),
            Question::Rest { start, tag } => fields::ask_for_rest(headers, *start, tag),
        }
        // For https the tunnel carries the proxy's credentials; the origin must not see them.
        let proxy = if uri.scheme_str() == Some("http") { self.origins.proxy.intercept(uri) } else { None };
        if let Some(credentials) = proxy.as_ref().and_then(|proxy| proxy.basic_auth()) {
            headers.insert(PROXY_AUTHORIZATION, credentials.clone());
        }
        request
    }

    /// 200: the representation from its first byte.
    async fn whole(&mut self, headers: &HeaderMap, body: Incoming, origin: &Origin) -> Result<Outcome, Stop> {
        let length = body.size_hint().exact();
        self.check(headers, length)?;
        let (granted, keep) = freshness::granted(headers);
        let head = Head {
            validator: fields::validator(headers),
            length,
            media_type: fields::media_type(headers),
            freshness: origin.overrides.apply(granted),
        };
        let known = if self.delivery.continues(&head) { self.delivery.delivered() } else { 0 };
        if !self.delivery.continues(&head) {
            self.begin(head, keep).await?;
        }
        self.stream(body, known, length).await?;
        self.complete().await
    }

    /// 206: the rest of it.
    async fn rest(&mut self, headers: &HeaderMap, body: Incoming) -> Result<Outcome, Stop> {
        let range = fields::content_range(headers)
            .ok_or_else(|| mismatch("a part without a usable Content-Range"))?;
        self.check(headers, Some(range.total))?;
        let known = self.delivery.head();
        if range.start != self.delivery.delivered()
            || known.and_then(|head| head.length).is_some_and(|length| length != range.total)
            || body.size_hint().exact().is_some_and(|length| length != range.end - range.start)
        {
            return Err(mismatch("another part than the one that was asked for"));
        }
        if known.and_then(|head| head.validator.as_ref()) != fields::validator(headers).as_ref() {
            return Err(mismatch("a part of another version than the one that was asked for"));
        }
        self.traffic.resumed();
        self.stream(body, 0, Some(range.end)).await?;
        if range.end < range.total {
            return Err(Trouble::new(Failure::Interrupted, "the origin sent less than the rest").into());
        }
        self.complete().await
    }

    /// 304: what is at hand is current.
    async fn not_modified(&mut self, headers: &HeaderMap, origin: &Origin) -> Result<Outcome, Stop> {
        let (granted, _) = freshness::granted(headers);
        let freshness = origin.overrides.apply(granted);
        self.delivery.confirm_stored().await;
        match self.stored.take() {
            Some(stored) => {
                let head = Head { freshness, ..stored.head().clone() };
                self.delivery.replay(stored, head).await?;
            }
            None => self.delivery.tell(OriginEvent::NotModified(freshness)).await?,
        }
        Ok(Outcome::NotModified)
    }

    fn check(&self, headers: &HeaderMap, length: Option<u64>) -> Result<(), Stop> {
        if !fields::is_identity(headers) {
            return Err(mismatch("an encoded body, which was not asked for"));
        }
        match length.filter(|length| *length > self.origins.max_object) {
            Some(length) => Err(self.too_large(length).into()),
            None => Ok(()),
        }
    }

    fn too_large(&self, length: u64) -> Trouble {
        let limit = self.origins.max_object;
        Trouble::new(Failure::TooLarge, format!("{length} bytes, where {limit} are allowed"))
    }

    async fn begin(&mut self, head: Head, keep: bool) -> Result<(), Stop> {
        if self.delivery.head().is_some() {
            self.restarts += 1;
            self.whole_only = false;
            info!(
                url = self.delivery.url(),
                "the transfer broke and must start over; the origin may have a new version"
            );
            if self.restarts > self.origins.retries.attempts {
                let trouble = Trouble::new(Failure::Interrupted, "the transfer had to start over too often");
                return Err(trouble.retry(Retry::Never).into());
            }
        }
        self.delivery.begin(head, keep).await
    }

    /// Delivers the body but for its first `known` bytes, up to the byte before `end` of the representation.
    async fn stream(&mut self, mut body: Incoming, mut known: u64, end: Option<u64>) -> Result<(), Stop> {
        loop {
            let frame = match timeout(self.origins.timeouts.idle, body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Err(Trouble::diagnose(&error, Failure::Interrupted).into()),
                Ok(None) => break,
                Err(_) => {
                    return Err(
                        Trouble::new(Failure::TimedOut, "no further byte within the time allowed").into()
                    );
                }
            };
            let Ok(mut bytes) = frame.into_data() else { continue };
            self.traffic.received(bytes.len());
            let skipped = known.min(bytes.len() as u64);
            known -= skipped;
            bytes = bytes.split_off(skipped as usize);
            let delivered = self.delivery.delivered() + bytes.len() as u64;
            if end.is_some_and(|end| delivered > end) {
                return Err(mismatch("more bytes than announced"));
            }
            if delivered > self.origins.max_object {
                return Err(self.too_large(delivered).into());
            }
            self.delivery.data(bytes).await?;
        }
        match end {
            _ if known > 0 => Err(mismatch("fewer bytes than before for the same version")),
            Some(end) if self.delivery.delivered() < end => {
                Err(Trouble::new(Failure::Interrupted, "fewer bytes than announced").into())
            }
            _ => Ok(()),
        }
    }

    async fn complete(&mut self) -> Result<Outcome, Stop> {
        self.delivery.complete().await?;
        Ok(Outcome::Complete)
    }

    /// Says so, once. A copy on disk stands in for an origin that cannot answer (RFC 5861 §4); an origin that
    /// answers that there is nothing makes it void.
    async fn give_up(&mut self, trouble: Trouble) -> Result<(), Stop> {
        let failure = trouble.failure;
        report(self.delivery.url(), &trouble);
        self.traffic.complaints().note(self.delivery.url(), trouble.complaint());
        if makes_copies_void(failure) {
            self.delivery.forget_stored().await;
        } else if let Some((stored, head)) = self.usable_copy() {
            warn!(url = self.delivery.url(), "the copy on disk is served in its place");
            return match self.delivery.replay(stored, head).await {
                Err(Stop::Failed(trouble)) => self.delivery.tell(OriginEvent::Failed(trouble.failure)).await,
                ended => ended,
            };
        }
        self.delivery.tell(OriginEvent::Failed(failure)).await
    }

    /// The copy on disk, unless the engine has begun to receive a newer version or its time is over.
    fn usable_copy(&mut self) -> Option<(Stored, Head)> {
        let stored = self.stored.take().filter(|_| self.delivery.head().is_none())?;
        let uri: Uri = self.delivery.url().parse().ok()?;
        let freshness = self.origins.covering(&uri)?.overrides.apply(stored.head().freshness);
        let left = (freshness.max_age + freshness.stale_if_error).checked_sub(stored.age())?;
        let freshness = Freshness { max_age: Duration::ZERO, stale_if_error: left };
        let head = Head { freshness, ..stored.head().clone() };
        Some((stored, head))
    }
}

fn mismatch(detail: &str) -> Stop {
    Trouble::new(Failure::Mismatch, detail).into()
}

/// A status that is no success: temporary ones are worth another attempt.
fn refusal(status: StatusCode, headers: &HeaderMap) -> Trouble {
    let trouble = Trouble::new(Failure::Status(status.as_u16()), format!("the answer is {status}"));
    match status.as_u16() {
        408 | 429 | 500..=599 => {
            trouble.retry(fields::retry_after(headers).map_or(Retry::Soon, Retry::After))
        }
        _ => trouble,
    }
}

/// The resource is not there, or not usable, as opposed to not reachable at the moment.
fn makes_copies_void(failure: Failure) -> bool {
    failure.is_definite() && !matches!(failure, Failure::Status(408 | 429) | Failure::NotConfigured)
}

/// A client error is as often a mistake of whoever asks as of the origin, and easily provoked: no warning.
fn report(url: &str, trouble: &Trouble) {
    let (failure, complaint) = (trouble.failure.label(), trouble.complaint());
    if matches!(trouble.failure, Failure::Status(400..=499)) {
        info!(url, failure, "fetch failed: {complaint}");
    } else {
        warn!(url, failure, "fetch failed: {complaint}");
    }
}
