//! Lines of text between the packets on the serial line: frames that begin with `#`, as no IPv6 packet does.

use crate::slip;
use core::fmt::{self, Write};
use sixfold_device::boot::Event;
use sixfold_profile::Instant;

/// The longest line in bytes; what is beyond is cut off.
const LONGEST: usize = 128;

/// A serial port, switched on.
pub trait SerialPort {
    /// Sends a byte and waits until it is out.
    fn send(&mut self, byte: u8);
}

/// Sends a line. `#` is put before it.
pub fn print(port: &mut impl SerialPort, line: fmt::Arguments<'_>) {
    let mut text = Line { bytes: [b'#'; LONGEST], length: 1 };
    // It fails where the line is cut off.
    let _ = text.write_fmt(line);
    slip::encode(text.bytes.get(..text.length).unwrap_or_default(), |byte| port.send(byte));
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

/// Bytes as hexadecimal digits.
#[derive(Clone, Copy, Debug)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Says what happened in an update.
pub fn report(port: &mut impl SerialPort, now: Instant, event: Event) {
    match event {
        Event::Chunks { done, all } => print(port, format_args!("boot: {done} of {all} chunks")),
        Event::Sleep { cause, until } => {
            print(port, format_args!("boot: sleeps {} s: {cause}", until.since(now).as_secs()));
        }
        Event::Wait(time) => print(port, format_args!("boot: waits {} s", time.as_secs())),
        Event::Bootable => print(port, format_args!("boot: the image is whole")),
    }
}
