//! The report of `make fleet`: its files, its runner, and the small matrix's table, which is reviewed like code.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use sixfold_air::outcome::Outcome;
use sixfold_air::sim::{self, Server};
use sixfold_netns_tests::fleet::matrix::{Cell, Matrix};
use sixfold_netns_tests::fleet::runner::{self, Run};
use sixfold_netns_tests::fleet::{self, csv, markdown, summary};
use sixfold_netns_tests::workspace;
use std::env;
use std::fs;

const SNAPSHOT: &str = "netns-tests/tests/snapshots/fleet-small.md";

fn run(matrix: &Matrix, threads: usize) -> Vec<Run> {
    let simulate = |cell: &Cell| sim::run(&matrix.scenario(cell), cell.server, cell.seed);
    runner::run(&matrix.cells(), threads, &simulate, &|_| ())
}

fn tiny() -> Matrix {
    Matrix { devices: vec![1, 3], loss_percent: vec![0, 20], image_bytes: 512, seeds: 2, ..Matrix::small() }
}

/// Every figure follows from the seeds. If this fails, something changed what Sixfold does to a radio link: look at the
/// difference, and bless it with `SIXFOLD_BLESS=1` if it is meant.
#[test]
fn the_small_matrix_is_as_reviewed() {
    let matrix = Matrix::small();
    let summaries = summary::of(&run(&matrix, 2));
    let mut table =
        "Lost frames, and what `make fleet ARGS=--small` measures then (tests/fleet.rs).\n".to_owned();
    for loss in &matrix.loss_percent {
        table += &format!("\n{loss} %\n\n{}", markdown::table(&summaries, *loss));
    }
    let file = workspace::root().join(SNAPSHOT);
    if env::var_os("SIXFOLD_BLESS").is_some() {
        fs::write(&file, &table).unwrap();
    }
    let reviewed = fs::read_to_string(&file).unwrap_or_default();
    for (now, then) in table.lines().zip(reviewed.lines()) {
        assert_eq!(now, then, "{SNAPSHOT}");
    }
    assert_eq!(table.lines().count(), reviewed.lines().count(), "{SNAPSHOT}");
}

#[test]
fn every_combination_is_run_and_none_twice() {
    let mut cells = Matrix::full().cells();
    // 4 losses × 5 sizes of fleet × (6 servers × 5 blocks + TFTP at its own) × 3 seeds
    assert_eq!(cells.len(), 4 * 5 * (6 * 5 + 1) * 3);
    cells.dedup();
    assert_eq!(cells.len(), 1860);
    assert!(cells.iter().all(|cell| cell.server != Server::Tftp || cell.block_bytes == 512));
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let matrix = tiny();
    let alone = run(&matrix, 1);
    assert_eq!(alone.iter().map(|run| run.cell).collect::<Vec<_>>(), matrix.cells());
    assert_eq!(run(&matrix, 4), alone);
}

#[test]
fn all_files_of_the_report_are_written_and_say_the_same() {
    let (matrix, folder) = (tiny(), tempfile::tempdir().unwrap());
    let runs = run(&matrix, 2);
    fleet::write(folder.path(), &matrix, &runs, "sixfold-air fleet").unwrap();

    let report = fs::read_to_string(folder.path().join("report.md")).unwrap();
    let summaries = summary::of(&runs);
    assert_eq!(summaries.len(), runs.len() / 2);
    for loss in [0, 20] {
        assert!(report.contains(&markdown::table(&summaries, loss)));
    }
    let plots: Vec<&str> = report
        .lines()
        .filter_map(|line| line.split_once("](")?.1.split_once(".png"))
        .map(|split| split.0)
        .collect();
    assert_eq!(plots.len(), 2 * 2 * 3);
    for plot in plots {
        let png = fs::read(folder.path().join(format!("{plot}.png"))).unwrap();
        assert_eq!((&png[..8], &png[16..24]), (&b"\x89PNG\r\n\x1a\n"[..], &b"\0\0\x03\xc0\0\0\x02\x58"[..]));
        let svg = fs::read_to_string(folder.path().join(format!("{plot}.svg"))).unwrap();
        let labels = ["% loss", "ours", "rfc7252", "tftp-options"];
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert!(labels.iter().all(|label| svg.contains(label)), "{plot}");
    }
}

#[test]
fn the_csv_has_every_run_with_the_keys_of_the_json() {
    let runs = run(&tiny(), 2);
    let text = csv::text(&runs).unwrap();
    let (header, lines) = text.split_once('\n').unwrap();
    assert!(
        header.starts_with("devices,done,gave_up,first_done_s,median_done_s,p95_done_s,last_done_s,bound_s,")
    );
    assert_eq!(lines.lines().count(), runs.len());
    let columns: Vec<&str> = header.split(',').collect();
    for (line, run) in lines.lines().zip(&runs) {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!(fields.len(), columns.len());
        let field = |name| fields[columns.iter().position(|column| *column == name).unwrap()];
        assert_eq!(field("server"), run.cell.server.label());
        assert_eq!(field("frames"), run.outcome.frames.to_string());
        assert_eq!(
            field("last_done_s"),
            run.outcome.last_done_s.map(|last| last.to_string()).unwrap_or_default()
        );
    }
}

#[test]
fn a_combination_that_nobody_survives_has_no_times() {
    let matrix = Matrix { seeds: 1, ..tiny() };
    let cell = matrix.cells()[0];
    let dead = |cell: &Cell| -> Outcome {
        let mut scenario = matrix.scenario(cell);
        scenario.fetch.give_up_after = std::time::Duration::from_micros(1);
        sim::run(&scenario, cell.server, cell.seed)
    };
    let summaries = summary::of(&runner::run(&[cell], 1, &dead, &|_| ()));
    assert_eq!((summaries[0].done, summaries[0].last_done_s, summaries[0].goodput_bps), (0, None, 0.0));
    assert!(markdown::table(&summaries, 0).contains("| 0.0 % | – | – | 0.0 |"));
}
