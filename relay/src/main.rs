//! The relay's program: arguments to work, errors to exit codes.

use clap::Parser;
use sixfold_relay::cli::{Cli, Command, ConfigFile, StatusOptions};
use sixfold_relay::config::Config;
use sixfold_relay::ops::{logging, status};
use sixfold_relay::{app, demo};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match &cli.command {
        Command::Serve(file) => serve(file),
        Command::Check(file) => Ok(check(file)),
        Command::Demo(options) => logging::init("warn", false).and_then(|()| run(demo::run(options))),
        Command::Status(options) => run(show_status(options)),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("sixfold-relay: {error:#}");
        ExitCode::FAILURE
    })
}

/// One thread: the link is slow, the machine is small, and the engine is one state machine.
fn run(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

fn serve(file: &ConfigFile) -> anyhow::Result<ExitCode> {
    let config = match Config::load(&file.config) {
        Ok(config) => config,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return Ok(ExitCode::from(2));
        }
    };
    logging::init(config.log.level, config.log.json)?;
    run(async {
        app::serve(&file.config, config).await?;
        Ok(ExitCode::SUCCESS)
    })
}

fn check(file: &ConfigFile) -> ExitCode {
    match Config::load(&file.config) {
        Ok(config) => {
            print!("{}", app::summary(&config));
            ExitCode::SUCCESS
        }
        Err(mistakes) => {
            eprintln!("{mistakes}");
            ExitCode::from(2)
        }
    }
}

async fn show_status(options: &StatusOptions) -> anyhow::Result<ExitCode> {
    let status = status::fetch(&options.url).await?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        print!("{status}");
    }
    Ok(ExitCode::SUCCESS)
}
