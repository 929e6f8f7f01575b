//! What goes wrong in a fleet: late devices, power cuts, hostile clients, and neighbours of other kinds, images and links.

#![allow(clippy::unwrap_used)] // A panic is how a test fails.

use sixfold_air::outcome::Outcome;
use sixfold_air::scenario::{Overrides, Scenario};
use sixfold_air::sim::{Server, run};

/// A star of devices that fetch 16 KiB in blocks of 256 bytes.
fn scenario(devices: u32, more_of_topology: &str, rest: &str) -> Scenario {
    let text = format!(
        "name = \"disturbed\"\n[topology]\nshape = \"star\"\ndevices = {devices}\n{more_of_topology}\n\
         [fetch]\nimage = 16384\nblock = 256\n{rest}"
    );
    Scenario::read(&text, &Overrides::default()).unwrap_or_else(|mistakes| panic!("{mistakes}\n{text}"))
}

fn all_done(outcome: &Outcome) -> bool {
    outcome.done == outcome.devices && outcome.wrong_bytes == 0
}

/// When a node was done.
fn done_s(outcome: &Outcome, name: &str) -> f64 {
    outcome.nodes.iter().find(|node| node.name == name).unwrap().done_s.unwrap()
}

const RELAYS: [Server; 4] = [Server::Ours, Server::Boot, Server::Fanout, Server::Legacy];

#[test]
fn whoever_is_late_is_done_later_and_nobody_else() {
    let late = "[disturbance]\nlate = 0.5\nlate_after_s = 60";
    for server in RELAYS {
        let outcome = run(&scenario(4, "", late), server, 1);
        assert!(all_done(&outcome), "{outcome:?}");
        assert_eq!(outcome.done_s.iter().filter(|at| **at > 60.0 - 1.0).count(), 2, "{:?}", outcome.done_s);
    }
}

/// The boot program goes on with what is in its flash, sixfold-device with its file. A client that has nothing but RAM begins
/// again.
#[test]
fn after_a_power_cut_only_those_who_remember_nothing_begin_again() {
    let cut =
        "power_on_within_s = 0\n[disturbance]\nreboots = 1\nreboots_after_s = 1.2\nreboots_within_s = 0.1";
    for server in RELAYS {
        let outcome = run(&scenario(2, "", cut), server, 1);
        assert!(all_done(&outcome), "{server:?}: {outcome:?}");
        let undisturbed = run(&scenario(2, "", "power_on_within_s = 0"), server, 1);
        assert!(undisturbed.first_done_s > Some(1.3), "{server:?}: the cut comes too late: {undisturbed:?}");
        let discarded = outcome.discarded_bytes;
        match server {
            Server::Legacy => assert!(discarded > 2 * 1024, "{outcome:?}"),
            // The chunk that it was at is erased.
            Server::Boot => assert!(discarded < 2 * 4096, "{outcome:?}"),
            _ => assert_eq!(discarded, 0, "{server:?}: {outcome:?}"),
        }
        assert_eq!(undisturbed.discarded_bytes, 0, "{server:?}");
    }
}

#[test]
fn whoever_is_off_hears_nothing() {
    let cut = "[disturbance]\nreboots = 1\nreboots_after_s = 1\nreboots_within_s = 0\noff_s = 300";
    let outcome = run(&scenario(1, "", cut), Server::Ours, 1);
    assert!(all_done(&outcome) && outcome.first_done_s > Some(300.0), "{outcome:?}");
    let border_router = &outcome.nodes[0];
    assert!(border_router.unacknowledged <= 1, "{border_router:?}");
}

#[test]
fn hostile_clients_are_there_and_are_not_counted() {
    let calm = run(&scenario(10, "", ""), Server::Legacy, 1);
    for guest in ["flooders = 1", "mutes = 1"] {
        let outcome = run(&scenario(10, guest, "[disturbance]\nflood_per_s = 5"), Server::Legacy, 1);
        assert_eq!((outcome.devices, outcome.done), (10, 10), "{guest}: {outcome:?}");
        let hostile = outcome.nodes.iter().find(|node| ["flood", "mute"].contains(&node.role)).unwrap();
        assert!(hostile.frames > 10, "{hostile:?}");
        assert!(outcome.last_done_s > calm.last_done_s, "{guest} is as if nobody were there");
    }
}

/// A mute client acknowledges no separate response, but its next request says as well that the response is there
/// (RFC 7252 §4.2).
#[test]
fn a_mute_client_that_asks_for_more_makes_the_relay_send_nothing_again() {
    let slow_origin = "[origin]\ndelay_s = 5";
    let mute = run(&scenario(1, "mutes = 1", slow_origin), Server::Legacy, 1);
    let calm = run(&scenario(2, "", slow_origin), Server::Legacy, 1);
    let frames = |name: &str| mute.nodes.iter().find(|node| node.name == name).unwrap().frames;
    assert!(frames("m1") > 32, "{mute:?}");
    assert_eq!((mute.retransmissions, calm.retransmissions), (0, 0), "{mute:?}\n{calm:?}");
}

#[test]
fn legacy_clients_among_ours_get_the_same_image() {
    for server in [Server::Ours, Server::Boot, Server::Fanout] {
        let outcome = run(&scenario(3, "legacy = 3", ""), server, 1);
        assert!(all_done(&outcome) && outcome.devices == 6, "{outcome:?}");
        assert_eq!(outcome.nodes.iter().filter(|node| node.role == "legacy").count(), 3);
    }
}

#[test]
fn several_images_are_fetched_once_each() {
    for server in RELAYS {
        let mut scenario = scenario(6, "", "images = 3");
        let outcome = run(&scenario, server, 1);
        assert!(all_done(&outcome), "{server:?}: {outcome:?}");
        assert_eq!(outcome.origin_bytes, 3 * 16_384);
        scenario.fetch.images = 1;
        assert_eq!(run(&scenario, server, 1).origin_bytes, 16_384);
    }
}

#[test]
fn a_busy_link_does_not_slow_the_other() {
    for server in RELAYS {
        let busy = run(&scenario(20, "second_link = 1", "images = 2"), server, 1);
        let calm = run(&scenario(1, "second_link = 1", "images = 2"), server, 1);
        assert!(all_done(&busy) && all_done(&calm), "{server:?}: {busy:?}");
        let (among_many, alone) = (done_s(&busy, "e1"), done_s(&calm, "e1"));
        assert!(among_many < alone + 1.5, "{server:?}: {among_many} and {alone}");
        // Many that listen are no more than one.
        let is_busy = done_s(&busy, "d1") > 2.0 * among_many;
        assert_eq!(is_busy, server != Server::Fanout, "{server:?}: {busy:?}");
    }
}

#[test]
fn what_is_the_relays_business_alone_is_refused() {
    for server in [Server::Rfc7252, Server::Tftp, Server::TftpOptions] {
        let cases = [("second_link = 1", ""), ("legacy = 1", ""), ("mutes = 1", ""), ("", "images = 2")];
        for (topology, rest) in cases {
            assert!(server.refuses(&scenario(1, topology, rest)).is_some(), "{server:?} {topology}{rest}");
        }
        assert_eq!(server.refuses(&scenario(1, "", "[disturbance]\nlate = 1")), None);
    }
}

#[test]
fn those_who_listen_are_sent_each_block_once() {
    let outcome = run(&scenario(30, "", "power_on_within_s = 0"), Server::Fanout, 1);
    assert!(all_done(&outcome), "{outcome:?}");
    // Blocks of 64 bytes: each is one frame. Some requests and blocks collide.
    assert!((256..340).contains(&outcome.group_blocks), "{outcome:?}");
    assert!(outcome.frames < 2 * outcome.group_blocks, "{outcome:?}");
    let unicast = run(&scenario(30, "", ""), Server::Boot, 1);
    assert!(all_done(&unicast) && unicast.group_blocks == 0 && unicast.frames > 10 * outcome.frames);
}

#[test]
fn parity_makes_up_for_losses_and_blocks_do_too() {
    let lossy = |repair: &str| {
        let text = format!("repair = \"{repair}\"\n[radio]\nloss = 0.1");
        let outcome = run(&scenario(30, "", &text), Server::Fanout, 1);
        assert!(all_done(&outcome), "{outcome:?}");
        outcome
    };
    let (parity, blocks) = (lossy("parity"), lossy("blocks"));
    assert!(parity.group_parity > 0 && blocks.group_parity == 0, "{parity:?}\n{blocks:?}");
    assert!(parity.group_blocks + parity.group_parity < blocks.group_blocks, "{parity:?}\n{blocks:?}");
}

/// As many blocks and parity symbols, give or take what the dice do, and a device on its own AES is not much slower.
#[test]
fn an_encrypted_image_is_made_up_for_with_parity_like_a_plain_one() {
    let median = |encrypted: bool| {
        let text = format!("encrypted = {encrypted}\n[radio]\nloss = 0.1");
        let scenario = Scenario::read(
            &format!("name = \"t\"\n[topology]\nshape = \"star\"\ndevices = 30\n[fetch]\n{text}"),
            &Overrides::default(),
        );
        let scenario = scenario.unwrap();
        let mut outcomes: Vec<_> = (1..=5).map(|seed| run(&scenario, Server::Fanout, seed)).collect();
        assert!(outcomes.iter().all(all_done), "{outcomes:?}");
        outcomes.sort_by(|a, b| a.last_done_s.partial_cmp(&b.last_done_s).unwrap());
        outcomes.swap_remove(2)
    };
    let (plain, encrypted) = (median(false), median(true));
    assert!(encrypted.group_parity > 0, "{encrypted:?}");
    let sent = |outcome: &Outcome| (outcome.group_blocks + outcome.group_parity) as f64;
    assert!(sent(&encrypted) < 1.1 * sent(&plain), "{encrypted:?}\n{plain:?}");
    let last = |outcome: &Outcome| outcome.last_done_s.unwrap();
    assert!(last(&encrypted) < 1.2 * last(&plain), "{encrypted:?}\n{plain:?}");
}

/// Without memory a device does not listen; with little it uses no parity symbols.
#[test]
fn a_device_listens_with_the_memory_that_it_has() {
    let with = |bytes: u32| {
        let text = format!("listen_memory = {bytes}\n[radio]\nloss = 0.1");
        run(&scenario(5, "", &text), Server::Fanout, 1)
    };
    let outcomes = [0, 64, 16_384].map(with);
    assert!(outcomes.iter().all(all_done), "{outcomes:?}");
    let [none, little, enough] = outcomes;
    assert_eq!(none.group_blocks, 0);
    assert!(little.group_blocks > enough.group_blocks, "{little:?}\n{enough:?}");
}

/// Routers repeat what goes to a group of their realm.
#[test]
fn a_stream_goes_several_hops() {
    let text =
        "name = \"t\"\n[topology]\nshape = \"tree\"\nrouters = [2, 2]\ndevices = 6\n[fetch]\nimage = 8192";
    let scenario = Scenario::read(text, &Overrides::default()).unwrap();
    let outcome = run(&scenario, Server::Fanout, 1);
    assert!(all_done(&outcome) && outcome.group_blocks > 0, "{outcome:?}");
    let unicast = run(&scenario, Server::Boot, 1);
    assert!(outcome.frames < unicast.frames, "{outcome:?}\n{unicast:?}");
}
