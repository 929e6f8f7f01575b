//! Fleets that fetch by fan-out, with losses, in virtual time: everybody has everything in the end, and nothing is sent in vain.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod support;

use sixfold_engine::{Fanout, LinkConfig, Repair};
use std::time::Duration;
use support::Bench;
use support::members::Fleet;

const KIB: usize = 1024;
const S: Duration = Duration::from_secs(1);

fn bench(length: usize, repair: Repair) -> Bench {
    let mut bench = Bench::with_image(length, 3600);
    let fanout = Some(Fanout { repair, ..Fanout::default() });
    bench.engine.set_link(bench.now, 0, Some(LinkConfig { fanout, ..LinkConfig::default() }));
    bench
}

/// Seconds until the last member had everything, and how many blocks and parity symbols were sent.
fn run(members: u16, loss: u32, seed: u8, repair: Repair) -> (f64, usize, usize) {
    let mut fleet = Fleet::new(bench(96 * KIB, repair), 1536, members, loss, seed);
    let start = fleet.bench.now;
    fleet.run(S * 3000);
    let last =
        fleet.last().unwrap_or_else(|| panic!("{members} members, {loss} % lost: somebody never has it all"));
    (last.since(start).as_secs_f64(), fleet.blocks, fleet.parity)
}

#[test]
fn a_fleet_ends_whatever_is_lost() {
    for loss in [0, 1, 5, 10, 20, 30, 40] {
        for members in [1, 2, 10, 50] {
            let (seconds, blocks, parity) = run(members, loss, 7, Repair::Parity);
            println!("{loss:3} % {members:4}: {seconds:6.2} s {blocks:5} blocks {parity:5} parity");
        }
    }
}

#[test]
fn a_tenth_lost_costs_a_pass_and_few_parity_symbols() {
    for seed in 0..3 {
        let (seconds, blocks, parity) = run(100, 10, seed, Repair::Parity);
        assert!((1536..1600).contains(&blocks) && (150..300).contains(&parity), "{blocks} {parity}");
        assert!(seconds < 12.5, "{seconds}");
    }
}

#[test]
fn without_parity_it_takes_twice_as_long() {
    let (_, blocks, parity) = run(100, 10, 1, Repair::Blocks);
    assert!(blocks > 3000 && parity == 0, "{blocks} {parity}");
}
