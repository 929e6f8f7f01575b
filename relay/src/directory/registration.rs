//! What a resource directory is asked next (RFC 9176 sections 4 and 5): where it takes registrations, to register, and to go on
//! remembering. Pure.

use super::Settings;
use super::exchange::{Request, Response};
use sixfold_profile::coap::{Code, content_format};
use std::time::Duration;

/// Between attempts that fail: doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Longer bodies would need Block1: what does not fit is left out, and found in the relay's own `/.well-known/core`.
const LONGEST_BODY: usize = 900;

/// What a response means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The relay is registered from now on.
    Registered,
    /// It goes on.
    Under,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Where registrations are taken is not known.
    Unknown,
    /// It is known.
    Found(Vec<String>),
    /// The relay is registered, under this path; registrations are taken at the other.
    Registered { location: Vec<String>, taken: Vec<String> },
}

/// One registration.
#[derive(Clone, Debug)]
pub struct Registration {
    endpoint: String,
    lifetime: Duration,
    links: String,
    begin: State,
    state: State,
    failures: u32,
    /// There is more to ask at once.
    goes_on: bool,
}

impl Registration {
    /// Nothing is asked yet.
    pub fn new(settings: &Settings) -> Self {
        let segments = segments(&settings.path);
        let begin = if segments.is_empty() { State::Unknown } else { State::Found(segments) };
        let Settings { endpoint, lifetime, links, .. } = settings.clone();
        Self { endpoint, lifetime, links, state: begin.clone(), begin, failures: 0, goes_on: false }
    }

    /// What is asked next; `base` is where devices reach the relay.
    pub fn request(&self, base: &str) -> Request {
        let lifetime = format!("lt={}", self.lifetime.as_secs());
        match &self.state {
            State::Unknown => Request {
                method: Code::GET,
                path: vec![".well-known".to_owned(), "core".to_owned()],
                query: vec!["rt=core.rd".to_owned()],
                payload: None,
            },
            State::Found(taken) => Request {
                method: Code::POST,
                path: taken.clone(),
                query: vec![format!("ep={}", self.endpoint), lifetime, format!("base={base}")],
                payload: Some((content_format::LINK_FORMAT, fitting(&self.links).into_bytes())),
            },
            State::Registered { location, .. } => Request {
                method: Code::POST,
                path: location.clone(),
                query: vec![lifetime, format!("base={base}")],
                payload: None,
            },
        }
    }

    /// What a response to the last request means.
    ///
    /// # Errors
    /// What the directory did wrong, or was asked in vain.
    pub fn judge(&self, response: &Response) -> Result<Outcome, String> {
        // After `concluded` the state is what the response made of it.
        match &self.state {
            State::Registered { .. } if response.code == Code::CREATED => Ok(Outcome::Registered),
            State::Registered { .. } => Ok(Outcome::Under),
            _ if self.goes_on => Ok(Outcome::Under),
            _ if response.code.is_success() => Err("tells of no place for registrations".to_owned()),
            _ => Err(format!("answers {}", response.code)),
        }
    }

    /// The last request has its response, or there is none.
    pub fn concluded(&mut self, response: Option<&Response>) {
        self.goes_on = false;
        let next = response.and_then(|response| match (&self.state, response.code) {
            (State::Unknown, Code::CONTENT) => {
                let links = String::from_utf8_lossy(&response.payload).into_owned();
                registration_path(&links).map(State::Found)
            }
            (State::Found(taken), Code::CREATED) if !response.location.is_empty() => {
                Some(State::Registered { location: response.location.clone(), taken: taken.clone() })
            }
            (State::Registered { .. }, Code::CHANGED) => Some(self.state.clone()),
            // It has forgotten the relay: a restart, or the refresh came late (section 5.3.1).
            (State::Registered { taken, .. }, Code::NOT_FOUND) => Some(State::Found(taken.clone())),
            _ => None,
        });
        match next {
            Some(state) => {
                self.goes_on = matches!(state, State::Found(_));
                self.state = state;
                // A directory may let itself be found, and refuse: only one that knows the relay has not failed.
                if self.is_registered() {
                    self.failures = 0;
                }
            }
            // Perhaps it is another directory now: from the beginning, but for a registration that may still live.
            None => {
                self.failures += 1;
                if !self.is_registered() || self.failures > 1 {
                    self.state = self.begin.clone();
                }
            }
        }
    }

    /// How long to wait before the next request.
    pub fn pause(&self, random: u64) -> Duration {
        if self.goes_on {
            return Duration::ZERO;
        }
        if self.failures == 0 {
            // Early enough for some attempts, and not all relays of a site at once.
            let share = 0.6 + 0.15 * share(random);
            return self.lifetime.mul_f64(share);
        }
        let doubled = FIRST_PAUSE.saturating_mul(1 << (self.failures - 1).min(10));
        doubled.min(LONGEST_PAUSE).mul_f64(0.75 + 0.5 * share(random))
    }

    /// Whether the directory knows the relay, as far as is known.
    pub const fn is_registered(&self) -> bool {
        matches!(self.state, State::Registered { .. })
    }

    /// What makes the directory forget the relay (section 5.3.2).
    pub fn farewell(&self) -> Option<Request> {
        let State::Registered { location, .. } = &self.state else { return None };
        Some(Request { method: Code::DELETE, path: location.clone(), query: Vec::new(), payload: None })
    }
}

/// 0 to 1.
fn share(random: u64) -> f64 {
    random as f64 / u64::MAX as f64
}

/// A slash at the end makes another path: its last segment is empty (RFC 7252 section 6.4).
fn segments(path: &str) -> Vec<String> {
    let rest = path.strip_prefix('/').unwrap_or(path);
    if rest.is_empty() { Vec::new() } else { rest.split('/').map(str::to_owned).collect() }
}

/// Whole links of a link-format text, as many as fit.
fn fitting(links: &str) -> String {
    let mut text = String::new();
    for link in links.split_inclusive(",<") {
        if text.len() + link.len() > LONGEST_BODY {
            break;
        }
        text += link;
    }
    let whole = text.strip_suffix(",<").unwrap_or(&text);
    whole.to_owned()
}

/// The path of the first link whose resource type is that of a registration resource (section 4.3), if it is on the directory
/// itself: `</rd>;rt="core.rd";ct=40`.
fn registration_path(links: &str) -> Option<Vec<String>> {
    let mut rest = links;
    loop {
        let (_, link) = rest.split_once('<')?;
        let (target, attributes) = link.split_once('>')?;
        let mut angles = attributes.match_indices('<');
        let next = angles
            .find(|&(at, _)| attributes.get(..at).is_some_and(|before| before.trim_end().ends_with(',')));
        let end = next.map_or(attributes.len(), |(at, _)| at);
        let (attributes, more) = attributes.split_at(end);
        let types = attributes.split(';').filter_map(|attribute| attribute.trim().strip_prefix("rt="));
        let is_registration =
            |types: &str| types.trim_matches(|c| "\", ".contains(c)).split(' ').any(|name| name == "core.rd");
        if target.starts_with('/') && !target.starts_with("//") && types.into_iter().any(is_registration) {
            return Some(segments(target)).filter(|segments| !segments.is_empty());
        }
        rest = more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "coap://[2001:db8::1]";

    fn settings(path: &str) -> Settings {
        Settings {
            host: "rd".to_owned(),
            port: 5683,
            path: path.to_owned(),
            endpoint: "r1".to_owned(),
            lifetime: Duration::from_secs(1000),
            base: String::new(),
            server: "[::]:5683".parse().unwrap(),
            interface: None,
            links: "</fw>;rt=\"sixfold.route\"".to_owned(),
        }
    }

    fn response(code: Code, location: &str, payload: &str) -> Response {
        Response { code, location: segments(location), payload: payload.as_bytes().to_vec() }
    }

    fn found() -> Response {
        response(Code::CONTENT, "", "</lookup>;rt=\"core.rd-lookup-ep\",</rd>;ct=40;rt=\"core.rd\"")
    }

    #[test]
    fn it_is_found_told_and_reminded() {
        let mut registration = Registration::new(&settings(""));
        let asked = registration.request(BASE);
        assert_eq!(
            (asked.method, asked.path.join("/"), asked.query),
            (Code::GET, ".well-known/core".to_owned(), vec!["rt=core.rd".to_owned()])
        );
        registration.concluded(Some(&found()));
        assert_eq!(
            (registration.judge(&found()), registration.pause(0)),
            (Ok(Outcome::Under), Duration::ZERO)
        );
        let told = registration.request(BASE);
        assert_eq!(told.path, ["rd"]);
        assert_eq!(told.query, ["ep=r1", "lt=1000", "base=coap://[2001:db8::1]"]);
        assert_eq!(told.payload, Some((40, b"</fw>;rt=\"sixfold.route\"".to_vec())));
        let created = response(Code::CREATED, "/reg/7", "");
        registration.concluded(Some(&created));
        assert_eq!(registration.judge(&created), Ok(Outcome::Registered));
        assert!(registration.is_registered());
        for random in [0, u64::MAX / 2, u64::MAX] {
            assert!((600..=750).contains(&registration.pause(random).as_secs()), "before its lifetime ends");
        }
        let reminded = registration.request(BASE);
        assert_eq!((reminded.path, reminded.payload), (segments("/reg/7"), None));
        let changed = response(Code::CHANGED, "", "");
        registration.concluded(Some(&changed));
        assert_eq!(registration.judge(&changed), Ok(Outcome::Under));
        let farewell = registration.farewell().unwrap();
        assert_eq!((farewell.method, farewell.path), (Code::DELETE, segments("/reg/7")));
    }

    #[test]
    fn one_that_has_forgotten_is_told_again_at_once() {
        let mut registration = Registration::new(&settings("/rd"));
        registration.concluded(Some(&response(Code::CREATED, "/reg/7", "")));
        registration.concluded(Some(&response(Code::NOT_FOUND, "", "")));
        assert_eq!(
            (registration.pause(0), registration.request(BASE).path),
            (Duration::ZERO, segments("/rd"))
        );
        assert!(!registration.is_registered() && registration.farewell().is_none());
    }

    #[test]
    fn failures_make_pauses_longer_and_the_way_begin_anew() {
        let mut registration = Registration::new(&settings(""));
        let mut pauses = Vec::new();
        for _ in 0..8 {
            registration.concluded(None);
            pauses.push(registration.pause(u64::MAX / 2).as_secs());
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 600, 600]);
        registration.concluded(Some(&found()));
        registration.concluded(Some(&response(Code::CREATED, "/reg/7", "")));
        registration.concluded(None);
        assert!(registration.is_registered(), "one answer was lost");
        registration.concluded(None);
        assert_eq!(registration.request(BASE).method, Code::GET, "from the beginning");
    }

    #[test]
    fn one_that_is_found_and_refuses_is_asked_less_and_less() {
        let mut registration = Registration::new(&settings(""));
        let refused = response(Code::FORBIDDEN, "", "");
        let mut pauses = Vec::new();
        for _ in 0..8 {
            registration.concluded(Some(&found()));
            assert_eq!(
                registration.pause(u64::MAX / 2),
                Duration::ZERO,
                "what it was found for is asked at once"
            );
            registration.concluded(Some(&refused));
            pauses.push(registration.pause(u64::MAX / 2).as_secs());
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 600, 600]);
        registration.concluded(Some(&found()));
        registration.concluded(Some(&response(Code::CREATED, "/reg/7", "")));
        registration.concluded(None);
        assert_eq!(
            registration.pause(u64::MAX / 2).as_secs(),
            10,
            "patience is new once it has registered the relay"
        );
    }

    #[test]
    fn what_makes_no_sense_is_a_fault_with_a_name() {
        let mut registration = Registration::new(&settings(""));
        let empty = response(Code::CONTENT, "", "");
        registration.concluded(Some(&empty));
        assert!(registration.judge(&empty).unwrap_err().contains("no place for registrations"));
        let mut registration = Registration::new(&settings("/rd"));
        for answer in [response(Code::BAD_REQUEST, "", ""), response(Code::CREATED, "", "")] {
            registration.concluded(Some(&answer));
            assert!(registration.judge(&answer).is_err() && !registration.is_registered(), "{answer:?}");
        }
    }

    #[test]
    fn only_registration_resources_of_the_directory_itself_are_taken() {
        let path = |links| registration_path(links).map(|path| path.join("/"));
        assert_eq!(path("</a/b>;rt=core.rd").as_deref(), Some("a/b"));
        assert_eq!(
            path("</other>; rt=\"x\", </directory/>; ct=40; rt=\"core.rd\", </x>").as_deref(),
            Some("directory/")
        );
        assert_eq!(path("</x>;rt=\"core.rd-group core.rd\"").as_deref(), Some("x"));
        for links in [
            "",
            "</x>",
            "</x>;rt=\"core.rd-lookup-res\"",
            "<coap://h/rd>;rt=core.rd",
            "<//h/rd>;rt=core.rd",
            "<",
            "</x",
            "</>;rt=core.rd",
        ] {
            assert_eq!(path(links), None, "{links}");
        }
    }

    #[test]
    fn only_whole_links_are_told() {
        let link = |n: usize| format!("</route-{n:03}>;rt=\"sixfold.route\"");
        let all = (0..100).map(link).collect::<Vec<_>>().join(",");
        let some = fitting(&all);
        assert!(some.len() <= LONGEST_BODY && some.len() > LONGEST_BODY - 2 * link(0).len());
        assert!(all.starts_with(&some) && all[some.len()..].starts_with(",<"), "{some}");
        assert_eq!(fitting(&link(1)), link(1));
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_directory_says_is_survived(links in "[<>;,=\" /a-z\\PC]{0,80}", code: u8) {
            let mut registration = Registration::new(&settings(""));
            let answer = Response { code: Code(code), location: vec![links.clone()], payload: links.into_bytes() };
            for _ in 0..3 {
                registration.concluded(Some(&answer));
                let _ = registration.judge(&answer);
                proptest::prop_assert!(registration.pause(0) <= LONGEST_PAUSE.max(Duration::from_secs(1000)));
                registration.request(BASE);
            }
        }
    }
}
