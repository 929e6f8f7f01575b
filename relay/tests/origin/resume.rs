//! Transfers that break off: no byte is lost, repeated, or taken from another version.

use crate::client::{End, World, strong};
use crate::support::{Fault, Resource, pattern};
use bytes::Bytes;
use sixfold_engine::{Failure, Validator};

const LENGTH: usize = 200_000;

fn image(tag: &str, seed: u8) -> Resource {
    Resource::new(pattern(LENGTH, seed), tag)
}

#[tokio::test]
async fn a_broken_transfer_goes_on_where_it_stopped() {
    let mut world = World::new().await;
    let resource = image("\"1\"", 1);
    world.origin.serve("/a", resource.clone());
    world.origin.fail("/a", [Fault::Truncate(70_000), Fault::Truncate(1), Fault::Truncate(60_001)]);
    world.client.expect(&world.origin.url("/a"), &resource.body, 1).await;
    let seen = world.origin.seen();
    let asked: Vec<_> = seen.iter().map(|seen| (seen.header("range"), seen.header("if-range"))).collect();
    let tag = Some("\"1\"");
    assert_eq!(
        asked,
        [
            (None, None),
            (Some("bytes=70000-"), tag),
            (Some("bytes=70001-"), tag),
            (Some("bytes=130002-"), tag)
        ]
    );
    let traffic = world.client.inner.traffic();
    assert_eq!((traffic.resumes(), traffic.retries(), traffic.bytes()), (3, 3, LENGTH as u64));
}

/// A stream that is reset may lose what was sent before: how much was there is the client's to say.
#[tokio::test]
async fn a_broken_stream_goes_on_where_it_stopped() {
    let mut world = World::http2().await;
    let resource = image("\"1\"", 1);
    world.origin.serve("/a", resource.clone());
    world.origin.fail("/a", [Fault::Truncate(70_000), Fault::Truncate(60_000)]);
    world.client.expect(&world.origin.url("/a"), &resource.body, 1).await;
    let traffic = world.client.inner.traffic();
    assert_eq!((traffic.retries(), traffic.bytes()), (2, LENGTH as u64));
    assert!(traffic.resumes() > 0);
}

#[tokio::test]
async fn a_transfer_of_unknown_length_is_resumed_too() {
    let mut world = World::new().await;
    let resource = image("\"1\"", 1).chunked();
    world.origin.serve("/a", resource.clone());
    world.origin.fail("/a", [Fault::Truncate(70_000), Fault::Truncate(60_000)]);
    world.client.expect(&world.origin.url("/a"), &resource.body, 1).await;
    assert_eq!(world.client.inner.traffic().resumes(), 2);
}

/// Interruptions are bounded in number only as long as the transfer does not move on.
#[tokio::test]
async fn progress_renews_the_patience() {
    let mut world = World::new().await;
    let resource = Resource::new(pattern(1 << 20, 1), "\"1\"");
    world.origin.serve("/a", resource.clone());
    world.origin.fail("/a", vec![Fault::Truncate(70_000); 14]);
    world.client.expect(&world.origin.url("/a"), &resource.body, 1).await;
    assert_eq!(world.client.inner.traffic().retries(), 14);

    world.origin.fail("/a", vec![Fault::Truncate(10); 4]);
    let fetched = world.client.get(&world.origin.url("/a")).await;
    assert_eq!((fetched.body.len(), fetched.end), (40, End::Failed(Failure::Interrupted)));
}

#[tokio::test]
async fn an_origin_without_ranges_starts_over_and_nobody_notices() {
    let mut world = World::new().await;
    let resource = image("\"1\"", 1);
    world.origin.serve("/a", resource.clone());
    world.origin.fail("/a", [Fault::Truncate(70_000), Fault::IgnoreRange]);
    world.client.expect(&world.origin.url("/a"), &resource.body, 1).await;
    assert_eq!(world.client.inner.traffic().resumes(), 0);

    // It breaks again before the known bytes are over.
    world.origin.fail("/a", [Fault::Truncate(70_000)]);
    let shorter = Fault::Answer(
        200,
        vec![("etag", "\"1\"".to_owned()), ("content-length", LENGTH.to_string())],
        resource.body.slice(..30_000),
    );
    world.origin.fail("/a", [shorter]);
    world.client.expect(&world.origin.url("/a"), &resource.body, 1).await;
}

#[tokio::test]
async fn a_new_version_starts_from_its_first_byte() {
    for (before, after) in [
        (image("\"1\"", 1), image("\"2\"", 2)),
        (image("\"1\"", 1), Resource { body: pattern(50_000, 2), ..image("\"1\"", 2) }),
        (image("W/\"1\"", 1), image("W/\"1\"", 2)),
        (Resource { headers: Default::default(), ..image("\"1\"", 1) }, image("\"1\"", 2)),
    ] {
        let mut world = World::new().await;
        let mut headers = vec![("content-length", LENGTH.to_string())];
        headers.extend(before.headers.get("etag").map(|tag| ("etag", tag.to_str().unwrap().to_owned())));
        world.origin.fail("/a", [Fault::Answer(200, headers, before.body.slice(..70_000))]);
        world.origin.serve("/a", after.clone());
        world.client.expect(&world.origin.url("/a"), &after.body, 2).await;
    }
}

#[tokio::test]
async fn an_origin_that_changes_all_the_time_is_given_up() {
    let mut world = World::new().await;
    for version in 0..10 {
        let headers = vec![("etag", format!("\"{version}\"")), ("content-length", LENGTH.to_string())];
        world.origin.fail("/a", [Fault::Answer(200, headers, pattern(70_000, version))]);
    }
    let fetched = world.client.get(&world.origin.url("/a")).await;
    assert_eq!((fetched.heads.len(), fetched.end), (4, End::Failed(Failure::Interrupted)));

    // Also if each version moves on before it is replaced.
    for version in 10..20 {
        let (tag, body) = (format!("\"{version}\""), pattern(LENGTH, version));
        let headers = vec![("etag", tag.clone()), ("content-length", LENGTH.to_string())];
        world.origin.fail("/b", [Fault::Answer(200, headers, body.slice(..10))]);
        let range = ("content-range", format!("bytes 10-80009/{LENGTH}"));
        world.origin.fail("/b", [Fault::Answer(206, vec![("etag", tag), range], body.slice(10..80_010))]);
    }
    let fetched = world.client.get(&world.origin.url("/b")).await;
    assert_eq!((fetched.heads.len(), fetched.end), (4, End::Failed(Failure::Interrupted)));
}

#[tokio::test]
async fn a_part_that_does_not_fit_is_refused() {
    let rest = |length: usize| pattern(LENGTH, 1).slice(70_000..70_000 + length);
    for (range, tag, body) in [
        (Some("bytes 70001-199999/200000"), Some("\"1\""), rest(129_999)),
        (Some("bytes 69999-199999/200000"), Some("\"1\""), rest(130_000)),
        (Some("bytes 70000-199999/200001"), Some("\"1\""), rest(130_000)),
        (Some("bytes 70000-199999/*"), Some("\"1\""), rest(130_000)),
        (Some("bytes 70000-199999/200000"), Some("\"2\""), rest(130_000)),
        (Some("bytes 70000-199999/200000"), Some("W/\"1\""), rest(130_000)),
        (Some("bytes 70000-199999/200000"), None, rest(130_000)),
        (None, Some("\"1\""), rest(130_000)),
        // More and announced: the second check.
        (Some("bytes 70000-70009/200000"), Some("\"1\""), rest(11)),
    ] {
        let mut world = World::new().await;
        world.origin.serve("/a", image("\"1\"", 1));
        let headers = [range.map(|range| ("content-range", range)), tag.map(|tag| ("etag", tag))];
        let headers = headers.into_iter().flatten().map(|(name, value)| (name, value.to_owned())).collect();
        world.origin.fail("/a", [Fault::Truncate(70_000), Fault::Answer(206, headers, body)]);
        let fetched = world.client.get(&world.origin.url("/a")).await;
        assert_eq!(
            (fetched.heads.len(), &fetched.end),
            (1, &End::Failed(Failure::Mismatch)),
            "{range:?} {tag:?}"
        );
        assert!(fetched.body == pattern(LENGTH, 1)[..fetched.body.len()]);
        assert_eq!(world.origin.seen().len(), 2);
    }
}

#[tokio::test]
async fn less_than_the_rest_is_taken_and_the_rest_of_it_asked_for() {
    let mut world = World::new().await;
    let resource = image("\"1\"", 1);
    world.origin.serve("/a", resource.clone());
    let headers =
        vec![("content-range", "bytes 70000-79999/200000".to_owned()), ("etag", "\"1\"".to_owned())];
    let part = Fault::Answer(206, headers, resource.body.slice(70_000..80_000));
    world.origin.fail("/a", [Fault::Truncate(70_000), part]);
    world.client.expect(&world.origin.url("/a"), &resource.body, 1).await;
    assert_eq!(world.origin.seen()[2].header("range"), Some("bytes=80000-"));
}

#[tokio::test]
async fn a_range_that_cannot_be_satisfied_is_not_asked_for_again() {
    let mut world = World::new().await;
    let resource = image("\"1\"", 1);
    world.origin.serve("/a", resource.clone());
    world.origin.fail("/a", [Fault::Truncate(70_000), Fault::status(416)]);
    world.client.expect(&world.origin.url("/a"), &resource.body, 1).await;
    assert_eq!(world.origin.seen()[2].header("range"), None);
}

#[tokio::test]
async fn what_is_gone_cannot_be_resumed() {
    let mut world = World::new().await;
    world.origin.serve("/a", image("\"1\"", 1));
    world.origin.fail("/a", [Fault::Truncate(70_000), Fault::status(503), Fault::status(404)]);
    let fetched = world.client.get(&world.origin.url("/a")).await;
    assert_eq!((fetched.body.len(), fetched.end), (70_000, End::Failed(Failure::Status(404))));
}

/// A part needs a strong validator (RFC 9110 §13.1.5); without one the whole is asked for.
#[tokio::test]
async fn weak_validators_are_no_ground_for_a_part() {
    for validator in [Validator::Weak("\"1\"".to_owned()), Validator::LastModified("yesterday".to_owned())] {
        let mut world = World::new().await;
        let (name, value) = match &validator {
            Validator::Weak(tag) => ("etag", format!("W/{tag}")),
            Validator::LastModified(date) | Validator::Strong(date) => ("last-modified", date.clone()),
        };
        let resource = Resource { body: pattern(LENGTH, 1), ..Resource::default() }.with(name, &value);
        world.origin.serve("/a", resource.clone());
        world.origin.fail("/a", [Fault::Truncate(70_000)]);
        let fetched = world.client.expect(&world.origin.url("/a"), &resource.body, 2).await;
        assert_ne!(fetched.heads[0].validator, Some(strong("\"1\"")));
        assert_eq!(world.origin.seen()[1].header("range"), None);
    }
}

#[tokio::test]
async fn fewer_bytes_than_before_for_the_same_version_are_a_contradiction() {
    let mut world = World::new().await;
    world.origin.serve("/a", image("\"1\"", 1).chunked());
    let shorter = Fault::Answer(200, vec![("etag", "\"1\"".to_owned())], Bytes::from_static(b"short"));
    world.origin.fail("/a", [Fault::Truncate(70_000), shorter]);
    let fetched = world.client.get(&world.origin.url("/a")).await;
    assert_eq!((fetched.heads.len(), fetched.end), (1, End::Failed(Failure::Mismatch)));
}
