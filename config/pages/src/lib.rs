//! The command lines of all three programs, and man pages and shell completions made from them.
//!
//! They are made from the command lines that the programs themselves read, when a package is made: nothing here is kept
//! that could become untrue.
#![forbid(unsafe_code)]

use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use std::fs;
use std::path::Path;

/// Writes `man/*.1`, one a program and one a subcommand, and `completions/` for bash, zsh and fish.
///
/// # Errors
/// When the directory cannot be written to.
pub fn write(directory: &Path) -> Result<()> {
    let (man, completions) = (directory.join("man"), directory.join("completions"));
    for folder in [&man, &completions] {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    for mut program in programs() {
        let name = program.get_name().to_owned();
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            clap_complete::generate_to(shell, &mut program, &name, &completions)?;
        }
        clap_mangen::generate_to(program, &man)?;
    }
    Ok(())
}

/// sixfold-relay, sixfold-device and sixfold-publish, as they read their arguments.
pub fn programs() -> [Command; 3] {
    let programs = [
        sixfold_relay::cli::Cli::command(),
        sixfold_device::cli::Cli::command(),
        sixfold_publish::cli::Cli::command(),
    ];
    let names = ["sixfold-relay", "sixfold-device", "sixfold-publish"];
    let mut names = names.into_iter();
    programs.map(|program| {
        let name = names.next().unwrap_or_default();
        let program = program.name(name).bin_name(name).version(env!("CARGO_PKG_VERSION"));
        // A page about `help help` helps nobody.
        program.disable_help_subcommand(true).mut_subcommands(|below| below.disable_help_subcommand(true))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The subcommands below a command, as man pages name them: `sixfold-device-flash-show`.
    fn pages(command: &Command, name: &str) -> Vec<String> {
        let below = command.get_subcommands();
        let below = below.flat_map(|command| pages(command, &format!("{name}-{}", command.get_name())));
        std::iter::once(name.to_owned()).chain(below).collect()
    }

    #[test]
    fn every_command_has_its_page_and_every_option_is_on_it() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path()).unwrap();
        let mut count = 0;
        for program in programs() {
            for page in pages(&program, program.get_name()) {
                let text = fs::read_to_string(directory.path().join(format!("man/{page}.1")));
                let text = text.unwrap_or_else(|error| panic!("{page}: {error}"));
                assert!(text.contains(&format!(".TH {page} 1")), "{page}:\n{text}");
                count += 1;
            }
        }
        assert!(count > 15, "{count} pages");
        let serve = fs::read_to_string(directory.path().join("man/sixfold-relay-serve.1")).unwrap();
        assert!(serve.contains("\\-\\-config"), "{serve}");
    }

    #[test]
    fn completions_know_subcommands_and_options() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path()).unwrap();
        for file in ["sixfold-device.bash", "_sixfold-device", "sixfold-device.fish"] {
            let text = fs::read_to_string(directory.path().join("completions").join(file)).unwrap();
            assert!(["prepare", "discover", "manifest"].iter().all(|word| text.contains(word)), "{file}");
        }
    }
}
