//! What Prometheus answers: every query of every panel of the dashboard, at the relay's site and at a centre over many, and every query
//! of `docs/metrics.md`, while two relays run and one of them has all kinds of work.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sixfold_netns_tests::ca::Ca;
use sixfold_netns_tests::device::{self, Fetch};
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::process::Process;
use sixfold_netns_tests::prometheus::{self, Prometheus, Sample};
use sixfold_netns_tests::relay::{CONFIG, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::{lamp, nginx, sandbox, topology, wait, workspace};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(900);
const PATIENCE: Duration = Duration::from_secs(120);
const SITE: u16 = 9090;
const CENTRE: u16 = 9091;
/// What is chosen for `$job`.
const JOB: &str = "sixfold";
const SCRAPING: &str = "\
global: {scrape_interval: 2s, evaluation_interval: 1s, external_labels: {site: north}}
rule_files: [recording.yml, firing.yml]
scrape_configs:
";
const MANY: &str = "max_age = \"1 h\"

[[route]]
path = \"/gone\"
origin = \"https://origin.test:444/\"
ca_file = \"/run/ca/ca.pem\"

[[link]]
interface = \"lowpan0\"
bit_rate = 250000
fanout = true

";
/// An alert that fires at once, for the panel that shows those that do.
const FIRING: &str =
    "groups: [{name: test, rules: [{alert: SixfoldTest, expr: 'up{job=\"sixfold\"} == 1'}]}]";
/// What the load fetches again and again: some seconds on this link.
const IMAGE: usize = 40_000;
const GROUP_IMAGE: usize = 60_000;

/// Panels of which some series is above zero while devices fetch what is in memory and what is not, a group gets a stream, a session
/// was agreed on and an origin is away. Each letter is a query of the panel. Two are not among them: the processor's counter has whole
/// seconds only, and all of this takes less than one; and what is on its way is so for microseconds here, where a link is two
/// namespaces and no radio, so that hardly a scrape sees it.
const BUSY: &[(&str, &str)] = &[
    ("Relays up", "A"),
    ("Versions", "A"),
    ("Hit ratio", "A"),
    ("Bytes saved today", "A"),
    ("Fetched today", "A"),
    ("Devices updating", "A"),
    ("Done today", "A"),
    ("Alerts firing", "A"),
    ("Delivered and fetched", "AB"),
    ("Hits and savings", "AB"),
    ("Rate", "A"),
    ("Round trip", "A"),
    ("Window", "A"),
    ("Airtime", "A"),
    ("Devices on links", "A"),
    ("What was heard of blocks", "A"),
    ("Decisions of the pacer", "A"),
    ("Members of groups", "AB"),
    ("Streams", "A"),
    ("Images", "A"),
    ("Requests for images", "A"),
    ("Memory of images", "AB"),
    ("Images fetched, changed and fetched anew", "A"),
    ("Longest at it", "A"),
    ("How far these are", "A"),
    ("Relays with most devices updating", "A"),
    ("Transfers that ended", "A"),
    ("Time for an image", "AB"),
    ("Answers", "A"),
    ("Sessions in force", "A"),
    ("Agreements", "A"),
    ("What became of sessions", "A"),
    ("Requests to origins", "A"),
    ("Failures of origins", "A"),
    ("Traffic of origins", "A"),
    ("Trouble with origins", "C"),
    ("Certificates of origins", "A"),
    ("Memory", "A"),
    ("File descriptors", "A"),
    ("Threads", "A"),
];
/// What only a centre can answer.
const CENTRAL: &str = "Sites down";

/// One query of a panel.
struct Target {
    panel: String,
    letter: String,
    query: String,
}

fn dashboard() -> Result<Value> {
    Ok(serde_json::from_str(&fs::read_to_string(workspace::root().join("grafana/dashboard.json"))?)?)
}

fn targets(dashboard: &Value) -> Result<Vec<Target>> {
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().context("panels")? {
        let title = panel["title"].as_str().context("a panel without a title")?;
        for target in panel["targets"].as_array().into_iter().flatten() {
            let text = |key: &str| target[key].as_str().with_context(|| format!("{title}: no {key}"));
            let (letter, query) = (text("refId")?.to_owned(), text("expr")?.to_owned());
            found.push(Target { panel: title.to_owned(), letter, query });
        }
    }
    Ok(found)
}

/// What Grafana puts in place of `$instance` where `All` is chosen: every value that the variable's own query has, as a regular
/// expression in a string.
fn all_instances(dashboard: &Value, prometheus: &Prometheus<'_>) -> Result<String> {
    let mut variables = dashboard["templating"]["list"].as_array().context("variables")?.iter();
    let variable = variables.find(|variable| variable["name"] == "instance").context("no instance")?;
    ensure!(variable["includeAll"] == true && variable["allValue"].is_null(), "{variable}");
    let query = variable["query"].as_str().context("no query")?;
    let (selector, label) = query
        .strip_prefix("label_values(")
        .and_then(|rest| rest.strip_suffix(')')?.rsplit_once(", "))
        .with_context(|| query.to_owned())?;
    let selector = selector.replace("$job", JOB);
    ensure!(!selector.contains('$'), "it needs another variable: {selector}");
    let mut values = Vec::new();
    for sample in prometheus.ask(&format!("group by ({label}) ({selector})"))? {
        let value = sample.labels.get(label).context("no such label")?;
        let escape = |c: char| if r"\^$*+?.()|[]{}".contains(c) { format!(r"\\{c}") } else { c.to_string() };
        values.push(value.chars().map(escape).collect::<String>());
    }
    Ok(format!("({})", values.join("|")))
}

fn filled(query: &str, instances: &str) -> Result<String> {
    let query = query.replace("$__rate_interval", "5m").replace("$job", JOB).replace("$instance", instances);
    ensure!(!query.contains('$'), "an unknown variable in {query}");
    Ok(query)
}

#[test]
fn a_relay_that_never_answered_and_a_dark_site_count_as_down() -> Result<()> {
    sandbox::run(prometheus::NEEDS, || {
        fs::write("/run/firing.yml", FIRING)?;
        let netns = Netns::create("relay")?;
        let job = "  - {job_name: sixfold, static_configs: [{targets: ['[::1]:9683', '[::1]:9684']}]}
  - {job_name: sixfold-sites, static_configs: [{targets: ['[::1]:9092', '[::1]:9090']}]}\n";
        let prometheus = Prometheus::start(&netns, "site", SITE, &format!("{SCRAPING}{job}"))?;
        let dashboard = dashboard()?;
        let instances = all_instances(&dashboard, &prometheus)?;
        for (panel, expected) in [("Relays up", 0.0), ("Relays down", 2.0), (CENTRAL, 1.0)] {
            let targets = targets(&dashboard)?;
            let target = targets.iter().find(|target| target.panel == panel).context(panel)?;
            let is_it = |answer: &[Sample]| answer.iter().map(|sample| sample.value).eq([expected]);
            expect(panel, &prometheus, &filled(&target.query, &instances)?, is_it)?;
        }
        Ok(())
    })
}

/// The last piece of code in every row of the tables.
fn documented() -> Result<Vec<String>> {
    let page = fs::read_to_string(workspace::root().join("docs/metrics.md"))?;
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let query = |row: &str| Some(row.rsplit('`').nth(1)?.replace(r"\|", "|"));
    rows.map(|row| query(row).with_context(|| row.to_owned())).collect()
}

/// The query without the comparison at its end that makes an alert of it: what is compared has to be there.
fn compared(query: &str) -> &str {
    let bare = [" > ", " < "].iter().find_map(|sign| {
        let (bare, limit) = query.rsplit_once(sign)?;
        limit.parse::<f64>().ok().map(|_| bare)
    });
    bare.unwrap_or(query)
}

fn run_device(netns: &Netns, arguments: &str) -> Result<()> {
    let words: Vec<_> = arguments.split_whitespace().collect();
    lamp::expect(netns, "sixfold-device", &words, 0, "").map(|_| ())
}

/// Work for the relay that goes on by itself until it is dropped.
struct Work {
    _boot: Process,
    _gone: Fetch,
}

/// A lamp agrees on a session and asks in it, and a device wants what no origin has.
fn start_work(scene: &Scene, site: &Ca) -> Result<Work> {
    let devices = &scene.net.devices;
    lamp::equip(&devices[0], GROUP_IMAGE)?;
    lamp::expect_prepare(&devices[0], &lamp::prepare(site, &site.issue_device("lamp-7")?), 0, "a session")?;
    let boot = workspace::program("sixfold-device", &["boot", "--flash", lamp::FLASH]);
    Ok(Work {
        _boot: Process::start(&devices[0], "boot", boot)?,
        _gone: device::fetch(&devices[2], "gone", "/gone/image.bin", &[])?,
    })
}

/// A lamp without a session that gets the same update again and again, as a member of the group.
fn update_in_a_loop(netns: &Netns, number: u64, has_ended: &AtomicBool) -> Result<()> {
    let what = "--manifest /fw/lamp.bin.suit --key /run/key.pub --vendor example.com --class lamp --secret /run/secret";
    let flash = format!("/run/flash-{number}.bin");
    while !has_ended.load(Ordering::Relaxed) {
        run_device(netns, &format!("flash create {flash} --slot-size 131072"))?;
        run_device(
            netns,
            &format!("prepare --flash {flash} --relay coap://{} {what} --szx 64 --json", topology::RELAY),
        )?;
        run_device(netns, &format!("boot --flash {flash}"))?;
        fs::remove_file(&flash)?;
    }
    Ok(())
}

/// A device that fetches in turn what others have fetched and what nobody has, until it is told to stop.
fn fetch_in_a_loop(netns: &Netns, number: u64, has_ended: &AtomicBool) -> Result<()> {
    let mut round = 0;
    while !has_ended.load(Ordering::Relaxed) {
        let name = format!("{number}-{round}.bin");
        let path = if round % 2 == 0 { "shared.bin" } else { name.as_str() };
        if round % 2 == 1 {
            nginx::publish_image(&name, number << 32 | round, IMAGE)?;
        }
        let fetch = device::fetch(netns, &format!("fetch-{number}"), &format!("/fw/{path}"), &[])?;
        ensure!(fetch.image(PATIENCE)?.len() == IMAGE, "{path}: another size");
        fs::remove_file(device::file(&format!("fetch-{number}"), true))?;
        round += 1;
    }
    Ok(())
}

/// What is done in a loop.
enum Kind {
    Fetch,
    Update,
}

/// The site's Prometheus, and one that takes from it what the sample for a centre says.
fn start_servers<'n>(netns: &'n Netns, other: &str) -> Result<[Prometheus<'n>; 2]> {
    let jobs = format!(
        "  - {{job_name: sixfold, static_configs: [{{targets: ['[::1]:9683', '{other}']}}]}}
  - {{job_name: devices, metrics_path: /metrics/devices, static_configs: [{{targets: ['[::1]:9683']}}]}}
"
    );
    let site = Prometheus::start(netns, "site", SITE, &format!("{SCRAPING}{jobs}"))?;
    let sample = fs::read_to_string(workspace::root().join("config/scale-out/prometheus-central.yml"))?;
    let central = sample
        .lines()
        .filter(|line| !line.contains("south.example"))
        .map(|line| line.replace("prometheus.north.example:9090", &format!("\"[::1]:{SITE}\"")))
        .map(|line| line.replace("scheme: https", "scheme: http"))
        .map(
            |line| if line.contains("scrape_interval: ") { "  scrape_interval: 2s".to_owned() } else { line },
        )
        .collect::<Vec<_>>()
        .join("\n");
    let centre = Prometheus::start(netns, "centre", CENTRE, &central)?;
    Ok([site, centre])
}

/// Asks until the answer is as it has to be, at most for [`PATIENCE`].
fn expect(
    what: &str,
    prometheus: &Prometheus<'_>,
    query: &str,
    is_enough: impl Fn(&[Sample]) -> bool,
) -> Result<()> {
    let mut last = String::new();
    let answered = wait::until_true(what, PATIENCE, || match prometheus.ask(query) {
        Ok(answer) => {
            last = format!("{answer:?}");
            is_enough(&answer)
        }
        Err(error) => {
            last = format!("{error:#}");
            false
        }
    });
    answered.with_context(|| format!("{query}\nthe last answer was {last}"))
}

fn ask_all(servers: &[Prometheus<'_>; 2]) -> Result<()> {
    let dashboard = dashboard()?;
    let targets = targets(&dashboard)?;
    ensure!(targets.len() > 25, "{} queries", targets.len());
    for (panel, letters) in BUSY {
        for letter in letters.chars() {
            let is_it = |target: &Target| target.panel == *panel && target.letter == letter.to_string();
            ensure!(targets.iter().any(is_it), "no {panel} {letter}");
        }
    }
    let mut places = Vec::new();
    for (place, prometheus) in ["site", "centre"].into_iter().zip(servers) {
        let instances = wait::until(&format!("{place}: two relays"), PATIENCE, || {
            all_instances(&dashboard, prometheus).ok().filter(|all| all.matches('|').count() == 1)
        })?;
        places.push((place, prometheus, instances));
    }
    for Target { panel, letter, query } in &targets {
        let is_busy = BUSY.iter().any(|(title, letters)| title == panel && letters.contains(letter));
        let is_enough = |answer: &[Sample]| {
            let mut values = answer.iter().map(|sample| sample.value);
            if is_busy { values.any(|value| value > 0.0) } else { values.any(|value| !value.is_nan()) }
        };
        for (place, prometheus, instances) in &places {
            if panel == CENTRAL && *place == "site" {
                let answer = prometheus.ask(&filled(query, instances)?)?;
                ensure!(answer.is_empty(), "a site has no sites: {answer:?}");
                continue;
            }
            expect(&format!("{place}: {panel} {letter}"), prometheus, &filled(query, instances)?, is_enough)?;
        }
    }
    let queries = documented()?;
    ensure!(queries.len() > 50, "{} queries", queries.len());
    for query in queries {
        servers[0].ask(&query).context("docs/metrics.md")?;
        expect("docs/metrics.md", &servers[0], compared(&query), |answer| !answer.is_empty())?;
    }
    ensure!(servers[0].ask("sixfold_no_such_metric")?.is_empty(), "no answer looks different");
    Ok(())
}

#[test]
fn every_query_has_an_answer() -> Result<()> {
    let needs = [prometheus::NEEDS, &[Peer::Nginx, Peer::Radvd]].concat();
    sandbox::run_within(LIMIT, &needs, || {
        let scene = Scene::with_devices(4, "")?;
        nginx::publish_image("shared.bin", 1, IMAGE)?;
        let site = Ca::create("site")?;
        let config = lamp::configuration(&site, "2001:db8:6::1")?;
        let relay =
            Relay::start(&scene.net.relay, &config.replace("[sessions]", &format!("{MANY}[sessions]")))?;
        // One without work, where a device could be.
        let place = &scene.net.devices[3];
        let admin =
            "\n[[link]]\ninterface = \"wpan0\"\n\n[admin]\nlisten = \"[::]:9683\"\nallow_remote = true\n";
        let _idle = Relay::start_as(place, "idle", &(CONFIG.replace("lowpan0", "wpan0") + admin))?;
        let other = format!("[{}]:9683", topology::address_of(place)?);
        fs::write("/run/firing.yml", FIRING)?;
        let servers = start_servers(&scene.net.relay, &other)?;
        let work = start_work(&scene, &site)?;
        let has_ended = AtomicBool::new(false);
        thread::scope(|scope| {
            let loops: Vec<_> = [(0, Kind::Fetch), (1, Kind::Fetch), (1, Kind::Update), (2, Kind::Update)]
                .into_iter()
                .map(|(number, kind)| {
                    let (netns, has_ended) = (&scene.net.devices[number], &has_ended);
                    scope.spawn(move || match kind {
                        Kind::Fetch => fetch_in_a_loop(netns, number as u64, has_ended),
                        Kind::Update => update_in_a_loop(netns, number as u64, has_ended),
                    })
                })
                .collect();
            let answered = ask_all(&servers);
            has_ended.store(true, Ordering::Relaxed);
            drop(work);
            for one in loops {
                one.join().map_err(|_| anyhow::anyhow!("a panic"))?.context("a device in a loop")?;
            }
            answered
        })?;
        ensure!(relay.is_ready());
        Ok(())
    })
}
