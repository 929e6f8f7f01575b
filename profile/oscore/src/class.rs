//! Which options are encrypted (RFC 8613 §4.1, figure 5).

use sixfold_profile::coap::option;

/// How an option is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Class E: encrypted and integrity protected. So is every option that is not known here (§4.1), and those of figure 5
    /// that are of both classes but Observe: their outer ones are between a proxy and its neighbours, are never written
    /// here, and are ignored when they come.
    Inner,
    /// Class U: what a proxy on the way has to read. Anybody on the way may change it.
    Outer,
    /// Observe: the inner one is what counts, the outer one is for proxies on the way (§4.1.3.5).
    InnerAndOuter,
    /// Proxy-Uri, which has to be split before it is protected (§4.1.3.3); outer when it comes.
    Split,
    /// The OSCORE option itself: there is no OSCORE within OSCORE (§4.1.3.7).
    Oscore,
}

/// The class of an option.
pub const fn class(number: u16) -> Class {
    match number {
        // Hop-Limit: RFC 8768 §3.
        option::URI_HOST | option::URI_PORT | option::HOP_LIMIT | option::PROXY_SCHEME => Class::Outer,
        option::OBSERVE => Class::InnerAndOuter,
        option::PROXY_URI => Class::Split,
        option::OSCORE => Class::Oscore,
        _ => Class::Inner,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_in_figure_5() {
        let inner = [
            option::IF_MATCH,
            option::ETAG,
            option::IF_NONE_MATCH,
            option::LOCATION_PATH,
            option::URI_PATH,
            option::CONTENT_FORMAT,
            option::MAX_AGE,
            option::URI_QUERY,
            option::ACCEPT,
            option::LOCATION_QUERY,
            option::BLOCK2,
            option::BLOCK1,
            option::SIZE2,
            option::SIZE1,
            option::NO_RESPONSE,
            // RFC 9175, RFC 9177, and one that is not known.
            option::ECHO,
            option::REQUEST_TAG,
            option::Q_BLOCK1,
            option::Q_BLOCK2,
            65_000,
        ];
        assert!(inner.into_iter().all(|number| class(number) == Class::Inner));
        let outer = [option::URI_HOST, option::URI_PORT, option::PROXY_SCHEME, option::HOP_LIMIT];
        assert!(outer.into_iter().all(|number| class(number) == Class::Outer));
        assert_eq!(class(option::OBSERVE), Class::InnerAndOuter);
    }
}
