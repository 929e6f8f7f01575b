//! `make size`: see [`sixfold_size_report`].

use anyhow::{Context, Result};
use clap::Parser;
use sixfold_size_report::budget::{self, BUDGET, Budget};
use sixfold_size_report::report::{self, CORE, LISTENING, Measured};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

/// Prints what firmware takes, and fails when the boot core takes more than it may.
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
    let core = Measured::read(&arguments.images, CORE)?;
    let listening = Measured::read(&arguments.images, LISTENING)?;
    let tables = report::tables(&arguments.images, &core, &listening, [budget, budget::LISTENING])?;
    println!("{tables}");
    if arguments.write {
        let page = "docs/size.md";
        let old = fs::read_to_string(page).context(page)?;
        fs::write(page, report::put_into(&old, &tables)?).context(page)?;
    }
    let faults = core.faults(budget);
    faults.iter().for_each(|fault| eprintln!("size: the boot core: {fault}"));
    let of_listening = listening.faults(budget::LISTENING);
    of_listening.iter().for_each(|fault| eprintln!("size: the boot core that listens: {fault}"));
    Ok(if faults.is_empty() && of_listening.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
