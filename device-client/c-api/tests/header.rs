//! The headers are those of the code, and C and C++ compilers take them. `SIXFOLD_BLESS=1` writes them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod compiler;

use cbindgen::{Builder, Config, EnumConfig, ExportConfig, Language, RenameRule, Style};
use std::path::{Path, PathBuf};

/// Memory for an update, whose size the compiler of the library knows; `the_memory_is_as_large_as_the_header_says` holds it.
const BOOT: &str = "
#if UINTPTR_MAX > 0xffffffffu
#define SIXFOLD_BOOT_SIZE 592
#else
#define SIXFOLD_BOOT_SIZE 456
#endif

/**
 * One update. It is the calling program's memory, and says nothing before `sixfold_boot_begin`.
 */
typedef struct sixfold_boot {
  uint64_t opaque[SIXFOLD_BOOT_SIZE / 8];
} sixfold_boot;
";

fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file)
}

fn include(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include").join(file)
}

fn config(header: &str, after_includes: &str, more: Option<&str>) -> Config {
    let mut export = ExportConfig {
        exclude: ["SixfoldBoot", "PAGE_SIZE", "WRITE_SIZE"].map(str::to_owned).to_vec(),
        ..ExportConfig::default()
    };
    for name in [
        "Status",
        "Cause",
        "Flash",
        "Range",
        "Layout",
        "Boot",
        "Action",
        "Choice",
        "Ticket",
        "EventKind",
        "Event",
        "Link",
        "Request",
        "Prepared",
        "Origin",
        "Group",
        "Session",
    ] {
        let snake = if name == "EventKind" { "event_kind".to_owned() } else { name.to_lowercase() };
        export.rename.insert(format!("Sixfold{name}"), format!("sixfold_{snake}"));
    }
    Config {
        language: Language::C,
        cpp_compat: true,
        style: Style::Both,
        no_includes: true,
        usize_is_size_t: true,
        sys_includes: ["stdbool.h", "stddef.h", "stdint.h"].map(str::to_owned).to_vec(),
        includes: more.map(str::to_owned).into_iter().collect(),
        include_guard: Some(format!("SIXFOLD_{}_H", header.to_uppercase())),
        autogen_warning: Some(
            "/* Written by SIXFOLD_BLESS=1 cargo test -p sixfold-c --test header */".to_owned(),
        ),
        after_includes: Some(after_includes.to_owned()),
        enumeration: EnumConfig {
            rename_variants: RenameRule::QualifiedScreamingSnakeCase,
            ..EnumConfig::default()
        },
        export,
        ..Config::default()
    }
}

fn holds(file: &str, config: Config, sources: &[&str]) {
    let builder = sources.iter().fold(Builder::new(), |builder, file| builder.with_src(source(file)));
    let mut written = Vec::new();
    builder.with_config(config).generate().unwrap().write(&mut written);
    let written = String::from_utf8(written).unwrap();
    let path = include(file);
    if std::env::var_os("SIXFOLD_BLESS").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    assert!(
        found == written,
        "{file} is not what the code says: SIXFOLD_BLESS=1 cargo test -p sixfold-c --test header"
    );
}

#[test]
fn the_headers_say_what_the_code_does() {
    holds(
        "sixfold_boot.h",
        config("boot", BOOT, None),
        &["status.rs", "flash.rs", "boot.rs", "listen.rs", "session.rs"],
    );
    holds("sixfold_prepare.h", config("prepare", "", Some("sixfold_boot.h")), &["discover.rs", "prepare.rs"]);
}

#[test]
fn the_memory_is_as_large_as_the_header_says() {
    let size = size_of::<sixfold::SixfoldBoot>();
    assert_eq!(size, if cfg!(target_pointer_width = "64") { 592 } else { 456 });
    assert!(BOOT.contains(&format!("SIXFOLD_BOOT_SIZE {size}")));
}

#[test]
fn compilers_of_c_and_cpp_take_the_headers() {
    let folder = tempfile::tempdir().unwrap();
    for (file, flags) in [("a.c", ["-std=c99"]), ("b.c", ["-std=c11"]), ("c.cpp", ["-std=c++11"])] {
        let source = folder.path().join(file);
        std::fs::write(&source, "#include \"sixfold_prepare.h\"\nint main(void) { return 0; }\n").unwrap();
        let mut command = compiler::compiler();
        command.args(["-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]).args(flags).arg(&source);
        compiler::succeeds(&mut command);
    }
}
