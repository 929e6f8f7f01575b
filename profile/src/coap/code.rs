//! The CoAP Code registry (RFC 7252 §12.1, RFC 8132, RFC 8516, RFC 8768, RFC 9177).

use core::fmt;

/// A message code: a class of 3 bits and a detail of 5 bits, written `c.dd` (RFC 7252 §3).
///
/// ```text
///  0 1 2 3 4 5 6 7
/// +-+-+-+-+-+-+-+-+
/// |class|  detail |
/// +-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub u8);

const fn code(class: u8, detail: u8) -> Code {
    Code(class << 5 | detail)
}

macro_rules! registry {
    ($($(#[$doc:meta])* $name:ident = $class:literal . $detail:literal, $text:literal;)*) => {
        impl Code {
            $($(#[$doc])* pub const $name: Self = code($class, $detail);)*

            /// The registered name, if this code has one.
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

registry! {
    /// An Empty message: ping, empty ACK or RST (RFC 7252 §4.1).
    EMPTY = 0 . 0, "Empty";
    /// RFC 7252 §5.8.1.
    GET = 0 . 1, "GET";
    /// RFC 7252 §5.8.2.
    POST = 0 . 2, "POST";
    /// RFC 7252 §5.8.3.
    PUT = 0 . 3, "PUT";
    /// RFC 7252 §5.8.4.
    DELETE = 0 . 4, "DELETE";
    /// RFC 8132 §2.
    FETCH = 0 . 5, "FETCH";
    /// RFC 8132 §3.
    PATCH = 0 . 6, "PATCH";
    /// RFC 8132 §3.
    IPATCH = 0 . 7, "iPATCH";
    /// RFC 7252 §5.9.1.1.
    CREATED = 2 . 1, "Created";
    /// RFC 7252 §5.9.1.2.
    DELETED = 2 . 2, "Deleted";
    /// RFC 7252 §5.9.1.3.
    VALID = 2 . 3, "Valid";
    /// RFC 7252 §5.9.1.4.
    CHANGED = 2 . 4, "Changed";
    /// RFC 7252 §5.9.1.5.
    CONTENT = 2 . 5, "Content";
    /// RFC 7959 §2.9.1.
    CONTINUE = 2 . 31, "Continue";
    /// RFC 7252 §5.9.2.1.
    BAD_REQUEST = 4 . 0, "Bad Request";
    /// RFC 7252 §5.9.2.2.
    UNAUTHORIZED = 4 . 1, "Unauthorized";
    /// RFC 7252 §5.9.2.3.
    BAD_OPTION = 4 . 2, "Bad Option";
    /// RFC 7252 §5.9.2.4.
    FORBIDDEN = 4 . 3, "Forbidden";
    /// RFC 7252 §5.9.2.5.
    NOT_FOUND = 4 . 4, "Not Found";
    /// RFC 7252 §5.9.2.6.
    METHOD_NOT_ALLOWED = 4 . 5, "Method Not Allowed";
    /// RFC 7252 §5.9.2.7.
    NOT_ACCEPTABLE = 4 . 6, "Not Acceptable";
    /// RFC 7959 §2.9.2.
    REQUEST_ENTITY_INCOMPLETE = 4 . 8, "Request Entity Incomplete";
    /// RFC 7252 §5.9.2.8.
    PRECONDITION_FAILED = 4 . 12, "Precondition Failed";
    /// RFC 7252 §5.9.2.9, RFC 7959 §2.9.3.
    REQUEST_ENTITY_TOO_LARGE = 4 . 13, "Request Entity Too Large";
    /// RFC 7252 §5.9.2.10.
    UNSUPPORTED_CONTENT_FORMAT = 4 . 15, "Unsupported Content-Format";
    /// RFC 8516 §3.
    TOO_MANY_REQUESTS = 4 . 29, "Too Many Requests";
    /// RFC 7252 §5.9.3.1.
    INTERNAL_SERVER_ERROR = 5 . 0, "Internal Server Error";
    /// RFC 7252 §5.9.3.2.
    NOT_IMPLEMENTED = 5 . 1, "Not Implemented";
    /// RFC 7252 §5.9.3.3.
    BAD_GATEWAY = 5 . 2, "Bad Gateway";
    /// RFC 7252 §5.9.3.4.
    SERVICE_UNAVAILABLE = 5 . 3, "Service Unavailable";
    /// RFC 7252 §5.9.3.5.
    GATEWAY_TIMEOUT = 5 . 4, "Gateway Timeout";
    /// RFC 7252 §5.9.3.6.
    PROXYING_NOT_SUPPORTED = 5 . 5, "Proxying Not Supported";
    /// RFC 8768 §3.
    HOP_LIMIT_REACHED = 5 . 8, "Hop Limit Reached";
}

impl Code {
    /// The class: 0 requests and Empty, 2 success, 4 client error, 5 server error; 1, 6 and 7 are reserved.
    pub const fn class(self) -> u8 {
        self.0 >> 5
    }

    /// The detail, 0–31.
    pub const fn detail(self) -> u8 {
        self.0 & 0x1f
    }

    /// A method code, 0.01–0.31, known or not.
    pub const fn is_request(self) -> bool {
        self.class() == 0 && self.0 != 0
    }

    /// A response code: class 2, 4 or 5 (class 3 was left out of CoAP).
    pub const fn is_response(self) -> bool {
        matches!(self.class(), 2 | 4 | 5)
    }

    /// A success response, class 2.
    pub const fn is_success(self) -> bool {
        self.class() == 2
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.class(), self.detail())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        self.name().map_or(Ok(()), |name| write!(f, " {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn reads_as_the_rfc_writes_it() {
        assert_eq!(format!("{:?}", Code(0x45)), "2.05 Content");
        assert_eq!(format!("{:?}", Code(0x84)), "4.04 Not Found");
        assert_eq!(format!("{}", Code::HOP_LIMIT_REACHED), "5.08");
        assert_eq!(format!("{:?}", Code(0xff)), "7.31");
    }

    #[test]
    fn classes() {
        assert!(Code::GET.is_request() && !Code::EMPTY.is_request());
        assert!(Code(31).is_request());
        for reserved in [0x20u8, 0x60, 0xc0, 0xe0] {
            assert!(!Code(reserved).is_request() && !Code(reserved).is_response());
        }
    }
}
