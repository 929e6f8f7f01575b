//! Which URLs a configured origin covers, and where a redirect leads (RFC 3986).

use http::Uri;

/// A URL prefix of the configuration: `https://host[:port]/base/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    https: bool,
    host: String,
    port: u16,
    path: String,
}

impl Prefix {
    /// Fails with what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let uri: Uri = text.parse().map_err(|_| "is not a URL")?;
        let (https, port) = endpoint(&uri).ok_or("must begin with https:// and a host, without user name")?;
        if uri.query().is_some() || !uri.path().ends_with('/') || climbs(uri.path()) {
            return Err("must end in / and have neither a query nor dot segments");
        }
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        Ok(Self { https, host, port, path: uri.path().to_owned() })
    }

    /// Is this URL below the prefix? Never for a path that could leave it on the way through the origin.
    pub(super) fn covers(&self, uri: &Uri) -> bool {
        endpoint(uri) == Some((self.https, self.port))
            && uri.host().is_some_and(|host| host.eq_ignore_ascii_case(&self.host))
            && uri.path().starts_with(&self.path)
            && !climbs(uri.path())
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.https
    }

    /// How specific the prefix is.
    pub(super) fn length(&self) -> usize {
        self.path.len()
    }
}

/// Host and port of a URL as one name for them: `updates.example.com`, `updates.example.com:8443`.
pub(super) fn authority(uri: &Uri) -> Option<String> {
    let (https, port) = endpoint(uri)?;
    let host = uri.host()?.to_ascii_lowercase();
    let is_usual = port == if https { 443 } else { 80 };
    Some(if is_usual { host } else { format!("{host}:{port}") })
}

/// Whether it is https, and the port.
fn endpoint(uri: &Uri) -> Option<(bool, u16)> {
    let https = match uri.scheme_str()? {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let plain = uri.host().is_some_and(|host| !host.is_empty()) && !uri.authority()?.as_str().contains('@');
    plain.then(|| (https, uri.port_u16().unwrap_or(if https { 443 } else { 80 })))
}

/// Has dot segments, however they are written.
fn climbs(path: &str) -> bool {
    let path = path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/");
    path.split(['/', '\\']).any(|segment| segment == "." || segment == "..")
}

/// The target of a `Location` received from `base` (RFC 3986 §5.2). `None` if it is no URL.
pub(super) fn resolve(base: &Uri, reference: &str) -> Option<Uri> {
    let reference = reference.split('#').next()?;
    let (scheme, authority) = (base.scheme_str()?, base.authority()?.as_str());
    let (authority, rest) = match after_scheme(reference) {
        Some((other, rest)) => return assemble(other, rest.strip_prefix("//")?),
        None => match reference.strip_prefix("//") {
            Some(rest) => return assemble(scheme, rest),
            None => (authority, reference),
        },
    };
    let (path, query) = split_query(rest);
    let (path, query) = match path {
        "" if query.is_empty() => return Some(base.clone()),
        "" => (base.path().to_owned(), query),
        _ if path.starts_with('/') => (path.to_owned(), query),
        _ => (format!("{}/{path}", base.path().rsplit_once('/').map_or("", |(parent, _)| parent)), query),
    };
    join(scheme, authority, &path, query)
}

/// The scheme of an absolute reference, and what follows the colon.
fn after_scheme(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let valid = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    valid.then_some((scheme, rest))
}

fn assemble(scheme: &str, rest: &str) -> Option<Uri> {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let (path, query) = split_query(rest);
    join(scheme, authority, path, query)
}

/// The query keeps its question mark.
fn split_query(text: &str) -> (&str, &str) {
    text.split_at(text.find('?').unwrap_or(text.len()))
}

fn join(scheme: &str, authority: &str, path: &str, query: &str) -> Option<Uri> {
    format!("{scheme}://{authority}{}{query}", remove_dot_segments(path)).parse().ok()
}

/// RFC 3986 §5.2.4, for a path that is empty or begins with a slash.
fn remove_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if segments.peek().is_none() {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn a_prefix_covers_what_is_below_it() {
        let prefix = Prefix::parse("https://Origin.example/fw/").unwrap();
        for inside in [
            "https://origin.example/fw/a.bin",
            "https://ORIGIN.example:443/fw/b/c?d=/../e",
            "https://origin.example/fw/",
        ] {
            assert!(prefix.covers(&uri(inside)), "{inside}");
        }
        for outside in [
            "http://origin.example/fw/a.bin",
            "https://origin.example:444/fw/a.bin",
            "https://origin.example/fwd/a.bin",
            "https://origin.example.evil/fw/a.bin",
            "https://user@origin.example/fw/a.bin",
            "https://origin.example/fw/../secret",
            "https://origin.example/fw/%2E%2e/secret",
            "https://origin.example/fw/..%2fsecret",
            "https://origin.example/fw/x%5C..%5Csecret",
            "/fw/a.bin",
        ] {
            assert!(!prefix.covers(&uri(outside)), "{outside}");
        }
    }

    #[test]
    fn prefixes_that_could_not_work_are_refused() {
        for bad in [
            "",
            "origin.example",
            "/fw/",
            "ftp://h/",
            "https://h/fw",
            "https://h/?q",
            "https://u:p@h/",
            "https://h/../",
        ] {
            assert!(Prefix::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Prefix::parse("https://h").unwrap(), Prefix::parse("https://h:443/").unwrap());
    }

    /// The examples of RFC 3986 §5.4 that an HTTP Location can have.
    #[test]
    fn references_resolve_as_in_rfc_3986() {
        let base = uri("http://a/b/c/d?q");
        for (reference, target) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("#s", "http://a/b/c/d?q"),
            ("g#s", "http://a/b/c/g"),
            ("", "http://a/b/c/d?q"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("https://h:8443/x/../y?z", "https://h:8443/y?z"),
            ("https://h?q", "https://h/?q"),
        ] {
            assert_eq!(resolve(&base, reference), Some(uri(target)), "{reference}");
        }
        for bad in ["https:g", "mailto:a@b", "https://", "http://a b/"] {
            assert_eq!(resolve(&base, bad), None, "{bad}");
        }
    }
}
