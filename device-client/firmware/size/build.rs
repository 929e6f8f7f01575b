//! Links without start-up code: what a board calls is what is kept, and what it provides are symbols at made-up addresses,
//! which take no place.

use std::env;

const CORE: [&str; 7] = [
    "core_begin",
    "core_choose",
    "core_datagram",
    "core_timeout",
    "core_transmit",
    "core_deadline",
    "STATE_SIZE",
];
const TFTP: [&str; 6] =
    ["tftp_begin", "tftp_datagram", "tftp_timeout", "tftp_transmit", "tftp_deadline", "STATE_SIZE"];
const PROVIDED: [&str; 3] = ["board_read", "board_write", "board_erase"];

fn main() {
    println!("cargo::rustc-link-arg-bins=--gc-sections");
    println!("cargo::rustc-link-arg-bins=--image-base=0x10000");
    for (n, symbol) in PROVIDED.iter().enumerate() {
        println!("cargo::rustc-link-arg-bins=--defsym={symbol}={:#x}", 0x801 + 0x10 * n);
    }
    keep("sixfold-size", "core_begin", &CORE);
    keep("sixfold-tftp-size", "tftp_begin", &TFTP);
    if has_feature("LISTEN") {
        keep("sixfold-size", "core_begin", &["core_listen", "core_group", "core_group_datagram"]);
    }
    if has_feature("PROVOKE") {
        keep("sixfold-size", "core_begin", &["core_provoke"]);
    }
    if has_feature("SHA256") {
        keep("sixfold-tftp-size", "tftp_begin", &["tftp_is_right"]);
    }
}

fn has_feature(name: &str) -> bool {
    env::var_os(format!("CARGO_FEATURE_{name}")).is_some()
}

fn keep(program: &str, entry: &str, symbols: &[&str]) {
    println!("cargo::rustc-link-arg-bin={program}=--entry={entry}");
    symbols.iter().for_each(|symbol| println!("cargo::rustc-link-arg-bin={program}=--undefined={symbol}"));
}
