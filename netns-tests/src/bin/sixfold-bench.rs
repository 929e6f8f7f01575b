//! `make bench`: see [`sixfold_netns_tests::bench`].

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use sixfold_netns_tests::bench::{Plan, codec, echo, engine, pacing, run, session};
use sixfold_profile::coap::Szx;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Compares sixfold-relay with a bare UDP echo and with libcoap, in one run.
#[derive(Parser)]
struct Arguments {
    /// The relay to measure; without it, the one beside this program.
    #[arg(long)]
    relay: Option<PathBuf>,
    /// Seconds per run.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Runs per figure; medians are reported.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Numbers of clients at the same time.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64, 1000])]
    clients: Vec<usize>,
    /// Block sizes in bytes.
    #[arg(long, value_delimiter = ',', value_parser = block_size, default_values = ["64", "1024"])]
    sizes: Vec<Szx>,
    /// Clients that come once, for the memory per idle client.
    #[arg(long, default_value_t = 10_000)]
    idle_clients: usize,
    /// Prints JSON instead of the table.
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// The bare UDP echo, started by the comparison itself.
    #[command(hide = true)]
    Echo {
        address: SocketAddr,
        #[arg(value_parser = block_size)]
        size: Szx,
    },
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Command::Echo { address, size }) = arguments.command {
        return echo::serve(address, size);
    }
    let plan = Plan {
        relay: arguments.relay.map_or_else(beside_this_program, Ok)?,
        duration: Duration::try_from_secs_f64(arguments.seconds).context("--seconds")?,
        runs: arguments.runs,
        clients: arguments.clients,
        sizes: arguments.sizes,
        idle_clients: arguments.idle_clients,
    };
    let report = run(&plan, |line| eprintln!("{line}"))?;
    if !arguments.json {
        println!("\n{report}");
    }
    let engine = engine::measure()?;
    let pacing = pacing::measure()?;
    let session = session::measure()?;
    let codecs = codec::compare()?;
    if arguments.json {
        let all = serde_json::json!({"servers": report.json(), "engine": engine.json(), "pacing": pacing.json(), "oscore": session.json(), "codecs": codecs.json()});
        println!("{all:#}");
    } else {
        println!("{engine}\n{pacing}\n{session}\n{codecs}");
    }
    Ok(())
}

fn beside_this_program() -> Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("sixfold-relay"))
}

fn block_size(text: &str) -> Result<Szx> {
    Szx::from_size(text.parse()?).context("block sizes are 16, 32, 64, 128, 256, 512 and 1024")
}
