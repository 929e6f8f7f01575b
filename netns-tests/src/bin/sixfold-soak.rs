//! A relay under many devices and all kinds of trouble, for as long as one likes: `make soak`.

use anyhow::{Context, Result};
use clap::Parser;
use sixfold_netns_tests::isolation;
use sixfold_netns_tests::soak::{self, Plan};
use std::env;
use std::process::ExitCode;
use std::time::Duration;

/// Lets a relay serve devices while its origin, its network, its clock and its operator do their worst, and says what was
/// lost, mixed up or kept. Exit status: 0 nothing, 1 something, 2 it could not be done.
#[derive(Debug, Parser)]
struct Cli {
    /// How long there is trouble, in minutes.
    #[arg(long, default_value_t = 30.0, value_parser = minutes)]
    minutes: f64,
    /// Devices at the same time.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=2000))]
    devices: u16,
    /// Decides which trouble comes when.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn minutes(text: &str) -> Result<f64, String> {
    let minutes = text.parse().ok().filter(|minutes| (0.1..=100_000.0).contains(minutes));
    minutes.ok_or_else(|| "give a number from 0.1".to_owned())
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = if isolation::is_inside() { inside(&cli) } else { isolated() };
    outcome.unwrap_or_else(|error| {
        eprintln!("sixfold-soak: {error:#}");
        ExitCode::from(2)
    })
}

fn inside(cli: &Cli) -> Result<ExitCode> {
    let _outer = isolation::hold_lifeline()?;
    let duration = Duration::from_secs_f64(cli.minutes * 60.0);
    let plan = Plan { devices: cli.devices.into(), duration, seed: cli.seed };
    let ledger = soak::run(&plan, |trouble| println!("{trouble}"))?;
    print!("\n{ledger}");
    Ok(if ledger.verdict().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Starts this program again with everything private to it.
fn isolated() -> Result<ExitCode> {
    if let Some(missing) = soak::NEEDS.iter().find(|peer| peer.program().is_none()) {
        anyhow::bail!("{}", missing.remedy());
    }
    let mut command = isolation::command()?.context(isolation::IMPOSSIBLE)?;
    let mut inside =
        isolation::spawn(command.args(env::args_os().skip(1))).context("unshare did not start")?;
    // Not `wait` alone: that would cut the lifeline.
    let lifeline = inside.stdin.take();
    let status = inside.wait()?;
    drop(lifeline);
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(2)))
}
