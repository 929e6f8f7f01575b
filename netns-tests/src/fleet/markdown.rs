//! The report for people.

use crate::fleet::matrix::Matrix;
use crate::fleet::summary::Summary;
use sixfold_air::outcome::bound;
use sixfold_air::sim::Server;
use std::fmt::Write;

/// The report: what was run, one table for each loss, the collapse of each server, and the plots.
pub fn report(matrix: &Matrix, summaries: &[Summary], plots: &[Plot], command: &str) -> String {
    let mut text = heading(matrix, command);
    for &loss in &matrix.loss_percent {
        let _ = write!(text, "\n## {loss} % of frames lost\n\n{}", table(summaries, loss));
    }
    for &loss in &matrix.loss_percent {
        let fewest = match matrix.devices.iter().min() {
            Some(1) | None => "one device".to_owned(),
            Some(fewest) => format!("{fewest} devices"),
        };
        let _ = write!(
            text,
            "\n## Goodput by devices, {loss} % of frames lost\n\nThe goodput of a fleet, as a share of that of {fewest}. \
             Below 100 % devices take from each other.\n\n"
        );
        text += &collapse(matrix, summaries, loss);
    }
    if !plots.is_empty() {
        text += "\n## Plots\n\n";
    }
    for plot in plots {
        let _ = writeln!(text, "![{}]({}.png) ([SVG]({}.svg))\n", plot.title, plot.file, plot.file);
    }
    text
}

/// A plot that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// Its file's name, without `.svg` or `.png`.
    pub file: String,
}

fn heading(matrix: &Matrix, command: &str) -> String {
    let bound_s = bound(matrix.image_bytes, false).as_secs_f64();
    let bound_kbps = 8.0 * f64::from(matrix.image_bytes) / bound_s / 1000.0;
    format!(
        "# Fleets on one radio link

`{command}`, sixfold-air {version}.

An image of {bytes} bytes, devices that power on in the same second around one border router, all in reach of each
other, {seeds}. Bound: one lossless broadcast of the image in maximal frames,
{bound_s:.2} s or {bound_kbps:.1} kbit/s; a server that sends the image to each device alone cannot exceed it, one that
sends it once for all can. What the columns mean: docs/fleet.md.
",
        version = env!("CARGO_PKG_VERSION"),
        bytes = matrix.image_bytes,
        seeds = match matrix.seeds {
            1 => "one seed".to_owned(),
            seeds => format!("{seeds} seeds (figures are medians over them)"),
        },
    )
}

/// The table of one loss.
pub fn table(summaries: &[Summary], loss_percent: u32) -> String {
    let mut table = "| devices | server | block (bytes) | done | median (s) | last (s) | goodput (kbit/s) | of the bound | frames / image byte | collisions | sent again | Jain | send + receive (ms) |
|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
"
    .to_owned();
    for summary in summaries.iter().filter(|summary| summary.cell.loss_percent == loss_percent) {
        let time = |time: Option<f64>| time.map_or_else(|| "–".to_owned(), |time| format!("{time:.1}"));
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} | {} | {:.1} | {:.1} % | {:.3} | {:.0} | {:.0} | {:.3} | {:.0} + {:.0} |",
            summary.cell.devices,
            summary.cell.server.label(),
            summary.cell.block_bytes,
            percent(f64::from(summary.done) / f64::from(summary.devices)),
            time(summary.median_done_s),
            time(summary.last_done_s),
            summary.goodput_bps / 1000.0,
            100.0 * summary.share_of_bound,
            summary.frames_per_image_byte,
            summary.collisions,
            summary.retransmissions,
            summary.jain,
            summary.energy_ms.0,
            summary.energy_ms.1,
        );
    }
    table
}

/// A hundred per cent are all, and none but all.
fn percent(share: f64) -> String {
    format!("{:.1} %", (share * 1000.0).floor() / 10.0)
}

/// How the goodput of a whole fleet compares with that of one device.
fn collapse(matrix: &Matrix, summaries: &[Summary], loss_percent: u32) -> String {
    let counts = matrix.devices.iter();
    let mut table =
        counts.fold("| server | block (bytes) |".to_owned(), |row, count| row + &format!(" {count} |"));
    table += &format!("\n|---|--:|{}\n", "--:|".repeat(matrix.devices.len()));
    for (server, block) in matrix.contenders() {
        let goodput = |devices| goodput(summaries, server, block, devices, loss_percent);
        let one = matrix.devices.iter().min().map_or(0.0, |fewest| goodput(*fewest));
        let cells = matrix.devices.iter().map(|devices| match one {
            0.0 => " – |".to_owned(),
            one => format!(" {:.0} % |", 100.0 * goodput(*devices) / one),
        });
        let _ = writeln!(table, "| {} | {block} |{}", server.label(), cells.collect::<String>());
    }
    table
}

fn goodput(summaries: &[Summary], server: Server, block: u16, devices: u32, loss_percent: u32) -> f64 {
    let same = |summary: &&Summary| {
        let cell = summary.cell;
        (cell.server, cell.block_bytes, cell.devices, cell.loss_percent)
            == (server, block, devices, loss_percent)
    };
    summaries.iter().find(same).map_or(0.0, |summary| summary.goodput_bps)
}
