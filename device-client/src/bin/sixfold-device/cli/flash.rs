//! `sixfold-device flash`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Make and look at flash in files.
#[derive(Debug, Subcommand)]
pub(crate) enum Flash {
    Create(Create),
    Show(Show),
}

const CREATE_EXAMPLES: &str = "\
Examples:
  sixfold-device flash create flash.bin --slot-size 131072
  sixfold-device flash create flash.bin --slot-size 131072 --two-slots \\
      --factory v1.bin";

/// Make erased flash: two records and one slot or two, in pages of 4096 bytes.
#[derive(Args, Debug)]
#[command(after_help = CREATE_EXAMPLES)]
pub(crate) struct Create {
    /// The file to make.
    pub(crate) file: PathBuf,
    /// Bytes of a slot: whole pages.
    #[arg(long, value_name = "BYTES")]
    pub(crate) slot_size: u32,
    /// Make two slots: the old image stays while the new one comes.
    #[arg(long)]
    pub(crate) two_slots: bool,
    /// The image that the factory put into the first slot.
    #[arg(long, value_name = "FILE")]
    pub(crate) factory: Option<PathBuf>,
}

/// Say what is in flash: tickets, how far an update is, and what the boot program would do.
#[derive(Args, Debug)]
pub(crate) struct Show {
    /// The flash.
    pub(crate) file: PathBuf,
}
