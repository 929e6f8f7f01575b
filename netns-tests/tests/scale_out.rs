//! Many border routers behind one HTTP cache, with the samples of `config/scale-out/`.

use anyhow::{Context, Result, anyhow, ensure};
use sixfold_netns_tests::ca::Ca;
use sixfold_netns_tests::image::sha256;
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::nginx::{self, Nginx};
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::prometheus::{self, Prometheus};
use sixfold_netns_tests::relay::Relay;
use sixfold_netns_tests::site::{CONFIG, ORIGIN, Site};
use sixfold_netns_tests::{device, sandbox, wait, workspace};
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

const RELAYS: usize = 10;
const DEVICES_PER_RELAY: usize = 20;
/// What the cache keeps: `slice`.
const PIECE: usize = 256 << 10;
/// Not a whole number of them.
const LARGE: usize = 8 * PIECE + 12_345;
const SMALL: usize = 20_000;
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn two_hundred_devices_behind_ten_relays_cost_the_origin_each_byte_once() -> Result<()> {
    sandbox::run(&[Peer::Nginx], || {
        let site = Site::create(RELAYS)?;
        let ca = Ca::create("ca")?;
        // As many certificates between as public authorities have, and more.
        let issuer = ca.create_intermediate("regional")?.create_intermediate("issuing")?;
        let identity = issuer.issue(&["origin.test"])?;
        // Slow enough for all relays to ask while the first pieces arrive.
        let directives = "limit_rate 1m;";
        let _origin =
            Nginx::start(&site.origin, &[nginx::Site { port: 443, identity: &identity, directives }])?;
        let _cache = site.start_cache(&ca.issue(&["cache.test"])?, "/run/ca/ca.pem".as_ref())?;
        let small = nginx::publish_image("small.bin", 1, SMALL)?;
        let large = nginx::publish_image("large.bin", 2, LARGE)?;
        let relays = site.start_relays(CONFIG)?;
        let mut fetches = Vec::new();
        for n in 0..RELAYS * DEVICES_PER_RELAY {
            let field = &site.fields[n % RELAYS];
            fetches.push(device::fetch(field, &format!("device{n}"), "/fw/small.bin", &[])?);
        }
        for fetch in fetches {
            ensure!(fetch.image(PATIENCE)? == small, "a device has wrong bytes");
        }
        // The large one without devices: what goes over the air is not the question here.
        let prefetch = |relay: &Relay<'_>| relay.command(&["prefetch", "/fw/large.bin"]);
        let fetched: Vec<Result<(i32, String)>> = thread::scope(|scope| {
            let running: Vec<_> = relays.iter().map(|relay| scope.spawn(|| prefetch(relay))).collect();
            running.into_iter().map(|running| running.join().map_err(|_| anyhow!("a panic"))?).collect()
        });
        for (relay, fetched) in relays.iter().zip(fetched) {
            let (code, said) = fetched?;
            ensure!(code == 0 && said.contains(&format!("{LARGE}/{LARGE} 100 %")), "{said}");
            ensure!(
                relay.metric("sixfold_origin_bytes_total")? == (SMALL + LARGE) as f64,
                "{}",
                relay.metrics()?
            );
            ensure!(relay.metric("sixfold_origin_resumes_total")? == 0.0, "{}", relay.metrics()?);
        }
        let log = nginx::wait_for_body_bytes(".bin", SMALL + LARGE)?;
        // A relay that is late asks whether what it takes is still current.
        let pieces = log.iter().filter(|access| access.status != 304).count();
        ensure!(pieces == 1 + LARGE.div_ceil(PIECE), "a request for each piece: {log:#?}");
        let digest = sha256(&large);
        let (_, said) = relays[0].command(&["status", "--json"])?;
        ensure!(said.contains(&digest), "{said}");
        Ok(())
    })
}

fn prefetch(relay: &Relay<'_>, image: &[u8]) -> Result<()> {
    let (code, said) = relay.command(&["prefetch", "/fw/large.bin"])?;
    ensure!(code == 0 && said.contains(&sha256(image)), "{said}");
    Ok(())
}

#[test]
fn what_changes_at_the_origin_never_mixes_in_the_cache() -> Result<()> {
    sandbox::run(&[Peer::Nginx], || {
        let site = Site::create(2)?;
        let ca = Ca::create("ca")?;
        let identity = ca.issue(&["origin.test"])?;
        // Relays ask again at once.
        let directives = "add_header Cache-Control max-age=0;";
        let _origin =
            Nginx::start(&site.origin, &[nginx::Site { port: 443, identity: &identity, directives }])?;
        let _cache = site.start_cache(&ca.issue(&["cache.test"])?, "/run/ca/ca.pem".as_ref())?;
        let relays = site.start_relays(CONFIG)?;
        for (version, relay) in [(1, &relays[0]), (2, &relays[1]), (3, &relays[0])] {
            let image = nginx::publish_image("large.bin", version, LARGE)?;
            // The cache knows the new one after some seconds.
            wait::until_true(&format!("version {version}"), PATIENCE, || prefetch(relay, &image).is_ok())?;
        }
        Ok(())
    })
}

/// However long the pieces that are here would be fresh by the origin's word.
#[test]
fn pieces_of_an_old_file_stop_no_transfer_of_the_new_one() -> Result<()> {
    sandbox::run(&[Peer::Nginx], || {
        let site = Site::create(2)?;
        let ca = Ca::create("ca")?;
        let identity = ca.issue(&["origin.test"])?;
        let start = |directives| {
            Nginx::start(&site.origin, &[nginx::Site { port: 443, identity: &identity, directives }])
        };
        let origin = start("add_header Cache-Control max-age=3600; limit_rate 400k;")?;
        let _cache = site.start_cache(&ca.issue(&["cache.test"])?, "/run/ca/ca.pem".as_ref())?;
        let relays = site.start_relays(CONFIG)?;
        nginx::publish_image("large.bin", 1, LARGE)?;
        thread::scope(|scope| {
            let first = scope.spawn(|| relays[0].command(&["prefetch", "/fw/large.bin"]));
            wait::until_true("some pieces, not all", PATIENCE, || {
                nginx::accesses("GET /large.bin").is_ok_and(|log| log.len() >= 2)
            })?;
            origin.kill()?;
            let image = nginx::publish_image("large.bin", 2, LARGE)?;
            let _origin = start("add_header Cache-Control max-age=3600;")?;
            prefetch(&relays[1], &image)?;
            first.join().map_err(|_| anyhow!("a panic"))?.map(|_| ())
        })
    })
}

/// A piece takes longer than a minute, and the relay that waits for it waits as long as `docs/scale-out.md` says.
#[test]
fn a_narrow_way_to_the_origin_is_used_once_too() -> Result<()> {
    sandbox::run(&[Peer::Nginx], || {
        let site = Site::create(2)?;
        let ca = Ca::create("ca")?;
        let identity = ca.issue(&["origin.test"])?;
        let directives = "limit_rate 4k;";
        let _origin =
            Nginx::start(&site.origin, &[nginx::Site { port: 443, identity: &identity, directives }])?;
        let _cache = site.start_cache(&ca.issue(&["cache.test"])?, "/run/ca/ca.pem".as_ref())?;
        let page = fs::read_to_string(workspace::root().join("docs/scale-out.md"))?;
        let timeouts = page.split("```toml\n").find_map(|block| block.strip_prefix("[origin]\n"));
        let timeouts = timeouts.and_then(|rest| rest.split("```").next()).context("no [origin]")?;
        let relays = site.start_relays(&format!("{CONFIG}\n[origin]\n{timeouts}"))?;
        let image = nginx::publish_image("large.bin", 1, PIECE + 10_000)?;
        thread::scope(|scope| {
            let fetches: Vec<_> =
                relays.iter().map(|relay| scope.spawn(|| prefetch(relay, &image))).collect();
            fetches.into_iter().try_for_each(|fetch| fetch.join().map_err(|_| anyhow!("a panic"))?)
        })?;
        nginx::wait_for_body_bytes(".bin", image.len())?;
        Ok(())
    })
}

/// Whoever is on the radio may ask for any spelling, and must not spoil another one.
#[test]
fn two_spellings_that_differ_to_the_origin_differ_in_the_cache() -> Result<()> {
    sandbox::run(&[Peer::Nginx], || {
        let site = Site::create(1)?;
        let ca = Ca::create("ca")?;
        let identity = ca.issue(&["origin.test"])?;
        // It has downloads by query, and no folder without a name.
        let directives = "if ($request_uri ~ //) { return 404; }
        location = /dl { try_files /$arg_file =404; }";
        let _origin =
            Nginx::start(&site.origin, &[nginx::Site { port: 443, identity: &identity, directives }])?;
        let _cache = site.start_cache(&ca.issue(&["cache.test"])?, "/run/ca/ca.pem".as_ref())?;
        let relays = site.start_relays(CONFIG)?;
        fs::create_dir_all(Path::new(nginx::ROOT).join("a"))?;
        for name in ["lamp.bin", "a/b.bin"] {
            nginx::publish_image(name, 1, SMALL)?;
        }
        for (wrong, right) in [("dl%3Ffile=lamp.bin", "dl?file=lamp.bin"), ("a//b.bin", "a/b.bin")] {
            let ask = |name: &str| relays[0].command(&["prefetch", &format!("/fw/{name}")]);
            let (code, said) = ask(wrong)?;
            ensure!(code == 1 && said.contains("404"), "{wrong}: {said}");
            ensure!(nginx::accesses(&format!("GET /{wrong}"))?.len() == 1, "{:?}", nginx::access_log()?);
            let (code, said) = ask(right)?;
            ensure!(code == 0, "{right}: {said}");
        }
        Ok(())
    })
}

#[test]
fn a_redirect_within_the_origin_stays_within_the_cache() -> Result<()> {
    sandbox::run(&[Peer::Nginx], || {
        let site = Site::create(1)?;
        let ca = Ca::create("ca")?;
        let identity = ca.issue(&["origin.test"])?;
        let directives = "location = /latest.bin { return 302 https://origin.test/large.bin; }";
        let _origin =
            Nginx::start(&site.origin, &[nginx::Site { port: 443, identity: &identity, directives }])?;
        let _cache = site.start_cache(&ca.issue(&["cache.test"])?, "/run/ca/ca.pem".as_ref())?;
        let relays = site.start_relays(CONFIG)?;
        let image = nginx::publish_image("large.bin", 1, LARGE)?;
        let (code, said) = relays[0].command(&["prefetch", "/fw/latest.bin"])?;
        ensure!(code == 0 && said.contains(&sha256(&image)), "{said}");
        Ok(())
    })
}

/// A gateway boots before its uplink is there, and keeps running when it goes.
#[test]
fn the_cache_starts_without_names_follows_the_origin_and_serves_what_it_has() -> Result<()> {
    sandbox::run(&[Peer::Nginx], || {
        let site = Site::create(1)?;
        site.names.set(None);
        let ca = Ca::create("ca")?;
        let cache = site.start_cache(&ca.issue(&["cache.test"])?, "/run/ca/ca.pem".as_ref())?;
        let relays = site.start_relays(CONFIG)?;
        let identity = ca.issue(&["origin.test"])?;
        let directives = "add_header Cache-Control max-age=0;";
        let _origin =
            Nginx::start(&site.origin, &[nginx::Site { port: 443, identity: &identity, directives }])?;
        let image = nginx::publish_image("large.bin", 1, LARGE)?;
        site.names.set(Some(ORIGIN));
        wait::until_true("the first version", PATIENCE, || prefetch(&relays[0], &image).is_ok())?;

        let moved = "2001:db8:1::3";
        site.origin
            .ip(&format!("address add {moved}/64 dev uplink nodad\naddress del {ORIGIN}/64 dev uplink"))?;
        site.names.set(Some(moved.parse()?));
        let image = nginx::publish_image("large.bin", 2, LARGE)?;
        wait::until_true("the second version", PATIENCE, || prefetch(&relays[0], &image).is_ok())?;

        site.names.set(None);
        wait::until("the cache to miss the origin's name", PATIENCE, || {
            let served = relays[0]
                .command(&["purge", "/fw/large.bin"])
                .and_then(|_| prefetch(&relays[0], &image))
                .map(|()| cache.log().contains("origin.test could not be resolved"));
            served.map(|is_missed| is_missed.then_some(())).transpose()
        })?
    })
}

/// nginx makes the folder of its cache, but not the one above it.
#[test]
fn the_folder_of_nginx_is_one_that_debian_has() -> Result<()> {
    sandbox::run(&[Peer::Nginx, Peer::Dpkg], || {
        let sample = fs::read_to_string(workspace::root().join("config/scale-out/nginx.conf"))?;
        let folder = sample
            .lines()
            .find_map(|line| line.strip_prefix("proxy_cache_path ")?.split(' ').next())
            .context("no proxy_cache_path")?;
        let parent = Path::new(folder).parent().and_then(Path::to_str).context("no parent")?;
        let output = Command::new("dpkg").args(["--listfiles", "nginx-common"]).output()?;
        let files = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        ensure!(files.lines().any(|file| file == parent), "no {parent} in\n{files}");
        Ok(())
    })
}

#[test]
fn the_cache_takes_connections_over_both_versions_of_ip() -> Result<()> {
    sandbox::run(&[Peer::Nginx], || {
        let site = Site::create(1)?;
        let ca = Ca::create("ca")?;
        let _cache = site.start_cache(&ca.issue(&["cache.test"])?, "/run/ca/ca.pem".as_ref())?;
        for address in ["[::1]:443", "127.0.0.1:443"] {
            site.cache.enter(|| TcpStream::connect(address))?.context(address)?;
        }
        Ok(())
    })
}

#[test]
fn prometheus_takes_its_samples() -> Result<()> {
    sandbox::run(prometheus::NEEDS, || {
        let folder = workspace::root().join("config/scale-out");
        let read = |name: &str| fs::read_to_string(folder.join(name)).context(name.to_owned());
        let (site, central) = (read("prometheus-site.yml")?, read("prometheus-central.yml")?);
        // With their rules beside them, as they say.
        let groups = |name: &str, port: u16, sample: &str| {
            let often = sample.replace("scrape_interval: 15s", "scrape_interval: 1s");
            Prometheus::start(&Netns::create(name)?, name, port, &often)?.rule_groups()
        };
        ensure!(groups("site", 9090, &site)? == ["sixfold", "sixfold-recording"]);
        ensure!(groups("centre", 9091, &central)? == ["sixfold-central"]);
        // What is federated is what the relay exports.
        let page = fs::read_to_string(workspace::root().join("docs/metrics.md"))?;
        let groups = central
            .split("sixfold_")
            .skip(1)
            .filter_map(|rest| rest.strip_prefix('(').or_else(|| rest.strip_prefix("link_(")));
        for name in groups.filter_map(|rest| rest.split(')').next()).flat_map(|names| names.split('|')) {
            ensure!(
                page.contains(&format!("`sixfold_{name}")) || page.contains(&format!("`sixfold_link_{name}")),
                "{name}"
            );
        }
        Ok(())
    })
}
