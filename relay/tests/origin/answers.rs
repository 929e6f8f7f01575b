//! What the client makes of single answers: good, refused, too long, too late, to be tried again.

use crate::client::{Client, End, World, eventually, origin_settings, seconds, settings, strong};
use crate::support::{Authority, Fault, Resource, Setup, TestOrigin, pattern, raw_server};
use bytes::Bytes;
use http::Version;
use sixfold_engine::{Failure, FetchCommand, Freshness, Head, OriginEvent, Validator};
use sixfold_relay::origin::{OriginSettings, Timeouts};
use std::time::Duration;

fn image() -> Resource {
    Resource::new(pattern(100_000, 1), "\"1\"")
        .with("content-type", "application/octet-stream")
        .with("cache-control", "max-age=300, stale-if-error=600")
}

#[tokio::test]
async fn a_representation_arrives_whole_with_its_header() {
    for (mut world, version) in
        [(World::new().await, Version::HTTP_11), (World::http2().await, Version::HTTP_2)]
    {
        let resource = image();
        world.origin.serve("/a", resource.clone());
        let fetched = world.client.expect(&world.origin.url("/a"), &resource.body, 1).await;
        let head = Head {
            validator: Some(strong("\"1\"")),
            length: Some(100_000),
            media_type: Some("application/octet-stream".to_owned()),
            freshness: Freshness { max_age: seconds(300), stale_if_error: seconds(600) },
        };
        assert_eq!(fetched.heads, [head]);
        let seen = world.origin.seen().remove(0);
        assert_eq!((seen.version, seen.header("accept-encoding")), (version, Some("identity")));
        assert!(seen.header("user-agent").unwrap().starts_with("sixfold-relay/"));
        assert_eq!((seen.header("range"), seen.header("if-none-match")), (None, None));
        eventually("the request is counted", || world.client.outcome("complete") == 1).await;
        assert_eq!(world.client.inner.traffic().bytes(), 100_000);
    }
}

#[tokio::test]
async fn bodies_without_announced_length_and_without_bytes() {
    for mut world in [World::new().await, World::http2().await] {
        world.origin.serve("/chunked", image().chunked());
        let fetched = world.client.expect(&world.origin.url("/chunked"), &image().body, 1).await;
        assert_eq!(fetched.heads[0].length, None);
        world.origin.serve("/empty", Resource::new(Bytes::new(), "\"e\""));
        let fetched = world.client.expect(&world.origin.url("/empty"), &Bytes::new(), 1).await;
        assert_eq!(fetched.heads[0].length, Some(0));
    }
}

#[tokio::test]
async fn a_version_at_hand_is_validated() {
    let mut world = World::new().await;
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    world.origin.serve("/strong", image());
    world
        .origin
        .serve("/weak", Resource::new(pattern(10, 0), "W/\"1\"").with("cache-control", "max-age=300"));
    let dated = Resource { body: pattern(10, 0), ..Resource::default() };
    world.origin.serve("/dated", dated.with("last-modified", date).with("cache-control", "max-age=300"));
    for (path, have) in [
        ("/strong", strong("\"1\"")),
        ("/weak", Validator::Weak("\"1\"".to_owned())),
        ("/dated", Validator::LastModified(date.to_owned())),
    ] {
        let url = world.origin.url(path);
        let fetched = world.client.get(&url).await;
        assert_eq!(fetched.heads[0].validator.as_ref(), Some(&have));
        let fetched = world.client.get_if_changed(&url, have).await;
        assert!(
            matches!(fetched.end, End::NotModified(freshness) if freshness.max_age == seconds(300)),
            "{fetched:?}"
        );
    }
    let fetched = world.client.get_if_changed(&world.origin.url("/strong"), strong("\"0\"")).await;
    assert_eq!((fetched.end, fetched.body == image().body), (End::Complete, true));
}

#[tokio::test]
async fn the_operator_may_prescribe_freshness() {
    let mut world = World::with(|settings| {
        settings.origins[0].max_age = Some(seconds(7));
        settings.origins[0].stale_if_error = Some(seconds(8));
    })
    .await;
    world.origin.serve("/a", image().with("cache-control", "no-store"));
    let expected = Freshness { max_age: seconds(7), stale_if_error: seconds(8) };
    assert_eq!(world.client.get(&world.origin.url("/a")).await.heads[0].freshness, expected);
    let fetched = world.client.get_if_changed(&world.origin.url("/a"), strong("\"1\"")).await;
    assert_eq!(fetched.end, End::NotModified(expected));
}

#[tokio::test]
async fn the_longest_prefix_decides() {
    let mut world = World::with(|settings| {
        let all = settings.origins[0].clone();
        let below =
            OriginSettings { prefix: format!("{}b/", all.prefix), max_age: Some(seconds(9)), ..all.clone() };
        settings.origins = vec![all, below];
    })
    .await;
    for (path, max_age) in [("/a", 300), ("/b/a", 9)] {
        world.origin.serve(path, image());
        let fetched = world.client.get(&world.origin.url(path)).await;
        assert_eq!(fetched.heads[0].freshness.max_age, seconds(max_age));
    }
    let other_port = format!("https://localhost:{}/a", world.origin.address.port() ^ 1);
    assert_eq!(world.client.refused(&other_port).await, Failure::NotConfigured);
    assert_eq!(world.client.refused("no URL at all").await, Failure::NotConfigured);
    assert_eq!(world.client.refused(&world.origin.url("/b/%2e%2e/a")).await, Failure::NotConfigured);
    assert_eq!(world.origin.seen().len(), 2);
}

#[tokio::test]
async fn answers_that_do_not_fit_are_refused() {
    let mut world = World::new().await;
    let range = ("content-range", "bytes 0-3/4".to_owned());
    let tag = ("etag", "\"1\"".to_owned());
    for (fault, failure) in [
        (Fault::Answer(206, vec![range, tag.clone()], Bytes::from_static(b"part")), Failure::Mismatch),
        (Fault::Answer(200, vec![("content-encoding", "gzip".to_owned())], Bytes::new()), Failure::Mismatch),
        (
            Fault::Answer(
                200,
                vec![("content-encoding", "identity".to_owned()), ("content-encoding", "br".to_owned())],
                Bytes::new(),
            ),
            Failure::Mismatch,
        ),
        (Fault::Answer(304, vec![tag], Bytes::new()), Failure::Status(304)),
        (Fault::status(204), Failure::Status(204)),
        (Fault::status(404), Failure::Status(404)),
        (Fault::status(403), Failure::Status(403)),
    ] {
        world.origin.fail("/a", [fault.clone()]);
        assert_eq!(world.client.refused(&world.origin.url("/a")).await, failure, "{fault:?}");
    }
    assert_eq!(world.origin.seen().len(), 7, "none of them is worth a second attempt");
    assert_eq!((world.client.outcome("mismatch"), world.client.outcome("client_error")), (3, 2));
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_refused() {
    let world = World::new().await;
    for (bytes, failure) in [
        ("SSH-2.0-OpenSSH_9.2\r\n", Failure::Mismatch),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello", Failure::Mismatch),
        ("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", Failure::Mismatch),
        ("", Failure::Interrupted),
    ] {
        let address = raw_server(Bytes::from_static(bytes.as_bytes())).await;
        let url = format!("http://{address}/");
        let mut settings = settings(&world.authority, &world.origin);
        settings.origins =
            vec![OriginSettings { prefix: url.clone(), allow_http: true, ..OriginSettings::default() }];
        assert_eq!(Client::new(settings).refused(&url).await, failure, "{bytes:?}");
    }
}

/// HTTP/2 announces a length apart from the end of the body, so the body can be longer.
#[tokio::test]
async fn a_body_longer_than_announced_is_never_complete() {
    let mut world = World::http2().await;
    let long = Fault::Answer(200, vec![("content-length", "4".to_owned())], Bytes::from_static(b"hello"));
    world.origin.fail("/a", vec![long; 4]);
    let fetched = world.client.get(&world.origin.url("/a")).await;
    assert!(matches!(fetched.end, End::Failed(Failure::Interrupted | Failure::Mismatch)), "{fetched:?}");
}

#[tokio::test]
async fn a_length_beyond_the_limit_is_refused_before_the_first_byte() {
    let mut world = World::with(|settings| settings.max_object = 99_999).await;
    world.origin.serve("/a", image());
    assert_eq!(world.client.refused(&world.origin.url("/a")).await, Failure::TooLarge);
    world.origin.serve("/a", image().chunked());
    let fetched = world.client.get(&world.origin.url("/a")).await;
    assert_eq!((fetched.heads.len(), fetched.end), (1, End::Failed(Failure::TooLarge)));
    assert!(fetched.body.len() <= 99_999);
    assert_eq!(world.origin.seen().len(), 2);
}

#[tokio::test]
async fn trouble_that_may_pass_is_tried_again() {
    let mut world = World::new().await;
    world.origin.serve("/a", image());
    world.origin.fail("/a", [Fault::status(503), Fault::status(500), Fault::status(429)]);
    world.client.expect(&world.origin.url("/a"), &image().body, 1).await;
    assert_eq!((world.origin.seen().len(), world.client.inner.traffic().retries()), (4, 3));
    world.origin.fail("/a", vec![Fault::status(502); 4]);
    assert_eq!(world.client.refused(&world.origin.url("/a")).await, Failure::Status(502));
    assert_eq!((world.origin.seen().len(), world.client.inner.traffic().retries()), (8, 6));
}

#[tokio::test]
async fn retry_after_is_respected_within_a_bound() {
    let mut world = World::with(|settings| settings.retries.first_delay = Duration::ZERO).await;
    world.origin.serve("/a", image());
    let busy = |delay: &str| Fault::Answer(503, vec![("retry-after", delay.to_owned())], Bytes::new());
    world.origin.fail("/a", [busy("1")]);
    let start = std::time::Instant::now();
    world.client.expect(&world.origin.url("/a"), &image().body, 1).await;
    assert!(start.elapsed() >= Duration::from_secs(1));
    world.origin.fail("/a", [busy("3600")]);
    assert_eq!(world.client.refused(&world.origin.url("/a")).await, Failure::Status(503));
    assert_eq!(world.origin.seen().len(), 3, "not asked again against the origin's wish");
}

/// However rarely it is asked, and however often a fetch tries.
#[tokio::test]
async fn fetches_that_fail_in_a_row_are_counted_until_one_is_answered() {
    let mut world = World::new().await;
    world.origin.serve("/a", image());
    let url = world.origin.url("/a");
    let failed = |world: &World| {
        let all = world.client.inner.traffic().streaks().all();
        all.into_iter().map(|(_, count)| count).collect::<Vec<_>>()
    };
    assert!(failed(&world).is_empty(), "it was not asked yet");
    for count in 1..=2 {
        world.origin.fail("/a", vec![Fault::status(503); 4]);
        assert_eq!(world.client.refused(&url).await, Failure::Status(503));
        assert_eq!(failed(&world), [count]);
    }
    assert_eq!(world.client.refused(&world.origin.url("/nothing")).await, Failure::Status(404));
    assert_eq!(failed(&world), [0], "who has no such file is there");
    world.origin.fail("/a", vec![Fault::status(503); 4]);
    assert_eq!(world.client.refused(&url).await, Failure::Status(503));
    world.client.expect(&url, &image().body, 1).await;
    eventually("the answer is noted", || failed(&world) == [0]).await;
}

#[tokio::test]
async fn a_silent_origin_times_out() {
    let world = World::new().await;
    let long = settings(&world.authority, &world.origin).timeouts;
    world.origin.fail("/a", [Fault::Silence]);
    // The limit is for the connection too: where the machine is too busy to ask in time, there is more of it.
    let mut limit = Duration::from_millis(200);
    while world.origin.seen().is_empty() {
        let mut silent = settings(&world.authority, &world.origin);
        silent.timeouts = Timeouts { connect: limit, headers: limit, ..long };
        silent.retries.attempts = 0;
        assert_eq!(Client::new(silent).refused(&world.origin.url("/a")).await, Failure::TimedOut);
        limit *= 2;
    }

    let mut idle = settings(&world.authority, &world.origin);
    idle.timeouts = Timeouts { idle: Duration::from_secs(2), ..long };
    idle.retries.attempts = 0;
    world.origin.serve("/b", image());
    world.origin.fail("/b", [Fault::Stall(1000)]);
    let fetched = Client::new(idle).get(&world.origin.url("/b")).await;
    assert_eq!((fetched.body.len(), fetched.end), (1000, End::Failed(Failure::TimedOut)));
}

#[tokio::test]
async fn a_port_that_accepts_and_says_nothing_times_out() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let world = World::new().await;
    let mut settings = settings(&world.authority, &world.origin);
    settings.origins[0].prefix = format!("https://{}/", listener.local_addr().unwrap());
    settings.timeouts.connect = Duration::from_millis(200);
    settings.retries.attempts = 0;
    let url = settings.origins[0].prefix.clone();
    assert_eq!(Client::new(settings).refused(&url).await, Failure::TimedOut);
}

#[tokio::test]
async fn a_slow_origin_is_no_silent_one() {
    let mut world = World::with(|settings| {
        settings.timeouts.idle = Duration::from_secs(2);
        settings.retries.attempts = 0;
    })
    .await;
    let slow = Resource::new(pattern(12, 1), "\"1\"");
    world.origin.serve("/a", slow.clone());
    world.origin.fail("/a", [Fault::Drip(1, Duration::from_millis(200))]);
    world.client.expect(&world.origin.url("/a"), &slow.body, 1).await;
}

#[tokio::test]
async fn nobody_there_and_no_such_name() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let world = World::new().await;
    // A label of more than 63 characters fails without asking a name server.
    let unknown = format!("http://{}.example/", "x".repeat(70));
    for (url, failure) in [(format!("https://{closed}/"), Failure::Connect), (unknown, Failure::Resolve)] {
        let mut settings = settings(&world.authority, &world.origin);
        settings.origins[0] = OriginSettings {
            prefix: url.clone(),
            allow_http: true,
            ..origin_settings(&world.authority, &world.origin)
        };
        let mut client = Client::new(settings);
        assert_eq!(client.refused(&url).await, failure);
        assert_eq!((client.outcome(failure.label()), client.inner.traffic().retries()), (4, 3));
    }
}

#[tokio::test]
async fn a_full_channel_slows_the_origin_down() {
    for http2 in [false, true] {
        let authority = Authority::new();
        let setup = Setup::new(&authority);
        let origin = TestOrigin::start(&if http2 { setup.http2() } else { setup }).await;
        let long = Resource::new(pattern(64 << 20, 1), "\"1\"");
        origin.serve("/a", long.clone());
        let mut settings = settings(&authority, &origin);
        settings.max_object = 64 << 20;
        let mut client = Client::with_channel(settings, 1);
        client.start(&origin.url("/a"), None);
        assert!(matches!(client.event().await, OriginEvent::Head(_)));
        let (mut before, mut unchanged) = (0, 0);
        eventually("the origin stops sending", || {
            unchanged = if origin.sent() == before && before > 0 { unchanged + 1 } else { 0 };
            before = origin.sent();
            unchanged == 50
        })
        .await;
        assert!(origin.sent() < 32 << 20, "{} bytes are somewhere under way", origin.sent());
        client.inner.execute(FetchCommand::Cancel(sixfold_engine::FetchId(1)));
    }
}

#[tokio::test]
async fn a_cancelled_fetch_leaves_the_origin_in_peace() {
    for mut world in [World::new().await, World::http2().await] {
        world.origin.serve("/a", image());
        world.origin.fail("/a", [Fault::Stall(1000)]);
        let id = world.client.start(&world.origin.url("/a"), None);
        assert!(matches!(world.client.event().await, OriginEvent::Head(_)));
        assert!(matches!(world.client.event().await, OriginEvent::Data(_)));
        world.client.inner.execute(FetchCommand::Cancel(id));
        eventually("the origin sees that nobody listens", || world.origin.abandoned() == 1).await;
        eventually("it is counted", || world.client.outcome("cancelled") == 1).await;
        assert_eq!(world.origin.seen().len(), 1);
    }
}

#[tokio::test]
async fn dropping_the_client_ends_its_fetches() {
    let mut world = World::new().await;
    world.origin.fail("/a", [Fault::Silence]);
    world.client.start(&world.origin.url("/a"), None);
    eventually("the request arrives", || world.origin.seen().len() == 1).await;
    let traffic = world.client.inner.traffic();
    drop(world.client);
    eventually("it is counted", || traffic.requests().any(|request| request == ("cancelled", 1))).await;
}

#[tokio::test]
async fn new_settings_apply_to_new_fetches_only() {
    let mut world = World::new().await;
    world.origin.serve("/a", image());
    world.origin.fail("/a", [Fault::Truncate(50_000)]);
    world.client.start(&world.origin.url("/a"), None);
    assert!(matches!(world.client.event().await, OriginEvent::Head(_)));
    let mut settings = settings(&world.authority, &world.origin);
    settings.origins.clear();
    world.client.inner.reconfigure(settings.clone()).unwrap();
    let mut rest = 0;
    loop {
        match world.client.event().await {
            OriginEvent::Data(data) => rest += data.len(),
            event => {
                assert_eq!(event, OriginEvent::Complete);
                break;
            }
        }
    }
    assert_eq!(rest, 100_000, "it was resumed at an origin that the new settings do not name");
    assert_eq!(world.client.refused(&world.origin.url("/a")).await, Failure::NotConfigured);
    settings.origins = vec![OriginSettings { prefix: "nonsense".to_owned(), ..OriginSettings::default() }];
    assert!(world.client.inner.reconfigure(settings).is_err());
    assert_eq!(
        world.client.refused(&world.origin.url("/a")).await,
        Failure::NotConfigured,
        "still the old ones"
    );
    let traffic = world.client.inner.traffic();
    assert!(
        traffic.streaks().all().is_empty(),
        "what was under way is of an origin that is not asked any more"
    );
}
