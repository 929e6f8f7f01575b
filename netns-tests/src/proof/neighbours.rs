//! Hostile clients, other images and links, and clients of other kinds.

use crate::proof::lab::{Lab, Setup, case, last_s};
use crate::proof::{Limit, Row, Spread};
use anyhow::Result;
use sixfold_air::outcome::Outcome;
use sixfold_air::sim::Server;

/// Requests a second of a flooder. Its requests alone keep the channel for half a percent of the time for each.
const FLOOD: &str = "flood_per_s = 5";
const FLOODER: &str = "shape = \"star\"\nflooders = 1";
const MUTE: &str = "shape = \"star\"\nmutes = 1";

/// One that floods, one that never acknowledges.
pub fn hostile(lab: &Lab) -> Result<Row> {
    let mut cases = Vec::new();
    // Not fewer at any scale: among n others a newcomer's fair share is one part in n + 1.
    for (server, devices) in [(Server::Legacy, 50), (Server::Fanout, 100)] {
        let calm = Setup::star(server, devices, 0);
        let undisturbed = Spread::of(lab.run(&calm)?.iter().map(|run| run.goodput_bps).collect()).median;
        for (what, topology) in [(", a flooder", FLOODER), (", one that never acknowledges", MUTE)] {
            let setup = Setup { topology, disturbance: FLOOD.to_owned(), ..calm.clone() };
            let share = |outcome: &Outcome| outcome.goodput_bps / undisturbed;
            let figure = ("of the goodput without it", &share as &dyn Fn(&Outcome) -> f64);
            cases.push(case(calm.name() + what, &lab.run(&setup)?, figure, Some(Limit::AtLeast(0.95))));
        }
    }
    let promise = "One hostile client floods with 5 requests a second, or never acknowledges: the others lose less than 5 %";
    Ok(Row { promise, cases })
}

/// When the device on the second link was done.
fn on_second_link(outcome: &Outcome) -> f64 {
    let device = outcome.nodes.iter().find(|node| node.name == "e1");
    device.and_then(|device| device.done_s).unwrap_or(f64::INFINITY)
}

/// Two images, two links.
pub fn isolation(lab: &Lab) -> Result<Row> {
    let mut cases = Vec::new();
    for server in [Server::Ours, Server::Legacy, Server::Fanout] {
        let with = |devices| Setup {
            topology: "shape = \"star\"\nsecond_link = 1",
            fetch: "images = 2\npower_on_within_s = 0".to_owned(),
            ..Setup::star(server, devices, 0)
        };
        let quiet = Spread::of(lab.run(&with(1))?.iter().map(on_second_link).collect()).median;
        let busy = with(lab.scale.devices(50));
        let times = |outcome: &Outcome| on_second_link(outcome) / quiet;
        let figure =
            ("times the other link's completion beside a quiet one", &times as &dyn Fn(&Outcome) -> f64);
        let mut case = case(busy.name() + ", two links", &lab.run(&busy)?, figure, Some(Limit::AtMost(1.05)));
        // Who gives up on the busy link is not this promise's matter; the other link's device must finish for a figure.
        case.all_must_finish = false;
        cases.push(case);
    }
    let both =
        Setup { fetch: "images = 2".to_owned(), ..Setup::star(Server::Fanout, lab.scale.devices(100), 0) };
    let one =
        Spread::of(lab.run(&Setup { fetch: String::new(), ..both.clone() })?.iter().map(last_s).collect())
            .median;
    let times = |outcome: &Outcome| last_s(outcome) / one;
    let figure = ("times the completion of one image", &times as &dyn Fn(&Outcome) -> f64);
    cases.push(case(both.name() + ", two images on one link", &lab.run(&both)?, figure, None));
    Ok(Row { promise: "Two images, two links: a busy link does not slow the other", cases })
}

/// Clients that know nothing of groups among devices that listen.
pub fn mixed(lab: &Lab) -> Result<Row> {
    let mut cases = Vec::new();
    for loss_percent in [0, 10] {
        let setup = Setup {
            topology: "shape = \"star\"\nlegacy = 5",
            ..Setup::star(Server::Fanout, lab.scale.devices(50), loss_percent)
        };
        let outcomes = lab.run(&setup)?;
        let listeners = |outcome: &Outcome| {
            let done =
                outcome.nodes.iter().filter(|node| node.role == "fetch").filter_map(|node| node.done_s);
            done.fold(0.0, f64::max) / outcome.bound_s
        };
        let figure = ("times the bound, last listener", &listeners as &dyn Fn(&Outcome) -> f64);
        let mut case = case(setup.name() + ", and 5 legacy clients", &outcomes, figure, None);
        case.all_must_finish = true;
        cases.push(case);
    }
    Ok(Row {
        promise: "Clients that know nothing of groups are served among devices that listen: all finish",
        cases,
    })
}
