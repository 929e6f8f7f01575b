//! The relay's program: arguments to work, errors to exit codes.

use clap::Parser;
use sixfold_relay::cli::{
    Cli, Command, ConfigFile, PurgeOptions, Resources, RevokeOptions, Running, ServeOptions,
    SessionListOptions, SessionsCommand, StatusOptions,
};
use sixfold_relay::config::{Config, Mistakes};
use sixfold_relay::confine::Confinement;
use sixfold_relay::doctor::{self, Severity};
use sixfold_relay::ops::logging::{self, Reader};
use sixfold_relay::ops::status::{self, Form, Page};
use sixfold_relay::ops::{Order, Report, order};
use sixfold_relay::origin::OriginSetupError;
use sixfold_relay::refused::Refused;
use sixfold_relay::{app, output};
use std::io::{self, IsTerminal};
use std::process::ExitCode;

/// The exit status if the operator has to mend something first: as clap's for a wrong command line.
const WRONG: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match &cli.command {
        Command::Serve(options) => serve(options),
        Command::Check(file) => check(file),
        Command::Doctor(file) => examine(file),
        Command::Status(options) => run(show_status(options)),
        Command::Prefetch(what) => run(prefetch(what)),
        Command::Purge(options) => run(purge(options)),
        Command::Ban(what) => run(for_each(&what.relay, &what.names, |name| Order::Ban { name })),
        Command::Unban(what) => run(for_each(&what.relay, &what.names, |name| Order::LiftBan { name })),
        Command::Sessions(SessionsCommand::List(options)) => run(list_sessions(options)),
        Command::Sessions(SessionsCommand::Revoke(options)) => run(revoke_sessions(options)),
    };
    outcome.unwrap_or_else(|error| {
        output::tell(&format!("sixfold-relay: {error:#}"));
        if Refused::is_behind(&error) || error.is::<OriginSetupError>() {
            ExitCode::from(WRONG)
        } else {
            ExitCode::FAILURE
        }
    })
}

/// One thread: the link is slow, the machine is small, and the engine is one state machine.
fn run(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

fn serve(options: &ServeOptions) -> anyhow::Result<ExitCode> {
    let file = &options.file;
    let config = match Config::load(&file.config) {
        Ok(config) => config,
        Err(mistakes) => return Ok(refuse(&mistakes)),
    };
    logging::init(config.log.level, config.log.json, Reader::of_this_process(options.two_streams))?;
    // Before the runtime, which starts threads.
    let confinement = Confinement::enter(&config, &file.config)?;
    run(async {
        app::serve(&file.config, config, &confinement).await?;
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
        let (mut is_prevented, mut written) = (false, Ok(true));
        doctor::examine(&config, |finding| {
            is_prevented |= finding.severity == Severity::Failure;
            if matches!(written, Ok(true)) {
                written = output::write(&finding.to_string());
            }
        })
        .await;
        written?;
        Ok(if is_prevented { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    })
}

fn refuse(mistakes: &Mistakes) -> ExitCode {
    output::tell(&mistakes.to_string());
    ExitCode::from(WRONG)
}

async fn show_status(options: &StatusOptions) -> anyhow::Result<ExitCode> {
    let StatusOptions { limit, skip, skip_images, .. } = *options;
    let page = Page { limit, skip, skip_images, ..Page::default() };
    let form = if options.json { Form::Json } else { Form::Text };
    let refreshes = io::stdout().is_terminal() && form == Form::Text && !options.once;
    if options.watch || refreshes {
        status::watch(&options.relay.url, page, form, options.interval).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let status = status::fetch(&options.relay.url, page).await?;
    let text = if options.json { serde_json::to_string_pretty(&status)? + "\n" } else { status.to_string() };
    print(&text)
}

/// One after another; what fails does not keep the others from being fetched.
async fn prefetch(what: &Resources) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for name in &what.names {
        match order::prefetch(&what.relay.url, name).await {
            Ok(image) => drop(print(&format!("{image}\n"))?),
            Err(error) => {
                output::tell(&format!("sixfold-relay: {error:#}"));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

async fn purge(options: &PurgeOptions) -> anyhow::Result<ExitCode> {
    if options.all {
        let report = order::tell(&options.relay.url, &Order::Purge { name: None }).await?;
        return print(&format!("{report}\n"));
    }
    for_each(&options.relay, &options.names, |name| Order::Purge { name: Some(name) }).await
}

/// One after another. A name of which there was nothing to purge or to unban is a failure: it was most likely misspelt. A ban is
/// none, for it holds whether anybody asked before or not.
async fn for_each(relay: &Running, names: &[String], order: fn(String) -> Order) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for name in names {
        let report = order::tell(&relay.url, &order(name.clone())).await?;
        print(&format!("{report}\n"))?;
        if matches!(report, Report::Purged { images: 0 } | Report::Lifted { was_banned: false, .. }) {
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

async fn list_sessions(options: &SessionListOptions) -> anyhow::Result<ExitCode> {
    let page = Page { limit: options.limit, skip_sessions: options.skip, ..Page::default() };
    let status = status::fetch(&options.relay.url, page).await?;
    print(&status::SessionList(&status).to_string())
}

/// A name that nobody has is a failure: it was most likely misspelt. So are sessions that a restart may bring back.
async fn revoke_sessions(options: &RevokeOptions) -> anyhow::Result<ExitCode> {
    let report = order::tell(&options.relay.url, &Order::Revoke { name: options.name.clone() }).await?;
    print(&format!("{report}\n"))?;
    let is_done =
        matches!(report, Report::Revoked { sessions, is_lasting: true } if sessions > 0 || options.all);
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(text: &str) -> anyhow::Result<ExitCode> {
    output::write(text).map(|_| ExitCode::SUCCESS)
}
