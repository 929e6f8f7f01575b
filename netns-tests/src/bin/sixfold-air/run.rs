//! `sixfold-air run`.

use crate::{report, scenario};
use anyhow::{Context, Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use sixfold_air::scenario::Scenario;
use sixfold_air::topology::NodeId;
use sixfold_netns_tests::air_cli::{FAILED, LACKING, LiveOptions, NOT_FOUND, SIGNALLED};
use sixfold_netns_tests::isolation;
use sixfold_netns_tests::lab::job;
use sixfold_netns_tests::lab::network::{self, Network, NodeSocket, NodeSockets};
use sixfold_netns_tests::peer::{self, Peer};
use sixfold_netns_tests::workspace;
use std::env;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{IsTerminal, stderr};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

/// What every run needs of this machine.
const NEEDS: [Peer; 2] = [Peer::Radvd, Peer::Tun];
/// What the main job needs of this workspace.
const PROGRAMS: [&str; 2] = ["sixfold-relay", "sixfold-device"];
/// A machine that is later than this makes figures that mean nothing.
const TOLERABLE: Duration = Duration::from_millis(50);

/// Runs one scenario in real time and reports, or gives its network to somebody else.
pub(crate) fn run(options: &LiveOptions) -> Result<ExitCode> {
    // Mistakes are found before anything is built.
    let scenario = scenario::read(&options.run)?;
    network::check(&scenario)?;
    let sockets = frame_sockets(options, &scenario)?;
    let node = command_node(options, &scenario, &sockets)?;
    let devices = scenario.topology.fetchers().filter(|device| !sockets.contains_key(device)).count();
    ensure!(
        devices > 0 || options.hold || !options.program.is_empty(),
        "no device is left to run: every one has a stack of its own; add --hold"
    );
    if isolation::is_inside() {
        return inside(options, &scenario, &sockets, node)
            .or_else(|failure| Ok(complain(FAILED, &format!("{failure:#}"))));
    }
    check_files(options)?;
    match missing(options) {
        Some(missing) => Ok(complain(LACKING, &missing)),
        None => isolated(),
    }
}

fn complain(code: u8, what: &str) -> ExitCode {
    eprintln!("sixfold-air: {what}");
    ExitCode::from(code)
}

/// Builds the network, and does in it what is to be done.
fn inside(
    options: &LiveOptions,
    scenario: &Scenario,
    sockets: &NodeSockets,
    node: NodeId,
) -> Result<ExitCode> {
    let outer_pid = isolation::hold_lifeline()?;
    let network = Network::create(scenario, options.run.seed, sockets, options.pcap.as_deref())?;
    if options.hold {
        hold(scenario, &network, &outer_pid);
    }
    if !options.program.is_empty() {
        return execute(&options.program, &network, node);
    }
    let outcome = watched(scenario, |progress| job::run(scenario, &network, options.run.seed, progress))?;
    let latest = network.air.traffic()?.latest;
    if latest > TOLERABLE {
        eprintln!("sixfold-air: this machine was up to {latest:.1?} late: the figures may be too slow");
    }
    report::print(scenario, &outcome, &options.run)
}

/// Starts this program again with everything private to it, and ends as it does.
fn isolated() -> Result<ExitCode> {
    let Some(mut command) = isolation::command()? else {
        return Ok(complain(LACKING, isolation::IMPOSSIBLE));
    };
    let mut inside =
        isolation::spawn(command.args(env::args_os().skip(1))).context("unshare did not start")?;
    // Not `wait`: that would cut the lifeline.
    let lifeline = inside.stdin.take();
    let status = inside.wait()?;
    drop(lifeline);
    Ok(exit_code(status))
}

/// Inside, `/run` is another one: files there would be written and never seen.
fn check_files(options: &LiveOptions) -> Result<()> {
    let sockets = options.frames.iter().map(|(_, path)| path);
    for path in sockets.chain(&options.pcap).chain([&options.run.scenario]) {
        let path = std::path::absolute(path)?;
        ensure!(!path.starts_with("/run"), "{}: choose a place outside /run", path.display());
    }
    let Some(path) = &options.pcap else { return Ok(()) };
    // Not truncated: the run may still be refused.
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    file.with_context(|| format!("cannot write {}", path.display()))?;
    let same = fs::canonicalize(path)? == fs::canonicalize(&options.run.scenario)?;
    ensure!(!same, "--pcap: {} is the scenario itself", path.display());
    Ok(())
}

/// The first program that is needed and not there.
fn missing(options: &LiveOptions) -> Option<String> {
    if let Some(peer) = NEEDS.into_iter().find(|peer| peer.program().is_none()) {
        return Some(peer.remedy());
    }
    let ours = if options.hold || !options.program.is_empty() { &[][..] } else { &PROGRAMS };
    let mut absent = ours.iter().filter(|name| !workspace::program_dir().join(name).is_file());
    absent
        .next()
        .map(|name| format!("{name} is not beside this program: build it with cargo build --bin {name}"))
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let signalled = || status.signal().map(|signal| i32::from(SIGNALLED) + signal);
    let code = status.code().or_else(signalled).and_then(|code| u8::try_from(code).ok());
    ExitCode::from(code.unwrap_or(FAILED))
}

fn frame_sockets(options: &LiveOptions, scenario: &Scenario) -> Result<NodeSockets> {
    let sockets = options.frames.iter().map(|(name, path)| {
        let node =
            scenario.topology.find(name).with_context(|| format!("--frames: there is no node {name}"))?;
        ensure!(scenario.topology.node(node).parent.is_some(), "--frames: {name} must stay a namespace");
        Ok((node, NodeSocket::Frames(path.clone())))
    });
    sockets.collect()
}

fn hold(scenario: &Scenario, network: &Network, pid: &str) -> ! {
    eprintln!("The network is up. To run a program in a node, as root:");
    for node in scenario.topology.ids().filter(|node| network.netns(*node).is_some()) {
        let name = &scenario.topology.node(node).name;
        println!("nsenter --target {pid} --mount --pid ip netns exec {name} COMMAND");
    }
    loop {
        thread::park();
    }
}

/// Where the command runs.
fn command_node(options: &LiveOptions, scenario: &Scenario, sockets: &NodeSockets) -> Result<NodeId> {
    let name = &options.node;
    let node = scenario.topology.find(name).with_context(|| format!("--node: there is no node {name}"))?;
    ensure!(!sockets.contains_key(&node), "--node: {name} has a stack of its own");
    Ok(node)
}

fn execute(command: &[OsString], network: &Network, node: NodeId) -> Result<ExitCode> {
    let netns = network.netns(node).context("no namespace")?;
    let (program, arguments) = command.split_first().context("no command")?;
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", peer::search_path()).stdin(Stdio::null());
    match netns.enter(|| command.status())? {
        Ok(status) => Ok(exit_code(status)),
        Err(error) => Ok(complain(NOT_FOUND, &format!("{}: {error}", program.display()))),
    }
}

/// A bar on a terminal, a line for each tenth otherwise.
fn watched<T>(scenario: &Scenario, work: impl FnOnce(&mut dyn FnMut(usize)) -> Result<T>) -> Result<T> {
    let devices = scenario.topology.fetchers().count();
    if stderr().is_terminal() {
        let style = ProgressStyle::with_template("{bar:40} {pos} of {len} devices, {elapsed}")?;
        let bar = ProgressBar::new(devices as u64).with_style(style);
        let result = work(&mut |ended| bar.set_position(ended as u64));
        bar.finish_and_clear();
        return result;
    }
    let mut told = 0;
    work(&mut |ended| {
        if ended * 10 / devices.max(1) > told * 10 / devices.max(1) {
            eprintln!("{ended} of {devices} devices have ended");
            told = ended;
        }
    })
}
