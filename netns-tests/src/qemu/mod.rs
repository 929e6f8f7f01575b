//! The firmware under `qemu-system-arm`: machines whose flash can be written, whose serial line is a packet link, and
//! which can be reset at any moment.
//!
//! ```text
//!            +--------------------- qemu-system-arm ---------------------+
//!            | debug port (gdb)      monitor (QMP)       serial line     |
//!            +------^----------------------^--------------------^--------+
//!   factory: the    |     power: reset     |                    | SLIP
//!   first image  DebugPort              Monitor            SerialLine ---- TUN device in the relay's namespace
//! ```
//!
//! QEMU connects to all three, so that nothing has to be waited for or tried again.

pub mod debug_port;
pub mod image;
pub mod link;
pub mod machine;
pub mod monitor;
pub mod record;
pub mod serial;

pub use debug_port::DebugPort;
pub use image::Images;
pub use link::PacketLink;
pub use machine::Machine;
pub use monitor::Monitor;
pub use serial::SerialLine;
