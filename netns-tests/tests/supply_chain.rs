//! What the programs are made of: licences and sources that `deny.toml` allows. `make deny` asks cargo-deny the same, and more.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sixfold_netns_tests::{process, workspace};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// What Rust's standard library has as crates.
const OF_STD: &[&str] = &["cfg-if", "compiler_builtins", "hashbrown", "libc", "rustc-demangle"];

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var("CARGO").unwrap_or("cargo".into()));
    command.args(arguments).current_dir(workspace::root());
    command
}

fn packages() -> Result<Vec<Value>> {
    let output = cargo(&["metadata", "--format-version", "1", "--locked", "--offline"]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    metadata["packages"].as_array().cloned().context("cargo metadata has no packages")
}

/// The quoted words of a list of `deny.toml`.
fn quoted(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|line| line.split('"').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

struct Policy {
    allowed: BTreeSet<String>,
    /// Crates, and what else they may have.
    exceptions: Vec<BTreeSet<String>>,
}

impl Policy {
    fn read(text: &str) -> Result<Self> {
        let (_, licenses) = text.split_once("[licenses]").context("no [licenses]")?;
        let (licenses, _) = licenses.split_once("\n[").context("[licenses] is last")?;
        let (allowed, exceptions) = licenses.split_once("exceptions = [").context("no exceptions")?;
        let exceptions = exceptions.lines().map(quoted).filter(|words| !words.is_empty());
        Ok(Self { allowed: quoted(allowed), exceptions: exceptions.collect() })
    }

    /// Whether an SPDX expression, of which AND binds weaker than what is in brackets, can be met.
    fn allows(&self, name: &str, license: &str) -> bool {
        let exception = self.exceptions.iter().find(|words| words.contains(name));
        let is_allowed =
            |one: &str| self.allowed.contains(one) || exception.is_some_and(|words| words.contains(one));
        let license = license.replace('/', " OR ");
        license
            .split(" AND ")
            .all(|part| part.trim_matches(['(', ')', ' ']).split(" OR ").any(|one| is_allowed(one.trim())))
    }
}

fn policy() -> Result<Policy> {
    Policy::read(&fs::read_to_string(workspace::root().join("deny.toml"))?)
}

#[test]
fn every_licence_is_allowed_and_every_crate_is_of_the_registry() -> Result<()> {
    let policy = policy()?;
    let packages = packages()?;
    ensure!(packages.len() > 100, "{} packages", packages.len());
    for package in &packages {
        let name = package["name"].as_str().unwrap_or_default();
        let license = package["license"].as_str().with_context(|| format!("{name} has no licence"))?;
        ensure!(
            policy.allows(name, license),
            "{name} is licensed under {license}, which deny.toml does not allow"
        );
        let source = package["source"].as_str();
        ensure!(source.is_none_or(|source| source == REGISTRY), "{name} is from {source:?}");
    }
    Ok(())
}

#[test]
fn the_check_sees_what_is_not_allowed() -> Result<()> {
    let policy = policy()?;
    for license in ["GPL-3.0-only", "MIT AND GPL-3.0-only", "(GPL-2.0 OR AGPL-3.0) AND MIT", "MPL-2.0"] {
        ensure!(!policy.allows("some-crate", license), "{license}");
    }
    ensure!(policy.allows("some-crate", "GPL-3.0-only OR MIT") && policy.allows("cbindgen", "MPL-2.0"));
    Ok(())
}

/// Fuzz targets and firmware are workspaces of their own: what changes here may change what they are made of.
#[test]
fn every_lock_file_is_of_its_manifests() -> Result<()> {
    for folder in [".", "fuzz", "device-client/firmware"] {
        let mut command = cargo(&["metadata", "--format-version", "1", "--locked", "--offline"]);
        let output = command.current_dir(workspace::root().join(folder)).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "run cargo metadata in {folder}, and commit its Cargo.lock: {said}");
    }
    Ok(())
}

/// What `scripts/sbom` writes of the relay that tests build: the list, and the notices as text. Of the static one of packages, which
/// takes their linker, `make packages-test` looks at the same.
fn sbom() -> Result<(String, String)> {
    let folder = tempfile::tempdir()?;
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut command = workspace::script("sbom");
    command.args(["sixfold-relay", &target]).arg(folder.path()).arg("sixfold-relay");
    process::run(command.env("SOURCE_DATE_EPOCH", "1700000000").env("CARGO_NET_OFFLINE", "true"))?;
    let notices = folder.path().join("sixfold-relay.notices.gz");
    let list = fs::read_to_string(folder.path().join("sixfold-relay.cdx.json"))?;
    Ok((list, process::run(Command::new("gzip").arg("-dc").arg(notices))?))
}

#[test]
fn the_bill_of_materials_names_what_is_in_the_program() -> Result<()> {
    let (text, notices) = sbom()?;
    ensure!((&text, &notices) == (&sbom()?.0, &sbom()?.1), "not the same bytes");
    let bom: Value = serde_json::from_str(&text)?;
    ensure!(bom["bomFormat"] == "CycloneDX" && bom["specVersion"] == "1.5", "{}", &text[..200]);
    ensure!(bom["metadata"]["timestamp"] == "2023-11-14T22:13:20Z");
    let components = bom["components"].as_array().context("no components")?;
    let (policy, packages) = (policy()?, packages()?);
    for component in components {
        let text = |key: &str| component[key].as_str().with_context(|| format!("no {key}: {component}"));
        let (name, version) = (text("name")?, text("version")?);
        let license = component["licenses"][0]["expression"].as_str().context("no licence")?;
        ensure!(policy.allows(name, license) && !license.contains('/'), "{component}");
        if name == "rust-std" {
            ensure!(text("purl")? == format!("pkg:generic/rust-std@{version}"), "{component}");
            continue;
        }
        ensure!(text("purl")? == format!("pkg:cargo/{name}@{version}"), "{component}");
        let package = packages.iter().find(|it| it["name"] == name && it["version"] == version);
        // They are listed where the library's sources are, and are no packages of ours.
        let Some(package) = package else {
            ensure!(OF_STD.contains(&name), "cargo has no {name} {version}");
            continue;
        };
        let hash = component["hashes"][0]["content"].as_str();
        ensure!(hash.is_some_and(|hash| hash.len() == 64) == package["source"].is_string(), "{component}");
    }
    let has = |name: &str| components.iter().any(|component| component["name"] == name);
    for name in ["sixfold-relay", "sixfold-engine", "rustls", "ring", "tokio", "rust-std"] {
        ensure!(has(name), "{name} is missing");
    }
    for name in ["proptest", "serde_derive", "cc", "windows-sys", "sixfold-device", "indicatif", "rcgen"] {
        ensure!(!has(name), "{name} is in no relay");
    }
    Ok(())
}

#[test]
fn whatever_is_in_the_program_has_its_notice() -> Result<()> {
    let (list, notices) = sbom()?;
    let bom: Value = serde_json::from_str(&list)?;
    let (index, _) = notices.split_once("\n\n---- 1 ----\n").context("no notices")?;
    for component in bom["components"].as_array().context("no components")? {
        let text = |key: &str| component[key].as_str().with_context(|| format!("no {key}: {component}"));
        let (name, version) = (text("name")?, text("version")?);
        let license = component["licenses"][0]["expression"].as_str().context("no licence")?;
        let start = format!("{name} {version} ({license}): ");
        let numbers = index.lines().find_map(|line| line.strip_prefix(&start)).context(start.clone())?;
        for number in numbers.split(", ") {
            ensure!(notices.contains(&format!("\n\n---- {number} ----\n\n")), "{start}{number}");
        }
    }
    for words in [
        "Copyright (c) 2026 The Sixfold developers",
        "Copyright (c) The Rust Project Contributors",
        // Its crate has a file.
        "Copyright (c) Tokio Contributors",
        // Of a folder deep inside of ring.
        "Copyright 2015-2020 the fiat-crypto authors",
        // Of a crate without a file, with the terms of the licence that it names.
        "Copyright (c) Mali\u{161}a Vu\u{10d}ini\u{107}",
        "Neither the name of the copyright holder",
    ] {
        ensure!(notices.contains(words), "nothing says {words:?}");
    }
    Ok(())
}
