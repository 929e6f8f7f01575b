//! The proof at a small scale: it measures every promise, and those that hold at any scale hold.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use sixfold_netns_tests::proof::{self, Row, Scale};
use std::fs;
use std::sync::LazyLock;
use std::thread;

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let threads = thread::available_parallelism().map_or(1, |threads| threads.get());
    proof::measure(Scale::small(), threads, &|_| ()).unwrap()
});

/// Promises whose figures do not depend on how large image and fleet are. The others are measured by `make proof`: after a
/// small image, beginning and end weigh more than what is between them.
const AT_ANY_SCALE: [&str; 3] = ["One device", "Two images", "Clients that know nothing"];

fn row(promise: &str) -> &'static Row {
    ROWS.iter().find(|row| row.promise.starts_with(promise)).unwrap()
}

#[test]
fn what_holds_at_any_scale_holds() {
    for promise in AT_ANY_SCALE {
        let row = row(promise);
        assert_eq!(row.verdict(), Some(true), "{row:#?}");
    }
}

/// A hundred times as many devices need little more time, even where the end is most of it.
#[test]
fn completion_hardly_grows_with_the_fleet() {
    let cases = &row("10 to 1000").cases;
    assert_eq!(cases.len(), 3);
    assert!(cases.iter().all(|case| case.measured.median < 1.8), "{cases:#?}");
}

#[test]
fn everybody_who_listens_finishes_and_nobody_starts_over() {
    for row in ROWS.iter() {
        for case in row.cases.iter().filter(|case| case.name.starts_with("fanout")) {
            assert_eq!(case.done.0, case.done.1, "{case:#?}");
        }
    }
    let thrown_away = row("Half of the devices").cases.iter().filter(|case| case.figure.starts_with("pages"));
    assert!(thrown_away.inspect(|case| assert_eq!(case.verdict(), Some(true), "{case:#?}")).count() > 0);
}

#[test]
fn coded_repair_earns_its_place() {
    let last = |more: &str| {
        let case = row("100 of our devices").cases.iter().find(|case| case.name.ends_with(more)).unwrap();
        case.last_s.median
    };
    let (coded, blocks) = (row("100 of our devices").cases[0].last_s.median, last("repaired with blocks"));
    assert!(1.5 * coded < blocks, "{coded} s with parity, {blocks} s with blocks");
    let alone = row("100 of our devices").cases.iter().find(|case| case.name.starts_with("boot")).unwrap();
    assert!(10.0 * coded < alone.last_s.median, "{coded} s listening, {alone:?}");
}

#[test]
fn fleets_of_legacy_clients_all_finish_and_share_alike() {
    let cases = &row("50 and 100 legacy").cases;
    let legacy = cases.iter().filter(|case| case.name.starts_with("legacy"));
    let checked = legacy.inspect(|case| {
        assert!(case.done.0 == case.done.1 && case.jain >= 0.95, "{case:#?}");
    });
    assert_eq!(checked.count(), 24);
}

#[test]
fn the_report_says_it_all() {
    let folder = tempfile::tempdir().unwrap();
    proof::write(folder.path(), Scale::small(), &ROWS, 2, "sixfold-air proof --small").unwrap();
    let report = fs::read_to_string(folder.path().join("report.md")).unwrap();
    for row in ROWS.iter() {
        let word = match row.verdict() {
            Some(true) => "PASS",
            Some(false) => "**FAIL**",
            None => "–",
        };
        assert!(report.contains(&format!("| {} | {word} |", row.promise)), "{}", row.promise);
        assert!(row.cases.iter().all(|case| report.contains(&case.name)), "{}", row.promise);
    }
    for plot in ["proof-completion", "proof-growth"] {
        let png = fs::read(folder.path().join(format!("{plot}.png"))).unwrap();
        assert_eq!(png[..8], *b"\x89PNG\r\n\x1a\n");
        assert!(fs::read_to_string(folder.path().join(format!("{plot}.svg"))).unwrap().contains("fanout"));
    }
}
