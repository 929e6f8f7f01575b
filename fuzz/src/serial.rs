//! The serial line of the firmware's crate, file by file: that is in a workspace of its own, and cargo finds no way from here to its
//! settings.

#[path = "../../device-client/firmware/common/src/packet.rs"]
pub mod packet;
#[path = "../../device-client/firmware/common/src/slip.rs"]
pub mod slip;
