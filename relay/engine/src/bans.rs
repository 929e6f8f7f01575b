//! What an operator forbids: bans by path, under every spelling that an origin server would take for the same.
//!
//! Which bytes a name stands for is not known here: other names of the same file, such as a redirect at the origin, are
//! bans of their own.

use crate::target::{percent_decode, percent_encode_segment};
use std::collections::BTreeSet;

/// Resources that may be banned at the same time.
const MOST_BANS: usize = 256;

/// URLs in their plain spelling: without a query for the path with any query, with one for that query alone.
#[derive(Debug, Default)]
pub(crate) struct Bans(BTreeSet<String>);

impl Bans {
    /// The ban of one canonical URL alone.
    pub(crate) fn of(url: &str) -> Self {
        Self(BTreeSet::from([plain(url)]))
    }

    /// Whether a canonical URL is banned.
    pub(crate) fn cover(&self, url: &str) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let plain = plain(url);
        let path = plain.split_once('?').map_or(&*plain, |(path, _)| path);
        self.0.contains(path) || self.0.contains(&plain)
    }

    /// Adds a canonical URL, and gives its plain spelling; `None` when there are too many.
    pub(crate) fn add(&mut self, url: &str) -> Option<String> {
        let plain = plain(url);
        if self.0.len() >= MOST_BANS && !self.0.contains(&plain) {
            return None;
        }
        self.0.insert(plain.clone());
        Some(plain)
    }

    /// Takes a ban away, by its URL in any spelling: the plain one, and whether it was there.
    pub(crate) fn lift(&mut self, url: &str) -> (String, bool) {
        let plain = plain(url);
        let was_banned = self.0.remove(&plain);
        (plain, was_banned)
    }

    pub(crate) const fn all(&self) -> &BTreeSet<String> {
        &self.0
    }
}

/// The spelling of a URL in which it is compared: origin servers take empty segments for none (`a//b` is `a/b`), percent-encoded
/// characters for what they stand for, and some of them parameters of a segment (RFC 3986 section 3.3) for nothing. An empty query
/// is none.
fn plain(url: &str) -> String {
    let (whole, query) = url.split_once('?').unwrap_or((url, ""));
    let authority = whole.find("://").map_or(0, |scheme| scheme + 3);
    let path = whole.get(authority..).and_then(|rest| rest.find('/')).map(|slash| authority + slash);
    let (origin, path) = path.and_then(|at| whole.split_at_checked(at)).unwrap_or((whole, ""));
    let mut plain = origin.to_owned();
    for segment in path.split('/') {
        let name = segment.split(';').next().unwrap_or_default();
        if !name.is_empty() {
            let mut segment = String::new();
            percent_encode_segment(&mut segment, &percent_decode(name));
            plain.push('/');
            // What was encoded began no parameter, and must not do so when the ban is read again.
            plain.push_str(&segment.replace(';', "%3B"));
        }
    }
    if plain.len() == origin.len() {
        plain.push('/');
    }
    if !query.is_empty() {
        plain.push('?');
        plain.push_str(query);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_banned_in_every_spelling_and_with_any_query() {
        let bans = Bans::of("https://h:8443/fw//lamp%2Dx.bin");
        assert_eq!(bans.all().iter().collect::<Vec<_>>(), ["https://h:8443/fw/lamp-x.bin"]);
        for path in [
            "/fw/lamp-x.bin",
            "/fw//lamp-x.bin",
            "//fw/lamp-x.bin",
            "/fw/lamp-x.bin/",
            "/fw/l%61mp-x.bin",
            "/fw;a/lamp-x.bin;b=c",
            "/fw/lamp-x.bin?",
            "/fw/lamp-x.bin?x=1",
            "/fw//lamp-x.bin?x=1&y",
        ] {
            assert!(bans.cover(&format!("https://h:8443{path}")), "{path}");
        }
        for url in [
            "https://h/fw/lamp-x.bin",
            "http://h:8443/fw/lamp-x.bin",
            "https://h:8443/fw/lamp-x.bin.suit",
            "https://h:8443/fw",
            "https://h:8443/other?/fw/lamp-x.bin",
            "https://h:8443/fw/lamp%252Dx.bin",
        ] {
            assert!(!bans.cover(url), "{url}");
        }
    }

    #[test]
    fn what_is_listed_names_its_ban() {
        for url in ["https://h//a%3Bb;c/%256c?x=%3B;y", "https://h", "https://h/%zz/", "https://h/?q"] {
            let mut bans = Bans::of(url);
            let listed = bans.all().first().unwrap().clone();
            assert_eq!(bans.lift(&listed), (listed, true), "{url}");
        }
    }

    #[test]
    fn a_query_in_a_ban_is_meant() {
        let bans = Bans::of("https://h/download?file=lamp");
        assert!(bans.cover("https://h//download?file=lamp"));
        for url in ["https://h/download", "https://h/download?file=meter"] {
            assert!(!bans.cover(url), "{url}");
        }
    }

    #[test]
    fn the_root_is_a_path_too() {
        let bans = Bans::of("https://h/");
        assert!(bans.cover("https://h/?a") && bans.cover("https://h//") && !bans.cover("https://h/a"));
    }
}
