//! `make size`: see [`sixfold_size_report`].

use anyhow::{Context, Result};
use clap::Parser;
use sixfold_size_report::budget::{BUDGET, Budget};
use sixfold_size_report::report::{self, Budgeted};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

/// Prints what firmware takes, and fails when something takes more than it may.
#[derive(Parser)]
struct Arguments {
    /// The folder of the images that scripts/firmware builds.
    #[arg(long, default_value = "target/firmware")]
    images: PathBuf,
    /// Bytes of flash that the boot core may take, without its part in a group.
    #[arg(long, default_value_t = BUDGET.flash)]
    flash: u64,
    /// Bytes of RAM that it may take beside buffers.
    #[arg(long, default_value_t = BUDGET.ram)]
    ram: u64,
    /// Writes the tables into docs/size.md too.
    #[arg(long)]
    write: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let budget = Budget { flash: arguments.flash, ram: arguments.ram };
    let budgeted = Budgeted::read(&arguments.images)?;
    let tables = report::tables(&arguments.images, &budgeted, budget)?;
    println!("{tables}");
    if arguments.write {
        let page = "docs/size.md";
        let old = fs::read_to_string(page).context(page)?;
        fs::write(page, report::put_into(&old, &tables)?).context(page)?;
    }
    let faults = budgeted.faults(budget);
    faults.iter().for_each(|fault| eprintln!("size: {fault}"));
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
