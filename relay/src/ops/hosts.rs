//! By which names the admin server may be asked.
//!
//! It has no password, and a browser on this machine reaches it. A page of another site reads nothing here, for its origin is
//! another one, unless the name of that site leads here too, which its owner can arrange at any time (DNS rebinding). So whoever asks
//! by a name that is not the relay's is refused, and hears neither status nor metrics. Addresses are nobody's names.

use super::status::printable;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;

/// What is wrong with the name by which a request asks (RFC 9110 section 7.4); nothing if it is one of `hosts`, `localhost` or an
/// address, or if there is none, as in HTTP/1.0, which browsers do not speak.
pub(super) fn objection(request: &Request, hosts: &[String]) -> Option<Response> {
    let target = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let fields = request.headers().get_all(HOST).iter().map(|value| value.as_bytes());
    let stranger = target.into_iter().chain(fields).find(|name| !is_known(name, hosts))?;
    let stranger = printable(&String::from_utf8_lossy(stranger));
    let objection = format!(
        "operator: {stranger} is no name of this admin server; ask by address or as localhost, or add the name to admin.hosts\n"
    );
    Some((StatusCode::MISDIRECTED_REQUEST, objection).into_response())
}

fn is_known(name: &[u8], hosts: &[String]) -> bool {
    let Ok(authority) = Authority::try_from(name) else { return false };
    let host = authority.host();
    let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let host = host.strip_suffix('.').unwrap_or(host);
    let is = |name: &str| host.eq_ignore_ascii_case(name);
    is_address || is("localhost") || hosts.iter().any(|name| is(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_localhost_and_the_names_of_the_operator_are_known() {
        let hosts = ["relay.example".to_owned()];
        for name in [
            "[::1]:9683",
            "[::1]",
            "[2001:db8::1]:80",
            "127.0.0.1:9683",
            "localhost:9683",
            "LocalHost.",
            "relay.example:9683",
            "Relay.Example",
        ] {
            assert!(is_known(name.as_bytes(), &hosts), "{name}");
        }
        for name in [
            "evil.example:9683",
            "relay.example.evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "1.relay.example",
            "",
            "\u{e4}.example",
        ] {
            assert!(!is_known(name.as_bytes(), &hosts), "{name}");
        }
    }
}
