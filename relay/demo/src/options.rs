//! The command line of the demo.

use clap::Parser;
use sixfold_profile::coap::Szx;

const EXAMPLES: &str = "\
Examples:
  sixfold-demo
  sixfold-demo --devices 100 --szx 2

Exit codes: 0 every device has the right bytes, 1 something failed, 2 the command line is wrong.";

/// Runs an HTTPS origin, a relay and devices on this machine, with nothing to configure.
#[derive(Debug, Parser)]
#[command(name = "sixfold-demo", version, after_help = EXAMPLES)]
pub struct Options {
    /// How many devices fetch at the same time.
    #[arg(long, default_value_t = 20, value_parser = at_least_one, value_name = "N")]
    pub devices: usize,
    /// The length of the image.
    #[arg(long, default_value_t = 96 << 10, value_parser = at_least_one, value_name = "BYTES")]
    pub size: usize,
    /// The block size exponent, 0 to 6: blocks of 2^(N+4) bytes.
    #[arg(long, default_value = "6", value_parser = szx, value_name = "N")]
    pub szx: Szx,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|&number| (1..=64 << 20).contains(&number))
        .ok_or("give a number from 1 to 67108864".into())
}

fn szx(text: &str) -> Result<Szx, String> {
    text.parse().ok().and_then(Szx::new).ok_or("give a number from 0 (16 bytes) to 6 (1024 bytes)".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn refuses_impossible_scenes() {
        for arguments in [["--szx", "7"], ["--devices", "0"], ["--size", "-1"]] {
            let line = ["sixfold-demo"].into_iter().chain(arguments);
            assert!(Options::try_parse_from(line).is_err(), "{arguments:?}");
        }
    }
}
