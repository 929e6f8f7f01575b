//! The relay's program: arguments to work, errors to exit codes.

use anyhow::Context;
use clap::Parser;
use sixfold_relay::cli::{Cli, Command, ConfigFile, StatusOptions};
use sixfold_relay::config::{Config, Mistakes};
use sixfold_relay::ops::{logging, status};
use sixfold_relay::{app, demo, doctor};
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match &cli.command {
        Command::Serve(file) => serve(file),
        Command::Check(file) => check(file),
        Command::Doctor(file) => examine(file),
        Command::Demo(options) => logging::init("warn", false).and_then(|()| run(demo::run(options))),
        Command::Status(options) => run(show_status(options)),
    };
    outcome.unwrap_or_else(|error| {
        complain(&format!("sixfold-relay: {error:#}"));
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
        Err(mistakes) => return Ok(refuse(&mistakes)),
    };
    logging::init(config.log.level, config.log.json)?;
    run(async {
        app::serve(&file.config, config).await?;
        Ok(ExitCode::SUCCESS)
    })
}

fn check(file: &ConfigFile) -> anyhow::Result<ExitCode> {
    match Config::load(&file.config) {
        Ok(config) => print(&app::summary(&config)),
        Err(mistakes) => Ok(refuse(&mistakes)),
    }
}

fn examine(file: &ConfigFile) -> anyhow::Result<ExitCode> {
    let config = match Config::load(&file.config) {
        Ok(config) => config,
        Err(mistakes) => return Ok(refuse(&mistakes)),
    };
    run(async {
        let findings = doctor::examine(&config).await;
        print(&findings.to_string())?;
        Ok(if findings.is_serving_prevented() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    })
}

fn refuse(mistakes: &Mistakes) -> ExitCode {
    complain(&mistakes.to_string());
    ExitCode::from(2)
}

async fn show_status(options: &StatusOptions) -> anyhow::Result<ExitCode> {
    let status = status::fetch(&options.url).await?;
    let text = if options.json { serde_json::to_string_pretty(&status)? + "\n" } else { status.to_string() };
    print(&text)
}

/// Writes a result. A reader that has seen enough, such as `head`, is no failure.
fn print(text: &str) -> anyhow::Result<ExitCode> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("operator: the result cannot be written to standard output")
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Tells the operator. If nobody listens, the exit code still speaks.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
