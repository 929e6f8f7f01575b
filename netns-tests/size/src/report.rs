//! The tables, as Markdown: `make size` prints them, and docs/size.md holds those of the day they were written.

use crate::budget::{self, Budget};
use crate::elf::Program;
use crate::stack::{self, Path, Stack};
use crate::{disassembly, parts};
use anyhow::{Context, Result};
use std::fmt::Write;
use std::path;

/// A program without a board: what a caller needs of it are functions of these names.
#[derive(Clone, Copy, Debug)]
pub struct Alone {
    /// In the table.
    pub title: &'static str,
    /// The file in `target/firmware`.
    pub file: &'static str,
    /// What a board calls.
    pub entries: &'static [&'static str],
}

/// The boot core, which has a budget.
pub const CORE: Alone = Alone {
    title: "Sixfold's boot core",
    file: "sixfold-boot-core.elf",
    entries: &[
        "core_choose",
        "core_begin",
        "core_datagram",
        "core_timeout",
        "core_transmit",
        "core_deadline",
    ],
};
/// The boot core with the feature `listen`, which has a budget of its own.
pub const LISTENING: Alone = Alone {
    title: "Sixfold's boot core, with its part in a group",
    file: "sixfold-boot-core-listen.elf",
    entries: &[
        "core_choose",
        "core_begin",
        "core_listen",
        "core_group",
        "core_datagram",
        "core_group_datagram",
        "core_timeout",
        "core_transmit",
        "core_deadline",
    ],
};
/// The boot core with the feature `oscore`, whose flash has a budget of its own.
pub const OSCORE: Alone = Alone {
    title: "Sixfold's boot core, with sessions",
    file: "sixfold-boot-core-oscore.elf",
    entries: CORE.entries,
};
/// The boot core with the feature `encrypted`, whose flash has a budget of its own.
pub const ENCRYPTED: Alone = Alone {
    title: "Sixfold's boot core, with encrypted images",
    file: "sixfold-boot-core-encrypted.elf",
    entries: CORE.entries,
};
/// The boot core with the features `listen` and `encrypted`, which has a budget of its own.
pub const ENCRYPTED_LISTENING: Alone = Alone {
    title: "Sixfold's boot core, with its part in a group, and encrypted images",
    file: "sixfold-boot-core-listen-encrypted.elf",
    entries: LISTENING.entries,
};
/// What it is measured against.
pub const TFTP: [Alone; 2] = [
    Alone {
        title: "TFTP client",
        file: "sixfold-tftp.elf",
        entries: &["tftp_begin", "tftp_datagram", "tftp_timeout", "tftp_transmit", "tftp_deadline"],
    },
    Alone {
        title: "TFTP client, SHA-256 of the whole",
        file: "sixfold-tftp-sha256.elf",
        entries: &[
            "tftp_begin",
            "tftp_datagram",
            "tftp_timeout",
            "tftp_transmit",
            "tftp_deadline",
            "tftp_is_right",
        ],
    },
];
/// The C library's boot part, as a board's linker takes it. How deep its stack gets is not told: the flash is behind pointers of the
/// caller's.
pub const C_LIBRARY: &str = "sixfold-c.elf";
/// Whole images, by file.
pub const IMAGES: [&str; 3] = ["sixfold-microbit.elf", "sixfold-microbit-app-1.elf", "sixfold-lm3s.elf"];

/// A program without a board, and its stack.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Which one.
    pub alone: Alone,
    /// Its sections and symbols.
    pub program: Program,
    /// For each of its entry points the path that takes most stack.
    pub paths: Vec<Path>,
}

impl Measured {
    /// Reads the program from the folder of the images.
    pub fn read(folder: &path::Path, alone: Alone) -> Result<Self> {
        let file = folder.join(alone.file);
        let program = Program::read(&file)?;
        let stack = Stack::new(&program, &disassembly::read(&file)?)?;
        let paths = alone.entries.iter().map(|entry| stack.deepest(entry)).collect::<Result<_>>()?;
        Ok(Self { alone, program, paths })
    }

    /// What breaks the budget.
    pub fn faults(&self, budget: Budget) -> Vec<String> {
        budget::faults(&self.program, &self.paths, budget)
    }

    /// Bytes of flash beyond those of another program.
    pub fn more_flash_than(&self, other: &Self) -> u64 {
        self.program.flash().saturating_sub(other.program.flash())
    }

    fn deepest(&self) -> u64 {
        self.paths.iter().map(stack::bytes).max().unwrap_or_default()
    }
}

/// What has a budget.
#[derive(Clone, Debug)]
pub struct Budgeted {
    /// The boot core.
    pub core: Measured,
    /// With the feature `listen`.
    pub listening: Measured,
    /// With the feature `oscore`.
    pub oscore: Measured,
    /// With the feature `encrypted`.
    pub encrypted: Measured,
    /// With the features `listen` and `encrypted`.
    pub encrypted_listening: Measured,
    /// [`C_LIBRARY`].
    pub c_library: Program,
}

impl Budgeted {
    /// Reads them from the folder of the images.
    pub fn read(folder: &path::Path) -> Result<Self> {
        Ok(Self {
            core: Measured::read(folder, CORE)?,
            listening: Measured::read(folder, LISTENING)?,
            oscore: Measured::read(folder, OSCORE)?,
            encrypted: Measured::read(folder, ENCRYPTED)?,
            encrypted_listening: Measured::read(folder, ENCRYPTED_LISTENING)?,
            c_library: Program::read(&folder.join(C_LIBRARY))?,
        })
    }

    /// What breaks which budget; the boot core's is `budget`.
    pub fn faults(&self, budget: Budget) -> Vec<String> {
        let of = |what: &'static str, faults: Vec<String>| {
            faults.into_iter().map(move |fault| format!("{what}: {fault}"))
        };
        of("the boot core", self.core.faults(budget))
            .chain(of("the boot core that listens", self.listening.faults(budget::LISTENING)))
            .chain(of("OSCORE", self.oscore_faults()))
            .chain(of("encrypted images", self.encrypted_faults()))
            .chain(of(
                "the boot core that listens, with encrypted images",
                self.encrypted_listening.faults(budget::ENCRYPTED_LISTENING),
            ))
            .chain(of("the C library", self.c_faults()))
            .collect()
    }

    /// Those of [`budget::OSCORE`].
    pub fn oscore_faults(&self) -> Vec<String> {
        let flash = self.core.program.flash() + budget::OSCORE;
        self.oscore.faults(Budget { flash, ram: budget::OSCORE_RAM })
    }

    /// Those of [`budget::ENCRYPTED`].
    pub fn encrypted_faults(&self) -> Vec<String> {
        let flash = self.core.program.flash() + budget::ENCRYPTED;
        self.encrypted.faults(Budget { flash, ram: budget::ENCRYPTED_RAM })
    }

    /// Those of [`budget::C_FLASH`].
    pub fn c_faults(&self) -> Vec<String> {
        budget::faults(&self.c_library, &[], Budget { flash: budget::C_FLASH, ram: 0 })
    }
}

/// All tables, of the images in `folder`, with the budget of the boot core.
pub fn tables(folder: &path::Path, budgeted: &Budgeted, budget: Budget) -> Result<String> {
    let Budgeted { core, listening, oscore, encrypted, encrypted_listening, c_library } = budgeted;
    let mut text = summary("boot core, thumbv6m", core, budget);
    text += &format!("\n{}", summary("with the feature `listen`", listening, budget::LISTENING));
    let both = summary("with `listen` and `encrypted`", encrypted_listening, budget::ENCRYPTED_LISTENING);
    text += &format!("\n{}", beyond("oscore", core, oscore, budget::OSCORE, budget::OSCORE_RAM));
    text += &format!("\n{}", beyond("encrypted", core, encrypted, budget::ENCRYPTED, budget::ENCRYPTED_RAM));
    text += &format!("\n{both}");
    text += &format!("\n{}", library(c_library));
    let columns = [
        ("boot core", &core.program),
        ("with `listen`", &listening.program),
        ("with `oscore`", &oscore.program),
        ("with `encrypted`", &encrypted.program),
        ("with `listen` and `encrypted`", &encrypted_listening.program),
    ];
    text += &format!("\n### Flash by part\n\n{}", by_part(&columns));
    text += &format!("\n### The deepest stack from each entry point\n\n{}", stacks(&core.paths));
    text += &format!("\nWith the feature `listen`:\n\n{}", stacks(&listening.paths));
    text += &format!("\nWith the feature `oscore`:\n\n{}", stacks(&oscore.paths));
    text += &format!("\nWith the feature `encrypted`:\n\n{}", stacks(&encrypted.paths));
    text +=
        &format!("\nWith the features `listen` and `encrypted`:\n\n{}", stacks(&encrypted_listening.paths));
    let tftp = TFTP.into_iter().map(|alone| Measured::read(folder, alone)).collect::<Result<Vec<_>>>()?;
    let all: Vec<_> =
        [core, listening, oscore, encrypted, encrypted_listening].into_iter().chain(&tftp).collect();
    text += &format!("\n### Beside TFTP\n\n{}", comparison(&all));
    let images = IMAGES.map(|file| Program::read(&folder.join(file)).map(|program| (file, program)));
    let images = images.into_iter().collect::<Result<Vec<_>>>()?;
    let images: Vec<_> =
        images.iter().map(|(file, program)| (file.trim_end_matches(".elf"), program)).collect();
    text += &format!("\n### Whole images, flash by part\n\n{}", by_part(&images));
    Ok(text)
}

fn summary(title: &str, core: &Measured, budget: Budget) -> String {
    let program = &core.program;
    let (flash, ram) = (program.flash(), budget::ram(program, &core.paths));
    let sections: Vec<_> =
        program.sections.iter().map(|section| format!("{} {}", section.name, section.size)).collect();
    format!(
        "| {title} | bytes | budget | of these |\n|---|--:|--:|---|\n\
         | flash | {flash} | {} | {} |\n| RAM beside buffers | {ram} | {} | state {}, statics {}, stack {} |\n",
        budget.flash,
        sections.join(", "),
        budget.ram,
        program.state_size.unwrap_or_default(),
        program.static_ram(),
        core.deepest(),
    )
}

/// A table of its own below [`summary`].
fn beyond(feature: &str, core: &Measured, with: &Measured, flash: u64, most_ram: u64) -> String {
    let more = with.more_flash_than(core);
    let ram = budget::ram(&with.program, &with.paths);
    format!(
        "| with the feature `{feature}` | bytes | budget |\n|---|--:|--:|\n\
         | flash beyond the boot core | {more} | {flash} |\n| RAM beside buffers | {ram} | {most_ram} |\n"
    )
}

/// The same.
fn library(program: &Program) -> String {
    let flash = program.flash();
    format!(
        "| C library, boot part | bytes | budget |\n|---|--:|--:|\n| flash | {flash} | {} |\n",
        budget::C_FLASH
    )
}

/// A row for each part, a column for each program.
fn by_part(programs: &[(&str, &Program)]) -> String {
    let columns: Vec<_> = programs.iter().map(|(_, program)| parts::of(program)).collect();
    let size = |column: &Vec<(String, u64)>, part: &str| {
        column.iter().find(|(name, _)| name == part).map(|(_, size)| *size)
    };
    let mut rows: Vec<_> = columns.iter().flatten().map(|(name, _)| name).collect();
    rows.sort_by_key(|part| (std::cmp::Reverse(columns.iter().filter_map(|c| size(c, part)).max()), *part));
    rows.dedup();
    let mut text = "| bytes of flash |".to_owned();
    programs.iter().for_each(|(title, _)| text += &format!(" {title} |"));
    text += &format!("\n|---|{}\n", "--:|".repeat(programs.len()));
    for part in rows {
        let _ = write!(text, "| {part} |");
        for column in &columns {
            text += &size(column, part).map_or_else(|| " – |".to_owned(), |size| format!(" {size} |"));
        }
        text.push('\n');
    }
    text += "| together |";
    programs.iter().for_each(|(_, program)| text += &format!(" {} |", program.flash()));
    text + "\n"
}

fn stacks(paths: &[Path]) -> String {
    let mut text =
        "| entry point | bytes of stack | functions, and what each takes |\n|---|--:|---|\n".to_owned();
    for path in paths {
        let functions: Vec<_> = path.iter().map(|(name, bytes)| format!("`{name}` {bytes}")).collect();
        let entry = path.first().map(|(name, _)| name.as_str()).unwrap_or_default();
        let _ = writeln!(text, "| `{entry}` | {} | {} |", stack::bytes(path), functions.join(", "));
    }
    text
}

fn comparison(all: &[&Measured]) -> String {
    let mut text = "| thumbv6m | flash | state | deepest stack |\n|---|--:|--:|--:|\n".to_owned();
    for measured in all {
        let Measured { alone, program, .. } = measured;
        let state = program.state_size.unwrap_or_default();
        let _ =
            writeln!(text, "| {} | {} | {state} | {} |", alone.title, program.flash(), measured.deepest());
    }
    text
}

/// The page with the tables in place of what is between its markers.
pub fn put_into(page: &str, tables: &str) -> Result<String> {
    const BEGIN: &str = "<!-- sizes: make size ARGS=--write -->\n";
    const END: &str = "<!-- end of sizes -->";
    let (before, rest) = page.split_once(BEGIN).context("the page has no place for the tables")?;
    let (_, after) = rest.split_once(END).context("the place for the tables does not end")?;
    Ok(format!("{before}{BEGIN}{tables}{END}{after}"))
}
