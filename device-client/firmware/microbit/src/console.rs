//! Lines of text between the packets on the serial line: frames that begin with `#`, as no IPv6 packet does.

use crate::Uart;
use core::fmt::{self, Write};
use sixfold_firmware::slip;

/// The longest line in bytes; what is beyond is cut off.
const LONGEST: usize = 128;

/// Sends a line. `#` is put before it.
pub fn print(uart: &mut Uart, line: fmt::Arguments<'_>) {
    let mut text = Line { bytes: [b'#'; LONGEST], length: 1 };
    // It fails where the line is cut off.
    let _ = text.write_fmt(line);
    slip::encode(text.bytes.get(..text.length).unwrap_or_default(), |byte| uart.send(byte));
}

struct Line {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            *self.bytes.get_mut(self.length).ok_or(fmt::Error)? = byte;
            self.length = self.length.saturating_add(1);
        }
        Ok(())
    }
}
