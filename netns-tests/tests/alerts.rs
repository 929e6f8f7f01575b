//! The alert rules in `grafana/`, judged by Prometheus's own tool, and against what the relay exports.

use anyhow::{Context, Result, ensure};
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::{sandbox, workspace};
use std::fs;
use std::process::Command;

fn promtool(arguments: &[&str]) -> Result<()> {
    let program = Peer::Promtool.program().context(Peer::Promtool.remedy())?;
    let output =
        Command::new(program).args(arguments).current_dir(workspace::root().join("grafana")).output()?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    Ok(())
}

#[test]
fn alerts_fire_when_they_should_and_only_then() -> Result<()> {
    sandbox::run(&[Peer::Promtool], || {
        promtool(&["check", "rules", "alerts.yml"])?;
        promtool(&["test", "rules", "alerts_test.yml"])
    })
}

#[test]
fn alerts_use_metrics_that_exist() -> Result<()> {
    let rules = fs::read_to_string(workspace::root().join("grafana/alerts.yml"))?;
    let page = fs::read_to_string(workspace::root().join("docs/metrics.md"))?;
    let words = rules.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let mut used: Vec<&str> = words.filter(|word| word.starts_with("sixfold_")).collect();
    used.sort_unstable();
    used.dedup();
    ensure!(used.len() >= 3, "no metrics found in the rules: {used:?}");
    for name in used {
        ensure!(page.contains(&format!("`{name}")), "{name} is not in docs/metrics.md");
    }
    Ok(())
}
