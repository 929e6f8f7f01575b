//! What the command line changes in a scenario.

use super::values::{self, Outcome};
use sixfold_profile::coap::Szx;

/// Values that replace those of the file. They must be as right as those in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Overrides {
    /// `--devices`: how many devices a star or a tree has.
    pub devices: Option<u32>,
    /// `--loss`: the probability that a frame is lost, on every directed link whatever the file says about it.
    pub loss: Option<f64>,
    /// `--image`: the size of the image in bytes.
    pub image_bytes: Option<u32>,
    /// `--szx`: the size of a block in bytes, see [`block_bytes_from_szx`].
    pub block_bytes: Option<u16>,
}

/// The size of a block in bytes from the value of `--szx`: an exponent from 0 to 6 (RFC 7959 §2.2), or the size itself.
///
/// # Errors
/// A sentence for the operator when it is neither.
pub fn block_bytes_from_szx(text: &str) -> Result<u16, String> {
    let number: Option<u16> = text.parse().ok();
    let exponent = number.and_then(|number| u8::try_from(number).ok()).and_then(Szx::new);
    let bytes = exponent.map(|szx| szx.size() as u16).or(number);
    bytes.and_then(|bytes| values::block_bytes(bytes.into()).ok()).ok_or_else(|| {
        format!(
            "\"{}\" is no block size; give an SZX from 0 to 6, or 16, 32, 64, 128, 256, 512 or 1024 bytes",
            values::shown(text)
        )
    })
}

impl Overrides {
    /// Checks each value by the rules for the file; tells `mistake` the option and what is wrong with it.
    pub(super) fn check(&self, mut mistake: impl FnMut(&'static str, String)) {
        let devices = self.devices.map(|devices| values::within(devices.into(), 1, values::MOST).map(drop));
        let loss = self.loss.map(|loss| values::bernoulli(loss).map(drop));
        let image = self.image_bytes.map(|bytes| values::within(bytes.into(), 1, u32::MAX).map(drop));
        let block = self.block_bytes.map(|bytes| values::block_bytes(bytes.into()).map(drop));
        let options: [(_, Option<Outcome<()>>); 4] =
            [("--devices", devices), ("--loss", loss), ("--image", image), ("--szx", block)];
        for (option, outcome) in options {
            if let Some(Err(message)) = outcome {
                mistake(option, message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn szx_is_an_exponent_or_a_size() {
        for (text, bytes) in [("0", 16), ("2", 64), ("6", 1024), ("16", 16), ("64", 64), ("1024", 1024)] {
            assert_eq!(block_bytes_from_szx(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in ["", "7", "15", "48", "2048", "65552", "-1", "64 B", "0x2", "\n"] {
            let message = block_bytes_from_szx(text).unwrap_err();
            assert!(message.ends_with("or 16, 32, 64, 128, 256, 512 or 1024 bytes"), "{message}");
        }
    }
}
