//! Gives orders to a running relay.

use super::super::status::{Image, printable};
use super::super::{http, status};
use super::progress::Progress;
use super::{Order, PATH, Report};
use anyhow::{Context, anyhow, bail};
use std::time::Duration;
use tokio::time::sleep;

/// How often a fetch is looked at.
const PERIOD: Duration = Duration::from_millis(200);

/// Gives an order to the relay whose admin address is `url`.
///
/// # Errors
/// Who is not there, or why it is not done.
pub async fn tell(url: &str, order: &Order) -> anyhow::Result<Report> {
    let uri = http::uri(url, PATH)?;
    let answer = http::post(&uri, serde_json::to_vec(order)?).await?;
    serde_json::from_slice(&answer).with_context(|| {
        format!("operator: {uri} is not a relay's admin address, or the relay is of another version")
    })
}

/// Has a resource fetched, shows how far that is on a terminal, and waits for the end.
///
/// # Errors
/// Why its bytes are not here.
pub async fn prefetch(url: &str, name: &str) -> anyhow::Result<Image> {
    let mut progress = Progress::new(printable(name));
    let mut order = Order::Prefetch { name: name.to_owned() };
    loop {
        let Report::Resource { image, complaint, .. } = tell(url, &order).await? else {
            bail!("relay: an answer to another order");
        };
        order = Order::Look { name: name.to_owned() };
        let image = image.ok_or_else(|| anyhow!("relay: {} was forgotten meanwhile", printable(name)))?;
        progress.show(image.available_bytes, image.total_bytes);
        if let Some(outcome) = end(image, complaint.as_deref()) {
            return outcome;
        }
        sleep(PERIOD).await;
    }
}

/// What became of a fetch, once something has; `complaint` is what the relay says of one that failed.
fn end(image: Image, complaint: Option<&str>) -> Option<anyhow::Result<Image>> {
    let url = printable(&image.url);
    match (image.state.as_str(), &image.failure) {
        (status::FETCHING | status::VALIDATING, _) => None,
        (_, Some(failure)) => {
            let failure = printable(failure);
            let complaint = complaint.map_or_else(|| "the relay's log says more".to_owned(), printable);
            Some(Err(anyhow!("origin: {url} was not fetched: {failure}: {complaint}")))
        }
        _ if Some(image.available_bytes) != image.total_bytes => {
            Some(Err(anyhow!("relay: {url} was fetched, and is gone already: cache.memory is too small")))
        }
        _ => Some(Ok(image)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(state: &str, available_bytes: u64, failure: Option<&str>) -> Image {
        Image {
            url: "https://h/a".to_owned(),
            etag: None,
            sha256: None,
            state: state.to_owned(),
            available_bytes,
            total_bytes: Some(10),
            fresh_for_s: 0,
            observers: 0,
            failure: failure.map(str::to_owned),
        }
    }

    #[test]
    fn a_fetch_ends_with_all_bytes_or_a_reason() {
        assert!(end(image("fetching", 3, None), None).is_none());
        assert!(end(image("validating", 10, None), None).is_none());
        // An origin that allows no reuse makes images that are stale at once.
        for state in ["fresh", "stale"] {
            assert!(end(image(state, 10, None), None).is_some_and(|end| end.is_ok()), "{state}");
        }
        let complaint = |image| end(image, Some("it is over; renew it")).unwrap().unwrap_err().to_string();
        assert_eq!(
            complaint(image("failed", 0, Some("certificate"))),
            "origin: https://h/a was not fetched: certificate: it is over; renew it"
        );
        assert!(complaint(image("stale", 10, Some("connect"))).contains("connect"));
        assert!(complaint(image("evicted", 0, None)).contains("cache.memory"));
    }
}
