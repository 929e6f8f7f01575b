//! How sessions (RFC 8613) begin, are renewed, restart, and end. What happens in one is in `sessions.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod support;

use sixfold_engine::{Event, Id, NewSession, SessionError, SessionEvent, SessionRefusal};
use sixfold_oscore::UnprotectError;
use sixfold_profile::coap::{Code, option};
use std::collections::BTreeSet;
use std::time::Duration;
use support::sessions::{Device, HOUR, agreed, refusals};
use support::{Ask, Bench, body, config};

const SECOND: Duration = Duration::from_secs(1);

/// A session whose window is lost, with numbers, and its device.
fn restarted() -> (Bench, Device) {
    let mut before = Bench::with_image(100, 60);
    let device = Device::with_session(&mut before, 1, b"kid");
    let kept = before.engine.keep_sessions(before.now);
    let mut after = Bench::with_image(100, 60);
    kept.into_iter().for_each(|kept| after.engine.restore_session(after.now, kept).unwrap());
    let kept = after.engine.keep_sessions(after.now);
    after.engine.sessions_kept(&kept);
    (after, device)
}

#[test]
fn who_agrees_anew_keeps_the_session_before() {
    let mut bench = Bench::with_image(100, 60);
    for kid in [b"a", b"b", b"c"] {
        bench.engine.add_session(bench.now, agreed("one", kid)).unwrap();
    }
    let list = bench.engine.sessions(bench.now, 0, 10);
    let kids: Vec<_> = list.iter().map(|session| session.recipient_id.to_string()).collect();
    assert_eq!(kids, ["62", "63"], "of three the oldest goes");
    assert_eq!(bench.engine.add_session(bench.now, agreed("two", b"b")), Err(SessionError::Taken));
    assert!(bench.engine.sessions(bench.now, 1, 1)[0].recipient_id == Id::new(b"c").unwrap());
}

/// Where all places are taken a device gets its next session all the same, in the place of its own oldest; another one gets none.
#[test]
fn who_agrees_anew_needs_no_place_for_the_session_that_ends() {
    let mut config = config();
    config.limits.sessions = 3;
    let mut bench = Bench::new(config);
    for (name, kid) in [("one", b"a"), ("one", b"b"), ("other", b"x")] {
        bench.engine.add_session(bench.now, agreed(name, kid)).unwrap();
    }
    let fresh = bench.engine.fresh_recipient_id([7; 8]).unwrap();
    bench.engine.add_session(bench.now, agreed("one", fresh.as_slice())).unwrap();
    let full = Err(SessionError::Full);
    for name in ["other", "third"] {
        assert_eq!(bench.engine.add_session(bench.now, agreed(name, b"y")), full, "{name}");
    }
    let pinned = NewSession { lifetime: None, ..agreed("one", b"z") };
    assert_eq!(bench.engine.add_session(bench.now, pinned), full, "it ends none");
    let list = bench.engine.sessions(bench.now, 0, 10);
    let kids: Vec<_> = list.iter().map(|session| session.recipient_id.as_slice().to_vec()).collect();
    assert_eq!(kids, [b"b".to_vec(), b"x".to_vec(), fresh.as_slice().to_vec()]);
}

/// Agreements whose answers were lost do not take the session that the boot program has.
#[test]
fn a_session_in_use_outlives_those_that_nobody_used() {
    let mut bench = Bench::with_image(100, 60);
    let mut device = Device::with_session(&mut bench, 1, b"kid");
    assert_eq!(device.ask(&mut bench, &Ask::get(1, 1, "image.bin")).code, Code::CONTENT);
    for kid in [b"a", b"b", b"c"] {
        bench.engine.add_session(bench.now, agreed("device-1", kid)).unwrap();
    }
    assert_eq!(device.ask(&mut bench, &Ask::get(1, 2, "image.bin")).code, Code::CONTENT);
    assert_eq!(bench.engine.load().sessions, 2);
}

#[test]
fn what_does_not_expire_is_not_pushed_out() {
    let mut bench = Bench::with_image(100, 60);
    bench.engine.add_session(bench.now, NewSession { lifetime: None, ..agreed("one", b"kid") }).unwrap();
    for kid in [b"a", b"b", b"c"] {
        bench.engine.add_session(bench.now, agreed("one", kid)).unwrap();
    }
    let list = bench.engine.sessions(bench.now, 0, 10);
    let kids: Vec<_> = list.iter().map(|session| session.recipient_id.to_string()).collect();
    assert_eq!(kids, ["6b6964", "62", "63"]);
}

/// Before freshness is shown a replay takes few numbers, and does not say where the device is.
#[test]
fn replays_after_a_restart_are_asked_a_few_times() {
    let (mut after, mut device) = restarted();
    let (old, _) = device.protect(&Ask::get(1, 5, "image.bin"));
    for _ in 0..20 {
        after.datagram(2, &old);
    }
    assert_eq!(after.datagrams().len(), 4);
    assert_eq!(after.engine.sessions(after.now, 0, 1)[0].heard, None);
}

/// Whoever recorded a thousand requests replays them within a second, in the name of the device and of others: the device's own is
/// asked, retransmitted, and served.
#[test]
fn replays_after_a_restart_do_not_starve_the_device() {
    let (mut after, mut device) = restarted();
    let recorded: Vec<_> = (0..1000).map(|n| device.protect(&Ask::get(1, n, "image.bin")).0).collect();
    let flood = |bench: &mut Bench| {
        for (n, datagram) in recorded.iter().enumerate() {
            bench.datagram(1 + n as u16 % 3, datagram);
        }
        bench.datagrams().len()
    };
    flood(&mut after);
    assert!(flood(&mut after) <= 8, "each takes a number, so few are answered twice");
    let ask = Ask::get(1, 2000, "image.bin");
    let (datagram, number) = device.protect(&ask);
    let mut echo = Vec::new();
    for turn in 0..2 {
        after.datagram(1, &datagram);
        let answer = device.open(number.number(), &after.datagrams()[0]).unwrap().0;
        assert_eq!(answer.code, Code::UNAUTHORIZED, "{turn}");
        echo = answer.value(option::ECHO);
        flood(&mut after);
    }
    let fresh = Ask { message_id: 2001, ..ask }.with(option::ECHO, &echo);
    assert_eq!(device.ask(&mut after, &fresh).payload, body(1, 100));
}

#[test]
fn sessions_are_bounded_and_end() {
    let mut config = config();
    config.limits.sessions = 2;
    let mut bench = Bench::new(config);
    let first = bench.engine.fresh_recipient_id([7; 8]).unwrap();
    bench.engine.add_session(bench.now, agreed("a", first.as_slice())).unwrap();
    let second = bench.engine.fresh_recipient_id([7; 8]).unwrap();
    assert_ne!(first, second, "whatever is drawn");
    bench.engine.add_session(bench.now, agreed("b", second.as_slice())).unwrap();
    assert_eq!(bench.engine.add_session(bench.now, agreed("c", b"x")), Err(SessionError::Full));
    bench.pass(HOUR + SECOND);
    assert_eq!(bench.engine.load().sessions, 0, "expired");
    let ended = |bench: &Bench, what: SessionEvent| {
        bench.events.iter().filter(|e| matches!(e, Event::Session { event, .. } if *event == what)).count()
    };
    assert_eq!(ended(&bench, SessionEvent::Expired), 2);
    for name in ["a", "b"] {
        bench.engine.add_session(bench.now, agreed(name, name.as_bytes())).unwrap();
    }
    assert_eq!(
        (bench.engine.revoke("nobody"), bench.engine.revoke("a"), bench.engine.revoke_all()),
        (0, 1, 1)
    );
    bench.datagrams();
    assert_eq!(ended(&bench, SessionEvent::Revoked), 2);
    assert_eq!(bench.engine.load().timers, 0, "none outlives its session");
}

#[test]
fn a_session_that_ends_while_an_answer_waits() {
    let mut bench = Bench::new(config());
    let mut device = Device::with_session(&mut bench, 1, b"kid");
    let (datagram, _) = device.protect(&Ask::get(1, 5, "image.bin"));
    bench.datagram(1, &datagram);
    let id = bench.fetch();
    bench.engine.revoke("device-1");
    bench.deliver(id, 1, &body(1, 10), 60);
    let answer = bench.answers().remove(0);
    assert_eq!((answer.code, answer.payload.len()), (Code::UNAUTHORIZED, 26), "and nothing of the image");
    assert_eq!(refusals(&bench), [SessionRefusal::Ended]);
}

/// RFC 8613 Appendix B.1: numbers go on behind those reserved, and the window begins behind a fresh request.
#[test]
fn a_restart_strands_nobody_and_repeats_no_nonce() {
    let mut before = Bench::with_image(100, 60);
    let mut device = Device::with_session(&mut before, 1, b"kid");
    assert!(before.engine.sessions_changed());
    let kept = before.engine.keep_sessions(before.now);
    before.engine.sessions_kept(&kept);
    assert!(!before.engine.sessions_changed());
    let (old, number) = device.protect(&Ask::get(1, 5, "image.bin"));
    let mut used = BTreeSet::new();
    for _ in 0..3 {
        before.datagram(1, &old);
        used.extend(device.open(number.number(), &before.datagrams()[0]).unwrap().1);
    }

    let mut after = Bench::with_image(100, 60);
    kept.into_iter().for_each(|kept| after.engine.restore_session(after.now, kept).unwrap());
    let ask = Ask::get(1, 6, "image.bin");
    let (datagram, number) = device.protect(&ask);
    after.datagram(1, &datagram);
    assert_eq!(after.datagrams(), Vec::<Vec<u8>>::new(), "no numbers before they are reserved again");
    let kept = after.engine.keep_sessions(after.now);
    after.engine.sessions_kept(&kept);
    after.datagram(1, &datagram);
    let (stale, own) = device.open(number.number(), &after.datagrams()[0]).unwrap();
    assert_eq!(stale.code, Code::UNAUTHORIZED);
    assert!(used.iter().all(|used| Some(*used) < own), "{used:?} {own:?}");
    // A replay from before the restart gets the question too, and nothing else.
    after.datagram(2, &old);
    let (replayed, _) = device.open(0, &after.datagrams()[0]).unwrap();
    assert_eq!((replayed.code, replayed.payload.len()), (Code::UNAUTHORIZED, 0));
    let fresh = Ask { message_id: 7, ..ask }.with(option::ECHO, &stale.value(option::ECHO));
    assert_eq!(device.ask(&mut after, &fresh).payload, body(1, 100));
    assert_eq!(device.ask(&mut after, &Ask::get(1, 8, "image.bin")).code, Code::CONTENT);
    after.datagram(2, &old);
    assert_eq!(device.open(0, &after.datagrams()[0]), Err(UnprotectError::NotProtected), "a replay now");
}
