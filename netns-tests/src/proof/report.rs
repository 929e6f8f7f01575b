//! The report for people.

use crate::fleet::markdown::Plot;
use crate::proof::{Case, Limit, Row, Scale, Spread};
use sixfold_air::outcome::bound;
use std::fmt::Write;

/// The report: the promises with their verdicts, then each with its cases, then the plots.
pub fn text(scale: Scale, rows: &[Row], plots: &[Plot], command: &str) -> String {
    let mut text = heading(scale, command);
    text += "\n| promise | verdict |\n|---|---|\n";
    for row in rows {
        let _ = writeln!(text, "| {} | {} |", row.promise, verdict(row.verdict()));
    }
    for row in rows {
        let _ = write!(text, "\n## {}\n\n{}", row.promise, table(&row.cases));
    }
    if !plots.is_empty() {
        text += "\n## Plots\n\n";
    }
    for plot in plots {
        let _ = writeln!(text, "![{}]({}.png) ([SVG]({}.svg))\n", plot.title, plot.file, plot.file);
    }
    text
}

impl Row {
    /// Whether all that is required holds; `None` when nothing is.
    pub fn verdict(&self) -> Option<bool> {
        self.cases.iter().filter_map(Case::verdict).reduce(|all, one| all && one)
    }
}

fn heading(scale: Scale, command: &str) -> String {
    let Scale { seeds, image_bytes, fewer } = scale;
    let bound_s = bound(image_bytes, false).as_secs_f64();
    let size =
        if fewer > 1 { format!(" Fleets are {fewer} times smaller than promised.") } else { String::new() };
    format!(
        "# What is promised of fleets on one radio link, and what is so

`{command}`, sixfold-air {version}.

An image of {image_bytes} bytes; medians over {seeds} seeds, with the least and the most.{size} The bound is one lossless
broadcast of the image in maximal frames back to back, {bound_s:.2} s (docs/fleet.md). A fleet is named by server, number of devices,
lost frames and size of blocks; listening devices have 24 KiB of memory for it unless it says otherwise. Lines without a
requirement are there for comparison.
",
        version = env!("CARGO_PKG_VERSION"),
    )
}

/// The table of one row.
fn table(cases: &[Case]) -> String {
    let mut table = "| fleet | figure | required | median | least – most | done | last (s) | frames / image byte | Jain (least) | verdict |\n|---|---|--:|--:|--:|--:|--:|--:|--:|---|\n".to_owned();
    for case in cases {
        let Spread { median, min, max } = case.measured;
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} – {} | {} of {} | {} | {:.3} | {:.3} | {} |",
            case.name,
            case.figure,
            case.required.map_or_else(String::new, limit),
            number(median),
            number(min),
            number(max),
            case.done.0,
            case.done.1,
            number(case.last_s.median),
            case.frames_per_image_byte,
            case.jain,
            verdict(case.verdict())
        );
    }
    table
}

fn limit(limit: Limit) -> String {
    match limit {
        Limit::AtLeast(value) => format!("≥ {}", number(value)),
        Limit::AtMost(value) => format!("≤ {}", number(value)),
    }
}

/// Four digits or so: 0.949 is not 0.95.
fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    match value {
        ..10.0 => format!("{value:.3}"),
        ..100.0 => format!("{value:.2}"),
        _ => format!("{value:.0}"),
    }
}

const fn verdict(verdict: Option<bool>) -> &'static str {
    match verdict {
        Some(true) => "PASS",
        Some(false) => "**FAIL**",
        None => "–",
    }
}
