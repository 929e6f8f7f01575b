//! The dashboard in `grafana/`: it is what its generator writes, and complete. What its queries answer is in `queries.rs`.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::{sandbox, workspace};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

fn written() -> Result<String> {
    Ok(fs::read_to_string(workspace::root().join("grafana/dashboard.json"))?)
}

#[test]
fn the_dashboard_is_what_its_generator_writes() -> Result<()> {
    sandbox::run(&[Peer::FoundationSdk], || {
        let python = Peer::FoundationSdk.program().with_context(|| Peer::FoundationSdk.remedy())?;
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
    Ok(())
}

/// Panels of the dashboard with their queries.
fn queries(dashboard: &Value) -> Result<Vec<(&Value, &str)>> {
    let panels = dashboard["panels"].as_array().context("panels")?.iter();
    let targets = panels.flat_map(|panel| {
        panel["targets"].as_array().into_iter().flatten().map(move |target| (panel, target))
    });
    targets.map(|(panel, target)| Ok((panel, target["expr"].as_str().context("expr")?))).collect()
}

#[test]
fn source_job_and_relays_are_chosen_and_every_query_keeps_to_that() -> Result<()> {
    let dashboard: Value = serde_json::from_str(&written()?)?;
    let variables = dashboard["templating"]["list"].as_array().context("variables")?;
    let names: Vec<_> = variables.iter().map(|variable| &variable["name"]).collect();
    ensure!(names == ["datasource", "job", "instance"], "{names:?}");
    ensure!(variables[1]["current"]["value"] == json!(["sixfold"]), "{}", variables[1]);
    let query = variables[2]["query"].as_str().context("no query")?;
    ensure!(query.contains("{job=~\"$job\"}"), "relays of which job? {query}");
    for (panel, query) in queries(&dashboard)?.into_iter().filter(|(panel, _)| panel["title"] != SITES_DOWN) {
        let chosen = query.matches("{job=~\"$job\", instance=~\"$instance\"").count();
        ensure!(chosen > 0 && chosen == query.matches('{').count(), "{}: {query}", panel["title"]);
    }
    Ok(())
}

/// The sites are no relays.
const SITES_DOWN: &str = "Sites down";

/// What is of now is asked for now, and has words for nothing.
#[test]
fn numbers_and_bars_ask_for_one_value() -> Result<()> {
    let dashboard: Value = serde_json::from_str(&written()?)?;
    let panels = dashboard["panels"].as_array().context("panels")?.iter();
    let panels: Vec<_> =
        panels.filter(|panel| panel["type"] == "stat" || panel["type"] == "bargauge").collect();
    ensure!(panels.len() > 10, "{} panels", panels.len());
    for panel in panels {
        let title = &panel["title"];
        ensure!(panel["options"]["reduceOptions"]["calcs"] == json!(["lastNotNull"]), "{title}");
        ensure!(panel["fieldConfig"]["defaults"]["noValue"].is_string(), "{title} has no words for nothing");
        for target in panel["targets"].as_array().context("targets")? {
            ensure!(target["instant"] == true && target["range"] == false, "{title}: {target}");
        }
    }
    Ok(())
}

/// What Prometheus has of relays at `t0`, and what a panel's query has to answer then.
fn ensure_answers(series: &[(String, f64)], panel: &str, answer: &Value) -> Result<()> {
    let dashboard: Value = serde_json::from_str(&written()?)?;
    let query =
        queries(&dashboard)?.into_iter().find(|(found, _)| found["title"] == panel).context("panel")?.1;
    let query = query.replace("$job", "sixfold").replace("$instance", ".*");
    let series: Vec<Value> =
        series.iter().map(|(name, value)| json!({"series": name, "values": value.to_string()})).collect();
    let test = json!({"interval": "1m", "input_series": series,
        "promql_expr_test": [{"expr": query, "eval_time": "0m", "exp_samples": answer}]});
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), json!({"rule_files": [], "tests": [test]}).to_string())?;
    let program = Peer::Promtool.program().with_context(|| Peer::Promtool.remedy())?;
    let output = Command::new(program).args(["test", "rules"]).arg(file.path()).output()?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{panel}: {said}");
    Ok(())
}

#[test]
fn nothing_is_divided_by_zero() -> Result<()> {
    sandbox::run(&[Peer::Promtool], || {
        let of = |name: &str| format!("{name}{{job=\"sixfold\", instance=\"r\"}}");
        let idle = [
            "origin_bytes:increase1d",
            "sent_bytes:increase1d",
            "cache_hits:rate1h",
            "cache_requests:rate1h",
        ]
        .map(|name| of(&format!("instance:sixfold_{name}")));
        // An image was fetched, and nobody took it.
        let values = [20_000.0, 0.0, 0.0, 0.0];
        let series: Vec<_> = idle.into_iter().zip(values).collect();
        for panel in ["Bytes saved today", "Hit ratio"] {
            ensure_answers(&series, panel, &json!([]))?;
        }
        Ok(())
    })
}

#[test]
fn how_far_is_asked_of_those_that_take_longest() -> Result<()> {
    sandbox::run(&[Peer::Promtool], || {
        let of = |name: &str, relay: &str, rank: usize| {
            format!(
                "sixfold_longest_transfer_{name}{{job=\"sixfold\", instance=\"{relay}\", rank=\"{rank}\"}}"
            )
        };
        let mut series = Vec::new();
        for rank in 1..=10 {
            // Those of "new" have taken a minute and are almost done, those of "old" have taken an hour for a little.
            let later = rank as f64 / 100.0;
            for (relay, seconds, progress) in [("new", 60.0, 0.9), ("old", 3600.0, 0.1)] {
                series.push((of("seconds", relay, rank), seconds - later));
                series.push((of("progress_ratio", relay, rank), progress));
            }
        }
        let (times, shares): (Vec<_>, Vec<_>) = (1..=10)
            .map(|rank| {
                let time =
                    json!({"labels": of("seconds", "old", rank), "value": 3600.0 - rank as f64 / 100.0});
                (time, json!({"labels": of("progress_ratio", "old", rank), "value": 0.1}))
            })
            .unzip();
        ensure_answers(&series, "Longest at it", &json!(times))?;
        ensure_answers(&series, "How far these are", &json!(shares))
    })
}

/// What an operator looks for, by row.
const PROMISED: &[(&str, &[&str])] = &[
    (
        "Overview",
        &[
            "Relays up",
            "Relays down",
            "Links absent",
            "Sites down",
            "Alerts firing",
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
