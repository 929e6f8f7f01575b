//! The samples in `config/samples/` are configurations, and `docs/border-routers.md` knows all of them.

use anyhow::{Context, Result, anyhow, ensure};
use sixfold_netns_tests::workspace;
use sixfold_relay::config::Config;
use std::fs;

#[test]
fn every_sample_is_a_configuration_and_explained() -> Result<()> {
    let page = fs::read_to_string(workspace::root().join("docs/border-routers.md"))?;
    let mut count = 0;
    for entry in fs::read_dir(workspace::root().join("config/samples"))? {
        let path = entry?.path();
        let config = Config::parse(&fs::read_to_string(&path)?, &path)?;
        ensure!(!config.routes.is_empty(), "{} serves nothing", path.display());
        let interface = config.listen.interface.as_deref();
        let interface = interface.with_context(|| format!("{} names no interface", path.display()))?;
        ensure!(config.link.iter().all(|link| link.interface == interface), "{}", path.display());
        let name = path.file_name().and_then(|name| name.to_str()).context("a name")?;
        ensure!(
            page.contains(&format!("({}{name})", "../config/samples/")),
            "{name} is not in docs/border-routers.md"
        );
        count += 1;
    }
    ensure!(count >= 4, "{count} samples");
    Ok(())
}

/// Each kind of border router is told with what differs between them.
#[test]
fn every_border_router_is_explained_in_the_same_terms() -> Result<()> {
    let page = fs::read_to_string(workspace::root().join("docs/border-routers.md"))?;
    let sections: Vec<&str> =
        page.split("\n## ").skip(1).filter(|text| text.contains("config/samples/")).collect();
    ensure!(sections.len() == 4, "{} sections", sections.len());
    for section in sections {
        let name = section.lines().next().unwrap_or_default();
        for subject in ["Interface", "Prefix", "Multicast", "Time-outs"] {
            ensure!(section.contains(&format!("- **{subject}.** ")), "{name}: nothing about {subject}");
        }
        let hop_limit = section.contains("hop limit");
        ensure!(hop_limit && section.contains("::fd"), "{name}: which scope, and how far");
    }
    Ok(())
}

/// The page's columns, in their order, and whose they are.
const SAMPLES: [(&str, &str); 4] = [
    ("OTBR", "otbr.toml"),
    ("Wi-SUN", "wi-sun.toml"),
    ("Contiki-NG", "contiki-ng.toml"),
    ("Linux 6LoWPAN", "linux-6lowpan.toml"),
];

fn sample(name: &str) -> Result<Config> {
    let path = workspace::root().join("config/samples").join(name);
    Ok(Config::parse(&fs::read_to_string(&path)?, &path)?)
}

/// What the page's table says about each of them.
fn row(page: &str, name: &str) -> Result<[String; 4]> {
    let begin = format!("| {name} |").replace("|  |", "| |");
    let line = page.lines().find(|line| line.starts_with(&begin));
    let line = line.with_context(|| format!("no row {name:?}"))?;
    let cells: Vec<String> =
        line.trim_matches('|').split('|').skip(1).map(|cell| cell.trim().to_owned()).collect();
    cells.try_into().map_err(|cells| anyhow!("{name}: {cells:?}"))
}

/// The first word of a cell that stands between back quotes.
fn quoted(cell: &str) -> Option<&str> {
    cell.split('`').nth(1)
}

#[test]
fn the_samples_say_what_the_table_says() -> Result<()> {
    let page = fs::read_to_string(workspace::root().join("docs/border-routers.md"))?;
    let names = row(&page, "")?;
    let [interfaces, mtus, named, groups] = [
        row(&page, "interface")?,
        row(&page, "MTU")?,
        row(&page, "named in `[[link]]`")?,
        row(&page, "group of streams")?,
    ];
    for (n, (kind, file)) in SAMPLES.into_iter().enumerate() {
        let config = sample(file)?;
        ensure!(names[n] == kind, "column {n} is that of {}", names[n]);
        ensure!(config.listen.interface.as_deref() == quoted(&interfaces[n]), "{file}: {}", interfaces[n]);
        ensure!(config.link.len() == usize::from(named[n].starts_with("yes")), "{file}: {}", named[n]);
        let Some(link) = config.link.first() else {
            // What Linux says of its own interfaces is paced with the defaults, streams included.
            ensure!(quoted(&groups[n]) == Some("ff02::fd"), "{file}: {}", groups[n]);
            continue;
        };
        let mtu: usize = mtus[n].split(',').next().unwrap_or_default().parse()?;
        ensure!(link.pacing.mtu <= mtu, "{file}: {} of {mtu}", link.pacing.mtu);
        let group = link.pacing.fanout.map(|fanout| fanout.group.to_string());
        ensure!(group.as_deref() == quoted(&groups[n]), "{file}: {group:?}, and the table: {}", groups[n]);
    }
    Ok(())
}

/// The section about a sample.
fn section<'p>(page: &'p str, file: &str) -> Result<&'p str> {
    let link = format!("(../config/samples/{file})");
    page.split("\n## ")
        .find(|section| section.contains(&link))
        .with_context(|| format!("no section has {link}"))
}

#[test]
fn the_samples_say_what_the_sections_say() -> Result<()> {
    let page = fs::read_to_string(workspace::root().join("docs/border-routers.md"))?;
    for (_, file) in SAMPLES {
        let (section, config) = (section(&page, file)?, sample(file)?);
        let Some(link) = config.link.first() else { continue };
        if let Some(fanout) = link.pacing.fanout {
            let words = format!("with hop limit {}", fanout.hop_limit);
            ensure!(section.contains(&words), "{file}: the section does not say {words:?}");
            ensure!(section.contains(&format!("`{}`", fanout.group)), "{file}: {}", fanout.group);
        } else {
            ensure!(section.contains("`fanout = false`"), "{file}: nothing about no streams");
        }
    }
    let serial = sample("contiki-ng.toml")?;
    let baud = format!("tunslip6 -B {} ", serial.link[0].pacing.radio.bit_rate);
    ensure!(
        section(&page, "contiki-ng.toml")?.contains(&baud),
        "the serial line is not that of the sample: {baud}"
    );
    let (mesh, text) = (sample("wi-sun.toml")?, section(&page, "wi-sun.toml")?);
    let radio = mesh.link[0].pacing.radio;
    ensure!(radio.frame == 2047 && text.contains(&format!("{} kbit/s", radio.bit_rate / 1000)), "{radio:?}");
    let file = fs::read_to_string(workspace::root().join("config/samples/wi-sun.toml"))?;
    for key in ["duty_cycle", "exchanges_per_client", "max_age", "JoinMulticastGroup"] {
        ensure!(text.contains(key) && file.contains(key), "{key} is in the section or in the sample alone");
    }
    // The bytes of the group that wsbrd is told to join.
    let octets = mesh.link[0].pacing.fanout.context("streams")?.group.octets();
    let (_, told) = text.split_once("JoinMulticastGroup ay 16 ").context("how the group is joined")?;
    let (told, _) = told.split_once('\n').context("the end of the command")?;
    let byte = |word: &str| match word.strip_prefix("0x") {
        Some(hex) => u8::from_str_radix(hex, 16),
        None => word.parse(),
    };
    let told: Vec<u8> = told.split(' ').map(byte).collect::<Result<_, _>>()?;
    ensure!(told == octets, "{told:x?}");
    Ok(())
}
