//! `sixfold-air run`: unmodified programs over the modelled air, and nothing left of it afterwards.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use nix::sys::signal::Signal;
use serde_json::Value;
use sixfold_air::scenario::{Overrides, Scenario};
use sixfold_air::topology::NodeId;
use sixfold_netns_tests::aiocoap;
use sixfold_netns_tests::coap_client::{self, Outcome};
use sixfold_netns_tests::image::image;
use sixfold_netns_tests::lab::network::{Network, NodeSockets};
use sixfold_netns_tests::lab::service::{self, Service};
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::peer::{self, Peer};
use sixfold_netns_tests::process::Process;
use sixfold_netns_tests::{sandbox, wait, workspace};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(90);

fn scenario_file() -> PathBuf {
    workspace::root().join("netns-tests/scenarios/star.toml")
}

/// `sixfold-air run star.toml` with more arguments.
fn run_command(program: &Path, arguments: &[&str]) -> Command {
    // A shell that runs the tests in the background has them ignore SIGINT, and programs inherit that.
    let mut command = Command::new("env");
    command.arg("--default-signal=INT").arg(program).arg("run").arg(scenario_file()).args(arguments);
    command
}

fn start(outside: &Netns, arguments: &[&str]) -> Result<Process> {
    let program = workspace::program_dir().join("sixfold-air");
    Process::start(outside, "sixfold-air", run_command(&program, arguments))
}

#[test]
fn ping_crosses_the_air_and_the_command_decides_the_exit_code() -> Result<()> {
    sandbox::run(&[Peer::Radvd, Peer::Tun, Peer::Ping], || {
        let outside = Netns::create("outside")?;
        let pings = "ping -c 2 fe80::1%air0 && ping -c 2 -s 500 fd00:6f::1 && exit 7";
        let arguments = ["--devices", "2", "--node", "d2", "--", "sh", "-c", pings];
        let mut run = start(&outside, &arguments)?;
        let status = run.wait(LIMIT)?;
        ensure!(status.code() == Some(7), "{status}\n{}{}", run.output(), run.log());
        ensure!(run.output().matches(" 2 received, 0% packet loss").count() == 2, "{}", run.output());
        Ok(())
    })
}

#[test]
fn every_router_on_the_way_takes_a_hop() -> Result<()> {
    sandbox::run(&[Peer::Radvd, Peer::Tun, Peer::Ping], || {
        let outside = Netns::create("outside")?;
        let mut command = Command::new(workspace::program_dir().join("sixfold-air"));
        command.arg("run").arg(scenario_file().with_file_name("three-hops.toml"));
        command.args(["--devices", "1", "--node", "d1", "--", "ping", "-c", "2", "fd00:6f::1"]);
        let mut run = Process::start(&outside, "sixfold-air", command)?;
        run.wait(LIMIT)?;
        // Of 64 hops that the answer may take, the two routers of the way have taken one each.
        ensure!(run.output().contains("ttl=62"), "{}{}", run.output(), run.log());
        Ok(())
    })
}

#[test]
fn devices_fetch_the_right_bytes_over_a_lossy_link() -> Result<()> {
    sandbox::run(&[Peer::Radvd, Peer::Tun], || {
        let outside = Netns::create("outside")?;
        let mut run = start(
            &outside,
            &["--devices", "2", "--loss", "0.1", "--image", "6000", "--szx", "256", "--json"],
        )?;
        let status = run.wait(LIMIT)?;
        ensure!(status.success(), "{status}\n{}", run.log());
        let figures: Value = serde_json::from_str(&run.output())?;
        ensure!(figures["done"] == 2 && figures["wrong_bytes"] == 0, "{figures:#}");
        ensure!(figures["origin_bytes"] == 6000, "the origin was not asked once: {figures:#}");
        ensure!(figures["mac_retries"].as_u64() > Some(0), "nothing was lost: {figures:#}");
        ensure!(figures["first_done_s"].as_f64() > figures["bound_s"].as_f64(), "{figures:#}");
        Ok(())
    })
}

/// The network of one device, in this process.
fn one_device() -> Result<Network> {
    let overrides = Overrides { devices: Some(1), ..Overrides::default() };
    let scenario = Scenario::read(&fs::read_to_string(scenario_file())?, &overrides)?;
    Network::create(&scenario, 1, &NodeSockets::new(), None)
}

#[test]
fn libcoap_fetches_an_image_across_the_air() -> Result<()> {
    sandbox::run(&[Peer::Radvd, Peer::Tun, Peer::CoapClient], || {
        let network = one_device()?;
        let published = image(1, 1500);
        let _service = Service::start(&network, Bytes::from(published.clone()))?;
        let device = network.netns(NodeId(1)).context("no d1")?;
        let uri = format!("coap://[fd00:6f::1]{}", service::PATH);
        let before = network.air.traffic()?.counters;
        let outcome = coap_client::request(device, &uri, &["-N", "-b", "256"])?;
        ensure!(outcome == Outcome::Body(published), "{outcome:?}");
        let after = network.air.stop()?.counters;
        // Six blocks, of which five need three frames each.
        ensure!(after[0].since(&before[0]).frames >= 5 * 3, "{after:?}");
        Ok(())
    })
}

#[test]
fn aiocoap_fetches_an_image_across_the_air() -> Result<()> {
    sandbox::run(&[Peer::Radvd, Peer::Tun, Peer::Aiocoap], || {
        let network = one_device()?;
        let published = image(1, 1500);
        let _service = Service::start(&network, Bytes::from(published.clone()))?;
        let device = network.netns(NodeId(1)).context("no d1")?;
        let uri = format!("coap://[fd00:6f::1]{}", service::PATH);
        let response = aiocoap::request(device, &uri, &["--szx", "4"])?;
        ensure!(response.code == "2.05" && response.body == published, "{}", response.code);
        Ok(())
    })
}

#[test]
fn tftp_fetches_an_image_across_the_air() -> Result<()> {
    sandbox::run(&[Peer::Radvd, Peer::Tun, Peer::Tftp, Peer::Tftpd], || {
        let network = one_device()?;
        let published = image(1, 3000);
        let folder = Path::new("/run/tftp");
        fs::create_dir(folder)?;
        fs::write(folder.join("image"), &published)?;
        let border_router = network.netns(NodeId::BORDER_ROUTER).context("no border router")?;
        let mut server = Command::new(Peer::Tftpd.program().with_context(|| Peer::Tftpd.remedy())?);
        server.args(["--listen", "--foreground", "--user", "root", "--address", "[::]:69", "--secure"]);
        server.arg(folder);
        let _server = Process::start(border_router, "tftpd", server)?;
        wait::until_true("in.tftpd to listen", wait::SOON, || {
            let sockets = border_router.enter(|| fs::read_to_string("/proc/thread-self/net/udp6"));
            sockets.is_ok_and(|table| table.is_ok_and(|table| table.contains(":0045 ")))
        })?;
        let mut client = Command::new(Peer::Tftp.program().with_context(|| Peer::Tftp.remedy())?);
        client.args(["-6", "-m", "binary", "fd00:6f::1", "-c", "get", "image", "/run/tftp.received"]);
        let mut client = Process::start(network.netns(NodeId(1)).context("no d1")?, "tftp", client)?;
        client.wait(LIMIT)?;
        let received = fs::read("/run/tftp.received").with_context(|| client.output() + &client.log())?;
        ensure!(received == published, "tftp got other bytes");
        Ok(())
    })
}

/// The sandbox's processes: this test, and whatever else still lives.
fn living() -> Result<Vec<String>> {
    let mut living = Vec::new();
    for entry in fs::read_dir("/proc")? {
        // Whoever ends meanwhile has no file any more.
        let stat = fs::read_to_string(entry?.path().join("stat")).unwrap_or_default();
        let state = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').next());
        if stat.starts_with(|digit: char| digit.is_ascii_digit()) && state != Some("Z") {
            living.push(stat);
        }
    }
    Ok(living)
}

fn nothing_is_left_after(signal: Signal) -> Result<()> {
    let outside = Netns::create("outside")?;
    let alone = living()?.len();
    let mut run = start(&outside, &["--devices", "2", "--hold"])?;
    let ways = wait::until("the network to be up", LIMIT, || {
        let printed = run.output();
        (printed.lines().count() == 3 || !run.is_running()).then_some(printed)
    })?;
    let way_into_d2 = ways.lines().last().with_context(|| run.log())?.replace("COMMAND", "ip link show air0");
    let shown = Command::new("sh").args(["-c", &way_into_d2]).env("PATH", peer::search_path()).output()?;
    ensure!(
        shown.status.success() && String::from_utf8_lossy(&shown.stdout).contains("mtu 1280"),
        "{shown:?}"
    );
    ensure!(living()?.len() > alone + 2, "{:?}", living()?);
    run.signal(signal)?;
    run.wait(wait::SOON)?;
    // Namespaces live by their processes, and TUN devices by the program that made them.
    wait::until_true("the end of all that it started", wait::SOON, || {
        living().is_ok_and(|living| living.len() == alone)
    })
}

#[test]
fn nothing_is_left_after_ctrl_c() -> Result<()> {
    sandbox::run(&[Peer::Radvd, Peer::Tun], || nothing_is_left_after(Signal::SIGINT))
}

#[test]
fn nothing_is_left_after_kill_9() -> Result<()> {
    sandbox::run(&[Peer::Radvd, Peer::Tun], || nothing_is_left_after(Signal::SIGKILL))
}

fn ensure_failure(output: &Output, code: i32, says: &str) -> Result<()> {
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(code) && complaint.contains(says), "{output:?}");
    Ok(())
}

#[test]
fn mistakes_are_named_before_anything_is_built() -> Result<()> {
    workspace::build_programs()?;
    let program = workspace::program_dir().join("sixfold-air");
    for (arguments, says) in [
        (&["--node", "d77", "--", "true"][..], "there is no node d77"),
        (&["--frames", "d77=/tmp/d77.sock"], "there is no node d77"),
        (&["--frames", "border-router=/tmp/b.sock"], "border-router must stay a namespace"),
        (&["--frames", "d1=/tmp/d1.sock", "--node", "d1", "--", "true"], "d1 has a stack of its own"),
        (&["--pcap", "/run/air.pcap"], "outside /run"),
        (&["--pcap", "/nowhere/air.pcap"], "cannot write /nowhere/air.pcap"),
        (&["--loss", "2"], "--loss"),
    ] {
        ensure_failure(&run_command(&program, arguments).output()?, 2, says)?;
    }
    Ok(())
}

#[test]
fn what_is_not_there_is_named() -> Result<()> {
    sandbox::run(&[Peer::Radvd, Peer::Tun], || {
        let folder = tempfile::tempdir()?;
        let alone = folder.path().join("sixfold-air");
        fs::copy(workspace::program_dir().join("sixfold-air"), &alone)?;
        ensure_failure(&run_command(&alone, &[]).env_clear().output()?, 3, "sixfold-relay")
    })
}
