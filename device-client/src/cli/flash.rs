//! `sixfold-device flash`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `sixfold-device flash`.
#[derive(Debug, Subcommand)]
pub enum Flash {
    /// Make erased flash: two records and one slot or two, in pages of 4096 bytes.
    Create(Create),
    /// Say what is in flash: tickets, how far an update is, and what the boot program would do.
    Show(Show),
}

const CREATE_EXAMPLES: &str = "\
Examples:
  sixfold-device flash create flash.bin --slot-size 131072
  sixfold-device flash create flash.bin --slot-size 131072 --two-slots \\
      --factory v1.bin";

/// `sixfold-device flash create`.
#[derive(Args, Debug)]
#[command(after_help = CREATE_EXAMPLES)]
pub struct Create {
    /// The file to make.
    pub file: PathBuf,
    /// Bytes of a slot: whole pages.
    #[arg(long, value_name = "BYTES")]
    pub slot_size: u32,
    /// Make two slots: the old image stays while the new one comes.
    #[arg(long)]
    pub two_slots: bool,
    /// The image that the factory put into the first slot.
    #[arg(long, value_name = "FILE")]
    pub factory: Option<PathBuf>,
}

/// `sixfold-device flash show`.
#[derive(Args, Debug)]
pub struct Show {
    /// The flash.
    pub file: PathBuf,
}
