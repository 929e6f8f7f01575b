//! Every option of `/etc/config/sixfold`: each is a key of the relay, arrives there with its value, and no other word is taken.
//! What is made of several together is `openwrt.rs`'s.

use anyhow::{Context, Result, ensure};
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::router::{self, Router, WRITTEN, file};
use sixfold_netns_tests::{sandbox, workspace};
use sixfold_relay::config::Config;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const NEEDS: &[Peer] = &[Peer::Busybox];

/// The smallest configuration that serves something; options of its route may follow.
const SMALL: &str = "config sixfold 'main'\n\toption enabled '1'\nconfig route\n\toption path '/fw'\n\toption origin 'https://h/'\n";

/// Section and key of the relay, another value than its default, and how the relay's file has to say it.
const VALUES: &[(&str, &str, &str, &str)] = &[
    ("listen", "coap", "[::]:5999 0.0.0.0:61617", "[\"[::]:5999\", \"0.0.0.0:61617\"]"),
    ("listen", "interface", "wpan1", "\"wpan1\""),
    ("listen", "block_size", "64", "64"),
    ("route", "path", "/b", "\"/b\""),
    ("route", "origin", "http://i/", "\"http://i/\""),
    ("route", "allow_http", "on", "true"),
    ("route", "ca_file", "/etc/k/ca.pem", "\"/etc/k/ca.pem\""),
    ("route", "client_cert_file", "/etc/k/c.pem", "\"/etc/k/c.pem\""),
    ("route", "client_key_file", "/etc/k/c.key", "\"/etc/k/c.key\""),
    ("route", "max_age", "6 min", "\"6 min\""),
    ("route", "stale_if_error", "8 d", "\"8 d\""),
    ("route", "require_session", "1", "true"),
    ("link", "interface", "tun0", "\"tun0\""),
    ("link", "bit_rate", "50000", "50000"),
    ("link", "frame", "2047", "2047"),
    ("link", "min_be", "1", "1"),
    ("link", "mtu", "1000", "1000"),
    ("link", "duty_cycle", "10", "10"),
    ("link", "algorithm", "fasor", "\"fasor\""),
    ("link", "fanout", "0", "false"),
    ("link", "group", "ff03::fd", "\"ff03::fd\""),
    ("link", "group_port", "61618", "61618"),
    ("link", "hop_limit", "9", "9"),
    ("link", "stream_block_size", "128", "128"),
    ("link", "repair", "blocks", "\"blocks\""),
    ("proxy", "forward", "https://i/ https://j/", "[\"https://i/\", \"https://j/\"]"),
    ("proxy", "allow_http", "yes", "true"),
    ("cache", "memory", "32 MiB", "\"32 MiB\""),
    ("cache", "max_object", "1 MiB", "\"1 MiB\""),
    ("cache", "negative_ttl", "5 s", "\"5 s\""),
    ("cache", "disk", "/tmp/spool", "{ path = \"/tmp/spool\", limit = \"65 MiB\" }"),
    ("origin", "connect_timeout", "1 s", "\"1 s\""),
    ("origin", "headers_timeout", "2 s", "\"2 s\""),
    ("origin", "idle_timeout", "3 s", "\"3 s\""),
    ("origin", "retries", "0", "0"),
    ("origin", "retry_delay", "4 s", "\"4 s\""),
    ("origin", "max_retry_delay", "5 s", "\"5 s\""),
    ("limits", "client_rate", "1", "1"),
    ("limits", "client_burst", "2", "2"),
    ("limits", "exchanges", "40", "40"),
    ("limits", "exchanges_per_client", "4", "4"),
    ("limits", "observers", "5", "5"),
    ("limits", "fetches", "6", "6"),
    ("limits", "resources", "7", "7"),
    ("limits", "transfers", "8", "8"),
    ("limits", "patience", "9 s", "\"9 s\""),
    ("resource_directory", "uri", "coap://[2001:db8::7]/rd", "\"coap://[2001:db8::7]/rd\""),
    ("resource_directory", "endpoint", "r1", "\"r1\""),
    ("resource_directory", "lifetime", "2 h", "\"2 h\""),
    ("resource_directory", "base", "coap://relay.example", "\"coap://relay.example\""),
    ("sessions", "listen", "[::]:9999", "\"[::]:9999\""),
    ("sessions", "certificate", "/etc/k/relay.pem", "\"/etc/k/relay.pem\""),
    ("sessions", "key", "/etc/k/relay.key", "\"/etc/k/relay.key\""),
    ("sessions", "client_ca", "/etc/k/devices.pem", "\"/etc/k/devices.pem\""),
    ("sessions", "client_crl", "/etc/k/devices.crl", "\"/etc/k/devices.crl\""),
    ("sessions", "edhoc_key", "/etc/k/edhoc.key", "\"/etc/k/edhoc.key\""),
    ("sessions", "edhoc_devices", "/etc/k/edhoc.txt", "\"/etc/k/edhoc.txt\""),
    ("sessions", "lifetime", "1 d", "\"1 d\""),
    ("sessions", "handshakes", "2", "2"),
    ("sessions", "handshakes_per_client", "3", "3"),
    ("sessions", "handshake_rate", "5", "5"),
    ("sessions", "handshake_timeout", "5 s", "\"5 s\""),
    ("sessions", "limit", "6", "6"),
    ("sessions", "allow_plain", "off", "false"),
    ("sessions", "store", "/tmp/kept/sessions", "\"/tmp/kept/sessions\""),
    ("sessions", "contexts", "/etc/k/contexts.toml", "\"/etc/k/contexts.toml\""),
    ("security", "echo", "always", "\"always\""),
    ("admin", "listen", "[::1]:9999", "\"[::1]:9999\""),
    ("admin", "hosts", "relay.example r1.lan", "[\"relay.example\", \"r1.lan\"]"),
    ("admin", "allow_remote", "enabled", "true"),
    ("log", "level", "debug", "\"debug\""),
    ("log", "format", "json", "\"json\""),
    ("process", "user", "nobody", "\"nobody\""),
    ("process", "sandbox", "0", "false"),
];

/// Options that are another word for a key of the relay, or only for the init script.
const WITHOUT_KEY: &[(&str, &str)] = &[
    ("sixfold", "enabled"),
    ("sixfold", "mdns"),
    ("sixfold", "firewall"),
    ("listen", "network"),
    ("cache", "disk_path"),
    ("cache", "disk_limit"),
];

/// Section and key of every line of a file for the relay, with the value; comments that begin with a key count too.
fn keys(text: &str) -> BTreeMap<(String, String), String> {
    let (mut section, mut found) = (String::new(), BTreeMap::new());
    for line in text.lines() {
        let line = line.strip_prefix('#').unwrap_or(line);
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, value)) =
            line.split_once(" = ").filter(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        {
            found.insert((section.clone(), key.to_owned()), value.to_owned());
        }
    }
    found
}

/// All of [`VALUES`] as UCI has them.
fn everything() -> Result<String> {
    let (mut config, mut last) = ("config sixfold 'main'\n\toption enabled '1'\n".to_owned(), "");
    let kinds: BTreeMap<_, _> =
        router::options()?.into_iter().map(|(section, option, kind)| ((section, option), kind)).collect();
    for (section, key, value, _) in VALUES {
        if *section != last {
            config += &format!("config {section}\n");
            last = section;
        }
        let kind = kinds.get(&((*section).to_owned(), (*key).to_owned()));
        if *key == "disk" {
            config += &format!("\toption disk_path '{value}'\n\toption disk_limit '65 MiB'\n");
        } else if kind.with_context(|| format!("{section}.{key} cannot be said"))?.starts_with("list(") {
            value.split(' ').for_each(|entry| config += &format!("\tlist {key} '{entry}'\n"));
        } else {
            config += &format!("\toption {key} '{value}'\n");
        }
    }
    Ok(config)
}

#[test]
fn every_option_arrives_with_its_value() -> Result<()> {
    sandbox::run(NEEDS, || {
        let manual = keys(&fs::read_to_string(workspace::root().join("config/relay.toml"))?);
        ensure!(manual.len() > 60, "{} keys in config/relay.toml", manual.len());
        let router = Router::with_service()?;
        // Whatever it says is good: the files that the options name are not there.
        router.replace_program("#!/bin/sh\nexit 0\n")?;
        let (ok, record) = router.run("start", &everything()?)?;
        ensure!(ok, "{record}");
        let text = fs::read_to_string(router.path(WRITTEN))?;
        let written = keys(&text);
        let meant: BTreeMap<_, _> = VALUES
            .iter()
            .map(|(section, key, _, value)| (((*section).to_owned(), (*key).to_owned()), (*value).to_owned()))
            .collect();
        ensure!(written == meant, "{text}\n{record}");
        for (key, default) in &manual {
            let value = meant.get(key).with_context(|| format!("{key:?} has no value in this test"))?;
            ensure!(value != default, "{key:?}: {value} is the default");
        }
        ensure!(meant.len() == manual.len(), "a key that is not in config/relay.toml");
        Config::parse(&text, Path::new(WRITTEN))?;
        for folder in ["/etc/k\n", "/tmp/spool\n", "/tmp/kept\n"] {
            ensure!(record.contains(folder), "the jail does not show {folder}: {record}");
        }
        Ok(())
    })
}

#[test]
fn every_option_is_a_key_of_the_relay() -> Result<()> {
    let known: BTreeSet<_> =
        router::options()?.into_iter().map(|(section, option, _)| (section, option)).collect();
    let mut meant: BTreeSet<_> = VALUES
        .iter()
        .filter(|(_, key, ..)| *key != "disk")
        .map(|(section, key, ..)| ((*section).to_owned(), (*key).to_owned()))
        .collect();
    meant.extend(WITHOUT_KEY.iter().map(|(section, key)| ((*section).to_owned(), (*key).to_owned())));
    ensure!(known == meant, "{:?}", known.symmetric_difference(&meant).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn the_files_that_options_name_are_shown_and_watched() -> Result<()> {
    sandbox::run(NEEDS, || {
        let router = Router::with_service()?;
        router.replace_program("#!/bin/sh\nexit 0\n")?;
        let config = everything()?.replace("/etc/k/", "/etc/");
        let (_, record) = router.run("start", &config)?;
        let files: BTreeSet<_> =
            VALUES.iter().filter_map(|(_, _, value, _)| value.strip_prefix("/etc/k/")).collect();
        ensure!(files.len() == 10, "{files:?}");
        for file in files {
            ensure!(record.contains(&format!("procd_add_jail_mount /etc/{file}\n")), "{file}: {record}");
        }
        Ok(())
    })
}

#[test]
fn a_word_that_nobody_knows_is_a_mistake() -> Result<()> {
    sandbox::run(NEEDS, || {
        let router = Router::with_service()?;
        let off = SMALL.replace("'1'", "'0'");
        for (config, word) in [
            (format!("{SMALL}\toption require_sesion '1'\n"), "route has no option require_sesion"),
            (format!("{SMALL}\tlist orgin 'https://i/'\n"), "route has no option orgin"),
            (format!("{SMALL}config session 's'\n\toption allow_plain '0'\n"), "s: there is no type session"),
            (format!("{SMALL}config sixfold 'more'\n"), "more: the one of type sixfold is called main"),
            (format!("{SMALL}config link\n\toption enabled '0'\n"), "link has no option enabled"),
            (SMALL.replace("enabled", "enable"), "main: sixfold has no option enable"),
        ] {
            router.set_running(false)?;
            let (ok, record) = router.run("start", SMALL)?;
            ensure!(ok && record.contains("procd_open_instance"), "{word}: {record}");
            router.set_running(true)?;
            for action in ["reload", "check"] {
                let (ok, record) = router.run(action, &config)?;
                ensure!(record.contains(word), "{word}: {action}: {record}");
                // A relay that runs goes on.
                let goes_on = ok && record.contains("procd_open_instance") && !record.contains("HUP");
                ensure!(goes_on != (action == "check"), "{word}: {action}: {record}");
            }
            router.set_running(false)?;
            let (ok, record) = router.run("start", &config)?;
            ensure!(!ok && record.contains(word) && !record.contains("open_instance"), "{word}: {record}");
        }
        // Who turns it off is obeyed whatever else there is.
        router.set_running(true)?;
        let (ok, record) = router.run("reload", &format!("{off}\toption orgin 'i'\n"))?;
        ensure!(ok && !record.contains("open_instance") && record.contains("orgin"), "{record}");
        Ok(())
    })
}

/// Names of OpenWrt's functions that a script of the same name would take away from it (`/lib/functions.sh`, rc.common).
const NOT_OURS: &[&str] = &[
    "append",
    "boot",
    "config",
    "config_get",
    "config_load",
    "debug",
    "disable",
    "enable",
    "enabled",
    "help",
    "include",
    "info",
    "list",
    "option",
    "package",
    "prepend",
    "reload",
    "restart",
    "running",
    "start",
    "status",
    "stop",
    "trace",
    "xor",
];

#[test]
fn the_script_leaves_the_functions_of_openwrt_alone() -> Result<()> {
    let script = fs::read_to_string(file("sixfold.init"))?;
    let functions: Vec<_> = script
        .lines()
        .filter_map(|line| line.split_once("() {").map(|(name, _)| name))
        .filter(|name| !name.starts_with('\t'))
        .collect();
    ensure!(functions.len() > 20, "{functions:?}");
    let taken: Vec<_> = functions.iter().filter(|name| NOT_OURS.contains(*name)).collect();
    ensure!(taken.is_empty(), "{taken:?}");
    Ok(())
}
