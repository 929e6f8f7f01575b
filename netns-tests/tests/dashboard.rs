//! The dashboard in `grafana/`: it is what its generator writes, and every query of every panel has an answer.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::process::Process;
use sixfold_netns_tests::relay::{CONFIG, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::{device, nginx, sandbox, wait, workspace};
use std::fs;
use std::process::Command;
use std::time::Duration;

const SERVER: &str = "http://[::1]:9090";
const SCRAPING: &str = "\
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: sixfold
    static_configs: [{targets: ['[::1]:9683']}]
";
const PATIENCE: Duration = Duration::from_secs(30);

fn written() -> Result<String> {
    Ok(fs::read_to_string(workspace::root().join("grafana/dashboard.json"))?)
}

/// Title and query of every panel.
fn queries(dashboard: &Value) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().context("panels")? {
        let title = panel["title"].as_str().context("a panel without a title")?;
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().with_context(|| format!("{title}: no query"))?;
            found.push((title.to_owned(), query.to_owned()));
        }
    }
    Ok(found)
}

#[test]
fn the_dashboard_is_what_its_generator_writes() -> Result<()> {
    sandbox::run(&[Peer::FoundationSdk], || {
        let python = Peer::FoundationSdk.program().context(Peer::FoundationSdk.remedy())?;
        let output = Command::new(python).arg(workspace::root().join("grafana/dashboard.py")).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        ensure!(
            String::from_utf8(output.stdout)? == written()?,
            "write grafana/dashboard.json anew, see grafana/README.md"
        );
        Ok(())
    })
}

#[test]
fn every_panel_explains_itself_and_has_a_unit() -> Result<()> {
    let dashboard: Value = serde_json::from_str(&written()?)?;
    for panel in
        dashboard["panels"].as_array().context("panels")?.iter().filter(|panel| panel["type"] != "row")
    {
        let title = &panel["title"];
        ensure!(
            panel["description"].as_str().is_some_and(|text| text.len() > 10),
            "{title} has no description"
        );
        ensure!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has no unit");
    }
    let variables: Vec<_> = dashboard["templating"]["list"].as_array().context("variables")?.iter().collect();
    ensure!(variables.len() == 3, "data source, job and relay: {variables:?}");
    Ok(())
}

/// Starts Prometheus beside the relay, and waits until it has scraped it twice: then every counter was seen before it grew.
fn start_prometheus(netns: &Netns) -> Result<Process> {
    fs::write("/run/prometheus.yml", SCRAPING)?;
    let mut command = Command::new(Peer::Prometheus.program().context(Peer::Prometheus.remedy())?);
    command.args([
        "--config.file=/run/prometheus.yml",
        "--storage.tsdb.path=/run/prometheus",
        "--web.listen-address=[::1]:9090",
    ]);
    let process = Process::start(netns, "prometheus", command)?;
    wait::until_true("two scrapes", PATIENCE, || {
        ask(netns, "count_over_time(up[1m]) >= 2").is_ok_and(|answer| !answer.is_empty())
    })?;
    Ok(process)
}

/// What Prometheus answers; empty for no series.
fn ask(netns: &Netns, query: &str) -> Result<String> {
    let program = Peer::Promtool.program().context(Peer::Promtool.remedy())?;
    let output =
        netns.enter(|| Command::new(program).args(["query", "instant", SERVER, query]).output())??;
    ensure!(output.status.success(), "{query}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[test]
fn every_query_has_an_answer() -> Result<()> {
    sandbox::run(&[Peer::Nginx, Peer::Radvd, Peer::Prometheus, Peer::Promtool], || {
        let scene = Scene::create("")?;
        let image = nginx::publish_image("image.bin", 1, 50_000)?;
        let config =
            format!("{CONFIG}max_age = \"1 h\"\n[[link]]\ninterface = \"lowpan0\"\nbit_rate = 1000000\n");
        let relay = Relay::start(&scene.net.relay, &config)?;
        let _prometheus = start_prometheus(&scene.net.relay)?;
        for name in ["first", "second"] {
            ensure!(
                device::fetch(&scene.net.devices[0], name, "/fw/image.bin", &[])?.image(PATIENCE)? == image
            );
        }
        let queries = queries(&serde_json::from_str(&written()?)?)?;
        ensure!(queries.len() > 25, "{} queries", queries.len());
        for (panel, query) in &queries {
            let query =
                query.replace("$__rate_interval", "5m").replace("$job", ".*").replace("$instance", ".*");
            ensure!(!query.contains('$'), "{panel}: an unknown variable in {query}");
            let answered = || {
                ask(&scene.net.relay, &query)
                    .is_ok_and(|answer| !answer.is_empty() && !answer.contains("=> NaN"))
            };
            wait::until_true(&format!("{panel}: {query}"), PATIENCE, answered)?;
        }
        ensure!(ask(&scene.net.relay, "sixfold_no_such_metric")?.is_empty(), "no answer looks different");
        ensure!(relay.is_ready());
        Ok(())
    })
}

#[test]
fn the_dashboard_uses_metrics_that_exist() -> Result<()> {
    let page = fs::read_to_string(workspace::root().join("docs/metrics.md"))?;
    let dashboard = written()?;
    let words = dashboard.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    for name in words.filter(|word| word.starts_with("sixfold_") || word.starts_with("process_")) {
        ensure!(
            page.contains(&format!("`{}`", name.trim_end_matches("_bucket"))),
            "{name} is not in docs/metrics.md"
        );
    }
    Ok(())
}
