//! How a failure on the origin side is told to a device (RFC 7252 §10.1, RFC 8075 §7).

use crate::coap::Refusal;
use crate::origin::Failure;
use sixfold_profile::coap::Code;

/// The response code and diagnostic payload for a failure. The payload names the side that is at fault.
pub(crate) const fn refusal(failure: Failure) -> Refusal {
    let (code, diagnostic) = match failure {
        Failure::Status(status) => return of_status(status),
        Failure::Resolve => (Code::BAD_GATEWAY, "relay: origin name does not resolve"),
        Failure::Connect => (Code::BAD_GATEWAY, "origin: no connection"),
        Failure::Tls => (Code::BAD_GATEWAY, "origin: TLS handshake failed"),
        Failure::Certificate => (Code::BAD_GATEWAY, "origin: certificate not trusted"),
        Failure::ClockBehind => (Code::BAD_GATEWAY, "relay: clock is behind, certificate not yet valid"),
        Failure::TimedOut => (Code::GATEWAY_TIMEOUT, "origin: timed out"),
        Failure::Interrupted => (Code::BAD_GATEWAY, "origin: transfer broke off"),
        Failure::TooLarge => (Code::BAD_GATEWAY, "relay: image larger than cache.max_object"),
        Failure::Mismatch => (Code::BAD_GATEWAY, "origin: response does not fit its header"),
        Failure::Redirect => (Code::BAD_GATEWAY, "origin: redirect not allowed"),
        Failure::NotConfigured => (Code::PROXYING_NOT_SUPPORTED, "relay: origin not configured"),
    };
    Refusal::new(code, diagnostic)
}

const fn of_status(status: u16) -> Refusal {
    let (code, diagnostic) = match status {
        401 => (Code::UNAUTHORIZED, "origin: 401 Unauthorized"),
        403 => (Code::FORBIDDEN, "origin: 403 Forbidden"),
        404 => (Code::NOT_FOUND, "origin: 404 Not Found"),
        410 => (Code::NOT_FOUND, "origin: 410 Gone"),
        405 => (Code::METHOD_NOT_ALLOWED, "origin: 405 Method Not Allowed"),
        406 => (Code::NOT_ACCEPTABLE, "origin: 406 Not Acceptable"),
        412 => (Code::PRECONDITION_FAILED, "origin: 412 Precondition Failed"),
        429 => (Code::SERVICE_UNAVAILABLE, "origin: 429 Too Many Requests"),
        500 => (Code::INTERNAL_SERVER_ERROR, "origin: 500 Internal Server Error"),
        501 => (Code::NOT_IMPLEMENTED, "origin: 501 Not Implemented"),
        503 => (Code::SERVICE_UNAVAILABLE, "origin: 503 Service Unavailable"),
        504 => (Code::GATEWAY_TIMEOUT, "origin: 504 Gateway Timeout"),
        _ if status / 100 == 4 => (Code::BAD_REQUEST, "origin: client error"),
        _ => (Code::BAD_GATEWAY, "origin: unusable response"),
    };
    Refusal::new(code, diagnostic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_an_error_and_short() {
        for status in 0..=999 {
            let refusal = refusal(Failure::Status(status));
            assert!(matches!(refusal.code.class(), 4 | 5), "{status}");
            assert!(refusal.diagnostic.len() <= 64, "fits one 802.15.4 frame");
        }
    }

    #[test]
    fn the_device_learns_whose_fault_it_is() {
        assert_eq!(refusal(Failure::Status(404)).code, Code::NOT_FOUND);
        assert_eq!(refusal(Failure::Status(503)).code, Code::SERVICE_UNAVAILABLE);
        assert_eq!(refusal(Failure::TimedOut).code, Code::GATEWAY_TIMEOUT);
        assert_eq!(refusal(Failure::Certificate).code, Code::BAD_GATEWAY);
        assert_eq!(refusal(Failure::NotConfigured).code, Code::PROXYING_NOT_SUPPORTED);
    }
}
