//! `make fleet`: fleets of every size over links of every quality, from every server, as tables and plots.
//!
//! A [`matrix::Matrix`] says what is run, [`runner`] runs it in virtual time on all cores, [`summary`] takes the
//! medians over the seeds, and [`csv`], [`markdown`] and [`plots`] write them down. The seeds decide every figure:
//! the same matrix gives the same files, on any machine.

pub mod csv;
pub mod markdown;
pub mod matrix;
pub mod plots;
pub mod runner;
pub mod summary;

use anyhow::{Context, Result};
use matrix::Matrix;
use runner::Run;
use std::fs;
use std::path::Path;

/// Writes `report.md`, `runs.csv` and the plots of these runs into `folder`.
pub fn write(folder: &Path, matrix: &Matrix, runs: &[Run], command: &str) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let summaries = summary::of(runs);
    let plots = plots::write(folder, matrix, runs, &summaries)?;
    fs::write(folder.join("runs.csv"), csv::text(runs)?)?;
    fs::write(folder.join("report.md"), markdown::report(matrix, &summaries, &plots, command))?;
    Ok(())
}
