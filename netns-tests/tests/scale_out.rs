//! Many border routers behind one HTTP cache, with the samples of `config/scale-out/`.

use anyhow::{Context, Result, anyhow, ensure};
use sixfold_netns_tests::ca::Ca;
use sixfold_netns_tests::nginx::{self, Nginx};
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::relay::Relay;
use sixfold_netns_tests::site::Site;
use sixfold_netns_tests::{device, sandbox, workspace};
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

const RELAYS: usize = 10;
const DEVICES_PER_RELAY: usize = 20;
/// More than two of the pieces that the cache keeps, and not a whole number of them.
const LARGE: usize = (2 << 20) + 12_345;
const SMALL: usize = 20_000;
const PATIENCE: Duration = Duration::from_secs(60);

const CONFIG: &str = "\
[listen]
interface = \"lowpan0\"

[[route]]
path = \"/fw\"
origin = \"https://cache.test/\"
ca_file = \"/run/ca/ca.pem\"
";

#[test]
fn two_hundred_devices_behind_ten_relays_cost_the_origin_each_byte_once() -> Result<()> {
    sandbox::run(&[Peer::Nginx], || {
        let site = Site::create(RELAYS)?;
        let ca = Ca::create("ca")?;
        let identity = ca.issue(&["origin.test"])?;
        // Slow enough for all relays to ask while the first pieces arrive.
        let directives = "limit_rate 1m;";
        let _origin =
            Nginx::start(&site.origin, &[nginx::Site { port: 443, identity: &identity, directives }])?;
        let _cache = site.start_cache(&ca.issue(&["cache.test"])?, "/run/ca/ca.pem".as_ref())?;
        let small = nginx::publish_image("small.bin", 1, SMALL)?;
        let large = nginx::publish_image("large.bin", 2, LARGE)?;
        let relays = site.relays.iter().enumerate();
        let relays = relays
            .map(|(n, netns)| Relay::start_as(netns, &format!("relay{n}"), CONFIG))
            .collect::<Result<Vec<_>>>()?;
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
        let log = nginx::access_log()?;
        let bytes: u64 = log.iter().map(|access| access.body_bytes).sum();
        ensure!(bytes == (SMALL + LARGE) as u64, "the origin sent {bytes} bytes: {log:#?}");
        ensure!(log.len() == 4, "a request for each piece: {log:#?}");
        let digest = sha256(&large);
        let (_, said) = relays[0].command(&["status", "--json"])?;
        ensure!(said.contains(&digest), "{said}");
        Ok(())
    })
}

fn sha256(bytes: &[u8]) -> String {
    hmac_sha256::Hash::hash(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_changes_at_the_origin_never_mixes_in_the_cache() -> Result<()> {
    sandbox::run(&[Peer::Nginx], || {
        let site = Site::create(2)?;
        let ca = Ca::create("ca")?;
        let identity = ca.issue(&["origin.test"])?;
        // Pieces are asked for again at once: each relay sees what the origin has now.
        let directives = "add_header Cache-Control max-age=0;";
        let _origin =
            Nginx::start(&site.origin, &[nginx::Site { port: 443, identity: &identity, directives }])?;
        let _cache = site.start_cache(&ca.issue(&["cache.test"])?, "/run/ca/ca.pem".as_ref())?;
        let relays = site.relays.iter().enumerate();
        let relays = relays
            .map(|(n, netns)| Relay::start_as(netns, &format!("relay{n}"), CONFIG))
            .collect::<Result<Vec<_>>>()?;
        for (version, relay) in [(1, &relays[0]), (2, &relays[1]), (3, &relays[0])] {
            let image = nginx::publish_image("large.bin", version, LARGE)?;
            let (code, said) = relay.command(&["prefetch", "/fw/large.bin"])?;
            ensure!(code == 0 && said.contains(&sha256(&image)), "version {version}: {said}");
        }
        Ok(())
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
fn varnish_takes_its_sample() -> Result<()> {
    sandbox::run(&[Peer::Varnish], || {
        let sample = workspace::root().join("config/scale-out/varnish.vcl");
        let program = Peer::Varnish.program().context(Peer::Varnish.remedy())?;
        let output =
            Command::new(program).arg("-C").arg("-f").arg(sample).args(["-n", "/run/varnish"]).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    })
}

#[test]
fn prometheus_takes_its_samples() -> Result<()> {
    sandbox::run(&[Peer::Promtool], || {
        let program = Peer::Promtool.program().context(Peer::Promtool.remedy())?;
        let folder = workspace::root().join("config/scale-out");
        let samples = ["prometheus-site.yml", "prometheus-central.yml"].map(|name| folder.join(name));
        let output = Command::new(program).args(["check", "config"]).args(&samples).output()?;
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && said.matches("SUCCESS").count() >= 2, "{said}");
        // What is federated is what the relay exports.
        let page = fs::read_to_string(workspace::root().join("docs/metrics.md"))?;
        let central = fs::read_to_string(&samples[1])?;
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
