//! The quick start of README.md, typed as it stands: publisher, relay and device, with the names of this network in place of the
//! document's.

use anyhow::{Context, Result, ensure};
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::process::Process;
use sixfold_netns_tests::relay::Relay;
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::{image, nginx, sandbox, workspace};
use std::fs;
use std::process::Command;
use std::time::Duration;

const FOLDER: &str = "/run/quick";
const PATIENCE: Duration = Duration::from_secs(60);

/// The first block in this language of the section under this heading.
fn block(heading: &str, language: &str) -> Result<String> {
    let readme = fs::read_to_string(workspace::root().join("README.md"))?;
    let (_, section) = readme.split_once(&format!("\n### {heading}\n")).context(heading.to_owned())?;
    let (section, _) = section.split_once("\n## ").unwrap_or((section, ""));
    let (section, _) = section.split_once("\n### ").unwrap_or((section, ""));
    // Between every second pair of fences is a block; its first line is its language.
    let blocks = section.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    let block = blocks.into_iter().find(|(of, _)| *of == language).map(|(_, text)| text.to_owned());
    block.with_context(|| format!("{heading}: no block of {language:?}"))
}

/// Types it into a shell, which stops at the first command that fails.
fn shell(netns: &Netns, name: &str, script: &str) -> Result<String> {
    let mut command = Command::new("sh");
    let path = format!("PATH={}:$PATH; cd {FOLDER}\n", workspace::program_dir().display());
    command.args(["-euc", &(path + script)]);
    let mut process = Process::start(netns, name, command)?;
    let status = process.wait(PATIENCE)?;
    let said = process.output() + &process.log();
    ensure!(status.success(), "{name}: {status}\n{script}\n{said}");
    Ok(said)
}

#[test]
fn the_quick_start_works_as_it_stands() -> Result<()> {
    sandbox::run(&[Peer::Nginx, Peer::Radvd, Peer::CoapClient], || {
        let scene = Scene::create("")?;
        let (router, field) = (&scene.net.relay, &scene.net.devices[0]);
        fs::create_dir(FOLDER)?;
        let lamp = image::image(1, 20_000);
        fs::write(format!("{FOLDER}/lamp.bin"), &lamp)?;

        shell(&scene.net.origin, "publisher", &block("I publish firmware", "")?)?;
        for entry in fs::read_dir(format!("{FOLDER}/www"))? {
            let entry = entry?;
            nginx::publish(entry.file_name().to_str().context("a name")?, &fs::read(entry.path())?)?;
        }

        let config = block("I run a border router", "toml")?
            .replace("https://updates.example.com/firmware/", "https://origin.test/")
            .replace("wpan0", "lowpan0");
        let config = config.trim_end().to_owned() + "\nca_file = \"/run/ca/ca.pem\"\n";
        let _relay = Relay::start(router, &config)?;
        let operator = block("I run a border router", "")?;
        let (installing, rest): (Vec<&str>, Vec<&str>) = operator
            .lines()
            .partition(|line| ["apt ", "systemctl "].iter().any(|word| line.starts_with(word)));
        ensure!(installing.len() == 2 && rest.len() >= 4, "{operator}");
        let said = shell(
            router,
            "operator",
            &rest.join("\n").replace("/etc/sixfold/relay.toml", "/run/relay.toml"),
        )?;
        ensure!(said.contains("lamp.bin") && said.contains("100 %"), "{said}");

        let said = shell(field, "device", &block("I build a device", "")?)?;
        ensure!(said.contains("20000"), "{said}");

        let others = block("I implement the protocol", "")?.replace("[fd00::1]", "[2001:db8:6::1]");
        let said = shell(field, "others", &others)?;
        ensure!(said.contains("sequence"), "{said}");
        for file in ["lamp-1.bin", "lamp-2.bin"] {
            ensure!(fs::read(format!("{FOLDER}/{file}"))? == lamp, "{file} is another image");
        }
        Ok(())
    })
}
