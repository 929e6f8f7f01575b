//! Prometheus in a namespace, and what it answers.

use crate::netns::Netns;
use crate::peer::Peer;
use crate::process::Process;
use crate::{relay, wait, workspace};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv6Addr;
use std::process::Command;
use std::time::Duration;

/// Programs that it takes.
pub const NEEDS: &[Peer] = &[Peer::Prometheus, Peer::Promtool];
/// The rules of `grafana/`.
const RULES: [&str; 3] = ["recording.yml", "alerts.yml", "alerts-central.yml"];
const PATIENCE: Duration = Duration::from_secs(120);

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus<'n> {
    netns: &'n Netns,
    port: u16,
    _process: Process,
}

/// A series with its value of now.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its labels, the name among them as `__name__`.
    pub labels: BTreeMap<String, String>,
    /// What it has now.
    pub value: f64,
}

impl<'n> Prometheus<'n> {
    /// Starts one on loopback; the rules of `grafana/` are beside its configuration. It has scraped each target twice when this is
    /// over: then every counter was seen before it grew.
    pub fn start(netns: &'n Netns, name: &str, port: u16, config: &str) -> Result<Self> {
        let file = format!("/run/{name}.yml");
        fs::write(&file, config)?;
        for rules in RULES {
            fs::copy(workspace::root().join("grafana").join(rules), format!("/run/{rules}"))?;
        }
        let mut command =
            Command::new(Peer::Prometheus.program().with_context(|| Peer::Prometheus.remedy())?);
        command.args([
            format!("--config.file={file}"),
            format!("--storage.tsdb.path=/run/{name}"),
            format!("--web.listen-address=[::1]:{port}"),
        ]);
        let prometheus = Self { netns, port, _process: Process::start(netns, name, command)? };
        wait::until_true("two scrapes of each target", PATIENCE, || {
            let scrapes = prometheus.ask("min(count_over_time(up[1m]))");
            scrapes.is_ok_and(|answer| answer.iter().any(|sample| sample.value >= 2.0))
        })?;
        Ok(prometheus)
    }

    /// What it answers now; empty for no series.
    pub fn ask(&self, query: &str) -> Result<Vec<Sample>> {
        let program = Peer::Promtool.program().with_context(|| Peer::Promtool.remedy())?;
        let server = format!("http://[::1]:{}", self.port);
        let arguments = ["query", "instant", "--format=json", &server, query];
        let output = self.netns.enter(|| Command::new(program).args(arguments).output())??;
        ensure!(output.status.success(), "{query}: {}", String::from_utf8_lossy(&output.stderr));
        let answer: Value = serde_json::from_slice(&output.stdout)?;
        answer.as_array().into_iter().flatten().map(sample).collect()
    }

    /// The names of the groups of rules that it has.
    pub fn rule_groups(&self) -> Result<Vec<String>> {
        let server = (Ipv6Addr::LOCALHOST, self.port);
        let (status, text) = self.netns.enter(|| relay::http_get(server, "/api/v1/rules"))??;
        ensure!(status == 200, "{status}: {text}");
        let answer: Value = serde_json::from_str(&text)?;
        let groups = answer["data"]["groups"].as_array().context("no groups")?.iter();
        Ok(groups.filter_map(|group| group["name"].as_str().map(str::to_owned)).collect())
    }
}

fn sample(series: &Value) -> Result<Sample> {
    let value = series["value"][1].as_str().context("a series without a value")?.parse()?;
    let labels = series["metric"].as_object().into_iter().flatten();
    let labels = labels.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()));
    Ok(Sample { labels: labels.collect(), value })
}
