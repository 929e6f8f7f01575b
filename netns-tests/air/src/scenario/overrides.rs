//! What the command line changes in a scenario.

use super::reader::Source;
use super::values::{self, MOST, Outcome};
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
    /// Those that are right, by the rules for the file. The others are mistakes.
    pub(super) fn checked(self, source: &Source<'_>) -> Self {
        Self {
            devices: checked(source, "--devices", self.devices, |n| values::within(n.into(), 1, MOST)),
            loss: checked(source, "--loss", self.loss, |loss| values::bernoulli(loss).map(|_| loss)),
            image_bytes: checked(source, "--image", self.image_bytes, |n| {
                values::within(n.into(), 1, u32::MAX)
            }),
            block_bytes: checked(source, "--szx", self.block_bytes, |n| values::block_bytes(n.into())),
        }
    }
}

fn checked<T>(
    source: &Source<'_>,
    option: &str,
    value: Option<T>,
    rule: impl FnOnce(T) -> Outcome<T>,
) -> Option<T> {
    rule(value?).map_err(|message| source.wrong_option(option, message)).ok()
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
