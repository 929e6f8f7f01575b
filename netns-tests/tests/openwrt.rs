//! The OpenWrt package's init script, run by busybox's shell in a root of its own, as its first line says. What it would
//! tell procd is recorded by `netns-tests/openwrt/rc.common`; what it writes for the relay is read by the relay.

use anyhow::{Context, Result, ensure};
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::router::{Router, WRITTEN, file, said};
use sixfold_netns_tests::{sandbox, workspace};
use sixfold_relay::config::{Config, Listen};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

const NEEDS: &[Peer] = &[Peer::Busybox];

/// The smallest configuration that serves something.
const SMALL: &str = "config sixfold 'main'\n\toption enabled '1'\nconfig route\n\toption path '/fw'\n\toption origin 'https://h/'\n";

/// What procd would do to a running relay: it stops one whose service was opened and closed without an instance.
fn stops(record: &str) -> bool {
    record.contains("service closed") && !record.contains("procd_open_instance")
}

#[test]
fn scripts_are_clean() -> Result<()> {
    sandbox::run(&[Peer::Shellcheck], || {
        let program = Peer::Shellcheck.program().with_context(|| Peer::Shellcheck.remedy())?;
        let shim = workspace::root().join("netns-tests/openwrt");
        let scripts = [
            file("sixfold.init"),
            file("sixfold.defaults"),
            shim.join("rc.common"),
            shim.join("network.sh"),
            shim.join("functions.sh"),
        ];
        // SC3043: busybox's shell has `local`.
        let output =
            Command::new(program).args(["--shell=dash", "--exclude=SC3043"]).args(scripts).output()?;
        ensure!(output.status.success(), "{}", said(&output));
        Ok(())
    })
}

/// Options together; each by itself is seen in `openwrt_options.rs`.
#[test]
fn what_is_in_uci_is_what_the_relay_reads() -> Result<()> {
    sandbox::run(NEEDS, || {
        let router = Router::with_service()?;
        let table: &[(&str, &str)] = &[
            ("", ""),
            (
                "config listen 'listen'\n\tlist coap '[::]:5683'\n\tlist coap '0.0.0.0:5684'\n\toption interface 'wpan0'\n\toption block_size '64'",
                "[listen]\ncoap = [\"[::]:5683\", \"0.0.0.0:5684\"]\ninterface = \"wpan0\"\nblock_size = 64",
            ),
            ("config listen 'listen'\n\toption network 'lowpan'", "[listen]\ninterface = \"wpan0\""),
            (
                "config route\n\toption path '/b'\n\toption origin 'http://i/'\n\toption allow_http 'on'\n\toption max_age '5 min'\n\toption stale_if_error '7 d'\n\toption require_session '1'",
                "[[route]]\npath = \"/b\"\norigin = \"http://i/\"\nallow_http = true\nmax_age = \"5 min\"\nstale_if_error = \"7 d\"\nrequire_session = true",
            ),
            (
                "config link\n\toption interface 'wpan0'\n\toption bit_rate '50000'\n\toption frame '2047'\n\toption min_be '1'\n\toption duty_cycle '10'\n\toption algorithm 'fasor'\n\toption mtu '1000'\n\toption fanout '0'\n\toption group 'ff03::fd'\n\toption group_port '61617'\n\toption hop_limit '9'\n\toption stream_block_size '128'\n\toption repair 'blocks'\nconfig link\n\toption interface 'wpan1'",
                "[[link]]\ninterface = \"wpan0\"\nbit_rate = 50000\nframe = 2047\nmin_be = 1\nduty_cycle = 10\nalgorithm = \"fasor\"\nmtu = 1000\nfanout = false\ngroup = \"ff03::fd\"\ngroup_port = 61617\nhop_limit = 9\nstream_block_size = 128\nrepair = \"blocks\"\n[[link]]\ninterface = \"wpan1\"",
            ),
            (
                "config proxy 'proxy'\n\tlist forward 'https://i/'\n\tlist forward 'https://j/'\n\toption allow_http '0'",
                "[proxy]\nforward = [\"https://i/\", \"https://j/\"]",
            ),
            (
                "config cache 'cache'\n\toption memory '32 MiB'\n\toption max_object '1 MiB'\n\toption negative_ttl '5 s'\n\toption disk_path '/tmp/spool \"1\"'\n\toption disk_limit '64 MiB'",
                "[cache]\nmemory = \"32 MiB\"\nmax_object = \"1 MiB\"\nnegative_ttl = \"5 s\"\ndisk = { path = '/tmp/spool \"1\"', limit = \"64 MiB\" }",
            ),
            ("config admin 'admin'\n\toption listen 'off'", "[admin]\nlisten = \"\""),
        ];
        for (uci, toml) in table {
            let (ok, record) = router.run("start", &format!("{SMALL}{uci}\n"))?;
            ensure!(ok, "{uci}: {record}");
            let meant = format!("[[route]]\npath = \"/fw\"\norigin = \"https://h/\"\n{toml}\n");
            let meant = Config::parse(&meant, Path::new("meant"))?;
            let written = router.written()?;
            ensure!(written == meant, "{uci}:\n{written:#?}\n{meant:#?}\n{record}");
        }
        Ok(())
    })
}

#[test]
fn the_quick_start_of_the_readme_starts_a_relay() -> Result<()> {
    sandbox::run(NEEDS, || {
        let router = Router::with_service()?;
        let readme = fs::read_to_string(workspace::root().join("README.md"))?;
        let (_, uci) = readme.split_once("```\nconfig sixfold").context("no configuration for OpenWrt")?;
        let (uci, _) = uci.split_once("```").context("a block that does not end")?;
        let (ok, record) = router.run("start", &format!("config sixfold{uci}"))?;
        ensure!(ok && record.contains("procd_open_instance"), "{record}");
        let written = router.written()?;
        ensure!(written.routes.len() == 1 && written.link[0].interface == "wpan0", "{written:#?}");
        Ok(())
    })
}

#[test]
fn the_service_is_confined_and_comes_back() -> Result<()> {
    sandbox::run(NEEDS, || {
        let router = Router::with_service()?;
        let more = "\toption ca_file '/etc/sixfold/ca.pem'\nconfig listen 'listen'\n\tlist coap '[::]:5999'\nconfig cache 'cache'\n\toption disk_path '/tmp/spool'\n\toption disk_limit '1 MiB'\n";
        let folder = router.path("etc/sixfold");
        fs::create_dir_all(&folder)?;
        let authority = rcgen::generate_simple_self_signed(["h".to_owned()])?;
        fs::write(folder.join("ca.pem"), authority.cert.pem())?;
        let (ok, record) = router.run("start", &format!("{SMALL}{more}"))?;
        ensure!(ok, "{record}");
        for line in [
            "procd_set_param command /usr/bin/sixfold-relay serve --config /var/etc/sixfold/relay.toml --two-streams",
            "procd_set_param file /usr/bin/sixfold-relay /etc/resolv.conf",
            "procd_set_param respawn 3600 5 0",
            "procd_set_param user sixfold",
            "procd_set_param no_new_privs 1",
            "procd_set_param capabilities /etc/capabilities/sixfold.json",
            "procd_add_jail sixfold log procfs sysfs requirejail",
            "procd_add_jail_mount /etc/sixfold",
            "procd_add_jail_mount_rw /tmp/spool",
            "chown sixfold:sixfold /tmp/spool",
            "procd_add_mdns coap udp 5999",
        ] {
            ensure!(record.lines().any(|told| told == line), "no {line:?} in\n{record}");
        }
        let kept = |store: &str| format!("{SMALL}config sessions 'sessions'\n\toption store '{store}'\n");
        let (_, record) = router.run("start", &kept("/tmp/kept/sessions"))?;
        ensure!(record.contains("chown sixfold:sixfold /tmp/kept\n"), "{record}");
        fs::create_dir_all(router.path("tmp/shared"))?;
        fs::write(router.path("tmp/shared/other"), "")?;
        let (_, record) = router.run("start", &kept("/tmp/shared/sessions"))?;
        ensure!(!record.contains("chown sixfold:sixfold /tmp/shared"), "{record}");
        let capabilities = fs::read_to_string(file("sixfold.capabilities.json"))?;
        let sets: serde_json::Value = serde_json::from_str(&capabilities)?;
        let sets = sets.as_object().context("no object")?;
        ensure!(
            sets.len() == 5 && sets.values().all(|set| set.as_array().is_some_and(Vec::is_empty)),
            "{sets:?}"
        );
        let (_, record) =
            router.run("start", &SMALL.replace("config route", "\toption mdns '0'\nconfig route"))?;
        ensure!(!record.contains("mdns"), "{record}");
        Ok(())
    })
}

#[test]
fn a_mistake_never_stops_a_relay_that_runs() -> Result<()> {
    sandbox::run(NEEDS, || {
        let router = Router::with_service()?;
        let mistakes = [
            ("wrong type", format!("{SMALL}config listen 'listen'\n\toption block_size '100'\n"), "listen"),
            ("wrong type, main", SMALL.replace("'1'", "'perhaps'"), "main"),
            ("wrong for the relay", SMALL.replace("https", "ftp"), "route.origin"),
            ("a quote and a new line", SMALL.replace("/fw", "/f\"\\\n[log]"), "not TOML"),
            ("a file that is absent", format!("{SMALL}\toption ca_file '/etc/absent.pem'\n"), "ca_file"),
        ];
        for (name, config, word) in &mistakes {
            router.run("stop", config)?;
            router.set_running(false)?;
            let (ok, record) = router.run("start", config)?;
            ensure!(!ok && stops(&record), "{name}: started\n{record}");
            ensure!(record.contains(word), "{name}: {word} is not named in\n{record}");
            let (ok, record) = router.run("start", SMALL)?;
            ensure!(ok && !stops(&record), "{name}: {record}");
            let before = fs::read(router.path(WRITTEN))?;
            // Nor one that died, and that procd will start again.
            for (action, running) in [("reload", true), ("start", true), ("check", true), ("reload", false)] {
                router.set_running(running)?;
                let (_, record) = router.run(action, config)?;
                ensure!(!stops(&record) && !record.contains("HUP"), "{name}, {action}: {record}");
                ensure!(record.contains(word), "{name}, {action}: {record}");
                ensure!(fs::read(router.path(WRITTEN))? == before, "{name}, {action}");
            }
        }
        Ok(())
    })
}

#[test]
fn a_network_that_is_down_is_no_mistake() -> Result<()> {
    sandbox::run(NEEDS, || {
        let router = Router::with_service()?;
        let config = format!("{SMALL}config listen 'listen'\n\toption network 'late'\n");
        for action in ["start", "reload", "check"] {
            let (ok, record) = router.run(action, &config)?;
            ensure!(ok && !record.contains("procd_open_instance"), "{action}: {record}");
            let notice =
                "logger -s -t sixfold -p daemon.notice network late is not up: the relay starts when it is";
            ensure!(record.lines().any(|line| line == notice), "{action}: {record}");
            ensure!(!record.contains("daemon.err"), "{action}: {record}");
        }
        fs::write(router.path("networks"), "lowpan wpan0\nlate wpan1\n")?;
        let (ok, record) = router.run("reload", &config)?;
        ensure!(ok && !stops(&record) && !record.contains("not up"), "{record}");
        ensure!(router.written()?.listen.interface.as_deref() == Some("wpan1"));
        // One that goes down again takes nothing from a relay that runs, and a mistake beside it is one.
        router.set_running(true)?;
        fs::write(router.path("networks"), "")?;
        let (ok, record) = router.run("reload", &config)?;
        ensure!(
            ok && !stops(&record) && !record.contains("HUP") && !record.contains("daemon.err"),
            "{record}"
        );
        ensure!(router.written()?.listen.interface.as_deref() == Some("wpan1"));
        router.run("stop", &config)?;
        let (ok, record) = router.run("start", &config.replace("https", "ftp"))?;
        ensure!(!ok && record.contains("daemon.err") && record.contains("route.origin"), "{record}");
        Ok(())
    })
}

#[test]
fn a_reload_is_a_signal_and_only_when_something_changed() -> Result<()> {
    sandbox::run(NEEDS, || {
        let router = Router::with_service()?;
        let hangup = "procd_send_signal sixfold * HUP";
        let (_, record) = router.run("start", SMALL)?;
        ensure!(!record.contains(hangup), "one that starts would die of it: {record}");
        router.set_running(true)?;
        let (_, record) = router.run("reload", SMALL)?;
        ensure!(!record.contains(hangup) && !stops(&record), "{record}");
        let (_, record) = router.run("reload", &SMALL.replace("/fw", "/other"))?;
        let (signal, closed) = (record.find(hangup), record.find("service closed"));
        ensure!(signal > closed, "procd would be told nothing: {record}");
        ensure!(router.written()?.routes[0].path == ["other"]);
        // Procd does not look at what is announced, nor at the firewall's rule, when it decides whether to restart.
        let moved = format!("{SMALL}config listen 'listen'\n\tlist coap '[::]:5999'\n");
        let (_, record) = router.run("reload", &moved)?;
        ensure!(record.contains(hangup) && record.contains("procd_add_mdns coap udp 5999"), "{record}");
        // It restarts one that has to see other files: it reads the new configuration then, or would die of the signal.
        let spool =
            format!("{moved}config cache\n\toption disk_path '/tmp/spool'\n\toption disk_limit '1 MiB'\n");
        let (_, record) = router.run("reload", &spool)?;
        ensure!(!record.contains(hangup) && !stops(&record), "{record}");
        let (ok, record) = router.run("reload", &SMALL.replace("'1'", "'0'"))?;
        ensure!(ok && stops(&record), "turned off: {record}");
        Ok(())
    })
}

/// Procd still lists the relay that it was told to stop, until its process has ended.
#[test]
fn a_relay_that_starts_gets_no_signal_after_a_stop() -> Result<()> {
    sandbox::run(NEEDS, || {
        let router = Router::with_service()?;
        let other = SMALL.replace("/fw", "/other");
        router.run("start", SMALL)?;
        router.set_running(true)?;
        let (ok, record) = router.run("restart", &other)?;
        ensure!(ok && !stops(&record) && !record.contains("HUP"), "{record}");
        ensure!(router.written()?.routes[0].path == ["other"]);
        let (_, record) = router.run("reload", SMALL)?;
        ensure!(record.contains("HUP"), "one that goes on is told: {record}");
        // Turned off and on again.
        router.run("reload", &SMALL.replace("'1'", "'0'"))?;
        let (ok, record) = router.run("reload", &other)?;
        ensure!(ok && !stops(&record) && !record.contains("HUP"), "{record}");
        // There is none any more that could keep what it has.
        let (ok, record) = router.run("restart", &SMALL.replace("https", "ftp"))?;
        ensure!(!ok && stops(&record) && record.contains("not started"), "{record}");
        Ok(())
    })
}

#[test]
fn doctor_looks_at_the_router_with_the_configuration_of_uci() -> Result<()> {
    sandbox::run(NEEDS, || {
        let router = Router::with_service()?;
        let (status, said) =
            router.ask("doctor", &format!("{SMALL}config listen\n\toption network 'lowpan'\n"))?;
        // There is neither the interface nor an origin.
        ensure!(status == Some(1), "{status:?}: {said}");
        for word in ["wpan0", "FAILURE", "not root"] {
            ensure!(said.contains(word), "no {word}: {said}");
        }
        let late = SMALL.replace("'1'", "'0'") + "config listen\n\toption network 'late'\n";
        let (status, said) = router.ask("doctor", &late)?;
        let record = router.record()?;
        ensure!(status == Some(1) && said.contains("FAILURE"), "{status:?}: {said}");
        ensure!(said.contains("network late is not up: the relay starts when it is"), "{said}");
        ensure!(record.contains("network late is not up"), "{record}");
        let (status, said) = router.ask("doctor", &SMALL.replace("https", "ftp"))?;
        let record = router.record()?;
        ensure!(status == Some(2) && said.is_empty() && record.contains("route.origin"), "{said}{record}");
        ensure!(!router.path(WRITTEN).exists(), "it changed what a relay reads");
        let left: Vec<_> = fs::read_dir(router.path("tmp"))?
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .filter(|name| name.starts_with("tmp"))
            .collect();
        ensure!(left.is_empty(), "left: {left:?}");
        Ok(())
    })
}

#[test]
fn a_rule_of_the_firewall_is_there_as_long_as_the_relay() -> Result<()> {
    sandbox::run(NEEDS, || {
        let router = Router::with_service()?;
        let rule = |ports: &str| {
            format!(
                "json_add_array firewall\njson_add_object \njson_add_string type rule\njson_add_string src wan\n\
                 json_add_string proto udp\njson_add_string dest_port {ports}\njson_add_string target DROP\n"
            )
        };
        let moved = format!(
            "{SMALL}config listen 'listen'\n\tlist coap '[fe80::1]:5999'\n\tlist coap '0.0.0.0:61617'\n"
        );
        for (config, ports) in [(SMALL, "5683 61616"), (moved.as_str(), "5999 61617")] {
            let (ok, record) = router.run("start", config)?;
            // The service's: of its instance's data the firewall would be told at every reload.
            let data = record.split("service data\n").nth(1).context("no data")?;
            ensure!(ok && data.starts_with(&rule(ports)), "{ports}: {record}");
        }
        let shut = SMALL.replace("'1'", "'0'");
        let without = SMALL.replace("'1'", "'1'\n\toption firewall '0'");
        for config in [&shut, &without] {
            let (ok, record) = router.run("start", config)?;
            ensure!(ok && !record.contains("firewall"), "{config}: {record}");
        }
        let (_, record) = router.run("stop", SMALL)?;
        ensure!(record == "service deleted\nprocd_set_config_changed firewall\n", "{record}");
        Ok(())
    })
}

#[test]
fn changes_and_networks_trigger_a_reload() -> Result<()> {
    sandbox::run(NEEDS, || {
        let router = Router::with_service()?;
        let (ok, record) = router.run("triggers", SMALL)?;
        ensure!(ok && !record.contains("no such section"), "{record}");
        for line in [
            "procd_add_reload_trigger sixfold",
            "procd_add_raw_trigger interface.* 1000 /etc/init.d/sixfold reload",
            "procd_add_validation validate sixfold",
            "procd_add_validation validate route",
        ] {
            ensure!(record.lines().any(|told| told == line), "no {line:?} in\n{record}");
        }
        Ok(())
    })
}

#[test]
fn the_shipped_file_serves_nobody_until_it_is_enabled() -> Result<()> {
    sandbox::run(NEEDS, || {
        let router = Router::with_service()?;
        let shipped = fs::read_to_string(file("sixfold.config"))?;
        let (ok, record) = router.run("start", &shipped)?;
        ensure!(ok && stops(&record), "{record}");
        let lines = shipped.replace("enabled '0'", "enabled '1'");
        let uncommented: Vec<_> = lines
            .lines()
            .map(|line| {
                let rest = line.trim_start().strip_prefix('#').unwrap_or(line);
                if ["option ", "config ", "\toption "].iter().any(|word| rest.starts_with(word))
                    && !rest.contains("ca_file")
                {
                    rest
                } else {
                    line
                }
            })
            .collect();
        let (ok, record) = router.run("start", &uncommented.join("\n"))?;
        ensure!(ok && !stops(&record), "{record}");
        ensure!(router.written()?.listen.interface.as_deref() == Some("wpan0"));
        Ok(())
    })
}

/// Members of groups ask at the second port: whoever is told of one has to be told of both.
#[test]
fn the_ports_are_those_that_the_relay_listens_on_by_default() -> Result<()> {
    let default = Listen::default().coap;
    let shipped = fs::read_to_string(file("sixfold.config"))?;
    let listed =
        shipped.lines().filter_map(|line| line.trim().strip_prefix("list coap '")?.strip_suffix('\''));
    let listed = listed.map(str::parse).collect::<Result<Vec<SocketAddr>, _>>()?;
    ensure!(listed == default, "/etc/config/sixfold has {listed:?}");
    let ports: Vec<_> = default.iter().map(|address| address.port().to_string()).collect();
    let words = format!("UDP ports {}", ports.join(" and "));
    for document in ["config/openwrt/README.md", "docs/border-routers.md"] {
        let text = fs::read_to_string(workspace::root().join(document))?;
        let in_one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(in_one_line.contains(&words), "{document} does not say {words:?}");
    }
    let script = fs::read_to_string(file("sixfold.init"))?;
    let announced = fs::read_to_string(workspace::root().join("config/avahi/sixfold-relay.service"))?;
    let found = format!("${{found:-{}}}", ports.join(" "));
    ensure!(script.contains(&found), "umdns announces, or the firewall closes, others than {found}");
    ensure!(announced.contains(&format!("<port>{}</port>", ports[0])), "avahi announces another port");
    Ok(())
}
