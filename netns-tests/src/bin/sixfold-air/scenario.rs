//! Reading the scenario that the command line names.

use anyhow::{Context, Result, anyhow};
use sixfold_air::scenario::Scenario;
use sixfold_netns_tests::air_cli::RunOptions;
use std::fs;

/// The scenario, with what the command line changes. Errors name the file, and every mistake in it by its line.
pub(crate) fn read(options: &RunOptions) -> Result<Scenario> {
    let file = options.scenario.display();
    let text = fs::read_to_string(&options.scenario).with_context(|| format!("cannot read {file}"))?;
    Scenario::read(&text, &options.overrides()).map_err(|mistakes| {
        // What has no line is not in the file.
        let told = mistakes.0.iter().map(|mistake| match mistake.line {
            Some(_) => format!("\n  {file}: {mistake}"),
            None => format!("\n  {mistake}"),
        });
        anyhow!("the scenario is wrong:{}", told.collect::<String>())
    })
}
