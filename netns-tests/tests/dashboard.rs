//! The dashboard in `grafana/`: it is what its generator writes, and every query of every panel has an answer.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::process::Process;
use sixfold_netns_tests::relay::{CONFIG, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::{device, nginx, sandbox, wait, workspace};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

const SERVER: &str = "http://[::1]:9090";
const SCRAPING: &str = "\
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [/run/recording.yml]
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
    let variables = dashboard["templating"]["list"].as_array().context("variables")?.iter();
    let names: Vec<_> = variables.map(|variable| &variable["name"]).collect();
    ensure!(names == ["datasource", "job", "instance"], "{names:?}");
    Ok(())
}

/// What an operator looks for, by row.
const PROMISED: &[(&str, &[&str])] = &[
    (
        "Overview",
        &[
            "Relays up",
            "Versions",
            "Hit ratio",
            "Delivered and fetched",
            "Bytes saved today",
            "Devices updating",
            "Done today",
            "Failed today",
        ],
    ),
    ("Links", &["Rate", "Window", "Loss", "Queue", "Airtime"]),
    ("Images", &["Images", "Requests for images", "Memory of images"]),
    ("Devices", &["Longest at it", "How far these are", "Relays with most devices updating"]),
    ("Origins", &["Requests to origins", "Failures of origins", "Certificates of origins"]),
    ("Process", &["Processor", "Memory", "File descriptors", "Starts"]),
];

#[test]
fn every_promised_panel_is_in_its_row_and_none_covers_another() -> Result<()> {
    let dashboard: Value = serde_json::from_str(&written()?)?;
    let mut rows: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut covered = BTreeSet::new();
    for panel in dashboard["panels"].as_array().context("panels")? {
        let title = panel["title"].as_str().context("a panel without a title")?;
        let place = |key: &str| panel["gridPos"][key].as_u64().with_context(|| format!("{title}: {key}"));
        let (left, top, width, height) = (place("x")?, place("y")?, place("w")?, place("h")?);
        ensure!(left + width <= 24, "{title} sticks out");
        for cell in (left..left + width).flat_map(|x| (top..top + height).map(move |y| (x, y))) {
            ensure!(covered.insert(cell), "{title} covers another panel");
        }
        match rows.last_mut() {
            Some((_, panels)) if panel["type"] != "row" => panels.push(title),
            _ => rows.push((title, Vec::new())),
        }
    }
    for (row, promised) in PROMISED {
        let (_, panels) = rows.iter().find(|(title, _)| title == row).with_context(|| row.to_string())?;
        for title in *promised {
            ensure!(panels.contains(title), "{title} is not in {row}: {panels:?}");
        }
    }
    Ok(())
}

/// Starts Prometheus beside the relay, and waits until it has scraped it twice: then every counter was seen before it grew.
fn start_prometheus(netns: &Netns) -> Result<Process> {
    fs::write("/run/prometheus.yml", SCRAPING)?;
    fs::copy(workspace::root().join("grafana/recording.yml"), "/run/recording.yml")?;
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
    let rules = fs::read_to_string(workspace::root().join("grafana/recording.yml"))?;
    let dashboard = written()?;
    let words = dashboard.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    for name in words.filter(|word| word.contains("sixfold_") || word.starts_with("process_")) {
        if name.contains(':') {
            ensure!(rules.contains(&format!("record: {name}\n")), "{name} is not recorded");
            continue;
        }
        ensure!(
            page.contains(&format!("`{}`", name.trim_end_matches("_bucket"))),
            "{name} is not in docs/metrics.md"
        );
    }
    Ok(())
}
