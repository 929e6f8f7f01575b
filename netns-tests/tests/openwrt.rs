//! The OpenWrt package's init script, run by busybox's shell in a root of its own, as its first line says. What it would
//! tell procd is recorded by `netns-tests/openwrt/rc.common`; what it writes for the relay is read by the relay.

use anyhow::{Context, Result, ensure};
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::router::{Router, USER, WRITTEN, file, said};
use sixfold_netns_tests::{sandbox, workspace};
use sixfold_relay::config::{Config, Listen};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
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
        let program = Peer::Shellcheck.program().context(Peer::Shellcheck.remedy())?;
        let shim = workspace::root().join("netns-tests/openwrt");
        let scripts = [
            file("sixfold.init"),
            file("sixfold.defaults"),
            shim.join("rc.common"),
            shim.join("network.sh"),
            shim.join("functions.sh"),
            shim.join("uci"),
        ];
        // SC3043: busybox's shell has `local`.
        let output =
            Command::new(program).args(["--shell=dash", "--exclude=SC3043"]).args(scripts).output()?;
        ensure!(output.status.success(), "{}", said(&output));
        Ok(())
    })
}

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
            (
                "config origin 'origin'\n\toption connect_timeout '1 s'\n\toption headers_timeout '2 s'\n\toption idle_timeout '3 s'\n\toption retries '0'\n\toption retry_delay '4 s'\n\toption max_retry_delay '5 s'",
                "[origin]\nconnect_timeout = \"1 s\"\nheaders_timeout = \"2 s\"\nidle_timeout = \"3 s\"\nretries = 0\nretry_delay = \"4 s\"\nmax_retry_delay = \"5 s\"",
            ),
            (
                "config limits 'limits'\n\toption client_rate '1'\n\toption client_burst '2'\n\toption exchanges '3'\n\toption exchanges_per_client '4'\n\toption observers '5'\n\toption fetches '6'\n\toption resources '7'\n\toption transfers '8'\n\toption patience '9 s'",
                "[limits]\nclient_rate = 1\nclient_burst = 2\nexchanges = 3\nexchanges_per_client = 4\nobservers = 5\nfetches = 6\nresources = 7\ntransfers = 8\npatience = \"9 s\"",
            ),
            ("config security 'security'\n\toption echo 'always'", "[security]\necho = \"always\""),
            (
                "config sessions 'sessions'\n\toption lifetime '1 d'\n\toption handshakes '2'\n\toption handshakes_per_client '3'\n\toption handshake_rate '4'\n\toption handshake_timeout '5 s'\n\toption limit '6'\n\toption allow_plain '0'\n\toption store '/tmp/kept/sessions'\n\toption contexts '/etc/contexts.toml'",
                "[sessions]\nlifetime = \"1 d\"\nhandshakes = 2\nhandshakes_per_client = 3\nhandshake_rate = 4\nhandshake_timeout = \"5 s\"\nlimit = 6\nallow_plain = false\nstore = \"/tmp/kept/sessions\"\ncontexts = \"/etc/contexts.toml\"",
            ),
            (
                "config resource_directory 'directory'\n\toption uri 'coap://[2001:db8::5]/rd'\n\toption endpoint 'r1'\n\toption lifetime '2 h'\n\toption base 'coap://relay.example'",
                "[resource_directory]\nuri = \"coap://[2001:db8::5]/rd\"\nendpoint = \"r1\"\nlifetime = \"2 h\"\nbase = \"coap://relay.example\"",
            ),
            (
                "config admin 'admin'\n\toption listen '[::]:9683'\n\toption allow_remote '1'",
                "[admin]\nlisten = \"[::]:9683\"\nallow_remote = true",
            ),
            ("config admin 'admin'\n\toption listen 'off'", "[admin]\nlisten = \"\""),
            (
                "config log 'log'\n\toption level 'debug'\n\toption format 'json'",
                "[log]\nlevel = \"debug\"\nformat = \"json\"",
            ),
            (
                "config process 'process'\n\toption user 'nobody'\n\toption sandbox '0'",
                "[process]\nuser = \"nobody\"\nsandbox = false",
            ),
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
fn every_key_of_the_relay_has_its_option() -> Result<()> {
    let manual = fs::read_to_string(workspace::root().join("config/relay.toml"))?;
    let script = fs::read_to_string(file("sixfold.init"))?;
    let (mut section, mut count) = (String::new(), 0);
    for line in manual.lines() {
        let line = line.strip_prefix('#').unwrap_or(line);
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, _)) =
            line.split_once(" = ").filter(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        {
            let function =
                script.split(&format!("validate_{section}() {{")).nth(1).with_context(|| section.clone())?;
            let body = function.split("\n}").next().unwrap_or_default();
            let option = if key == "disk" { "disk_path" } else { key };
            ensure!(
                body.contains(&format!("'{option}:")),
                "{section}.{key} cannot be said in /etc/config/sixfold"
            );
            count += 1;
        }
    }
    ensure!(count > 30, "{count} keys found in config/relay.toml");
    Ok(())
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
            "procd_set_param command /usr/bin/sixfold-relay serve --config /var/etc/sixfold/relay.toml",
            "procd_set_param file /usr/bin/sixfold-relay",
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
            (
                "a network that is down",
                format!("{SMALL}config listen 'listen'\n\toption network 'absent'\n"),
                "absent",
            ),
            ("a file that is absent", format!("{SMALL}\toption ca_file '/etc/absent.pem'\n"), "ca_file"),
        ];
        for (name, config, word) in &mistakes {
            router.set_running(false)?;
            let (ok, record) = router.run("start", config)?;
            ensure!(!ok && stops(&record), "{name}: started\n{record}");
            ensure!(record.contains(word), "{name}: {word} is not named in\n{record}");
            let (ok, record) = router.run("start", SMALL)?;
            ensure!(ok && !stops(&record), "{name}: {record}");
            let before = fs::read(router.path(WRITTEN))?;
            router.set_running(true)?;
            for action in ["reload", "start", "check"] {
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
        // Procd restarts a service that is announced at another port: it reads the new file then, or would die of the signal.
        let moved = format!("{SMALL}config listen 'listen'\n\tlist coap '[::]:5999'\n");
        let (_, record) = router.run("reload", &moved)?;
        ensure!(!record.contains(hangup) && !stops(&record), "{record}");
        let (ok, record) = router.run("reload", &SMALL.replace("'1'", "'0'"))?;
        ensure!(ok && stops(&record), "turned off: {record}");
        Ok(())
    })
}

#[test]
fn a_file_that_only_root_can_read_is_a_mistake() -> Result<()> {
    sandbox::run(NEEDS, || {
        let router = Router::with_service()?;
        let folder = router.path("etc/sixfold");
        fs::create_dir_all(&folder)?;
        let pair = rcgen::generate_simple_self_signed(["relay".to_owned()])?;
        fs::write(folder.join("relay.pem"), pair.cert.pem())?;
        let key = folder.join("relay.key");
        fs::write(&key, pair.signing_key.serialize_pem())?;
        let config = format!(
            "{SMALL}\toption client_cert_file '/etc/sixfold/relay.pem'\n\toption client_key_file '/etc/sixfold/relay.key'\n"
        );
        std::os::unix::fs::chown(&key, None, Some(USER))?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640))?;
        for action in ["start", "check"] {
            let (ok, record) = router.run(action, &config)?;
            ensure!(ok, "{action}: {record}");
        }
        router.set_running(true)?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
        let (ok, record) = router.run("check", &config)?;
        ensure!(!ok && record.contains("client_key_file"), "{record}");
        let (ok, record) = router.run("reload", &config)?;
        ensure!(ok && !stops(&record) && record.contains("client_key_file"), "{record}");
        Ok(())
    })
}

#[test]
fn a_file_that_took_the_place_of_another_is_passed_on() -> Result<()> {
    sandbox::run(NEEDS, || {
        let router = Router::with_service()?;
        let hangup = "procd_send_signal sixfold * HUP";
        fs::create_dir_all(router.path("etc/sixfold"))?;
        let replace = |path: &str| -> Result<()> {
            let authority = rcgen::generate_simple_self_signed(["h".to_owned()])?;
            fs::write(router.path("tmp/new.pem"), authority.cert.pem())?;
            Ok(fs::rename(router.path("tmp/new.pem"), router.path(path))?)
        };
        for (path, has_folder) in [("/etc/sixfold/ca.pem", true), ("/etc/ca.pem", false)] {
            let config = format!("{SMALL}\toption ca_file '{path}'\n");
            router.set_running(false)?;
            replace(path)?;
            router.run("start", &config)?;
            router.set_running(true)?;
            let (_, record) = router.run("reload", &config)?;
            ensure!(!record.contains(hangup), "{path}: {record}");
            replace(path)?;
            let (ok, record) = router.run("reload", &config)?;
            // The jail shows what lies beside other things by itself, and goes on to show what it was: procd restarts the relay.
            let watched = record.contains("procd_set_param file /usr/bin/sixfold-relay /etc/ca.pem\n");
            ensure!(ok && record.contains(hangup) == has_folder && watched != has_folder, "{path}: {record}");
            let shown = if has_folder { "/etc/sixfold" } else { path };
            ensure!(record.contains(&format!("procd_add_jail_mount {shown}\n")), "{path}: {record}");
        }
        // Where a link leads is shown too.
        std::os::unix::fs::symlink("../acme/ca.pem", router.path("etc/sixfold/link.pem"))?;
        fs::create_dir_all(router.path("etc/acme"))?;
        replace("/etc/acme/ca.pem")?;
        let (_, record) =
            router.run("reload", &format!("{SMALL}\toption ca_file '/etc/sixfold/link.pem'\n"))?;
        for line in ["procd_add_jail_mount /etc/sixfold\n", "procd_add_jail_mount /etc/acme\n"] {
            ensure!(record.contains(line), "{line}: {record}");
        }
        Ok(())
    })
}

#[test]
fn nothing_is_written_to_flash_where_a_disk_is_missing() -> Result<()> {
    sandbox::run(NEEDS, || {
        let router = Router::with_service()?;
        let config = format!(
            "{SMALL}config cache\n\toption disk_path '/mnt/sda1/sixfold'\n\toption disk_limit '1 MiB'\n\
             config sessions\n\toption store '/mnt/sda1/kept/sessions'\n"
        );
        fs::create_dir_all(router.path("mnt/sda1"))?;
        let (ok, record) = router.run("start", &config)?;
        ensure!(ok && !stops(&record), "{record}");
        for option in ["cache.disk_path: nothing is mounted", "sessions.store: nothing is mounted"] {
            ensure!(record.contains(option), "{option}: {record}");
        }
        ensure!(fs::read_dir(router.path("mnt/sda1"))?.next().is_none() && !record.contains("mount_rw"));
        let written = router.written()?;
        ensure!(written.cache.disk.is_none() && written.sessions.store.is_none(), "{written:#?}");

        router.set_mounted(&["/mnt/sda"])?;
        let (_, record) = router.run("start", &config)?;
        ensure!(!record.contains("mount_rw"), "another disk whose name begins alike: {record}");

        router.set_mounted(&["/mnt/sda1"])?;
        let (ok, record) = router.run("start", &config)?;
        ensure!(ok && !record.contains("nothing is mounted"), "{record}");
        for line in
            ["procd_add_jail_mount_rw /mnt/sda1/sixfold\n", "procd_add_jail_mount_rw /mnt/sda1/kept\n"]
        {
            ensure!(record.contains(line), "{line}: {record}");
        }
        let written = router.written()?;
        ensure!(written.cache.disk.is_some() && written.sessions.store.is_some(), "{written:#?}");
        let (_, record) = router.run("triggers", &config)?;
        for place in ["/mnt/sda1/sixfold\n", "/mnt/sda1/kept/sessions\n"] {
            ensure!(record.contains(&format!("procd_add_reload_mount_trigger {place}")), "{place}: {record}");
        }
        Ok(())
    })
}

#[test]
fn the_rule_of_the_firewall_is_in_force_at_once() -> Result<()> {
    sandbox::run(NEEDS, || {
        let router = Router::create()?;
        let record = router.first_settings(&file("sixfold.defaults"))?;
        ensure!(record.contains("uci commit firewall"), "a router without a firewall: {record}");
        let firewall = router.path("etc/init.d/firewall");
        fs::write(&firewall, "#!/bin/sh\necho \"firewall $*\" >>/record\necho noise\nexit 1\n")?;
        fs::set_permissions(&firewall, fs::Permissions::from_mode(0o755))?;
        let record = router.first_settings(&file("sixfold.defaults"))?;
        ensure!(!record.contains("firewall reload"), "the rule was there already: {record}");
        fs::write(router.path("record"), "")?;
        let record = router.first_settings(&file("sixfold.defaults"))?;
        let (committed, reloaded) = (record.find("uci commit firewall"), record.find("firewall reload"));
        ensure!(committed.is_some() && committed < reloaded, "{record}");
        Ok(())
    })
}

#[test]
fn changes_and_networks_trigger_a_reload() -> Result<()> {
    sandbox::run(NEEDS, || {
        let router = Router::with_service()?;
        let (ok, record) =
            router.run("triggers", &format!("{SMALL}config listen 'listen'\n\toption network 'lowpan'\n"))?;
        ensure!(ok, "{record}");
        for line in [
            "procd_add_reload_trigger sixfold",
            "procd_add_interface_trigger interface.* lowpan /etc/init.d/sixfold reload",
            "procd_add_validation validate_route",
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
    let rule = format!("dest_port='{}'", ports.join(" "));
    ensure!(
        fs::read_to_string(file("sixfold.defaults"))?.contains(&rule),
        "the firewall's rule has not {rule}"
    );
    let words = format!("UDP ports {}", ports.join(" and "));
    for document in ["config/openwrt/README.md", "docs/border-routers.md"] {
        let text = fs::read_to_string(workspace::root().join(document))?;
        let in_one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(in_one_line.contains(&words), "{document} does not say {words:?}");
    }
    let script = fs::read_to_string(file("sixfold.init"))?;
    let announced = fs::read_to_string(workspace::root().join("config/avahi/sixfold-relay.service"))?;
    ensure!(script.contains(&format!("${{found:-{}}}", ports[0])), "umdns announces another port");
    ensure!(announced.contains(&format!("<port>{}</port>", ports[0])), "avahi announces another port");
    Ok(())
}
