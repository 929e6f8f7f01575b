//! Asks a running relay for its status.

use super::super::http;
use super::{PATH, Page, Status};
use anyhow::Context;

/// Asks a running relay. `url` is its admin address, such as `http://[::1]:9683`, with or without [`PATH`].
///
/// # Errors
/// Who is not there, or is no relay, and what to check.
pub async fn fetch(url: &str, page: Page) -> anyhow::Result<Status> {
    let uri = http::uri(url, &format!("{PATH}?{}", page.to_query()))?;
    serde_json::from_slice(&http::get(&uri).await?).with_context(|| {
        format!("operator: {uri} is not a relay's admin address, or the relay is of another version")
    })
}
