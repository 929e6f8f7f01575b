//! The samples in `config/samples/` are configurations, and `docs/border-routers.md` knows all of them.

use anyhow::{Context, Result, ensure};
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

#[test]
fn tun_devices_are_paced_as_the_samples_say() -> Result<()> {
    let read = |name: &str| -> Result<Config> {
        let path = workspace::root().join("config/samples").join(name);
        Ok(Config::parse(&fs::read_to_string(&path)?, &path)?)
    };
    for name in ["otbr.toml", "wi-sun.toml", "contiki-ng.toml"] {
        ensure!(read(name)?.link.len() == 1, "{name}: Linux cannot know what is behind its TUN device");
    }
    let radio = read("wi-sun.toml")?.link[0].pacing.radio;
    ensure!((radio.bit_rate, radio.frame) == (50_000, 2047), "{radio:?}");
    ensure!(read("linux-6lowpan.toml")?.link.is_empty());
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

#[test]
fn streams_go_as_far_as_the_page_says() -> Result<()> {
    for (name, group, hop_limit) in
        [("otbr.toml", "ff03::fd", 64), ("wi-sun.toml", "ff03::fd", 64), ("contiki-ng.toml", "ff02::fd", 1)]
    {
        let path = workspace::root().join("config/samples").join(name);
        let config = Config::parse(&fs::read_to_string(&path)?, &path)?;
        let fanout = config.link[0].pacing.fanout.with_context(|| format!("{name}: no streams"))?;
        ensure!(fanout.group.to_string() == group, "{name}: {fanout:?}");
        ensure!(fanout.hop_limit == hop_limit, "{name}: {fanout:?}");
    }
    Ok(())
}
