//! The device.
fn main() {}
