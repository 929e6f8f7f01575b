//! One device alone, and fleets of clients that know RFC 7252 alone.

use crate::proof::lab::{Lab, Setup, case, goodput_kbps, last_s};
use crate::proof::{Case, Limit, Row};
use anyhow::Result;
use sixfold_air::outcome::Outcome;
use sixfold_air::sim::Server;
use sixfold_air::{mac, phy};

const BLOCKS: [u16; 2] = [64, 1024];

/// How long a fetch takes when nobody ever waits for anything but the channel: what was sent, with the mean time that the
/// standard puts around each frame (backoff, assessment, two turnarounds), and the interframe space between frames of one
/// message; between messages the other side has its turn and does not wait for it.
fn stop_and_wait_s(outcome: &Outcome) -> f64 {
    let around = mac::mean_cycle(phy::MAX_PSDU, true)
        - phy::airtime(phy::MAX_PSDU)
        - phy::airtime(mac::ACK_FRAME)
        - mac::LIFS;
    // A request and an answer for each block.
    let messages = 2 * u64::from(outcome.image_bytes.div_ceil(outcome.block_bytes.into()));
    let spaces = mac::LIFS.as_secs_f64() * outcome.frames.saturating_sub(messages) as f64;
    let on_air: f64 = outcome.nodes.iter().map(|node| node.tx_ms / 1000.0).sum();
    on_air + around.as_secs_f64() * outcome.frames as f64 + spaces
}

/// One device, nothing lost.
pub fn alone(lab: &Lab) -> Result<Row> {
    let mut cases = Vec::new();
    for block_bytes in BLOCKS {
        for server in [Server::Ours, Server::Legacy, Server::Boot, Server::Rfc7252, Server::TftpOptions] {
            let setup = Setup { block_bytes, ..Setup::star(server, 1, 0) };
            let share = |outcome: &Outcome| stop_and_wait_s(outcome) / last_s(outcome);
            let required = (server == Server::Ours).then_some(Limit::AtLeast(0.95));
            cases.push(case(
                setup.name(),
                &lab.run(&setup)?,
                ("of the stop-and-wait bound", &share),
                required,
            ));
        }
    }
    Ok(Row {
        promise: "One device, unicast, nothing lost: 95 % of the stop-and-wait bound of the channel",
        cases,
    })
}

/// Fleets of clients with RFC 7252's defaults.
pub fn fleets(lab: &Lab) -> Result<Row> {
    let mut cases = Vec::new();
    for loss in [0, 5, 10] {
        for block_bytes in BLOCKS {
            let of = |server, devices| Setup { block_bytes, ..Setup::star(server, devices, loss) };
            let mut best = 0_f64;
            for server in [Server::Legacy, Server::Rfc7252] {
                best = best.max(goodput_kbps(&lab.run(&of(server, 1))?));
            }
            for promised in [50, 100] {
                let devices = lab.scale.devices(promised);
                cases.extend(fleet(lab, &of(Server::Legacy, devices), best)?);
                let tftp = if block_bytes == 1024 { Server::TftpOptions } else { Server::Tftp };
                for server in [Server::Rfc7252, tftp] {
                    let setup = of(server, devices);
                    cases.push(against(&setup, &lab.run(&setup)?, best, None));
                }
            }
        }
    }
    let promise = "50 and 100 legacy clients at once, 0 to 10 % loss: 95 % of the best lone client's goodput, all finish, Jain ≥ 0.95";
    Ok(Row { promise, cases })
}

fn fleet(lab: &Lab, setup: &Setup, best: f64) -> Result<[Case; 2]> {
    let outcomes = lab.run(setup)?;
    let goodput = against(setup, &outcomes, best, Some(Limit::AtLeast(0.95)));
    let fairness =
        case(setup.name(), &outcomes, ("Jain", &|outcome| outcome.jain), Some(Limit::AtLeast(0.95)));
    Ok([goodput, fairness])
}

fn against(setup: &Setup, outcomes: &[Outcome], best: f64, required: Option<Limit>) -> Case {
    let share = |outcome: &Outcome| outcome.goodput_bps / 1000.0 / best;
    case(setup.name(), outcomes, ("of the best lone client's goodput", &share), required)
}
