//! `sixfold-air fleet`.

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use sixfold_air::sim::{self, Server};
use sixfold_netns_tests::air_cli::{FleetOptions, INCOMPLETE};
use sixfold_netns_tests::fleet::matrix::Matrix;
use sixfold_netns_tests::fleet::{self, runner};
use std::io::{IsTerminal, stderr};
use std::process::ExitCode;
use std::{env, thread};

/// Runs the matrix and writes the report. It succeeds when no device ever got a wrong byte.
pub(crate) fn run(options: FleetOptions) -> Result<ExitCode> {
    let (folder, threads) = (options.out.clone(), options.threads);
    let matrix = matrix(options);
    let cells = matrix.cells();
    let refusal = cells.iter().find_map(|cell| cell.server.refuses(&matrix.scenario(cell)));
    if let Some(refusal) = refusal {
        bail!("{refusal}");
    }
    let threads = threads.or_else(|| thread::available_parallelism().ok()).map_or(1, |threads| threads.get());
    let run = |cell: &_| {
        let scenario = matrix.scenario(cell);
        sim::run(&scenario, cell.server, cell.seed)
    };
    let runs = watched(cells.len(), |progress| runner::run(&cells, threads, &run, progress))?;
    let arguments: Vec<String> = env::args().skip(1).collect();
    fleet::write(&folder, &matrix, &runs, &format!("sixfold-air {}", arguments.join(" ")))?;
    println!("{}", folder.join("report.md").display());
    let wrong: u64 = runs.iter().map(|run| run.outcome.wrong_bytes).sum();
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::from(INCOMPLETE) })
}

fn matrix(options: FleetOptions) -> Matrix {
    let base = if options.small { Matrix::small() } else { Matrix::full() };
    let named: Option<Vec<Server>> = options.servers.map(|names| names.into_iter().map(Into::into).collect());
    let is_wanted = |server: &Server| named.as_ref().is_none_or(|named| named.contains(server));
    Matrix {
        servers: base.servers.into_iter().filter(is_wanted).collect(),
        devices: options.devices.map_or(base.devices, ascending),
        loss_percent: options.loss.map_or(base.loss_percent, ascending),
        block_bytes: options.szx.map_or(base.block_bytes, ascending),
        seeds: options.seeds.unwrap_or(base.seeds),
        image_bytes: options.image.unwrap_or(base.image_bytes),
    }
}

/// The report's order, whatever the order of the arguments; nothing twice.
fn ascending<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort_unstable();
    values.dedup();
    values
}

/// A bar on a terminal, a line for each tenth otherwise.
fn watched<T>(runs: usize, work: impl FnOnce(&(dyn Fn(usize) + Sync)) -> T) -> Result<T> {
    if stderr().is_terminal() {
        let style = ProgressStyle::with_template("{bar:40} {pos} of {len} runs, {elapsed}, {eta} to go")?;
        let bar = ProgressBar::new(runs as u64).with_style(style);
        let result = work(&|done| bar.set_position(done as u64));
        bar.finish_and_clear();
        return Ok(result);
    }
    Ok(work(&|done| {
        if done * 10 / runs > (done - 1) * 10 / runs {
            eprintln!("{done} of {runs} runs are done");
        }
    }))
}
