//! `sixfold-air proof`.

use anyhow::Result;
use sixfold_netns_tests::air_cli::{INCOMPLETE, ProofOptions};
use sixfold_netns_tests::proof::{self, Row, Scale};
use std::process::ExitCode;
use std::{env, thread};

/// Measures all rows and writes the report. It succeeds when every promise is kept.
pub(crate) fn run(options: &ProofOptions) -> Result<ExitCode> {
    let base = if options.small { Scale::small() } else { Scale::full() };
    let scale = Scale { seeds: options.seeds.unwrap_or(base.seeds), ..base };
    let threads = options.threads.or_else(|| thread::available_parallelism().ok());
    let threads = threads.map_or(1, |threads| threads.get());
    let rows = proof::measure(scale, threads, &|what| eprintln!("{what}"))?;
    let arguments: Vec<String> = env::args().skip(1).collect();
    let command = format!("sixfold-air {}", arguments.join(" "));
    proof::write(&options.out, scale, &rows, threads, &command)?;
    println!("{}", options.out.join("report.md").display());
    let is_kept = rows.iter().all(|row| Row::verdict(row) != Some(false));
    Ok(if is_kept { ExitCode::SUCCESS } else { ExitCode::from(INCOMPLETE) })
}
