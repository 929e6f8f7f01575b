//! Fan-out: who takes part, what a stream is made of, and who is not disturbed by it. Fleets with losses are in `fleet.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod support;

use sixfold_engine::{EchoPolicy, Event, Fanout, FanoutEvent, LinkConfig, OriginEvent, PlanKind, Repair};
use sixfold_profile::coap::{Code, Szx, Type, content_format, option};
use sixfold_profile::parity::{Parity, word};
use std::time::Duration;
use support::members::{GROUP, q_block};
use support::{Answer, Ask, Bench, body, config, head};

const MS: Duration = Duration::from_millis(1);

fn fanned_out(length: usize, fanout: Fanout) -> Bench {
    let mut bench = Bench::with_image(length, 3600);
    let link = LinkConfig { fanout: Some(fanout), ..LinkConfig::default() };
    bench.engine.set_link(bench.now, 0, Some(link));
    bench
}

fn bench(length: usize) -> Bench {
    fanned_out(length, Fanout::default())
}

fn ask(peer: u16, message_id: u16, nums: &[u32]) -> Ask {
    let ask = Ask::get(peer, message_id, "image.bin").uint(option::OBSERVE, 0);
    nums.iter().fold(ask, |ask, &num| ask.uint(option::Q_BLOCK2, q_block(num, false)))
}

/// Everything from `num` on, of which so much is missing.
fn rest(peer: u16, message_id: u16, num: u32, missing: &[u8]) -> Ask {
    ask(peer, message_id, &[]).uint(option::Q_BLOCK2, q_block(num, true)).with(option::MISSING, missing)
}

fn count(bench: &Bench, event: FanoutEvent) -> usize {
    bench.events.iter().filter(|found| **found == Event::Fanout(event)).count()
}

/// The blocks and the number of parity symbols that go to the group within so much time; the other answers too.
fn stream(bench: &mut Bench, time: Duration) -> (Vec<u32>, usize, Vec<Answer>) {
    let mut answers = bench.answers();
    answers.extend(bench.pass(time));
    let (to_group, others): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.peer == GROUP);
    let (blocks, parity): (Vec<_>, Vec<_>) =
        to_group.into_iter().partition(|answer| answer.uint(option::BLOCK2).is_some());
    (blocks.iter().map(|block| block.block().num()).collect(), parity.len(), others)
}

/// Two members, and the first pass over.
fn after_a_pass(length: usize, fanout: Fanout) -> Bench {
    let mut bench = fanned_out(length, fanout);
    bench.send(&ask(1, 1, &[0]));
    bench.send(&ask(2, 1, &[0]));
    stream(&mut bench, MS * 5000);
    bench.events.clear();
    bench
}

#[test]
fn the_second_member_starts_a_stream_and_who_asks_meanwhile_changes_nothing() {
    let mut bench = bench(640);
    let alone = bench.ask(&ask(1, 1, &[0]));
    assert_eq!((alone.code, alone.uint(option::Q_BLOCK2)), (Code::CONTENT, Some(0b1010)));
    assert_eq!((alone.uint(option::BLOCK2), &alone.payload[..]), (None, &body(1, 640)[..64]));
    assert_eq!(alone.uint(option::OBSERVE), None);
    bench.now += MS * 100;
    bench.send(&ask(2, 1, &[0]));
    let mut answers = bench.answers();
    let told = answers.remove(0);
    assert_eq!((told.message_type, told.code), (Type::Acknowledgement, Code::SERVICE_UNAVAILABLE));
    assert_eq!((told.uint(option::MAX_AGE), told.payload.len()), (Some(1), 0));
    bench.send(&ask(3, 1, &[0]));
    answers.extend(bench.answers().into_iter().filter(|answer| answer.peer == GROUP));
    answers.extend(bench.pass(MS * 500));
    assert_eq!(answers.len(), 10, "{answers:?}");
    let bytes: Vec<u8> = answers.iter().flat_map(|answer| answer.payload.clone()).collect();
    assert_eq!(bytes, body(1, 640));
    for (num, datagram) in (0..).zip(&answers) {
        assert_eq!((datagram.peer, datagram.message_type), (GROUP, Type::NonConfirmable));
        assert_eq!((datagram.code, datagram.block().num()), (Code::CONTENT, num));
        assert_eq!(datagram.token, alone.etag()[..2]);
        let numbers: Vec<_> = datagram.options.iter().map(|(number, _)| *number).collect();
        if num == 0 {
            assert_eq!(numbers, [option::ETAG, option::BLOCK2]);
            assert_eq!(datagram.etag(), alone.etag());
        } else {
            assert_eq!(numbers, [option::BLOCK2], "the Token is made of it");
        }
    }
    assert_eq!(count(&bench, FanoutEvent::Started(PlanKind::Pass)), 1);
    assert_eq!((count(&bench, FanoutEvent::Alone), count(&bench, FanoutEvent::Merged)), (1, 1));
    assert_eq!(count(&bench, FanoutEvent::Ended), 1);
    assert_eq!(bench.engine.load().observers, 0);
}

#[test]
fn where_a_stream_goes_can_be_seen() {
    let mut bench = bench(640);
    bench.send(&ask(1, 1, &[0, 1]));
    let told = bench.engine.poll_transmit().unwrap();
    assert_eq!((told.path.multicast, told.hop_limit), (false, None));
    bench.now = bench.engine.poll_timeout().unwrap();
    bench.engine.handle_timeout(bench.now);
    let block = bench.engine.poll_transmit().unwrap();
    assert_eq!(block.path.peer, "[ff02::fd]:61616".parse().unwrap());
    assert_eq!((block.path.multicast, block.path.interface, block.hop_limit), (true, 0, Some(1)));
}

#[test]
fn one_member_alone_is_served_as_everybody_is() {
    let (mut members, mut plain) = (bench(6400), bench(6400));
    for num in 0..100 {
        let member = members.ask(&ask(1, num as u16, &[num]));
        let other = plain.ask(&Ask::block(1, num as u16, "image.bin", num, 2));
        assert_eq!(member.value(option::Q_BLOCK2), other.value(option::BLOCK2));
        assert_eq!((member.payload, member.message_type), (other.payload, other.message_type));
        (members.now, plain.now) = (members.now + MS * 20, plain.now + MS * 20);
    }
    assert_eq!(stream(&mut members, MS * 1000).0, []);
}

#[test]
fn the_stream_begins_where_the_first_member_needs_it() {
    let mut bench = bench(6400);
    bench.ask(&ask(1, 1, &[40]));
    bench.send(&ask(2, 1, &[70]));
    assert_eq!(stream(&mut bench, MS * 2000).0, (40..100).collect::<Vec<_>>());
}

#[test]
fn members_that_were_not_heard_for_long_are_not_active() {
    let mut bench = bench(6400);
    bench.ask(&ask(1, 1, &[0]));
    bench.pass(MS * 10_001);
    assert_eq!(bench.ask(&ask(2, 1, &[0])).code, Code::CONTENT);
    bench.pass(MS * 9_000);
    bench.send(&ask(1, 2, &[1]));
    assert_eq!(stream(&mut bench, MS * 2000).0.len(), 100);
}

#[test]
fn a_member_alone_that_names_several_blocks_or_counts_them_gets_a_stream() {
    let mut bench = bench(6400);
    bench.send(&ask(1, 1, &[3, 9]));
    let (blocks, parity, told) = stream(&mut bench, MS * 200);
    assert_eq!((blocks, parity, told[0].code), (vec![3, 9], 0, Code::SERVICE_UNAVAILABLE));
    bench.send(&rest(1, 2, 50, &[]));
    assert_eq!(stream(&mut bench, MS * 1000).0, (50..100).collect::<Vec<_>>());
}

#[test]
fn who_lacks_a_few_here_and_there_gets_parity() {
    let mut bench = after_a_pass(6400, Fanout::default());
    // 13 parts of 8 blocks, one of each missing, and one more in all.
    bench.send(&rest(1, 2, 5, &[&[0, 13, 3][..], &[1; 13]].concat()));
    let mut answers = bench.answers();
    answers.extend(bench.pass(MS * 1000));
    answers.retain(|answer| answer.peer == GROUP);
    assert_eq!(count(&bench, FanoutEvent::Started(PlanKind::Parity)), 1);
    assert!((20..40).contains(&answers.len()), "{}", answers.len());
    let bytes = body(1, 6400);
    let mut seeds = Vec::new();
    for answer in &answers {
        let named = answer.uint(option::ETAG).is_some();
        assert_eq!(answer.options.len(), 1 + usize::from(named));
        assert_eq!(answer.uint(option::CONTENT_FORMAT), Some(content_format::PARITY.into()));
        let parity = Parity::read(&answer.payload).unwrap();
        let chosen = (0..100).filter(|num| word(parity.seed, (num / 32) as u8) >> (num % 32) & 1 == 1);
        let sum = chosen
            .fold([0; 64], |sum: [u8; 64], num| std::array::from_fn(|at| sum[at] ^ bytes[num * 64 + at]));
        assert_eq!((parity.segment, parity.symbol), (0, &sum[..]));
        seeds.push(parity.seed);
    }
    seeds.dedup();
    assert_eq!(seeds.len(), answers.len(), "none twice");
}

#[test]
fn blocks_alone_where_parity_is_not_wanted() {
    let counts = [&[0, 13, 3][..], &[1; 13]].concat();
    let mut configured = after_a_pass(6400, Fanout { repair: Repair::Blocks, ..Fanout::default() });
    configured.send(&rest(1, 2, 0, &counts));
    assert_eq!(stream(&mut configured, MS * 2000).0.len(), 100, "nobody knows which");
    let mut asked = after_a_pass(6400, Fanout::default());
    let sent = [2, 3, 4, 5].map(|message_id| {
        asked.send(&rest(1, message_id, 0, &[&[0xff, 0xff, 3][..], &[7 - message_id as u8; 13]].concat()));
        let (blocks, parity, _) = stream(&mut asked, MS * 2000);
        assert_eq!(parity, 0);
        blocks.len()
    });
    assert!(
        sent.is_sorted() && sent[0] < 30 && sent[3] == 100,
        "more each time, if it helps too little: {sent:?}"
    );
}

#[test]
fn lists_are_sent_as_their_union_or_as_parity_for_the_longest() {
    let mut bench = after_a_pass(6400, Fanout::default());
    bench.send(&ask(1, 2, &[1, 2, 3]));
    bench.send(&ask(2, 2, &[3, 4]));
    assert_eq!(stream(&mut bench, MS * 1000).0, [1, 2, 3, 4], "each once");
    for peer in 1..=12 {
        let nums: Vec<u32> = (0..7).map(|num| u32::from(peer) * 7 + num).collect();
        bench.send(&ask(peer, 3, &nums));
    }
    let (blocks, parity, _) = stream(&mut bench, MS * 2000);
    assert!(blocks.len() < 30 && (20..40).contains(&parity), "84 blocks in all: {} {parity}", blocks.len());
}

#[test]
fn who_cannot_use_parity_gets_blocks() {
    let mut bench = after_a_pass(6400, Fanout::default());
    let counts = [&[0, 13, 3][..], &[1; 13]].concat();
    bench.send(&rest(1, 2, 5, &counts));
    assert!(stream(&mut bench, MS * 1000).1 > 0);
    bench.send(&rest(1, 3, 5, &counts));
    let (blocks, parity, _) = stream(&mut bench, MS * 2000);
    assert_eq!((blocks.len(), parity), (95, 0), "it did not help");
}

#[test]
fn who_does_not_hear_the_stream_is_not_streamed_to_for_ever() {
    let mut bench = after_a_pass(640, Fanout::default());
    let everything = [0, 10, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1];
    let sent: Vec<usize> = (2..12)
        .map(|message_id| {
            bench.send(&rest(1, message_id, 0, &everything));
            let (blocks, parity, told) = stream(&mut bench, MS * 3000);
            assert_eq!((told.len(), told[0].code), (1, Code::SERVICE_UNAVAILABLE));
            blocks.len() + parity
        })
        .collect();
    assert!(sent[0] > 0 && sent[4..].iter().all(|&sent| sent == 0), "{sent:?}");
    bench.send(&ask(2, 2, &[3, 4]));
    assert_eq!(stream(&mut bench, MS * 1000).0, [3, 4], "others are served");
    let plain = bench.ask(&Ask::block(1, 20, "image.bin", 0, 2));
    assert_eq!(plain.code, Code::CONTENT, "and it too, by unicast");
}

#[test]
fn who_asks_all_the_time_is_not_always_answered() {
    let mut bench = after_a_pass(6400, Fanout::default());
    for message_id in 2..102 {
        bench.send(&rest(1, message_id, 0, &[]));
        bench.now += MS;
    }
    let (_, _, told) = stream(&mut bench, MS * 100);
    assert!(told.len() < 20, "{}", told.len());
    assert_eq!(count(&bench, FanoutEvent::Silenced), 100 - told.len());
}

#[test]
fn absurd_requests_cost_little() {
    let mut bench = after_a_pass(6400, Fanout::default());
    let list: Vec<u32> = (0..1000).map(|num| num % 50 * 2).collect();
    let mut long = ask(1, 2, &[]);
    long.options.extend(
        list.iter().take(300).map(|num| (option::Q_BLOCK2, vec![(num >> 4) as u8, (num << 4) as u8 | 2])),
    );
    bench.send(&long);
    let (blocks, parity, _) = stream(&mut bench, MS * 2000);
    assert!(blocks.len() + parity <= 40, "{} {parity}", blocks.len());
    for (message_id, missing) in
        (3..).zip([&[0, 0, 20, 255][..], &[0xff, 0xfe, 20, 255, 255], &[9; 36], &[0; 3], &[]])
    {
        bench.send(&rest(3, message_id, 0, missing));
        bench.send(&rest(3, message_id + 100, 0xf_ffff, missing));
        let (blocks, parity, _) = stream(&mut bench, MS * 3000);
        assert!(blocks.len() <= 100 && parity <= 200, "{missing:?}: {} {parity}", blocks.len());
    }
    assert_eq!(bench.engine.load().groups, 1);
}

#[test]
fn q_block2_is_for_members_alone() {
    let mut bench = bench(640);
    let plain = Ask::get(1, 1, "image.bin").uint(option::Q_BLOCK2, q_block(0, false));
    assert_eq!(bench.ask(&plain).code, Code::BAD_OPTION);
    assert_eq!(bench.ask(&ask(1, 2, &[0]).uint(option::BLOCK2, 2)).code, Code::BAD_OPTION);
    let other_size = ask(1, 3, &[0]).uint(option::Q_BLOCK2, q_block(1, false) + 1);
    assert_eq!(bench.ask(&other_size).code, Code::BAD_REQUEST);
    bench.engine.set_link(bench.now, 0, None);
    let first = bench.ask(&ask(1, 4, &[3, 4]));
    assert_eq!((first.code, first.uint(option::Q_BLOCK2)), (Code::CONTENT, Some(q_block(3, true))));
    let small = Ask::get(1, 5, "image.bin").uint(option::OBSERVE, 0).uint(option::Q_BLOCK2, 0x41);
    assert_eq!(bench.ask(&small).payload.len(), 32);
}

#[test]
fn a_main_program_is_told_where_streams_go() {
    let ask = |message_id| {
        Ask::get(1, message_id, "image.bin")
            .uint(option::OBSERVE, 0)
            .uint(option::ACCEPT, content_format::INFORMATIVE_RESPONSE.into())
    };
    let mut bench = bench(640);
    let told = bench.ask(&ask(1));
    assert_eq!((told.code, told.message_type), (Code::SERVICE_UNAVAILABLE, Type::Acknowledgement));
    assert_eq!(told.uint(option::CONTENT_FORMAT), Some(content_format::INFORMATIVE_RESPONSE.into()));
    bench.pass(MS * 100);
    let token = bench.ask(&Ask::block(1, 2, "image.bin", 0, 2)).etag()[..2].to_vec();
    assert!(told.payload.windows(3).any(|part| part == [&[0x42], &token[..]].concat()), "its Token");
    assert!(told.uint(option::MAX_AGE).unwrap() > 3000);
    bench.engine.set_link(bench.now, 0, Some(LinkConfig { fanout: None, ..LinkConfig::default() }));
    assert_eq!(bench.ask(&ask(3)).code, Code::NOT_ACCEPTABLE);
    let mut unknown = Bench::new(config());
    unknown.engine.set_link(unknown.now, 0, Some(LinkConfig::default()));
    assert_eq!(unknown.ask(&ask(4)).code, Code::NOT_ACCEPTABLE);
    unknown.send(&Ask::block(1, 5, "image.bin", 0, 2));
    let id = unknown.fetch();
    unknown.origin(id, head(1, 640, 60));
    assert_eq!(unknown.ask(&ask(6)).code, Code::SERVICE_UNAVAILABLE, "arriving");
}

#[test]
fn a_stream_sends_what_has_arrived_and_waits_for_the_rest() {
    let mut bench = Bench::new(config());
    bench.engine.set_link(bench.now, 0, Some(LinkConfig::default()));
    bench.send(&ask(1, 1, &[0]));
    bench.send(&ask(2, 1, &[0]));
    let id = bench.fetch();
    bench.origin(id, head(1, 640, 60));
    bench.origin(id, OriginEvent::Data(body(1, 640)[..200].to_vec().into()));
    assert_eq!(stream(&mut bench, MS * 500).0, [0, 1, 2]);
    bench.send(&ask(3, 1, &[7]));
    bench.origin(id, OriginEvent::Data(body(1, 640)[200..].to_vec().into()));
    assert_eq!(stream(&mut bench, MS * 500).0, (3..10).collect::<Vec<_>>());
    bench.origin(id, OriginEvent::Complete);
    bench.send(&ask(3, 2, &[5, 6]));
    assert_eq!(stream(&mut bench, MS * 500).0, [5, 6], "the same group");
}

#[test]
fn blocks_are_no_larger_than_any_member_asked_for() {
    let mut bench = fanned_out(12_800, Fanout { block_size: Szx::MAX, ..Fanout::default() });
    let large = |peer, szx: u8| {
        let ask = Ask::get(peer, 1, "image.bin").uint(option::OBSERVE, 0);
        ask.uint(option::Q_BLOCK2, szx.into())
    };
    bench.send(&large(1, 6));
    bench.send(&large(2, 6));
    let sizes = |answers: &[Answer]| -> Vec<usize> {
        answers.iter().filter(|answer| answer.peer == GROUP).map(|answer| answer.payload.len()).collect()
    };
    bench.answers();
    let answers = bench.pass(MS * 300);
    assert!(
        sizes(&answers).len() > 1 && sizes(&answers).iter().all(|&size| size == 256),
        "{:?}",
        sizes(&answers)
    );
    let sent: usize = sizes(&answers).iter().sum();
    bench.send(&large(3, 3));
    bench.answers();
    let smaller = bench.pass(MS * 5000);
    assert!(sizes(&smaller).iter().all(|&size| size == 128), "{:?}", sizes(&smaller));
    assert_eq!(sent + sizes(&smaller).iter().sum::<usize>(), 12_800, "and nothing twice");
}

#[test]
fn a_legacy_client_among_members_keeps_its_share() {
    let mut bench = bench(64_000);
    bench.send(&ask(1, 1, &[0]));
    bench.send(&ask(2, 1, &[0]));
    let (mut num, mut streamed) = (0, 0);
    bench.send(&Ask::block(9, 0, "image.bin", 0, 2));
    let end = bench.now + MS * 3000;
    while bench.now < end {
        bench.now = bench.engine.poll_timeout().unwrap().max(bench.now);
        bench.engine.handle_timeout(bench.now);
        for answer in bench.answers() {
            streamed += usize::from(answer.peer == GROUP);
            if answer.peer == 9 && answer.code == Code::CONTENT {
                num += 1;
                bench.now += MS * 18;
                bench.send(&Ask::block(9, num as u16, "image.bin", num, 2));
            }
        }
    }
    // A block is 13 ms of airtime, a datagram of the stream 6 ms: one of 17 shares for the client.
    assert!((10..30).contains(&num) && (400..500).contains(&streamed), "{num} blocks, {streamed} datagrams");
}

#[test]
fn a_stream_is_spaced_by_airtime_and_catches_up_after_late_timers() {
    let mut bench = bench(64_000);
    bench.send(&ask(1, 1, &[0]));
    bench.send(&ask(2, 1, &[0]));
    bench.answers();
    let start = bench.now;
    let mut sent = 0;
    while bench.now < start + MS * 3000 {
        bench.now += MS * 7;
        bench.engine.handle_timeout(bench.now);
        sent += bench.answers().len();
    }
    assert!((500..520).contains(&sent), "{sent} in 3 s at 5792 µs each");
    bench.now += MS * 2000;
    bench.engine.handle_timeout(bench.now);
    assert!(bench.answers().len() <= 5, "but not all at once after a pause");
}

#[test]
fn a_duty_cycle_holds_for_streams() {
    let mut bench = Bench::with_image(64_000, 3600);
    let link = LinkConfig { duty_cycle: 10, ..LinkConfig::default() };
    bench.engine.set_link(bench.now, 0, Some(link));
    bench.send(&ask(1, 1, &[0]));
    bench.send(&ask(2, 1, &[0]));
    let (blocks, _, _) = stream(&mut bench, MS * 6000);
    assert!((80..102).contains(&blocks.len()), "{}", blocks.len());
}

#[test]
fn another_version_is_another_group_and_the_old_one_goes_on() {
    let mut bench = Bench::with_image(6400, 5);
    bench.engine.set_link(bench.now, 0, Some(LinkConfig::default()));
    bench.ask(&ask(1, 1, &[0]));
    bench.pass(MS * 5500);
    bench.send(&ask(2, 1, &[0]));
    let id = bench.fetch();
    bench.deliver(id, 2, &body(2, 6400), 60);
    let new = bench.answers();
    assert_eq!(
        new.iter().map(|answer| answer.code).collect::<Vec<_>>(),
        [Code::CONTENT],
        "alone in its group"
    );
    bench.send(&ask(1, 2, &[1, 2]));
    let mut old = bench.pass(MS * 200);
    old.retain(|answer| answer.peer == GROUP);
    assert_eq!(old.len(), 2, "who began with the old version finishes it");
    assert!(old.iter().all(|block| block.payload == body(1, 6400)[block.block().offset()..][..64]));
    assert!(old[0].etag() != new[0].etag() && bench.engine.load().groups == 2);
    bench.send(&ask(3, 1, &[0]));
    let blocks = bench.pass(MS * 2000);
    let blocks: Vec<_> = blocks.into_iter().filter(|answer| answer.peer == GROUP).collect();
    assert!(blocks.iter().all(|block| block.token == new[0].etag()[..2]) && blocks.len() == 100);
}

#[test]
fn groups_end_with_silence_with_their_link_and_with_their_image() {
    let mut bench = after_a_pass(640, Fanout::default());
    assert_eq!((bench.engine.load().groups, bench.engine.load().members), (1, 2));
    bench.pass(MS * 61_000);
    assert_eq!((bench.engine.load().groups, bench.engine.load().members), (0, 0));
    let finished =
        bench.events.iter().filter(|event| matches!(event, Event::TransferEnded { finished: true, .. }));
    assert_eq!(finished.count(), 2, "who asks for nothing more has it all");
    bench.send(&ask(1, 7, &[3, 4]));
    bench.engine.set_link(bench.now, 0, None);
    assert_eq!((bench.engine.load().groups, count(&bench, FanoutEvent::Disbanded)), (0, 1));
    bench.answers();
    assert_eq!(count(&bench, FanoutEvent::Disbanded), 2);

    let mut bench = after_a_pass(6400, Fanout::default());
    bench.send(&rest(1, 2, 0, &[]));
    bench.answers();
    let etag = bench.engine.images(bench.now, 0, 1)[0].etag.unwrap();
    sixfold_engine::Store::remove(bench.engine.store_mut(), etag);
    assert_eq!(stream(&mut bench, MS * 1000).0, []);
    assert_eq!(bench.engine.load().groups, 0);
    bench.send(&ask(1, 3, &[0]));
    assert!(bench.command().is_some(), "asked for again");
}

#[test]
fn groups_are_bounded_and_who_finds_no_place_is_served_by_unicast() {
    let mut bench = Bench::new(config());
    bench.engine.set_link(bench.now, 0, Some(LinkConfig::default()));
    for number in 0..30_u16 {
        let name = format!("image{number}.bin");
        let ask = |peer| Ask::get(peer, number, &name).uint(option::OBSERVE, 0).uint(option::Q_BLOCK2, 2);
        bench.send(&ask(1));
        let id = bench.fetch();
        bench.deliver(id, 1, &body(1, 640), 60);
        bench.pass(MS * 1000);
        bench.send(&ask(2));
        let answers = bench.pass(MS * 1000);
        assert_eq!(answers.iter().any(|answer| answer.peer == GROUP), number < 16, "{number}");
    }
    assert_eq!(bench.engine.load().groups, 16);
}

#[test]
fn two_images_share_a_link() {
    let mut bench = bench(6400);
    bench.send(&Ask::get(5, 1, "other.bin"));
    let id = bench.fetch();
    bench.deliver(id, 3, &body(3, 6400), 60);
    bench.pass(MS * 1000);
    for peer in 1..=2 {
        bench.send(&ask(peer, 1, &[0]));
        bench.send(&Ask::get(peer + 10, 1, "other.bin").uint(option::OBSERVE, 0).uint(option::Q_BLOCK2, 2));
    }
    bench.answers();
    let mut answers = bench.pass(MS * 400);
    answers.retain(|answer| answer.peer == GROUP);
    let of = |version| {
        answers
            .iter()
            .filter(move |answer| answer.payload[..8] == body(version, 6400)[answer.block().offset()..][..8])
    };
    let (ours, others) = (of(1).count(), of(3).count());
    assert!(ours.abs_diff(others) <= 2 && ours >= 25, "{ours} {others}");
}

/// Where no address is trusted, a stream needs members that were shown to be live.
#[test]
fn nobody_starts_a_stream_in_the_name_of_others() {
    let mut bench = bench(640);
    bench.engine.reconfigure(sixfold_engine::Config { echo: EchoPolicy::Always, ..config() });
    bench.send(&ask(1, 1, &[0]));
    bench.send(&ask(2, 1, &[0]));
    let (blocks, parity, _) = stream(&mut bench, MS * 5000);
    assert_eq!((blocks.len(), parity), (0, 0));
    assert_eq!(bench.engine.load().groups, 0);
}
