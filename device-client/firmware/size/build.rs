//! Links without start-up code: what a board calls is what is kept, and what it provides are symbols at made-up addresses,
//! which take no place.

const KEPT: [&str; 7] =
    ["core_choose", "core_begin", "core_datagram", "core_timeout", "core_transmit", "core_deadline", "STATE_SIZE"];
const PROVIDED: [&str; 3] = ["board_read", "board_write", "board_erase"];

fn main() {
    for argument in ["--gc-sections", "--image-base=0x10000", "--entry=core_begin"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    for symbol in KEPT {
        println!("cargo::rustc-link-arg-bins=--undefined={symbol}");
    }
    for (n, symbol) in PROVIDED.iter().enumerate() {
        println!("cargo::rustc-link-arg-bins=--defsym={symbol}={:#x}", 0x801 + 0x10 * n);
    }
}
