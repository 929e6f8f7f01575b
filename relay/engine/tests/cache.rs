//! Versions, freshness and single flight: the rules of the cache (RFC 9111, RFC 5861, RFC 7959 §2.4).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod support;

use sixfold_engine::{
    CacheResult, ETag, Engine, Event, Failure, FetchCommand, Freshness, Head, Image, ImageState, Instant,
    OriginEvent, Store, UnboundedStore, Validator,
};
use sixfold_profile::coap::{Code, Szx, option};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;
use support::{Ask, Bench, URL, body, config, head, path};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_origin_is_asked_once_however_many_ask() {
    let mut bench = Bench::new(config());
    for peer in 0..100 {
        bench.send(&Ask::block(peer, 1, "image.bin", 0, 6));
    }
    let Some(FetchCommand::Start { id, url, have }) = bench.command() else { panic!() };
    assert_eq!((url.as_str(), have), (URL, None));
    assert_eq!(bench.command(), None);
    bench.deliver(id, 1, &body(1, 3000), 60);
    let answers = bench.answers();
    assert_eq!(answers.len(), 100);
    assert!(answers.iter().all(|answer| answer.payload == body(1, 3000)[..1024]));
}

#[test]
fn blocks_leave_as_soon_as_their_bytes_are_here() {
    for length in [Some(200u64), None] {
        let mut bench = Bench::new(config());
        for num in 0..4 {
            bench.send(&Ask::block(num, 1, "image.bin", u32::from(num), 2));
        }
        let id = bench.fetch();
        let OriginEvent::Head(begin) = head(1, 200, 60) else { unreachable!() };
        bench.origin(id, OriginEvent::Head(Head { length, ..begin }));
        let bytes = body(1, 200);
        let mut answered = Vec::new();
        for chunk in bytes.chunks(65) {
            bench.origin(id, OriginEvent::Data(chunk.to_vec().into()));
            answered.push(bench.answers().iter().map(|answer| answer.peer).collect::<Vec<_>>());
        }
        assert_eq!(answered, [vec![0], vec![1], vec![2], if length.is_some() { vec![3] } else { vec![] }]);
        bench.origin(id, OriginEvent::Complete);
        assert_eq!(
            bench.answers().len(),
            usize::from(length.is_none()),
            "the last one, once it is known to be the last"
        );
    }
}

#[test]
fn whole_images_at_every_block_size() {
    for szx in 0..=6 {
        let mut bench = Bench::with_image(5001, 60);
        let (bytes, etags) = bench.whole(1, "image.bin", szx);
        assert!(bytes == body(1, 5001) && etags.len() == 1, "szx {szx}");
    }
}

#[test]
fn block_numbers_above_16_bits() {
    let mut bench = Bench::with_image(5 << 20, 60);
    let last = bench.ask(&Ask::block(1, 1, "image.bin", (5 << 16) - 1, 0));
    assert_eq!(last.payload, body(1, 5 << 20)[(5 << 20) - 16..]);
    assert!(!last.block().more);
    assert_eq!(bench.ask(&Ask::block(1, 2, "image.bin", 5 << 16, 0)).code, Code::BAD_REQUEST);
}

#[test]
fn block_sizes_go_down_never_up() {
    let mut narrow = config();
    narrow.block_size = Szx::B64;
    let mut bench = Bench::new(narrow);
    bench.send(&Ask::block(1, 1, "image.bin", 1, 6));
    let id = bench.fetch();
    bench.deliver(id, 1, &body(1, 3000), 60);
    let answer = bench.answers().remove(0);
    assert_eq!((answer.block().num(), answer.block().szx, answer.payload.len()), (16, Szx::B64, 64));
    let smaller = bench.ask(&Ask::block(1, 2, "image.bin", 0, 0));
    assert_eq!(smaller.block().szx, Szx::MIN);
    assert_eq!(bench.ask(&Ask::get(1, 3, "image.bin")).block().szx, Szx::B64, "unasked");
}

#[test]
fn max_age_counts_down_and_size_is_told() {
    let mut bench = Bench::with_image(100, 100);
    bench.pass(30 * SECOND);
    let answer = bench.ask(&Ask::get(1, 1, "image.bin").uint(option::SIZE2, 0));
    assert_eq!((answer.uint(option::MAX_AGE), answer.uint(option::SIZE2)), (Some(70), Some(100)));
    assert_eq!(answer.uint(option::CONTENT_FORMAT), Some(42));
    let valid = bench.ask(&Ask::get(1, 2, "image.bin").with(option::ETAG, &answer.etag()));
    assert_eq!((valid.code, valid.payload.len()), (Code::VALID, 0));
}

#[test]
fn a_stale_image_is_validated() {
    let mut bench = Bench::with_image(100, 10);
    bench.pass(11 * SECOND);
    bench.send(&Ask::get(1, 1, "image.bin"));
    let Some(FetchCommand::Start { id, have, .. }) = bench.command() else { panic!() };
    assert_eq!(have, Some(Validator::Strong("\"v1\"".into())));
    bench.origin(id, OriginEvent::NotModified(Freshness { max_age: 50 * SECOND, stale_if_error: SECOND }));
    let answer = bench.answers().remove(0);
    assert_eq!(
        (answer.payload, answer.options.iter().any(|(n, v)| *n == option::MAX_AGE && v == &[50])),
        (body(1, 100), true)
    );
    assert!(bench.events.contains(&Event::Revalidated { url: URL.into() }));
}

#[test]
fn not_modified_although_the_bytes_are_gone() {
    let mut bench = Bench::with_image(100, 10);
    bench.pass(11 * SECOND);
    bench.send(&Ask::get(1, 1, "image.bin"));
    let id = bench.fetch();
    let etag = bench.engine.images(bench.now, 0, 100)[0].etag.unwrap();
    bench.engine.store_mut().remove(etag);
    bench.origin(id, OriginEvent::NotModified(Freshness::default()));
    let Some(FetchCommand::Start { id, have: None, .. }) = bench.command() else { panic!() };
    bench.deliver(id, 1, &body(1, 100), 60);
    assert_eq!(bench.answers()[0].payload, body(1, 100));
}

#[test]
fn a_transfer_stays_with_its_version() {
    let mut bench = Bench::with_image(3000, 10);
    let first = bench.ask(&Ask::block(1, 1, "image.bin", 0, 6));
    bench.pass(11 * SECOND);
    bench.send(&Ask::block(2, 1, "image.bin", 0, 6));
    let id = bench.fetch();
    bench.deliver(id, 2, &body(2, 3000), 60);
    let other = bench.answers().remove(0);
    assert_ne!(other.etag(), first.etag());
    let second = bench.ask(&Ask::block(1, 2, "image.bin", 1, 6));
    assert_eq!((second.etag(), &second.payload[..]), (first.etag(), &body(1, 3000)[1024..2048]));
    assert_eq!(second.uint(option::MAX_AGE), Some(0), "it is not the current one");
    assert!(bench.events.iter().any(|event| matches!(event, Event::ImageChanged { .. })));
    let (whole, etags) = bench.whole(1, "image.bin", 6);
    assert_eq!((whole, etags), (body(2, 3000), vec![other.etag()]), "starting again brings the new one");
}

#[test]
fn a_version_that_changes_while_it_is_resumed_never_mixes() {
    for strong in [true, false] {
        let mut bench = Bench::new(config());
        bench.send(&Ask::block(1, 1, "image.bin", 0, 6));
        let id = bench.fetch();
        let begin = |version| match head(version, 3000, 60) {
            OriginEvent::Head(begin) if !strong => OriginEvent::Head(Head {
                validator: Some(Validator::LastModified("yesterday".into())),
                ..begin
            }),
            strong => strong,
        };
        bench.origin(id, begin(1));
        bench.origin(id, OriginEvent::Data(body(1, 3000)[..1500].to_vec().into()));
        let first = bench.answers().remove(0);
        bench.send(&Ask::block(1, 2, "image.bin", 1, 6));
        bench.origin(id, begin(2));
        bench.origin(id, OriginEvent::Data(body(2, 3000).into()));
        bench.origin(id, OriginEvent::Complete);
        let second = bench.answers().remove(0);
        assert_ne!(first.etag(), second.etag(), "strong: {strong}");
        assert_eq!(second.payload, body(2, 3000)[1024..2048]);
    }
}

#[test]
fn a_failure_half_way_answers_everybody_and_is_remembered_for_a_while() {
    let mut bench = Bench::new(config());
    for peer in 0..5 {
        bench.send(&Ask::block(peer, 1, "image.bin", 2, 6));
    }
    let id = bench.fetch();
    bench.origin(id, head(1, 3000, 60));
    bench.origin(id, OriginEvent::Data(body(1, 3000)[..100].to_vec().into()));
    bench.origin(id, OriginEvent::Failed(Failure::Interrupted));
    let answers = bench.answers();
    assert_eq!(answers.len(), 5);
    assert!(answers.iter().all(|answer| answer.code == Code::BAD_GATEWAY && !answer.payload.is_empty()));
    assert_eq!(bench.ask(&Ask::get(9, 1, "image.bin")).code, Code::BAD_GATEWAY);
    assert_eq!(bench.command(), None, "remembered");
    bench.pass(11 * SECOND);
    bench.send(&Ask::get(9, 2, "image.bin"));
    assert!(bench.command().is_some(), "and forgotten");
}

#[test]
fn a_stale_image_stands_in_for_an_origin_that_fails_but_not_for_one_that_denies() {
    for (failure, code) in [
        (Failure::Connect, Code::CONTENT),
        (Failure::Status(503), Code::CONTENT),
        (Failure::Status(404), Code::NOT_FOUND),
    ] {
        let mut bench = Bench::with_image(100, 10);
        bench.pass(11 * SECOND);
        bench.send(&Ask::get(1, 1, "image.bin"));
        let id = bench.fetch();
        bench.origin(id, OriginEvent::Failed(failure));
        assert_eq!(bench.answers()[0].code, code, "{failure:?}");
        let stale = bench.events.contains(&Event::Cache(CacheResult::Stale));
        assert_eq!(stale, code == Code::CONTENT);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let too_long = [head(1, 10, 60), OriginEvent::Data(body(1, 11).into())];
    let too_short = [head(1, 10, 60), OriginEvent::Complete];
    let too_large = [head(1, 9 << 20, 60), OriginEvent::Data(body(1, 1).into())];
    let headless = [OriginEvent::Data(body(1, 1).into()), OriginEvent::Complete];
    for (events, failure) in [
        (too_long, Failure::Mismatch),
        (too_short, Failure::Mismatch),
        (too_large, Failure::TooLarge),
        (headless, Failure::Mismatch),
    ] {
        let mut bench = Bench::new(config());
        bench.send(&Ask::block(1, 1, "image.bin", 0, 0));
        let id = bench.fetch();
        events.into_iter().for_each(|event| bench.origin(id, event));
        assert_eq!(bench.answers()[0].code, Code::BAD_GATEWAY);
        assert!(
            bench
                .events
                .iter()
                .any(|event| matches!(event, Event::FetchFailed { failure: f, .. } if *f == failure))
        );
        assert_eq!(bench.engine.load().fetches, 0);
    }
}

#[test]
fn a_fetch_that_nobody_wants_is_cancelled() {
    let mut bench = Bench::new(config());
    bench.send(&Ask::get(1, 1, "image.bin"));
    let id = bench.fetch();
    bench.pass(600 * SECOND);
    assert_eq!(bench.command(), Some(FetchCommand::Cancel(id)));
    bench.origin(id, OriginEvent::Complete);
    assert_eq!(bench.engine.load().fetches, 0);
}

#[test]
fn resources_are_bounded_and_those_in_use_stay() {
    let mut config = config();
    config.limits.resources = 3;
    let mut bench = Bench::new(config);
    for name in ["a", "b", "c", "d"] {
        bench.send(&Ask::get(1, u16::from(name.as_bytes()[0]), name));
        let id = bench.fetch();
        bench.deliver(id, 1, b"x", 60);
    }
    let urls: Vec<_> = bench
        .engine
        .images(bench.now, 0, 100)
        .iter()
        .map(|image| (image.url.to_string(), image.state))
        .collect();
    assert_eq!(urls.len(), 3);
    assert!(urls.iter().all(|(url, state)| !url.ends_with("/a") && *state == ImageState::Fresh));
}

#[test]
fn an_image_that_made_room_is_missed_as_such() {
    let mut bench = Bench::new(config());
    for (peer, result) in [(1, CacheResult::Miss), (2, CacheResult::Evicted)] {
        bench.send(&Ask::get(peer, 1, "image.bin"));
        let id = bench.fetch();
        bench.deliver(id, 1, &body(1, 100), 60);
        bench.answers();
        let counted: Vec<_> =
            bench.events.drain(..).filter(|event| matches!(event, Event::Cache(_))).collect();
        assert_eq!(counted, [Event::Cache(result)]);
        let etag = bench.engine.images(bench.now, 0, 100)[0].etag.unwrap();
        bench.engine.store_mut().remove(etag);
    }
}

/// A store that counts how often an image was used.
#[derive(Default)]
struct Watched(UnboundedStore, Cell<u32>);

impl Store for Watched {
    fn image(&self, etag: ETag) -> Option<Arc<Image>> {
        self.1.set(self.1.get() + 1);
        self.0.image(etag)
    }
    fn holds(&self, etag: ETag) -> bool {
        self.0.holds(etag)
    }
    fn insert(&mut self, image: Arc<Image>) {
        self.0.insert(image);
    }
    fn remove(&mut self, etag: ETag) {
        self.0.remove(etag);
    }
    fn bytes(&self) -> u64 {
        self.0.bytes()
    }
}

#[test]
fn whoever_looks_at_the_status_uses_no_image() {
    let mut engine = Engine::new(config(), Watched::default(), [7; 32]);
    let now = Instant::ZERO;
    engine.handle_datagram(now, path(1), &Ask::get(1, 1, "image.bin").datagram());
    let Some(FetchCommand::Start { id, .. }) = engine.poll_fetch() else { panic!() };
    engine.handle_origin(now, id, head(1, 100, 60));
    engine.handle_origin(now, id, OriginEvent::Data(body(1, 100).into()));
    engine.handle_origin(now, id, OriginEvent::Complete);
    let used = engine.store().1.get();
    assert_eq!(engine.images(now, 0, 100)[0].available, 100);
    assert_eq!(engine.image(now, URL).unwrap().state, ImageState::Fresh);
    assert_eq!(engine.image_states(now).iter().sum::<usize>(), 1);
    assert_eq!(engine.transfers(now, 0, 100).0.len(), 1);
    assert_eq!(engine.store().1.get(), used);
    engine.handle_datagram(now, path(2), &Ask::get(2, 1, "image.bin").datagram());
    assert!(engine.store().1.get() > used, "a device does");
}

#[test]
fn images_are_counted_by_their_state() {
    let mut bench = Bench::with_image(100, 10);
    let count = |bench: &Bench, state: ImageState| {
        let counts = bench.engine.image_states(bench.now);
        assert_eq!(counts.iter().sum::<usize>(), 1);
        let listed = bench.engine.images(bench.now, 0, 100)[0].state;
        counts[ImageState::ALL.iter().position(|one| *one == state).unwrap()] == 1 && listed == state
    };
    assert!(count(&bench, ImageState::Fresh));
    bench.pass(11 * SECOND);
    assert!(count(&bench, ImageState::Stale));
    bench.send(&Ask::get(1, 1, "image.bin"));
    assert!(count(&bench, ImageState::Validating));
    let id = bench.fetch();
    bench.origin(id, head(2, 200, 10));
    assert!(count(&bench, ImageState::Fetching));
    bench.deliver(id, 2, &body(2, 200), 10);
    let etag = bench.engine.images(bench.now, 0, 100)[0].etag.unwrap();
    bench.engine.store_mut().remove(etag);
    assert!(count(&bench, ImageState::Evicted));
}

#[test]
fn the_longest_transfers_come_first_and_finished_ones_not_at_all() {
    // The device that the image was fetched for got all of it in one block.
    let mut bench = Bench::with_image(1000, 600);
    assert_eq!(bench.engine.longest_transfers::<2>(bench.now), [None; 2]);
    for peer in 1..=3 {
        bench.ask(&Ask::block(peer, 1, "image.bin", 0, 4));
        bench.ask(&Ask::block(peer, 2, "image.bin", 1, 4));
        bench.pass(SECOND);
    }
    let ages =
        |bench: &Bench| bench.engine.longest_transfers::<3>(bench.now).map(|one| one.map(|(age, _)| age));
    assert_eq!(ages(&bench), [Some(3 * SECOND), Some(2 * SECOND), Some(SECOND)]);
    let [Some((_, share))] = bench.engine.longest_transfers::<1>(bench.now) else { panic!() };
    assert!((share - 0.512).abs() < 1e-9, "{share}");
    for num in 2..4 {
        bench.ask(&Ask::block(1, 1 + num, "image.bin", num.into(), 4));
    }
    assert_eq!(ages(&bench), [Some(2 * SECOND), Some(SECOND), None], "the first is done");
}

#[test]
fn a_new_configuration_keeps_images_and_transfers() {
    let mut bench = Bench::with_image(3000, 60);
    bench.ask(&Ask::block(1, 1, "image.bin", 0, 6));
    bench.engine.reconfigure(config());
    assert_eq!(bench.ask(&Ask::block(1, 2, "image.bin", 1, 6)).payload, body(1, 3000)[1024..2048]);
    bench.engine.reconfigure(sixfold_engine::Config::default());
    assert_eq!(bench.ask(&Ask::block(1, 3, "image.bin", 2, 6)).code, Code::NOT_FOUND, "no route any more");
}
