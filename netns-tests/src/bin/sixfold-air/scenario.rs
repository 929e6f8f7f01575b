//! Reading the scenario that the command line names.

use crate::cli::RunOptions;
use anyhow::{Context, Result, anyhow};
use sixfold_air::scenario::Scenario;
use std::fs;

/// The scenario, with what the command line changes. Errors name the file, and every mistake in it by its line.
pub(crate) fn read(options: &RunOptions) -> Result<Scenario> {
    let file = options.scenario.display();
    let text = fs::read_to_string(&options.scenario).with_context(|| format!("cannot read {file}"))?;
    Scenario::read(&text, &options.overrides()).map_err(|mistakes| {
        let lines = mistakes.0.iter().map(|mistake| format!("\n  {mistake}"));
        anyhow!("{file}:{}", lines.collect::<String>())
    })
}
