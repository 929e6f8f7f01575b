//! README.md: its quick start, typed as it stands (publisher, relay and device, with the names of this network in place of the
//! document's), and its numbers, which are those of the pages that they are from.

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
const PATIENCE: Duration = Duration::from_secs(120);

/// Lines that begin with these build or install, and are not typed: `make` is asked whether it knows what to do.
const BUILDERS: [&str; 4] = ["apt ", "cargo ", "make ", "systemctl "];

/// What a file for OpenWrt begins with: nothing to type, and read by `openwrt.rs`.
const UCI: &str = "config ";

fn readme() -> Result<String> {
    page("README.md")
}

fn page(name: &str) -> Result<String> {
    fs::read_to_string(workspace::root().join(name)).with_context(|| name.to_owned())
}

/// What is between a heading and the next one of its level or above.
fn section<'p>(page: &'p str, heading: &str) -> Result<&'p str> {
    let (_, section) = page.split_once(&format!("\n{heading}\n")).with_context(|| heading.to_owned())?;
    let (section, _) = section.split_once("\n## ").unwrap_or((section, ""));
    let is_below = heading.starts_with("### ");
    Ok(section.split_once("\n### ").filter(|_| is_below).map_or(section, |(section, _)| section))
}

/// The blocks of a text: language and content.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    // Between every second pair of fences is a block; its first line is its language.
    text.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n')).collect()
}

/// The only block in this language of the section under this heading, without what builds or installs.
fn block(heading: &str, language: &str) -> Result<String> {
    let readme = readme()?;
    let section = section(&readme, &format!("### {heading}"))?;
    let found = blocks(section).into_iter().filter(|(of, text)| *of == language && !text.starts_with(UCI));
    let typed = found
        .map(|(_, text)| text)
        .map(|text| text.lines().filter(|line| !is_builder(line)).collect::<Vec<_>>());
    let typed: Vec<String> =
        typed.filter(|lines| !lines.is_empty()).map(|lines| lines.join("\n") + "\n").collect();
    let [only] = &typed[..] else { anyhow::bail!("{heading}: {} blocks of {language:?}", typed.len()) };
    Ok(only.clone())
}

fn is_builder(line: &str) -> bool {
    BUILDERS.iter().any(|word| line.starts_with(word))
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
        let said =
            shell(router, "operator", &operator.replace("/etc/sixfold/relay.toml", "/run/relay.toml"))?;
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

#[test]
fn one_machine_is_enough() -> Result<()> {
    sandbox::run(&[Peer::Python], || {
        let machine = Netns::create("machine")?;
        fs::create_dir(FOLDER)?;
        let script = block("I want to see it on one machine", "")?;
        ensure!(script.lines().any(|line| line.starts_with("cmp ")), "nobody looks at the image: {script}");
        let said = shell(&machine, "machine", &script)?;
        ensure!(said.contains("100000/100000 100 %"), "{said}");
        Ok(())
    })
}

/// What builds or installs is not typed, but `make` knows all of it.
#[test]
fn make_knows_what_the_readme_tells_to_make() -> Result<()> {
    let readme = readme()?;
    let plain = blocks(&readme).into_iter().filter(|(language, _)| language.is_empty());
    let lines: Vec<&str> = plain.flat_map(|(_, text)| text.lines()).collect();
    let mut count = 0;
    for line in lines.into_iter().filter(|line| line.starts_with("make ")) {
        let words = shlex::split(line).with_context(|| line.to_owned())?;
        let mut make = Command::new("make");
        make.current_dir(workspace::root()).arg("--dry-run").args(&words[1..]);
        let output = make.output()?;
        ensure!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        for test in words.join(" ").split("--test ").skip(1).filter_map(|rest| rest.split(' ').next()) {
            ensure!(workspace::root().join(format!("netns-tests/tests/{test}.rs")).is_file(), "{line}");
        }
        count += 1;
    }
    ensure!(count >= 6, "{count} lines of make");
    Ok(())
}

/// The cells of the first row that begins with this.
fn row(page: &str, begin: &str) -> Result<Vec<String>> {
    let line = page.lines().find(|line| line.starts_with(begin)).with_context(|| begin.to_owned())?;
    Ok(line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
}

#[test]
fn sizes_and_times_are_those_of_the_pages() -> Result<()> {
    let (readme, size, fanout, fleet) =
        (readme()?, page("docs/size.md")?, page("docs/fanout.md")?, page("docs/fleet.md")?);
    let kib = |table: &str, begin: &str| -> Result<String> {
        let (_, table) = size.split_once(table).with_context(|| table.to_owned())?;
        let bytes: f64 = row(table, begin)?[1].parse()?;
        Ok(format!("{:.1} KiB", bytes / 1024.0))
    };
    let core = kib("| boot core, thumbv6m |", "| flash |")?;
    let listens = kib("| with the feature `listen` |", "| flash |")?;
    let sessions = kib("| with the feature `oscore` |", "| flash beyond")?;
    for sentence in [
        format!("it takes {core} of flash, {sessions}"),
        format!("to what is sent to many at once) {listens}"),
    ] {
        ensure!(readme.contains(&sentence), "docs/size.md: {sentence}");
    }
    let (_, table) = readme.split_once("| last device done |").context("the table of times")?;
    let (_, laboratory) =
        fanout.split_once("| loss of frames | 10 devices |").context("the laboratory's table")?;
    let (of_ten, thousand) = (row(laboratory, "| 10 % |")?, "A thousand devices take 11.3 s at 10 %");
    ensure!(fanout.contains(thousand), "docs/fanout.md: {thousand}");
    let listening = row(table, "| 10, 100, 1000 boot programs")?;
    ensure!(
        listening[1..] == [listens.clone(), format!("{}, {}, 11.3 s", of_ten[1], of_ten[2])],
        "{listening:?}"
    );
    let quicker = row(&fanout, "| last of 100 devices, 10 % |")?;
    ensure!(row(table, "| the same 100")?[1..] == [listens, quicker[3].clone()], "{quicker:?}");
    ensure!(fanout.contains("by unicast 3300 s"), "docs/fanout.md");
    ensure!(row(table, "| 100 boot programs that do not")?[1..] == [core, "3300 s".to_owned()]);
    let bound = row(table, "| one lossless broadcast")?;
    ensure!(fleet.contains("bytes: 4.38 s") && bound[2] == "4.4 s", "{bound:?}");
    Ok(())
}

#[test]
fn the_relays_speed_is_that_of_the_page() -> Result<()> {
    let (readme, page) = (readme()?, page("docs/performance.md")?);
    let rows: Vec<Vec<String>> = ["| 64 B | 64 |", "| 64 B | 1000 |", "| 1024 B | 64 |", "| 1024 B | 1000 |"]
        .into_iter()
        .map(|begin| row(&page, begin))
        .collect::<Result<_>>()?;
    let numbers = |cell: usize, part: usize| -> Result<(f64, f64)> {
        let numbers = rows.iter().map(|row| {
            let part = row[cell].split('/').nth(part).context("a part")?;
            part.trim().trim_end_matches(['%', '×', ' ']).parse::<f64>().with_context(|| part.to_owned())
        });
        let numbers = numbers.collect::<Result<Vec<f64>>>()?;
        Ok(numbers.iter().fold((f64::MAX, f64::MIN), |(low, high), n| (low.min(*n), high.max(*n))))
    };
    let (quickest, slowest) = numbers(2, 1)?;
    // In tens of thousands.
    let blocks = |micros: f64| format!("{:.0}0 000", 100.0 / micros);
    let (share, times) = (numbers(3, 0)?, numbers(4, 0)?);
    for words in [
        format!("{} to {} blocks a second", blocks(slowest), blocks(quickest)),
        format!("{} to {} % of what a bare UDP echo", share.0, share.1),
        format!("{} to {} times", times.0, times.1),
    ] {
        ensure!(readme.contains(&words), "docs/performance.md: {words}");
    }
    Ok(())
}
