//! The rules in `grafana/`, judged by Prometheus's own tool, and against what the relay exports.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::{sandbox, workspace};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

/// What an operator has to hear of.
const PROMISED: &[&str] = &[
    "SixfoldRelayDown",
    "SixfoldRestartLoop",
    "SixfoldOriginFailing",
    "SixfoldFleetStalled",
    "SixfoldFleetSilent",
    "SixfoldLinkGone",
    "SixfoldLossHigh",
    "SixfoldCacheTooSmall",
    "SixfoldOriginCertificateExpires",
    "SixfoldSessionCertificateExpires",
    "SixfoldSiteDown",
];
/// Those of a site, and those of a centre; each with its tests.
const ALERTS: [(&str, &str); 2] =
    [("alerts.yml", "alerts_test.yml"), ("alerts-central.yml", "alerts-central_test.yml")];

fn read(name: &str) -> Result<String> {
    fs::read_to_string(workspace::root().join("grafana").join(name)).with_context(|| name.to_owned())
}

fn parse(name: &str) -> Result<Value> {
    serde_saphyr::from_str(&read(name)?).with_context(|| name.to_owned())
}

/// The values of this key in a list, in a file of rules or a test of them.
fn all<'v>(list: &'v Value, key: &str) -> Vec<&'v str> {
    list.as_array().into_iter().flatten().filter_map(|item| item[key].as_str()).collect()
}

fn rules(file: &Value, key: &str) -> BTreeSet<String> {
    let groups = file["groups"].as_array().into_iter().flatten();
    groups.flat_map(|group| all(&group["rules"], key)).map(str::to_owned).collect()
}

/// Names of metrics, and those with colons, of recorded ones.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    words.filter(|word| word.contains("sixfold_") || word.starts_with("process_")).collect()
}

fn promtool(arguments: &[&str]) -> Result<()> {
    let program = Peer::Promtool.program().with_context(|| Peer::Promtool.remedy())?;
    let output =
        Command::new(program).args(arguments).current_dir(workspace::root().join("grafana")).output()?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    Ok(())
}

#[test]
fn alerts_fire_when_they_should_and_only_then() -> Result<()> {
    sandbox::run(&[Peer::Promtool], || {
        for (file, tests) in [("recording.yml", "recording_test.yml")].iter().chain(&ALERTS) {
            promtool(&["check", "rules", file])?;
            promtool(&["test", "rules", tests])?;
        }
        Ok(())
    })
}

#[test]
fn every_alert_is_tested_both_ways() -> Result<()> {
    let mut promised: BTreeSet<&str> = PROMISED.iter().copied().collect();
    for (file, tests) in ALERTS {
        let alerts = rules(&parse(file)?, "alert");
        promised.retain(|name| !alerts.contains(*name));
        let tests = parse(tests)?;
        let cases = tests["tests"].as_array().context("tests")?.iter();
        let cases: Vec<&Value> =
            cases.flat_map(|test| test["alert_rule_test"].as_array().into_iter().flatten()).collect();
        for name in &alerts {
            let fires = |wanted: bool| {
                let own = cases.iter().filter(|case| case["alertname"] == **name);
                own.filter_map(|case| case["exp_alerts"].as_array()).any(|alerts| alerts.is_empty() != wanted)
            };
            ensure!(fires(true), "no test lets {name} fire");
            ensure!(fires(false), "no test keeps {name} quiet");
        }
    }
    ensure!(promised.is_empty(), "{promised:?} are promised, and nowhere");
    Ok(())
}

#[test]
fn what_is_recorded_is_tested_and_used() -> Result<()> {
    let recorded = rules(&parse("recording.yml")?, "record");
    let tests = parse("recording_test.yml")?;
    let tested: String = tests["tests"]
        .as_array()
        .context("tests")?
        .iter()
        .flat_map(|test| all(&test["promql_expr_test"], "expr"))
        .collect::<Vec<_>>()
        .join("\n");
    let (alerts, dashboard) = (read("alerts.yml")?, read("dashboard.json")?);
    let used: BTreeSet<&str> = names(&alerts).into_iter().chain(names(&dashboard)).collect();
    for name in &recorded {
        ensure!(names(&tested).contains(name.as_str()), "{name} is not tested");
        ensure!(used.contains(name.as_str()), "nobody uses {name}");
    }
    for name in used.iter().filter(|name| name.contains(':')) {
        ensure!(recorded.contains(*name), "{name} is not recorded");
    }
    Ok(())
}

#[test]
fn rules_use_metrics_that_exist() -> Result<()> {
    let page = fs::read_to_string(workspace::root().join("docs/metrics.md"))?;
    for file in ["recording.yml", "alerts.yml"] {
        let content = parse(file)?;
        let expressions: Vec<String> = rules(&content, "expr").into_iter().collect();
        let expressions = expressions.join("\n");
        let used: Vec<&str> = names(&expressions).into_iter().filter(|name| !name.contains(':')).collect();
        ensure!(used.len() >= 5, "{file}: {used:?}");
        for name in used {
            ensure!(page.contains(&format!("| `{name}` |")), "{name} of {file} is not in docs/metrics.md");
        }
    }
    Ok(())
}

/// What a pattern such as `sixfold_(origin|cache).*` may begin with.
fn beginnings(pattern: &str) -> Vec<String> {
    let pattern = pattern.trim_end_matches(".*");
    let Some((before, rest)) = pattern.split_once('(') else { return vec![pattern.to_owned()] };
    let (choices, after) = rest.split_once(')').unwrap_or((rest, ""));
    choices.split('|').map(|choice| format!("{before}{choice}{after}")).collect()
}

#[test]
fn the_centre_gets_what_the_dashboard_asks_for() -> Result<()> {
    let folder = workspace::root().join("config/scale-out");
    let text = fs::read_to_string(folder.join("prometheus-central.yml"))?;
    let config: Value = serde_saphyr::from_str(&text)?;
    let wanted = config["scrape_configs"][0]["params"]["match[]"].as_array().context("match[]")?;
    let patterns =
        wanted.iter().filter_map(|one| one.as_str()?.split("__name__=~\"").nth(1)?.split('"').next());
    let federated: Vec<String> = patterns.flat_map(beginnings).collect();
    let dashboard = read("dashboard.json")?;
    for name in names(&dashboard) {
        ensure!(federated.iter().any(|beginning| name.starts_with(beginning)), "{name} stays at its site");
    }
    ensure!(names(&dashboard).len() > 40, "too few names");
    Ok(())
}
