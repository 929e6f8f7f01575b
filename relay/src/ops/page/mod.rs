//! The status for people with a browser: one page, its style, its script and its icon, all from this program.
//!
//! The page is complete as the relay sends it, and brings itself up to date through [`super::status::PATH`] where scripts
//! may run. It loads nothing from anywhere else, and its policy (Content Security Policy Level 3) forbids it to. Nothing
//! here changes what the relay does.

mod html;

pub(super) use html::page;

use axum::http::HeaderName;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::response::{IntoResponse, Response};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file that belongs to the page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asset {
    /// Its path on the admin address.
    pub path: &'static str,
    media_type: &'static str,
    content: &'static str,
}

/// All of them.
pub(super) const ASSETS: [Asset; 3] = [
    Asset { path: "/status.css", media_type: "text/css; charset=utf-8", content: include_str!("status.css") },
    Asset {
        path: "/status.js",
        media_type: "text/javascript; charset=utf-8",
        content: include_str!("status.js"),
    },
    Asset { path: "/icon.svg", media_type: "image/svg+xml", content: include_str!("icon.svg") },
];

impl IntoResponse for Asset {
    fn into_response(self) -> Response {
        guarded(self.media_type, self.content.to_owned())
    }
}

/// A body that browsers take for what it is, keep no copy of, and let nobody else embed or run anything in.
pub(super) fn guarded(media_type: &'static str, body: String) -> Response {
    const HEADERS: [(HeaderName, &str); 5] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ];
    ([(CONTENT_TYPE, media_type)], HEADERS, body).into_response()
}
