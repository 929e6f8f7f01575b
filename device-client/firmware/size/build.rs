//! Links without start-up code: the board's functions are symbols at made-up addresses, which take no place.

const OF_THE_BOARD: [&str; 7] = [
    "board_read",
    "board_write",
    "board_erase",
    "board_receive",
    "board_send",
    "board_now_us",
    "board_random",
];

fn main() {
    for argument in ["--entry=boot", "--gc-sections", "--image-base=0x10000"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    for (n, symbol) in OF_THE_BOARD.iter().enumerate() {
        println!("cargo::rustc-link-arg-bins=--defsym={symbol}={:#x}", 0x801 + 0x10 * n);
    }
}
