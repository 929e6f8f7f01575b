//! Fleets behind a paced link: nobody gives up, everybody gets the same, and the channel loses nothing to it.

mod support;

use sixfold_air::address::address;
use sixfold_air::frame::{self, Destination};
use sixfold_air::host::Datagram;
use sixfold_air::loss::Loss;
use sixfold_air::outcome::{NodeFigures, Outcome};
use sixfold_air::scenario::{Disturbance, Fetch, Network, Origin, Radio, Scenario};
use sixfold_air::sim::{Server, run};
use sixfold_air::topology::{Hearing, NodeId};
use sixfold_air::{mac, phy, sixlowpan, udp};
use std::net::SocketAddrV6;
use std::time::Duration;
use support::{line, star, star_with};

const IMAGE: u32 = 48 * 1024;

fn fleet(devices: u32, loss: f64, block_bytes: u16, server: Server, seed: u64) -> Outcome {
    let scenario = Scenario {
        name: "pacing".to_owned(),
        radio: Radio::default(),
        network: Network::default(),
        topology: star_with(devices, Loss::Bernoulli(loss), Hearing::All),
        fetch: Fetch { image_bytes: IMAGE, block_bytes, ..Fetch::default() },
        origin: Origin::default(),
        disturbance: Disturbance::default(),
    };
    run(&scenario, server, seed)
}

/// What a lone client gets, in bits a second: the median of five seeds.
fn alone(server: Server, loss: f64, block_bytes: u16) -> f64 {
    let mut goodputs: Vec<_> =
        (1..=5).map(|seed| fleet(1, loss, block_bytes, server, seed).goodput_bps).collect();
    goodputs.sort_by(f64::total_cmp);
    goodputs[2]
}

#[test]
fn a_lone_client_is_as_fast_as_without_pacing() {
    for block in [64, 1024] {
        let paced = fleet(1, 0.0, block, Server::Legacy, 1);
        assert!(paced.goodput_bps >= 0.95 * alone(Server::Rfc7252, 0.0, block), "{paced:?}");
    }
}

#[test]
fn fleets_of_clients_that_know_nothing_all_finish_at_the_speed_of_the_link() {
    for (loss, block) in [(0.0, 64), (0.0, 1024), (0.1, 64), (0.1, 1024)] {
        let alone = alone(Server::Legacy, loss, block);
        for devices in [50, 100] {
            let outcome = fleet(devices, loss, block, Server::Legacy, 1);
            assert_eq!((outcome.done, outcome.wrong_bytes), (devices, 0), "{outcome:?}");
            assert!(outcome.goodput_bps >= 0.95 * alone, "{} of {alone}", outcome.goodput_bps);
            assert!(outcome.jain >= 0.95, "{outcome:?}");
        }
    }
}

#[test]
fn without_pacing_the_same_fleet_fails() {
    let outcome = fleet(100, 0.0, 1024, Server::Rfc7252, 1);
    assert!(outcome.done < 90, "the test above shows nothing: {outcome:?}");
}

/// With 1024-byte blocks throughout, none of them finishes.
#[test]
fn where_a_third_is_lost_smaller_blocks_get_through() {
    let outcome = fleet(20, 0.3, 1024, Server::Legacy, 1);
    assert!(outcome.done >= 15 && outcome.wrong_bytes == 0, "{outcome:?}");
}

#[test]
fn our_own_devices_are_served_as_well() {
    for server in [Server::Ours, Server::Boot] {
        let outcome = fleet(50, 0.05, 1024, server, 1);
        assert_eq!((outcome.done, outcome.wrong_bytes), (50, 0), "{outcome:?}");
        assert!(outcome.jain >= 0.95, "{outcome:?}");
    }
}

/// Three hundred at once, each of which waits for most of a minute between its turns. One may give up: whose five attempts all
/// find the channel busy was never heard, and nobody can leave it room.
#[test]
fn three_hundred_finish_but_for_who_was_never_heard() {
    let outcome = fleet(300, 0.0, 1024, Server::Ours, 1);
    assert!(outcome.done >= 299 && outcome.wrong_bytes == 0, "{outcome:?}");
    let unheard = |node: &&NodeFigures| node.role == "fetch" && node.done_s.is_none();
    assert!(outcome.nodes.iter().filter(unheard).all(|node| node.acknowledgements == 0), "{outcome:?}");
}

#[test]
fn several_hops_are_no_obstacle() {
    let scenario = |hops| Scenario {
        name: "line".to_owned(),
        radio: Radio::default(),
        network: Network::default(),
        topology: line(hops),
        fetch: Fetch { image_bytes: IMAGE, block_bytes: 256, ..Fetch::default() },
        origin: Origin::default(),
        disturbance: Disturbance::default(),
    };
    let outcome = run(&scenario(3), Server::Legacy, 1);
    assert_eq!((outcome.done, outcome.retransmissions), (1, 0), "{outcome:?}");
}

/// The pacer's arithmetic against frames that smoltcp makes.
#[test]
fn the_engine_counts_the_frames_that_there_are() {
    let (network, radio) = (Network::default(), sixfold_engine::Radio::default());
    let device = NodeId(1);
    assert_eq!(star(1).nodes.len(), 2);
    let endpoint = |node, port| SocketAddrV6::new(address(&network, node), port, 0, 0);
    for bytes in 0..1200 {
        let (from, to) = (endpoint(NodeId::BORDER_ROUTER, 5683), endpoint(device, 49_152));
        let packet = udp::packet(&Datagram { from, to, payload: vec![7; bytes] });
        let to = Destination::Unicast(device);
        let room = frame::max_payload(to, false);
        let frames = sixlowpan::frames(&packet, NodeId::BORDER_ROUTER, to, 1, room).unwrap();
        assert_eq!(radio.frames(bytes), frames.len(), "{bytes} bytes");
        let time: Duration = frames.iter().map(|frame| cycle(frame::overhead(to, false) + frame.len())).sum();
        let difference = radio.airtime(bytes).abs_diff(time);
        assert!(difference <= Duration::from_millis(1), "{bytes} bytes: {difference:?}");
    }
}

/// A frame with everything around it on an idle channel, on average.
fn cycle(psdu: usize) -> Duration {
    let most = mac::mean_cycle(phy::MAX_PSDU, true);
    most - phy::airtime(phy::MAX_PSDU) + phy::airtime(psdu)
}
