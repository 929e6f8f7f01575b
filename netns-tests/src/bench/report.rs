//! From samples to one table of medians, ratios and goals.

use super::server::Kind;
use serde_json::{Value, json};
use sixfold_profile::coap::Szx;
use std::fmt;
use std::time::Duration;

/// Of the blocks per second of the echo.
const GOAL_OF_ECHO: f64 = 0.8;
/// Blocks per CPU second, in multiples of libcoap's, by number of clients.
const GOALS_OF_LIBCOAP: [(usize, f64); 2] = [(64, 3.0), (1000, 10.0)];
/// CPU of a block in a session, in multiples of that of a plain one.
const GOAL_PROTECTED: f64 = 1.5;
const GOAL_IDLE_BYTES: f64 = 1024.0;
const GOAL_CACHED_RATIO: f64 = 1.05;

const HEADER: &str = "
                                                           blocks per CPU second     RSS  all served
 block clients  server          blocks/s  of echo  CPU µs/block   of echo  of libcoap     MiB    after ms  retries
";

/// All that was measured.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Servers that were not measured, and why.
    pub skipped: Vec<String>,
    pub(super) samples: Vec<Sample>,
    pub(super) idle: Vec<Idle>,
    pub(super) cached: Vec<Cached>,
}

/// One run of one server under load.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) kind: Kind,
    pub(super) szx: Szx,
    pub(super) clients: usize,
    pub(super) blocks: u64,
    pub(super) retries: u64,
    /// `None`: some clients got nothing for as long as the load was patient.
    pub(super) all_served_after: Option<Duration>,
    pub(super) wall: Duration,
    pub(super) cpu: Duration,
    pub(super) rss_bytes: u64,
}

/// Growth of a server by clients that came once.
#[derive(Clone, Debug)]
pub(super) struct Idle {
    pub(super) kind: Kind,
    pub(super) clients: usize,
    pub(super) grown_bytes: u64,
}

/// Growth of the relay by images.
#[derive(Clone, Debug)]
pub(super) struct Cached {
    pub(super) image_bytes: u64,
    pub(super) grown_bytes: u64,
}

/// The medians of the runs of one server under one load.
struct Row {
    kind: Kind,
    szx: Szx,
    clients: usize,
    blocks_per_s: f64,
    cpu_us_per_block: f64,
    rss_bytes: f64,
    /// From the first request of all until every client had a block; infinite if that never came.
    all_served_ms: f64,
    /// Of all runs.
    retries: u64,
}

/// A goal, and what was measured.
struct Goal {
    what: String,
    measured: f64,
    goal: f64,
    at_least: bool,
}

impl Report {
    /// Everything as JSON: rows, memory, goals, and what was skipped.
    pub fn json(&self) -> Value {
        let rows = self.rows();
        let rows: Vec<_> = rows.iter().map(Row::json).collect();
        let goals: Vec<_> = self.goals().iter().map(Goal::json).collect();
        let idle: Vec<_> = self
            .idle_bytes()
            .map(|(kind, bytes)| json!({"server": kind.name(), "bytes_per_idle_client": bytes}))
            .collect();
        json!({"rows": rows, "idle": idle, "cached_ratio": self.cached_ratio(), "goals": goals,
               "skipped": self.skipped})
    }

    /// In the order of the first run.
    fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        for sample in &self.samples {
            let key = (sample.kind, sample.szx, sample.clients);
            if !rows.iter().any(|row| (row.kind, row.szx, row.clients) == key) {
                let same: Vec<_> = self
                    .samples
                    .iter()
                    .filter(|other| (other.kind, other.szx, other.clients) == key)
                    .collect();
                rows.push(Row::of(&same, key));
            }
        }
        rows.sort_by_key(|row| (row.szx, row.clients));
        rows
    }

    fn idle_bytes(&self) -> impl Iterator<Item = (Kind, f64)> {
        [Kind::Echo, Kind::Relay, Kind::Libcoap].into_iter().filter_map(|kind| {
            let same = self.idle.iter().filter(|idle| idle.kind == kind);
            Some((kind, median(same.map(|idle| idle.grown_bytes as f64 / idle.clients as f64))?))
        })
    }

    fn cached_ratio(&self) -> Option<f64> {
        median(self.cached.iter().map(|cached| cached.grown_bytes as f64 / cached.image_bytes as f64))
    }

    fn goals(&self) -> Vec<Goal> {
        let rows = self.rows();
        let mut goals = Vec::new();
        for relay in rows.iter().filter(|row| row.kind == Kind::Relay) {
            let load = format!("{} B, {} clients", relay.szx.size(), relay.clients);
            if let Some(echo) = relay.beside(Kind::Echo, &rows) {
                let speed = ("blocks/s, of the echo", relay.speed_of(echo));
                let thrift = ("blocks per CPU second, of the echo", relay.thrift_of(echo));
                goals.extend([speed, thrift].map(|(what, measured)| {
                    Goal::at_least(format!("{load}: {what}"), measured, GOAL_OF_ECHO)
                }));
            }
            let goal = GOALS_OF_LIBCOAP.iter().find(|(clients, _)| *clients == relay.clients);
            if let (Some(libcoap), Some((_, goal))) = (relay.beside(Kind::Libcoap, &rows), goal) {
                let what = format!("{load}: blocks per CPU second, of libcoap");
                goals.push(Goal::at_least(what, relay.thrift_of(libcoap), *goal));
            }
        }
        for protected in rows.iter().filter(|row| row.kind == Kind::Protected) {
            let Some(plain) = protected.beside(Kind::Relay, &rows) else { continue };
            let what = format!(
                "{} B, {} clients: CPU of a block in a session, of a plain one",
                protected.szx.size(),
                protected.clients
            );
            goals.push(Goal::at_most(what, plain.thrift_of(protected), GOAL_PROTECTED));
        }
        if let Some((_, bytes)) = self.idle_bytes().find(|(kind, _)| *kind == Kind::Relay) {
            goals.push(Goal::at_most("memory per idle client, bytes".into(), bytes, GOAL_IDLE_BYTES));
        }
        if let Some(ratio) = self.cached_ratio() {
            goals.push(Goal::at_most("memory per cached image byte".into(), ratio, GOAL_CACHED_RATIO));
        }
        goals
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows();
        f.write_str(HEADER)?;
        for row in &rows {
            let echo = row.beside(Kind::Echo, &rows);
            let libcoap = row.beside(Kind::Libcoap, &rows);
            writeln!(
                f,
                "{:>6} {:>7}  {:<14} {:>9.0} {:>8} {:>13.2} {:>9} {:>11} {:>7.1} {:>11} {:>8}",
                row.szx.size(),
                row.clients,
                row.kind.name(),
                row.blocks_per_s,
                optional(echo.map(|echo| format!("{:.0} %", row.speed_of(echo) * 100.0))),
                row.cpu_us_per_block,
                optional(echo.map(|echo| format!("{:.0} %", row.thrift_of(echo) * 100.0))),
                optional(libcoap.map(|libcoap| format!("{:.1} x", row.thrift_of(libcoap)))),
                row.rss_bytes / f64::from(1 << 20),
                row.all_served(),
                row.retries,
            )?;
        }
        writeln!(f)?;
        self.idle_bytes().try_for_each(|(kind, bytes)| {
            writeln!(f, "memory per idle client, {}: {bytes:.0} B", kind.name())
        })?;
        writeln!(f)?;
        self.goals().iter().try_for_each(|goal| writeln!(f, "{goal}"))?;
        self.skipped.iter().try_for_each(|reason| writeln!(f, "SKIPPED  {reason}"))
    }
}

impl Row {
    fn of(samples: &[&Sample], (kind, szx, clients): (Kind, Szx, usize)) -> Self {
        let median_of = |figure: fn(&Sample) -> f64| {
            median(samples.iter().map(|sample| figure(sample))).unwrap_or(f64::NAN)
        };
        Self {
            kind,
            szx,
            clients,
            blocks_per_s: median_of(|sample| sample.blocks as f64 / sample.wall.as_secs_f64()),
            cpu_us_per_block: median_of(|sample| sample.cpu.as_secs_f64() * 1e6 / sample.blocks as f64),
            rss_bytes: median_of(|sample| sample.rss_bytes as f64),
            all_served_ms: median_of(|sample| {
                sample.all_served_after.map_or(f64::INFINITY, |after| after.as_secs_f64() * 1e3)
            }),
            retries: samples.iter().map(|sample| sample.retries).sum(),
        }
    }

    /// The row of another server under the same load.
    fn beside<'a>(&self, kind: Kind, rows: &'a [Self]) -> Option<&'a Self> {
        rows.iter().find(|row| (row.kind, row.szx, row.clients) == (kind, self.szx, self.clients))
    }

    fn all_served(&self) -> String {
        if self.all_served_ms.is_finite() { format!("{:.1}", self.all_served_ms) } else { "never".into() }
    }

    /// Blocks per second, as a multiple of another server's.
    fn speed_of(&self, other: &Self) -> f64 {
        self.blocks_per_s / other.blocks_per_s
    }

    /// Blocks per CPU second, as a multiple of another server's.
    fn thrift_of(&self, other: &Self) -> f64 {
        other.cpu_us_per_block / self.cpu_us_per_block
    }

    fn json(&self) -> Value {
        json!({"server": self.kind.name(), "block_bytes": self.szx.size(), "clients": self.clients,
               "blocks_per_second": self.blocks_per_s, "cpu_us_per_block": self.cpu_us_per_block,
               "rss_bytes": self.rss_bytes, "all_served_ms": self.all_served_ms, "retries": self.retries})
    }
}

impl Goal {
    fn at_least(what: String, measured: f64, goal: f64) -> Self {
        Self { what, measured, goal, at_least: true }
    }

    fn at_most(what: String, measured: f64, goal: f64) -> Self {
        Self { what, measured, goal, at_least: false }
    }

    fn is_met(&self) -> bool {
        if self.at_least { self.measured >= self.goal } else { self.measured <= self.goal }
    }

    fn json(&self) -> Value {
        json!({"what": self.what, "measured": self.measured, "goal": self.goal, "met": self.is_met()})
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_met() { "met   " } else { "MISSED" };
        let relation = if self.at_least { "at least" } else { "at most" };
        write!(f, "{verdict}  {}: {:.2} ({relation} {:.2})", self.what, self.measured, self.goal)
    }
}

fn optional(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".into())
}

/// The middle one, or the mean of the two in the middle.
pub(super) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    if values.len() % 2 == 1 { Some(upper) } else { Some((values[values.len() / 2 - 1] + upper) / 2.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(kind: Kind, clients: usize, blocks: u64, cpu_ms: u64) -> Sample {
        Sample {
            kind,
            szx: Szx::MAX,
            clients,
            blocks,
            retries: 1,
            all_served_after: Some(Duration::from_millis(5)),
            wall: Duration::from_secs(2),
            cpu: Duration::from_millis(cpu_ms),
            rss_bytes: 1 << 20,
        }
    }

    #[test]
    fn medians() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
    }

    #[test]
    fn goals_compare_like_with_like() {
        let samples = vec![
            sample(Kind::Echo, 64, 1000, 4),
            sample(Kind::Relay, 64, 700, 4),
            sample(Kind::Protected, 64, 700, 7),
            sample(Kind::Libcoap, 64, 500, 12),
            sample(Kind::Libcoap, 1000, 1, 1),
        ];
        let idle = vec![Idle { kind: Kind::Relay, clients: 10, grown_bytes: 20_480 }];
        let cached = vec![Cached { image_bytes: 100, grown_bytes: 104 }];
        let report = Report { samples, idle, cached, ..Report::default() };
        let goals: Vec<_> = report.goals().iter().map(|goal| (goal.measured, goal.is_met())).collect();
        // 700 of 1000; 4 µs to 5.71 µs; 24 µs to 5.71 µs; 7 ms to 4; 2048 bytes of 1024; 1.04 of 1.05.
        assert_eq!(goals.len(), 6);
        assert!(goals[..2].iter().all(|(measured, met)| (measured - 0.7).abs() < 1e-9 && !met));
        assert!((goals[2].0 - 4.2).abs() < 1e-9 && goals[2].1);
        assert!((goals[3].0 - 1.75).abs() < 1e-9 && !goals[3].1);
        assert_eq!((goals[4], goals[5]), ((2048.0, false), (1.04, true)));
        let table = report.to_string();
        assert!(table.contains("MISSED  1024 B, 64 clients: blocks/s, of the echo: 0.70"), "{table}");
    }
}
