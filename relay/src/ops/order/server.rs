//! Takes orders, from programs on this machine alone.
//!
//! The admin address has no password, and a browser on this machine would carry whatever a page of somebody else's tells it
//! (cross-site request forgery). So an order is refused if it has an `Origin` field, as every POST of a browser has (Fetch
//! standard, section 3.2), or does not say that it is JSON, which pages of other sites may not without asking first; and if it
//! comes from another machine, whatever address the relay listens on.

use super::super::StatusSource;
use super::{Order, PATH};
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header::ORIGIN;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use axum::{Extension, Router};
use std::net::SocketAddr;

/// The longest order, in bytes: longer than any URL that a device can ask for.
const MAX_ORDER: usize = 4 << 10;

/// The routes of orders. Requests must carry the address of their client as an extension.
pub(crate) fn router<S: StatusSource + Clone + Send + Sync + 'static>(source: S) -> Router {
    let obey = move |Json(order): Json<Order>| async move {
        match source.order(order).await {
            Ok(Ok(report)) => Json(report).into_response(),
            Ok(Err(unable)) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{unable}\n")).into_response(),
            Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}\n")).into_response(),
        }
    };
    Router::new().route(PATH, post(obey)).layer(DefaultBodyLimit::max(MAX_ORDER)).layer(from_fn(let_in))
}

async fn let_in(
    Extension(client): Extension<SocketAddr>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    match objection(client, &headers) {
        None => next.run(request).await,
        Some(objection) => (StatusCode::FORBIDDEN, objection).into_response(),
    }
}

fn objection(client: SocketAddr, headers: &HeaderMap) -> Option<&'static str> {
    if !client.ip().to_canonical().is_loopback() {
        return Some("orders are taken from this machine only; log in to it\n");
    }
    if headers.contains_key(ORIGIN) || headers.contains_key("sec-fetch-site") {
        return Some("orders are not taken from browsers; use sixfold-relay\n");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn who_may_order() {
        let (none, mut page) = (HeaderMap::new(), HeaderMap::new());
        page.insert(ORIGIN, HeaderValue::from_static("https://elsewhere.example"));
        for (client, fields, welcome) in [
            ("[::1]:1000", &none, true),
            ("127.0.0.1:1000", &none, true),
            ("[::ffff:127.0.0.1]:1000", &none, true),
            ("[::ffff:192.0.2.1]:1000", &none, false),
            ("[2001:db8::1]:1000", &none, false),
            ("[::1]:1000", &page, false),
        ] {
            assert_eq!(objection(client.parse().unwrap(), fields).is_none(), welcome, "{client} {fields:?}");
        }
    }
}
