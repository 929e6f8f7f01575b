//! Fleets that listen.

use crate::proof::lab::{Lab, Setup, case, last_s, over_bound};
use crate::proof::{Case, Limit, Row, Spread};
use anyhow::Result;
use sixfold_air::outcome::Outcome;
use sixfold_air::sim::Server;

const LOSS: u32 = 10;
/// The size of a flash page: what a device may have to fetch again after a power cut.
const PAGE: f64 = 4096.0;

/// The border router's address is the one that Linux makes of a 6LoWPAN interface's EUI-64.
const NETWORK: &str = "interface_identifiers = \"private-devices\"";

fn fanout(devices: u32) -> Setup {
    Setup { network: NETWORK, ..Setup::star(Server::Fanout, devices, LOSS) }
}

/// A hundred devices at once.
pub fn hundred(lab: &Lab) -> Result<Row> {
    let devices = lab.scale.devices(100);
    let over = ("times the bound, last device", &over_bound as &dyn Fn(&Outcome) -> f64);
    let of = |setup: &Setup, more: &str, required| -> Result<Case> {
        Ok(case(setup.name() + more, &lab.run(setup)?, over, required))
    };
    let with = |fetch: &str| Setup { fetch: fetch.to_owned(), ..fanout(devices) };
    let cases = vec![
        of(&fanout(devices), "", Some(Limit::AtMost(2.5)))?,
        of(
            &Setup { radio: "border_router_min_be = 1", ..fanout(devices) },
            ", macMinBe 1 at the border router",
            Some(Limit::AtMost(2.5)),
        )?,
        of(&Setup { network: "", ..fanout(devices) }, ", the border router is fe80::1", None)?,
        of(&Setup { loss_percent: 0, ..fanout(devices) }, "", None)?,
        of(&with("repair = \"blocks\""), ", repaired with blocks", None)?,
        of(&with("listen_memory = 16384"), ", 16 KiB of memory", None)?,
        of(&with("listen_memory = 256"), ", no memory for parity", None)?,
        of(&Setup::star(Server::Boot, devices, LOSS), "", None)?,
        of(&Setup::star(Server::Legacy, devices, LOSS), "", None)?,
    ];
    Ok(Row {
        promise: "100 of our devices, 96 KiB, 10 % loss, all at once: the last is done within 2.5 times the bound",
        cases,
    })
}

/// Ten to a thousand devices.
pub fn growth(lab: &Lab) -> Result<Row> {
    let ten = lab.run(&fanout(lab.scale.devices(10)))?;
    let base = Spread::of(ten.iter().map(last_s).collect()).median;
    let mut cases = Vec::new();
    for promised in [10, 100, 1000] {
        let setup = fanout(lab.scale.devices(promised));
        let growth = |outcome: &Outcome| last_s(outcome) / base;
        let required = (promised == 1000).then_some(Limit::AtMost(1.3));
        let outcomes = if promised == 10 { ten.clone() } else { lab.run(&setup)? };
        cases.push(case(
            setup.name(),
            &outcomes,
            ("times the completion of the smallest", &growth),
            required,
        ));
    }
    Ok(Row { promise: "10 to 1000 devices: completion grows by less than 1.3 times", cases })
}

/// Several hops.
pub fn hops(lab: &Lab) -> Result<Row> {
    let mut cases = Vec::new();
    for loss_percent in [0, LOSS] {
        for server in [Server::Fanout, Server::Boot, Server::Legacy] {
            let topology = "shape = \"tree\"\nrouters = [2, 4]";
            let setup = Setup { topology, ..Setup::star(server, lab.scale.devices(20), loss_percent) };
            let mut case = case(
                setup.name() + ", 3 hops",
                &lab.run(&setup)?,
                ("times the bound, last device", &over_bound),
                None,
            );
            case.all_must_finish = server == Server::Fanout;
            cases.push(case);
        }
    }
    // A collapse is when listening takes longer than being served one by one.
    for pair in [0, 3] {
        let unicast = cases[pair + 1].measured.median;
        cases[pair].required = Some(Limit::AtMost(unicast));
    }
    let promise = "3 hops, 20 devices: everybody finishes, and sooner than one by one (no collapse)";
    Ok(Row { promise, cases })
}

/// Half arrive in the middle, a quarter reboots.
pub fn disturbed(lab: &Lab) -> Result<Row> {
    let devices = lab.scale.devices(100);
    let calm = lab.run(&fanout(devices))?;
    let disturbed = |late: bool, reboots: bool| -> Result<Vec<Outcome>> {
        let setups: Vec<Setup> = calm
            .iter()
            .map(|calm| {
                let last = last_s(calm).min(3600.0);
                let late = if late {
                    format!("late = 0.5\nlate_after_s = {:.3}\n", last / 2.0)
                } else {
                    String::new()
                };
                let cut = if reboots {
                    format!("reboots = 0.25\nreboots_within_s = {last:.3}\n")
                } else {
                    String::new()
                };
                Setup { disturbance: late + &cut, ..fanout(devices) }
            })
            .collect();
        lab.run_each(&setups)
    };
    let mut cases = Vec::new();
    for (what, late, reboots) in [
        (", half late, a quarter reboots", true, true),
        (", half late", true, false),
        (", a quarter reboots", false, true),
    ] {
        let outcomes = disturbed(late, reboots)?;
        let required = (late && reboots).then_some(1.5);
        let times = |outcome: &Outcome| {
            let calm = calm.iter().find(|calm| calm.seed == outcome.seed).map_or(0.0, last_s);
            last_s(outcome) / calm
        };
        let name = fanout(devices).name() + what;
        let figure = ("times the undisturbed run of the same seed", &times as &dyn Fn(&Outcome) -> f64);
        cases.push(case(name.clone(), &outcomes, figure, required.map(Limit::AtMost)));
        if reboots {
            let rebooted = f64::from(devices) / 4.0;
            let discarded = |outcome: &Outcome| outcome.discarded_bytes as f64 / rebooted / PAGE;
            let figure = ("pages thrown away for each reboot", &discarded as &dyn Fn(&Outcome) -> f64);
            cases.push(case(name, &outcomes, figure, Some(Limit::AtMost(1.0))));
        }
    }
    let promise = "Half of the devices arrive in the middle, a quarter reboots at random times: nobody starts over, 1.5 times the undisturbed run at most";
    Ok(Row { promise, cases })
}
