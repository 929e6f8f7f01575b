//! The dashboard in `grafana/`: it is what its generator writes, and complete. What its queries answer is in `queries.rs`.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
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
    ensure!(names == ["datasource", "instance"], "{names:?}");
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
