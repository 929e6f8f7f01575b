//! The metrics as Prometheus sees them.

use anyhow::{Context, Result, ensure};
use sixfold_netns_tests::nginx;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::relay::{CONFIG, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::{device, sandbox};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

const NAMES: &[&str] = &[
    "sixfold_requests_total{method=\"GET\"}",
    "sixfold_responses_total{code=\"2.05\"}",
    "sixfold_cache_requests_total{result=\"hit\"}",
    "sixfold_cache_bytes",
    "sixfold_origin_requests_total{outcome=",
    "sixfold_origin_bytes_total",
    "sixfold_blocks_sent_total",
    "sixfold_retransmitted_requests_total",
    "sixfold_transfers_active",
    "sixfold_transfer_duration_seconds_count",
    "sixfold_dropped_total{reason=",
    "sixfold_build_info{",
    "process_resident_memory_bytes",
];

#[test]
fn promtool_is_content_and_every_promised_metric_is_there() -> Result<()> {
    sandbox::run(&[Peer::Nginx, Peer::Radvd, Peer::Promtool], || {
        let scene = Scene::create("")?;
        let image = nginx::publish_image("image.bin", 1, 50_000)?;
        let relay = Relay::start(&scene.net.relay, CONFIG)?;
        let fetch = device::fetch(&scene.net.devices[0], "device", "/fw/image.bin", &[])?;
        ensure!(fetch.image(Duration::from_secs(120))? == image);
        let metrics = relay.metrics()?;
        for name in NAMES {
            ensure!(metrics.lines().any(|line| line.starts_with(name)), "no {name} in\n{metrics}");
        }
        ensure!(relay.metric("sixfold_blocks_sent_total")? >= 49.0, "{metrics}");
        ensure!(relay.metric("sixfold_origin_bytes_total")? == 50_000.0, "{metrics}");
        check(&metrics)
    })
}

fn check(metrics: &str) -> Result<()> {
    let program = Peer::Promtool.program().with_context(|| Peer::Promtool.remedy())?;
    let mut promtool = Command::new(program)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    promtool.stdin.take().context("no standard input")?.write_all(metrics.as_bytes())?;
    let output = promtool.wait_with_output()?;
    let findings = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && findings.is_empty(), "promtool: {findings}");
    Ok(())
}
