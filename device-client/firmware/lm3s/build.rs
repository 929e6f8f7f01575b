//! Links with cortex-m-rt's script and the memory.x beside this file.

fn main() {
    println!("cargo::rustc-link-arg-bins=-L{}", env!("CARGO_MANIFEST_DIR"));
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    println!("cargo::rerun-if-changed=memory.x");
}
