//! The figures of one run, for people or for scripts.

use anyhow::Result;
use serde::Serialize;
use sixfold_air::outcome::{NodeFigures, Outcome};
use sixfold_air::scenario::Scenario;
use sixfold_netns_tests::air_cli::{INCOMPLETE, RunOptions};
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

#[derive(Serialize)]
struct WithNodes<'o> {
    #[serde(flatten)]
    outcome: &'o Outcome,
    nodes: &'o [NodeFigures],
}

/// Prints the figures; the exit code says whether every device has the image.
pub(crate) fn print(scenario: &Scenario, outcome: &Outcome, options: &RunOptions) -> Result<ExitCode> {
    let text = match (options.json, options.nodes) {
        (true, false) => serde_json::to_string_pretty(outcome)? + "\n",
        (true, true) => serde_json::to_string_pretty(&WithNodes { outcome, nodes: &outcome.nodes })? + "\n",
        (false, false) => table(scenario, outcome),
        (false, true) => table(scenario, outcome) + &nodes(outcome),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever stopped reading has read enough.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    let complete = outcome.done == outcome.devices && outcome.wrong_bytes == 0;
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::from(INCOMPLETE) })
}

fn table(scenario: &Scenario, outcome: &Outcome) -> String {
    let time = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), |time| format!("{time:.2} s"));
    let bound_bps = 8.0 * f64::from(outcome.image_bytes) / outcome.bound_s;
    let rows = [
        ("devices done", format!("{} of {}", outcome.done, outcome.devices)),
        ("devices that gave up", outcome.gave_up.to_string()),
        ("first done", time(outcome.first_done_s)),
        ("median done", time(outcome.median_done_s)),
        ("95 % done", time(outcome.p95_done_s)),
        ("last done", time(outcome.last_done_s)),
        ("bound: one broadcast", time(Some(outcome.bound_s))),
        ("goodput", format!("{:.1} kbit/s", outcome.goodput_bps / 1000.0)),
        ("goodput / bound", format!("{:.1} %", 100.0 * outcome.goodput_bps / bound_bps)),
        ("frames", outcome.frames.to_string()),
        ("frames / image byte", format!("{:.4}", outcome.frames_per_image_byte)),
        ("frames sent again", outcome.mac_retries.to_string()),
        ("frames given up", outcome.mac_failures.to_string()),
        ("collisions", outcome.collisions.to_string()),
        ("queue drops", outcome.queue_drops.to_string()),
        ("reassembly failures", outcome.reassembly_failures.to_string()),
        ("messages sent again", outcome.retransmissions.to_string()),
        ("blocks to groups", outcome.group_blocks.to_string()),
        ("parity to groups", outcome.group_parity.to_string()),
        ("streams begun", outcome.group_starts.to_string()),
        ("first stream began", time(outcome.group_began_s)),
        ("first stream ended", time(outcome.group_first_ended_s)),
        ("streams were silent", format!("{:.2} s", outcome.group_silence_s)),
        ("thrown away", format!("{} bytes", outcome.discarded_bytes)),
        ("fairness (Jain)", format!("{:.3}", outcome.jain)),
        ("transmitting, per device", format!("{:.0} ms", outcome.tx_ms_per_device)),
        ("receiving, per device", format!("{:.0} ms", outcome.rx_ms_per_device)),
        ("fetched from the origin", format!("{} bytes", outcome.origin_bytes)),
        ("wrong bytes", outcome.wrong_bytes.to_string()),
    ];
    let heading = format!(
        "{}: {} bytes in blocks of {}, loss {:.1} %, server {}, seed {}\n",
        scenario.name,
        outcome.image_bytes,
        outcome.block_bytes,
        100.0 * outcome.loss,
        outcome.server,
        outcome.seed
    );
    rows.iter().fold(heading, |text, (name, value)| text + &format!("  {name:<26}{value:>16}\n"))
}

fn nodes(outcome: &Outcome) -> String {
    let heading = format!(
        "\n{:<16}{:>9}{:>8}{:>7}{:>7}{:>9}{:>6}{:>11}{:>8}{:>7}{:>12}{:>8}{:>9}{:>10}\n",
        "node",
        "done (s)",
        "frames",
        "again",
        "acks",
        "no ack",
        "busy",
        "collisions",
        "losses",
        "drops",
        "reassembly",
        "other",
        "tx (ms)",
        "rx (ms)"
    );
    outcome.nodes.iter().fold(heading, |text, node| {
        let done = node.done_s.map_or_else(|| "-".to_owned(), |done| format!("{done:.2}"));
        text + &format!(
            "{:<16}{done:>9}{:>8}{:>7}{:>7}{:>9}{:>6}{:>11}{:>8}{:>7}{:>12}{:>8}{:>9.0}{:>10.0}\n",
            node.name,
            node.frames,
            node.mac_retries,
            node.acknowledgements,
            node.unacknowledged,
            node.channel_access_failures,
            node.collisions,
            node.losses,
            node.queue_drops,
            node.reassembly_failures,
            node.undeliverable,
            node.tx_ms,
            node.rx_ms
        )
    })
}
