//! What Grafana and Prometheus are given in `grafana/`: files that exist, fit together, and are configurations.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::{sandbox, workspace};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Configurations of Prometheus, from this folder.
const SAMPLES: [&str; 3] = [
    "prometheus.yml",
    "../config/scale-out/prometheus-site.yml",
    "../config/scale-out/prometheus-central.yml",
];

fn folder() -> PathBuf {
    workspace::root().join("grafana")
}

fn parse(name: &str) -> Result<Value> {
    let text = fs::read_to_string(folder().join(name)).with_context(|| name.to_owned())?;
    serde_saphyr::from_str(&text).with_context(|| name.to_owned())
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// What a service mounts of this folder: the file or folder here, and where it is there.
fn mounts(service: &Value) -> Vec<(String, String)> {
    let split = |volume: &str| {
        let mut parts = volume.split(':');
        Some((parts.next()?.strip_prefix("./")?.to_owned(), parts.next()?.to_owned()))
    };
    texts(&service["volumes"]).into_iter().filter_map(split).collect()
}

#[test]
fn whatever_is_mounted_exists_and_is_where_it_is_looked_for() -> Result<()> {
    let compose = parse("compose.yml")?;
    let services = compose["services"].as_object().context("services")?;
    ensure!(services.len() == 2, "{services:?}");
    for (name, service) in services {
        let (_, tag) = service["image"].as_str().and_then(|image| image.split_once(':')).context("image")?;
        ensure!(tag.contains('.'), "{name}: {tag} is not a version");
        for volume in texts(&service["volumes"]) {
            let (source, _) = volume.split_once(':').context("a volume")?;
            match source.strip_prefix("./") {
                Some(file) => {
                    ensure!(folder().join(file).exists(), "{name} mounts {file}, which is not there");
                }
                None => ensure!(
                    compose["volumes"].as_object().is_some_and(|named| named.contains_key(source)),
                    "{name}: no volume {source}"
                ),
            }
        }
    }

    let prometheus = &services["prometheus"];
    let config = texts(&prometheus["command"])
        .iter()
        .find_map(|flag| flag.strip_prefix("--config.file="))
        .context("--config.file")?;
    let mounted = mounts(prometheus);
    let at =
        |file: &str| mounted.iter().find(|(source, _)| source == file).map(|(_, target)| target.as_str());
    ensure!(at("prometheus.yml") == Some(config), "{mounted:?}");
    for rules in texts(&parse("prometheus.yml")?["rule_files"]) {
        let beside = config.replace("prometheus.yml", rules);
        ensure!(at(rules) == Some(&beside), "{rules} is not at {beside}: {mounted:?}");
    }

    let grafana = &services["grafana"];
    let mounted = mounts(grafana);
    let at =
        |file: &str| mounted.iter().find(|(source, _)| source == file).map(|(_, target)| target.as_str());
    ensure!(at("provisioning") == Some("/etc/grafana/provisioning"), "{mounted:?}");
    let dashboard = at("dashboard.json").context("dashboard.json")?;
    let home = &grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"];
    ensure!(home == dashboard, "{home} is not {dashboard}");
    let providers = parse("provisioning/dashboards/sixfold.yml")?;
    let path = providers["providers"][0]["options"]["path"].as_str().context("path")?;
    ensure!(dashboard == format!("{path}/dashboard.json"), "{dashboard} is not in {path}");
    Ok(())
}

#[test]
fn grafana_finds_the_prometheus_beside_it_and_nobody_else_finds_either() -> Result<()> {
    let compose = parse("compose.yml")?;
    let flags = texts(&compose["services"]["prometheus"]["command"]);
    let listen =
        flags.iter().find_map(|flag| flag.strip_prefix("--web.listen-address=")).context("address")?;
    let source = &parse("provisioning/datasources/sixfold.yml")?["datasources"][0];
    ensure!(source["type"] == "prometheus" && source["isDefault"] == true, "{source}");
    ensure!(source["url"] == format!("http://{listen}"), "{source}");
    ensure!(listen.starts_with("127.0.0.1:"), "{listen}");
    ensure!(compose["services"]["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1");
    Ok(())
}

/// Grafana makes `$__rate_interval` of it: with one that is too short, rates have fewer than two samples, and panels stay empty.
#[test]
fn grafana_knows_how_often_every_prometheus_scrapes() -> Result<()> {
    let source = &parse("provisioning/datasources/sixfold.yml")?["datasources"][0];
    for name in SAMPLES {
        let config = parse(name)?;
        let interval = &config["global"]["scrape_interval"];
        ensure!(source["jsonData"]["timeInterval"] == *interval, "{name}: {interval}, {source}");
        let jobs = config["scrape_configs"].as_array().context("scrape_configs")?;
        ensure!(
            jobs.iter().all(|job| job["scrape_interval"].is_null()),
            "{name}: a job has its own interval"
        );
    }
    Ok(())
}

#[test]
fn prometheus_accepts_its_configuration() -> Result<()> {
    sandbox::run(&[Peer::Promtool], || {
        let program = Peer::Promtool.program().with_context(|| Peer::Promtool.remedy())?;
        let output = Command::new(program)
            .args(["check", "config", "prometheus.yml"])
            .current_dir(folder())
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && said.contains("2 rule files found"), "{said}");
        let jobs = &parse("prometheus.yml")?["scrape_configs"];
        ensure!(jobs[0]["job_name"] == "sixfold", "the rules look for it: {jobs}");
        Ok(())
    })
}

/// What is only to be uncommented: a configuration that tells Alertmanager.
#[test]
fn alertmanager_is_told_by_taking_the_comment_signs_off() -> Result<()> {
    sandbox::run(&[Peer::Promtool], || {
        let program = Peer::Promtool.program().context(Peer::Promtool.remedy())?;
        for rules in ["recording.yml", "alerts.yml", "alerts-central.yml"] {
            fs::copy(folder().join(rules), format!("/run/{rules}"))?;
        }
        for name in SAMPLES {
            let sample = fs::read_to_string(folder().join(name))?;
            let told: Vec<_> = sample
                .lines()
                .map(|line| {
                    line.strip_prefix('#')
                        .filter(|rest| !rest.starts_with(' ') || rest.starts_with("  "))
                        .unwrap_or(line)
                })
                .collect();
            let told = told.join("\n");
            let config: Value = serde_saphyr::from_str(&told).with_context(|| name.to_owned())?;
            let target = &config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"][0];
            ensure!(target == "127.0.0.1:9093", "{name}: {target}");
            fs::write("/run/told.yml", told)?;
            let output = Command::new(&program).args(["check", "config", "/run/told.yml"]).output()?;
            ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    })
}
