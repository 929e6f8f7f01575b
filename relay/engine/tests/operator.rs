//! What an operator asks of an engine: fetching ahead, forgetting, refusing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod support;

use sixfold_engine::{Failure, FetchCommand, Freshness, ImageState, OriginEvent, Store, Unable};
use sixfold_profile::coap::{Code, Type, option};
use std::time::Duration;
use support::{Ask, Bench, URL, body, config, empty, head};

const MINUTE: Duration = Duration::from_secs(60);
const PATH: &str = "/fw/image.bin";

#[test]
fn a_resource_has_many_names_and_only_what_is_configured_has_one() {
    let bench = Bench::new(config());
    for name in [PATH, URL, "coap://[2001:db8::1]:5683/fw/image.bin", "/fw/im%61ge.bin"] {
        assert_eq!(bench.engine.locate(name).as_deref(), Ok(URL), "{name}");
    }
    let open = "https://origin.example/open/a?b=c&d";
    assert_eq!(bench.engine.locate(open).as_deref(), Ok(open), "the forward proxy's");
    let query = "https://origin.example/base/a%20b?c&d=%2F".replace("%2F", "/");
    assert_eq!(bench.engine.locate("/fw/a%20b?c&d=%2F"), Ok(query));
    for name in [
        "/other",
        "fw/image.bin",
        "",
        "https://elsewhere.example/",
        "/fw/../x",
        "/fw/a%2Fb",
        "coap://h",
        "ftp://h/",
    ] {
        assert_eq!(bench.engine.locate(name), Err(Unable::NotConfigured), "{name}");
    }
}

#[test]
fn a_prefetch_goes_on_without_devices_and_serves_them() {
    let mut bench = Bench::new(config());
    assert_eq!(bench.engine.prefetch(bench.now, PATH).as_deref(), Ok(URL));
    let id = bench.fetch();
    bench.origin(id, head(1, 200, 3600));
    bench.origin(id, OriginEvent::Data(body(1, 100).into()));
    let image = bench.engine.image(bench.now, URL).unwrap();
    assert_eq!((image.state, image.available, image.total), (ImageState::Fetching, 100, Some(200)));
    // A fetch that a device began would be given up by now.
    bench.pass(10 * MINUTE);
    assert_eq!(bench.command(), None);
    assert_eq!(bench.engine.prefetch(bench.now, URL).as_deref(), Ok(URL), "joins");
    assert_eq!(bench.command(), None);
    bench.origin(id, OriginEvent::Data(body(1, 200)[100..].to_vec().into()));
    bench.origin(id, OriginEvent::Complete);
    assert_eq!(bench.whole(1, "image.bin", 2).0, body(1, 200));
}

#[test]
fn a_fetch_that_only_a_device_wanted_is_given_up() {
    let mut bench = Bench::new(config());
    bench.send(&Ask::get(1, 1, "image.bin"));
    let id = bench.fetch();
    bench.origin(id, head(1, 200, 60));
    bench.pass(10 * MINUTE);
    assert_eq!(bench.command(), Some(FetchCommand::Cancel(id)));
}

#[test]
fn a_prefetch_asks_again_after_a_failure_and_whether_what_is_held_is_current() {
    let mut bench = Bench::new(config());
    bench.engine.prefetch(bench.now, PATH).unwrap();
    let id = bench.fetch();
    bench.origin(id, OriginEvent::Failed(Failure::Connect));
    let image = bench.engine.image(bench.now, URL).unwrap();
    assert_eq!((image.state, image.failure), (ImageState::Failed, Some(Failure::Connect)));
    bench.engine.prefetch(bench.now, PATH).unwrap();
    let id = bench.fetch();
    bench.deliver(id, 1, &body(1, 200), 10);
    bench.engine.prefetch(bench.now, PATH).unwrap();
    assert_eq!(bench.command(), None, "fresh");
    bench.pass(MINUTE);
    bench.engine.prefetch(bench.now, PATH).unwrap();
    let Some(FetchCommand::Start { id, have: Some(_), .. }) = bench.command() else { panic!("conditional") };
    bench.origin(id, OriginEvent::NotModified(Freshness { max_age: MINUTE, ..Freshness::default() }));
    assert_eq!(bench.engine.image(bench.now, URL).unwrap().state, ImageState::Fresh);
}

#[test]
fn what_is_purged_is_fetched_anew_and_a_transfer_goes_on() {
    let mut bench = Bench::with_image(200, 600);
    let first = bench.ask(&Ask::block(1, 1, "image.bin", 0, 2));
    assert_eq!(bench.engine.purge(bench.now, Some("https://origin.example/base/other")), 0);
    assert_eq!(bench.engine.purge(bench.now, Some(URL)), 1);
    assert_eq!(bench.engine.store().bytes(), 0);
    assert!(bench.engine.image(bench.now, URL).is_none(), "nothing is known of it");
    bench.send(&Ask::block(1, 2, "image.bin", 1, 2));
    let Some(FetchCommand::Start { id, have: None, .. }) = bench.command() else {
        panic!("without a condition")
    };
    bench.deliver(id, 1, &body(1, 200), 600);
    let second = bench.answers().remove(0);
    assert_eq!(second.payload, &body(1, 200)[64..128]);
    assert_eq!(second.etag(), first.etag(), "the same version");
}

#[test]
fn a_purge_while_the_origin_is_asked_whether_that_is_current() {
    let mut bench = Bench::with_image(200, 10);
    bench.pass(MINUTE);
    bench.send(&Ask::block(1, 1, "image.bin", 0, 2));
    let Some(FetchCommand::Start { id, have: Some(_), .. }) = bench.command() else { panic!() };
    assert_eq!(bench.engine.purge(bench.now, None), 1);
    bench.origin(id, OriginEvent::NotModified(Freshness { max_age: MINUTE, ..Freshness::default() }));
    let Some(FetchCommand::Start { id, have: None, .. }) = bench.command() else { panic!("for the bytes") };
    bench.deliver(id, 1, &body(1, 200), 60);
    assert_eq!(bench.answers().remove(0).payload, &body(1, 200)[..64]);
}

#[test]
fn all_is_purged_also_older_versions_that_a_device_is_in_the_middle_of() {
    let mut bench = Bench::with_image(200, 0);
    bench.send(&Ask::block(1, 1, "image.bin", 0, 2));
    let id = bench.fetch();
    bench.deliver(id, 1, &body(1, 200), 0);
    bench.answers();
    bench.send(&Ask::block(2, 1, "image.bin", 0, 2));
    let id = bench.fetch();
    bench.deliver(id, 2, &body(2, 200), 0);
    bench.answers();
    assert_eq!(bench.engine.store().bytes(), 400);
    assert_eq!(bench.engine.purge(bench.now, None), 1);
    assert_eq!(bench.engine.store().bytes(), 0);
}

#[test]
fn a_banned_resource_is_refused_until_the_ban_is_lifted() {
    let mut bench = Bench::with_image(200, 600);
    bench.ask(&Ask::block(1, 1, "image.bin", 0, 2));
    assert_eq!(bench.engine.ban(bench.now, PATH).as_deref(), Ok(URL));
    let forbidden = bench.ask(&Ask::block(1, 2, "image.bin", 1, 2));
    assert_eq!(
        (forbidden.code, forbidden.uint(option::MAX_AGE)),
        (Code::FORBIDDEN, Some(10)),
        "in its middle"
    );
    let inquiry = Ask::get(2, 1, "image.bin").uint(option::OBSERVE, 0).uint(option::ACCEPT, 65_385);
    assert_ne!(bench.ask(&inquiry).code, Code::CONTENT);
    assert_eq!(bench.engine.prefetch(bench.now, PATH), Err(Unable::Banned));
    assert_eq!(bench.command(), None, "the origin is not asked");
    let core = |bench: &mut Bench, id| {
        let ask = Ask { options: vec![], ..Ask::get(3, id, "") };
        let ask = ask.with(option::URI_PATH, b".well-known").with(option::URI_PATH, b"core");
        String::from_utf8(bench.ask(&ask).payload).unwrap()
    };
    assert!(!core(&mut bench, 1).contains("image.bin"));
    bench.engine.reconfigure(config());
    assert_eq!(bench.engine.bans().len(), 1, "a change of the configuration lifts nothing");
    assert_eq!(bench.engine.lift_ban(URL), Ok((URL.to_owned(), true)));
    assert_eq!(bench.engine.lift_ban(PATH), Ok((URL.to_owned(), false)));
    assert_eq!(bench.ask(&Ask::block(1, 3, "image.bin", 1, 2)).payload, &body(1, 200)[64..128]);
    assert!(core(&mut bench, 2).contains("image.bin"));
}

/// Origin servers answer all of these with the same file.
#[test]
fn a_ban_covers_every_query_and_every_spelling_of_the_path() {
    let mut bench = Bench::new(config());
    let spellings = [
        Ask::get(1, 1, "image.bin").with(option::URI_QUERY, b"x=1"),
        Ask::get(1, 2, "").with(option::URI_PATH, b"image.bin"),
        Ask::get(1, 3, "image.bin").with(option::URI_PATH, b""),
        Ask::get(1, 4, "image.bin;v=1"),
    ];
    for (peer, ask) in (1..).zip(spellings.clone()) {
        bench.send(&Ask { peer, ..ask });
        let id = bench.fetch();
        bench.deliver(id, 1, &body(1, 200), 600);
        assert_eq!(bench.answers().remove(0).code, Code::CONTENT);
    }
    // One is being fetched, one is observed, and a transfer is in its middle.
    bench.send(&Ask::get(7, 1, "image.bin").with(option::URI_QUERY, b"y"));
    let fetching = bench.fetch();
    bench.ask(&Ask { peer: 8, ..spellings[0].clone() }.uint(option::OBSERVE, 0));
    assert_eq!(bench.engine.ban(bench.now, "/fw//image.bin").as_deref(), Ok(URL));
    assert_eq!(bench.command(), Some(FetchCommand::Cancel(fetching)));
    let mut told = bench.answers();
    told.sort_by_key(|answer| answer.peer);
    assert_eq!(told.iter().map(|answer| answer.peer).collect::<Vec<_>>(), [7, 8]);
    assert!(told.iter().all(|answer| answer.code == Code::FORBIDDEN), "{told:?}");
    for (peer, ask) in (1..).zip(spellings) {
        let ask = Ask { peer, message_id: 100, ..ask };
        assert_eq!(bench.ask(&ask).code, Code::FORBIDDEN, "{ask:?}");
    }
    assert_eq!(bench.command(), None, "the origin is not asked");
    assert_eq!(bench.engine.prefetch(bench.now, "/fw/image.bin?z"), Err(Unable::Banned));
    assert_eq!(bench.engine.lift_ban("/fw/image.bin/"), Ok((URL.to_owned(), true)));
    // Where queries name files, a ban of one is none of the others.
    bench.engine.ban(bench.now, "/fw/image.bin?x=1").unwrap();
    let ask = Ask::get(1, 101, "image.bin").with(option::URI_QUERY, b"x=1");
    assert_eq!(bench.ask(&ask).code, Code::FORBIDDEN);
    assert_eq!(bench.ask(&Ask::get(1, 102, "image.bin;v=1")).code, Code::CONTENT);
}

#[test]
fn whoever_waits_for_or_observes_a_banned_resource_is_told() {
    let mut bench = Bench::new(config());
    bench.send(&Ask::get(1, 1, "image.bin"));
    let id = bench.fetch();
    bench.engine.ban(bench.now, PATH).unwrap();
    assert_eq!(bench.answers().remove(0).code, Code::FORBIDDEN);
    assert_eq!(bench.command(), Some(FetchCommand::Cancel(id)));
    let mut bench = Bench::with_image(200, 600);
    bench.ask(&Ask::block(1, 7, "image.bin", 0, 2).uint(option::OBSERVE, 0));
    bench.engine.ban(bench.now, PATH).unwrap();
    let news = bench.answers().remove(0);
    assert_eq!((news.code, &news.token[..]), (Code::FORBIDDEN, &[0, 7][..]));
    bench.datagram(1, &empty(Type::Acknowledgement, news.message_id));
    assert_eq!(bench.engine.load().observers, 0);
}

#[test]
fn bans_are_bounded_and_outlive_their_route() {
    let mut bench = Bench::new(config());
    for n in 0..256 {
        bench.engine.ban(bench.now, &format!("/fw/{n}")).unwrap();
    }
    assert_eq!(bench.engine.ban(bench.now, PATH), Err(Unable::TooManyBans));
    assert!(bench.engine.ban(bench.now, "/fw/7").is_ok(), "again");
    bench.engine.reconfigure(sixfold_engine::Config::default());
    assert_eq!(bench.engine.lift_ban("/fw/7"), Err(Unable::NotConfigured));
    let url = "https://origin.example/base/7";
    assert_eq!(bench.engine.lift_ban(url), Ok((url.to_owned(), true)));
}

#[test]
fn what_is_banned_in_vain_or_only_in_part_can_be_told() {
    let mut bench = Bench::with_image(600, 3600);
    let parent = URL.rsplit_once('/').unwrap().0;
    assert_eq!((bench.engine.is_known(URL), bench.engine.is_directory(URL)), (true, false));
    let misspelt = URL.replace("image", "imgae");
    assert_eq!((bench.engine.is_known(&misspelt), bench.engine.is_directory(&misspelt)), (false, false));
    // Where a route begins, and above something that is known.
    for directory in [parent, &format!("{parent}/"), "https://origin.example"] {
        assert_eq!((bench.engine.is_known(directory), bench.engine.is_directory(directory)), (false, true));
    }
    bench.send(&Ask::get(1, 1, "other.bin").with(option::URI_QUERY, b"x=1"));
    assert!(bench.engine.is_known(&URL.replace("image", "other")), "a ban is of any query");
}
