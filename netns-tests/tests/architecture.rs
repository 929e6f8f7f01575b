//! The structure of the workspace, proven from Cargo's dependency trees, from builds, and from ARCHITECTURE.md.

use anyhow::{Context, Result, ensure};
use sixfold_netns_tests::workspace::{self, cargo};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What pure protocol logic must never reach: a runtime, sockets, TLS, and the store with its clock.
const IMPURE: &[&str] = &["tokio", "mio", "socket2", "rustls", "moka", "hyper", "nix"];

/// The packages that `package` is linked with, itself included, when built with `features`.
fn tree(package: &str, features: &[&str]) -> Result<BTreeSet<String>> {
    let mut command = cargo();
    command.args(["tree", "--package", package, "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
    let output = command.args(features).output()?;
    ensure!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout)?;
    Ok(lines.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
}

fn ensure_without(package: &str, features: &[&str], banned: &[&str]) -> Result<()> {
    let tree = tree(package, features)?;
    ensure!(tree.contains(package), "cargo tree does not list {package} itself: {tree:?}");
    let found: Vec<_> = banned.iter().filter(|name| tree.contains(**name)).collect();
    ensure!(found.is_empty(), "{package} depends on {found:?}; see `cargo tree -p {package} -e normal`");
    Ok(())
}

#[test]
fn the_profile_has_no_dependencies() -> Result<()> {
    let tree = tree("sixfold-profile", &[])?;
    ensure!(tree == BTreeSet::from(["sixfold-profile".to_owned()]), "{tree:?}");
    Ok(())
}

/// What a boot program needs of it; ciphers and key derivation of others are for those who have room.
#[test]
fn sessions_need_the_profile_alone() -> Result<()> {
    let tree = tree("sixfold-oscore", &["--no-default-features"])?;
    ensure!(tree == ["sixfold-oscore", "sixfold-profile"].map(str::to_owned).into(), "{tree:?}");
    ensure_without("sixfold-oscore", &["--all-features"], IMPURE)
}

/// Where all packages are built together, others ask for the feature `fast`; a boot program has the AES in little code.
#[test]
fn sessions_in_little_code_pass_the_tests_of_the_standard() -> Result<()> {
    let mut command = cargo();
    command.args(["test", "--quiet", "--locked", "--package", "sixfold-oscore", "--lib"]);
    command.args(["--test", "client", "--test", "rfc8613", "--target-dir"]).arg(workspace::target_dir());
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let is_tested = output.status.success() && said.matches("test result: ok. ").count() == 3;
    ensure!(is_tested, "{said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[test]
fn the_engine_is_pure() -> Result<()> {
    ensure_without("sixfold-engine", &[], IMPURE)
}

#[test]
fn the_air_is_pure() -> Result<()> {
    ensure_without("sixfold-air", &[], IMPURE)
}

#[test]
fn the_device_core_is_pure() -> Result<()> {
    let tree = tree("sixfold-device", &["--no-default-features"])?;
    let allowed = ["sixfold-device", "sixfold-profile", "embedded-storage", "hmac-sha256"];
    ensure!(tree == allowed.map(str::to_owned).into(), "{tree:?}");
    Ok(())
}

#[test]
fn relay_and_device_do_not_depend_on_each_other() -> Result<()> {
    ensure_without("sixfold-relay", &[], &["sixfold-device"])?;
    ensure_without("sixfold-device", &["--all-features"], &["sixfold-relay", "sixfold-engine"])
}

/// What it shows on a screen, and certificates that it makes, are the demonstration's: no router carries them.
#[test]
fn the_relay_does_not_carry_the_demo() -> Result<()> {
    ensure_without("sixfold-relay", &[], &["sixfold-demo", "indicatif", "rcgen"])
}

#[test]
fn the_profile_and_the_device_core_need_no_std() -> Result<()> {
    declares_no_std("profile/src/lib.rs")?;
    declares_no_std("profile/oscore/src/lib.rs")?;
    declares_no_std("device-client/src/lib.rs")?;
    for package in ["sixfold-profile", "sixfold-oscore", "sixfold-device"] {
        let mut build = cargo();
        build.args([
            "check",
            "--quiet",
            "--lib",
            "--no-default-features",
            "--package",
            package,
            "--target-dir",
        ]);
        let output = build.arg(workspace::target_dir()).output()?;
        ensure!(output.status.success(), "{package}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// The crate says `#![no_std]`, and brings `std` back for its tests and a feature of this name at most.
fn declares_no_std(lib: &str) -> Result<()> {
    let source = fs::read_to_string(workspace::root().join(lib))?;
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    ensure!(lines.contains(&"#![no_std]"), "{lib} does not say #![no_std]");
    for (n, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with("extern crate ")) {
        let allowed = ["#[cfg(test)]", "#[cfg(any(test, feature = \"std\"))]"];
        ensure!(n > 0 && allowed.contains(&lines[n - 1]), "{lib}: `{line}` is not for tests only");
    }
    Ok(())
}

#[test]
fn every_invariant_names_a_test_that_exists() -> Result<()> {
    let document =
        fs::read_to_string(workspace::root().join("ARCHITECTURE.md")).context("ARCHITECTURE.md")?;
    let sources = rust_sources(&workspace::root())?;
    let invariants = invariants(&document);
    ensure!(!invariants.is_empty(), "ARCHITECTURE.md has no numbered invariants");
    let faults: Vec<_> = invariants.iter().filter_map(|invariant| fault(invariant, &sources)).collect();
    ensure!(faults.is_empty(), "ARCHITECTURE.md:\n{}", faults.join("\n"));
    Ok(())
}

/// The list items that open with a number and a bold statement, each on one line.
fn invariants(document: &str) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    let mut open = false;
    for line in document.lines() {
        if opens_invariant(line) {
            items.push(line.to_owned());
            open = true;
        } else if line.trim().is_empty() || line.starts_with('#') {
            open = false;
        } else if let Some(item) = items.last_mut().filter(|_| open) {
            item.push(' ');
            item.push_str(line.trim());
        }
    }
    items
}

fn opens_invariant(line: &str) -> bool {
    line.split_once(". **").is_some_and(|(number, _)| number.parse::<u32>().is_ok())
}

/// What is wrong with an invariant: no guard, or a guard that is neither a test function nor a file.
fn fault(invariant: &str, sources: &str) -> Option<String> {
    let Some((_, guards)) = invariant.split_once("Guarded by") else {
        return Some(format!("no \"Guarded by\": {invariant}"));
    };
    let names: Vec<_> = guards.split('`').skip(1).step_by(2).collect();
    let missing: Vec<_> = names.iter().filter(|name| !guard_exists(name, sources)).collect();
    (names.is_empty() || !missing.is_empty()).then(|| format!("guards {missing:?} not found: {invariant}"))
}

fn guard_exists(name: &str, sources: &str) -> bool {
    let function = name.rsplit("::").next().unwrap_or(name);
    is_test(function, sources) || (name.contains('/') && workspace::root().join(name).exists())
}

/// Whether a function of this name has `#[test]` or `#[tokio::test]` among the attributes and comments right before it.
fn is_test(name: &str, sources: &str) -> bool {
    let opening = format!("fn {name}(");
    sources.match_indices(&opening).any(|(at, _)| {
        // Of its own line, only what may stand before `fn`.
        let (before, own) = sources[..at].rsplit_once('\n').unwrap_or(("", &sources[..at]));
        let above = before.lines().rev().map(str::trim);
        let mut attributes = above.take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        matches!(own.trim(), "" | "async")
            && attributes.any(|line| line == "#[test]" || line.starts_with("#[tokio::test"))
    })
}

/// All Rust sources of the workspace, one after the other.
fn rust_sources(folder: &Path) -> Result<String> {
    let mut text = String::new();
    for path in entries(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            text += &rust_sources(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &fs::read_to_string(&path)?;
        }
    }
    Ok(text)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}

/// The last cell of each row names them.
#[test]
fn every_hostile_case_names_a_test_that_exists() -> Result<()> {
    let document = fs::read_to_string(workspace::root().join("docs/security.md"))?;
    let (_, cases) =
        document.split_once("## Hostile cases").context("docs/security.md has no such section")?;
    let (cases, _) = cases.split_once("\n## ").context("it is the last section")?;
    let sources = rust_sources(&workspace::root())?;
    let rows = cases.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| case |"));
    let mut count = 0;
    for row in rows {
        let cell = row.trim_matches([' ', '|']).rsplit(" | ").next().unwrap_or_default();
        let names: Vec<_> = cell.split('`').skip(1).step_by(2).collect();
        let missing: Vec<_> = names.iter().filter(|name| !is_test(name, &sources)).collect();
        ensure!(!names.is_empty() && missing.is_empty(), "docs/security.md: {missing:?} are no tests: {row}");
        count += 1;
    }
    ensure!(count > 25, "{count} cases");
    Ok(())
}

#[test]
fn the_invariant_check_sees_a_missing_guard() {
    let document = "# Invariants\n\n1. **One.** It holds. Guarded by `a_test` and\n   `other`.\n2. **Two.** No guard.\n\n\
                    Not an invariant: 3. **x**\n";
    let items = invariants(document);
    assert_eq!(items.len(), 2, "{items:?}");
    let test = "#[test]\nfn a_test() {}\n";
    let both = format!("{test}\n    #[tokio::test]\n    /// Why.\n    async fn other(\n");
    assert_eq!(fault(&items[0], &both), None);
    assert!(fault(&items[0], test).is_some_and(|fault| fault.contains("other")));
    assert!(fault(&items[1], test).is_some());
}

#[test]
fn a_function_that_is_no_test_guards_nothing() {
    for sources in [
        "fn name() {}",
        "#[test]\nfn other() {}\nfn name() {}",
        "#[allow(dead_code)]\nfn name() {}",
        "#[test]\n// fn name() {}",
        "#[test]\nfn my_name() {}",
        "#[cfg(test)]\nfn name() {}",
    ] {
        assert!(!is_test("name", sources), "{sources}");
    }
    assert!(is_test("name", "#[test]\n#[cfg(unix)]\n/// Why.\nfn name() {}"));
}
