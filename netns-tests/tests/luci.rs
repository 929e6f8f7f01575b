//! The LuCI application: its form is /etc/config/sixfold, its status what the relay tells, its rights no more than both need.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::{sandbox, workspace};
use sixfold_relay::ops::status::{Cache, Image, Link, Origin, States, Status, Totals, Transfer};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

fn file(name: &str) -> PathBuf {
    workspace::root().join("config/openwrt/luci-app-sixfold").join(name)
}

fn json(name: &str) -> Result<Value> {
    serde_json::from_str(&fs::read_to_string(file(name))?).with_context(|| name.to_owned())
}

/// Runs a view, with the relay's status and the sections of UCI by their types: what it made.
fn run(view: &str, status: &str, configuration: &str) -> Result<Value> {
    run_and_click(view, status, configuration, &[])
}

/// The same, after these buttons were clicked.
fn run_and_click(view: &str, status: &str, configuration: &str, clicks: &[&str]) -> Result<Value> {
    let program = Peer::Node.program().with_context(|| Peer::Node.remedy())?;
    let output = Command::new(program)
        .arg(workspace::root().join("netns-tests/openwrt/luci.js"))
        .arg(file(&format!("htdocs/luci-static/resources/view/sixfold/{view}.js")))
        .args([status, configuration])
        .args(clicks)
        .output()?;
    ensure!(output.status.success(), "{view}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Sections, options and types that the init script takes.
fn schema() -> Result<BTreeMap<(String, String), String>> {
    let known = sixfold_netns_tests::router::options()?;
    Ok(known.into_iter().map(|(section, option, kind)| ((section, option), kind)).collect())
}

#[test]
fn the_form_has_every_option_of_uci_with_its_type() -> Result<()> {
    sandbox::run(&[Peer::Node], || {
        let mut schema = schema()?;
        ensure!(schema.len() > 50, "{schema:?}");
        let made = run("config", "", "{}")?;
        for section in made["sections"].as_array().context("sections")? {
            let name = section["type"].as_str().context("a type")?;
            for option in section["options"].as_array().context("options")? {
                let key = (name.to_owned(), option["name"].as_str().context("a name")?.to_owned());
                let kind = schema.remove(&key).with_context(|| format!("{key:?} is not in UCI, or twice"))?;
                let values: Vec<_> =
                    option["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let (form, datatype) =
                    (option["kind"].as_str().context("a kind")?, option["datatype"].as_str());
                let fits = match kind.split(['(', ':']).next().unwrap_or_default() {
                    "bool" if form == "ListValue" => values == ["1", "0"] && option["optional"] == true,
                    "bool" => {
                        let default = kind.split(':').nth(1).map(Value::from);
                        form == "Flag" && default.is_none_or(|default| option["default"] == default)
                    }
                    "list" => form == "DynamicList",
                    "or" => {
                        form == "ListValue"
                            && kind.replace(['"', ' '], "") == format!("or({})", values.join(","))
                    }
                    "range" => form == "Value" && datatype == Some(kind.replace(' ', "").as_str()),
                    "uinteger" => form == "Value" && datatype == Some("uinteger"),
                    "uciname" => form == "NetworkSelect",
                    "string" => form == "Value" && datatype.is_none(),
                    _ => false,
                };
                ensure!(fits, "{key:?} is {kind} in UCI, and here {option}");
            }
        }
        ensure!(schema.is_empty(), "not in the form: {schema:?}");
        Ok(())
    })
}

#[test]
fn what_the_relay_takes_once_can_be_added_once() -> Result<()> {
    sandbox::run(&[Peer::Node], || {
        let by_hand = r#"{"cache": [{".name": "cfg0a"}], "listen": [{".name": "listen"}]}"#;
        for (configuration, cache) in [("{}", "cache"), (by_hand, "cfg0a")] {
            let made = run("config", "", configuration)?;
            let mut once = 0;
            for section in made["sections"].as_array().context("sections")? {
                let kind = section["type"].as_str().context("a type")?;
                let is_always_there = ["sixfold", "listen"].contains(&kind);
                ensure!(section["addremove"] == !is_always_there, "{section}");
                if ["route", "link"].contains(&kind) {
                    ensure!(section["kind"] == "TypedSection" && section["anonymous"] == true, "{section}");
                    continue;
                }
                let name = match kind {
                    "sixfold" => "main",
                    "cache" => cache,
                    other => other,
                };
                ensure!(section["kind"] == "NamedSection" && section["name"] == name, "{section}");
                once += 1;
            }
            ensure!(once > 5, "{once}");
        }
        Ok(())
    })
}

#[test]
fn a_relay_that_answers_nowhere_is_not_asked() -> Result<()> {
    sandbox::run(&[Peer::Node], || {
        let made = run("status", "", r#"{"admin": [{"listen": "off"}]}"#)?;
        let words: Vec<_> =
            made["words"].as_array().context("words")?.iter().filter_map(Value::as_str).collect();
        ensure!(!words.iter().any(|word| word.starts_with("EXEC ")), "{words:?}");
        ensure!(words.iter().any(|word| word.contains("There is no status")), "{words:?}");
        Ok(())
    })
}

#[test]
fn the_defaults_that_the_form_shows_are_those_of_the_relay() -> Result<()> {
    sandbox::run(&[Peer::Node], || {
        let manual = fs::read_to_string(workspace::root().join("config/relay.toml"))?;
        let made = run("config", "", "{}")?;
        let mut compared = 0;
        for section in made["sections"].as_array().context("sections")? {
            let name = section["type"].as_str().context("a type")?;
            let heads = [format!("\n[{name}]\n"), format!("\n#[[{name}]]\n")];
            let Some(part) = heads.iter().find_map(|head| manual.split_once(head.as_str())) else { continue };
            let part =
                part.1.split("\n[").next().unwrap_or_default().split("\n#[[").next().unwrap_or_default();
            for option in section["options"].as_array().context("options")? {
                let key = option["name"].as_str().context("a name")?;
                let Some((_, value)) = part.split_once(&format!("\n#{key} = ")) else { continue };
                let line = value.lines().next().unwrap_or_default();
                if option["default"].is_array() {
                    let manual: Value = serde_json::from_str(line)?;
                    ensure!(manual == option["default"], "{name}.{key}: {option} here, {line} in the manual");
                    compared += 1;
                }
                let Some(default) = option["default"].as_str().or(option["placeholder"].as_str()) else {
                    continue;
                };
                // Of a list the form shows the first entry.
                let first = line.strip_prefix("[\"").and_then(|list| list.split('"').next());
                let value = first.unwrap_or(line.trim_matches('"'));
                let value = match value {
                    "true" => "1",
                    "false" => "0",
                    // Nothing by default: the form shows what could be there.
                    "" | "[]" => continue,
                    other => other,
                };
                ensure!(value == default, "{name}.{key}: {default} here, {value} in the manual");
                compared += 1;
            }
        }
        ensure!(compared > 30, "{compared} compared");
        Ok(())
    })
}

/// Rows of devices: one that is refused, and so many that fetch.
fn states(fetching: u64) -> States {
    States { refused: 1, fetching, ..States::default() }
}

/// What a relay tells that has one image, a transfer of it, and a device that it refused.
fn status() -> Result<Status> {
    let url = "https://h/<img src=x>".to_owned();
    let image = Image {
        url: url.clone(),
        etag: None,
        sha256: None,
        state: "failed".to_owned(),
        available_bytes: 50,
        total_bytes: Some(200),
        fresh_for_s: 90,
        observers: 0,
        failure: Some("certificate".to_owned()),
    };
    let transfer = Transfer {
        peer: "[2001:db8::7]:5683".parse()?,
        url: Some(url),
        etag: Some("00".to_owned()),
        from_bytes: 0,
        sent_bytes: 128,
        total_bytes: Some(200),
        age_s: 1.0,
        duration_s: 1.0,
        rate_bps: 25_400,
        left_s: Some(75.0),
        state: "fetching".to_owned(),
        code: None,
    };
    let refused = Transfer {
        peer: "[2001:db8::8]:5683".parse()?,
        url: None,
        state: "refused".to_owned(),
        code: Some("4.01".to_owned()),
        ..transfer.clone()
    };
    let link = Link {
        interface: "wpan0".to_owned(),
        rate_bps: 1_000,
        loss: 0.05,
        round_trip_s: None,
        timeout_s: 2.0,
        window_s: 0.1,
        in_flight_s: 0.0,
        queue: 3,
        devices: 4,
        missing: 0,
        block_bytes: 64,
        busy: 0.5,
        duty_cycle_percent: 100,
        algorithm: "cocoa".to_owned(),
        groups: Vec::new(),
    };
    let status = Status {
        version: "1.2.3".to_owned(),
        uptime_s: 5,
        listen: Vec::new(),
        cache: Cache { bytes: 7, limit_bytes: 1000 },
        origin: Origin { bytes: 8, retries: 0, resumes: 0, requests: Default::default() },
        totals: Totals { devices: 11, states: states(1), images: 1, ..Totals::default() },
        links: vec![link],
        unpaced: vec!["eth0".to_owned(), "tun0".to_owned()],
        absent: vec!["wpan1".to_owned()],
        images: vec![image],
        bans: Vec::new(),
        sessions: Vec::new(),
        transfers: vec![refused, transfer],
    };
    Ok(status)
}

/// The commands that the view ran; each is one that the rights allow.
fn commands(made: &Value) -> Result<Vec<String>> {
    let rights = json("root/usr/share/rpcd/acl.d/luci-app-sixfold.json")?;
    let allowed = rights["luci-app-sixfold"]["read"]["file"].as_object().context("file")?;
    ensure!(allowed.len() == 1, "{allowed:?}");
    let pattern = allowed.keys().next().context("no command")?;
    let words = made["words"].as_array().context("words")?.iter().filter_map(Value::as_str);
    let commands: Vec<_> = words.filter_map(|word| word.strip_prefix("EXEC ")).map(str::to_owned).collect();
    for command in &commands {
        // As fnmatch has it: the parts between the stars, one after the other.
        let rest = pattern
            .split('*')
            .try_fold(command.as_str(), |rest, part| rest.find(part).map(|at| &rest[at + part.len()..]));
        let begins = command.starts_with(pattern.split('*').next().unwrap_or_default());
        ensure!(begins && rest.is_some() && pattern.ends_with('*'), "{command} does not fit {pattern}");
    }
    Ok(commands)
}

#[test]
fn the_status_shows_what_the_relay_tells_as_text() -> Result<()> {
    sandbox::run(&[Peer::Node], || {
        let status = status()?;
        let made =
            run("status", &serde_json::to_string(&status)?, r#"{"admin": [{"listen": "[::]:9999"}]}"#)?;
        let words: Vec<_> =
            made["words"].as_array().context("words")?.iter().filter_map(Value::as_str).collect();
        for word in [
            "sixfold-relay 1.2.3: 11 devices known, 0 transfers under way; 7 of 1000 bytes cached; 8 bytes from origins",
            "[2001:db8::7]:5683",
            "https://h/<img src=x>",
            "64 %",
            "25.4 kbit/s",
            "1 min 15 s",
            "refused 4.01",
            "wpan0",
            "5.0 %",
            "failed (certificate)",
            "Not there: wpan1",
            "Served, and not paced: eth0, tun0",
            "25 %",
        ] {
            ensure!(words.contains(&word), "no {word:?} in {words:?}");
        }
        ensure!(!words.iter().any(|word| word.contains("undefined") || word.contains("NaN")), "{words:?}");
        ensure!(!words.contains(&"Next"), "all is shown: {words:?}");
        // It asks once, and where the relay answers.
        let commands = commands(&made)?;
        ensure!(commands.len() == 1 && commands[0].ends_with("--url http://[::1]:9999"), "{commands:?}");
        Ok(())
    })
}

#[test]
fn a_fleet_is_shown_page_by_page() -> Result<()> {
    sandbox::run(&[Peer::Node], || {
        let mut status = status()?;
        let (transfer, image) = (status.transfers[1].clone(), status.images[0].clone());
        let device =
            |port: u16| Ok(Transfer { peer: format!("[2001:db8::7]:{port}").parse()?, ..transfer.clone() });
        status.transfers = (1..=250).map(device).collect::<Result<_>>()?;
        status.images = (1..=101).map(|n| Image { url: format!("https://h/{n}"), ..image.clone() }).collect();
        (status.totals.states, status.totals.images) = (states(249), 101);
        let status = serde_json::to_string(&status)?;
        ensure!(status.len() < 256 << 10, "more than rpcd passes on: {}", status.len());
        // Devices are the first table, images the second: what is clicked, what is told, the first and the last row of both.
        type Case = (&'static [&'static str], [&'static str; 2], [&'static str; 4], [&'static str; 2]);
        let cases: &[Case] = &[
            (&[], ["1–100 of 250", "1–100 of 101"], [":1", ":100", "/1", "/100"], ["0", "0"]),
            (&["Next"], ["101–200 of 250", "1–100 of 101"], [":101", ":200", "/1", "/100"], ["100", "0"]),
            (
                &["Next", "Next"],
                ["201–250 of 250", "1–100 of 101"],
                [":201", ":250", "/1", "/100"],
                ["200", "0"],
            ),
            (&["Next:1"], ["1–100 of 250", "101–101 of 101"], [":1", ":100", "/101", "/101"], ["0", "100"]),
            (
                &["Next", "Previous"],
                ["1–100 of 250", "1–100 of 101"],
                [":1", ":100", "/1", "/100"],
                ["0", "0"],
            ),
        ];
        for (clicks, told, rows, skips) in cases {
            let made = run_and_click("status", &status, "{}", clicks)?;
            let words: Vec<_> =
                made["words"].as_array().context("words")?.iter().filter_map(Value::as_str).collect();
            for told in told {
                ensure!(words.contains(told), "{clicks:?}: no {told:?} in {words:?}");
            }
            let ends = |start: &str| {
                let mut cells = words.iter().filter(|word| word.starts_with(start)).copied();
                let first = cells.next().unwrap_or_default();
                [first, cells.next_back().unwrap_or(first)]
            };
            let [peers, images] = [ends("[2001:db8::7]"), ends("https://h/1")];
            let shown = [peers[0], peers[1], images[0], images[1]];
            ensure!(shown.iter().zip(rows).all(|(cell, end)| cell.ends_with(end)), "{clicks:?}: {shown:?}");
            let commands = commands(&made)?;
            let [devices, images] = skips;
            let asked = format!("--limit 100 --skip {devices} --skip-images {images} --url");
            ensure!(commands.len() == 1 && commands[0].contains(&asked), "{clicks:?}: {commands:?}");
        }
        for end in [&["Previous"][..], &["Next", "Next", "Next"], &["Next:1", "Next:1"]] {
            ensure!(run_and_click("status", &status, "{}", end).is_err(), "{end:?} leads somewhere");
        }
        Ok(())
    })
}

/// Devices that are silent are forgotten: the page that somebody looks at may be gone at the next refresh.
#[test]
fn a_page_that_is_gone_leads_back_to_the_first() -> Result<()> {
    sandbox::run(&[Peer::Node], || {
        let mut status = status()?;
        // 101 devices when it is clicked, and then one.
        status.totals.states = states(100);
        let status = [serde_json::to_string(&status)?, {
            status.totals.states = states(1);
            serde_json::to_string(&status)?
        }];
        let made = run_and_click("status", &status.join("\n"), "{}", &["Next"])?;
        let words = made["words"].as_array().context("words")?;
        ensure!(words.iter().any(|word| word == "[2001:db8::7]:5683"), "{words:?}");
        Ok(())
    })
}

#[test]
fn menu_and_rights_name_each_other_and_what_is_there() -> Result<()> {
    let menu = json("root/usr/share/luci/menu.d/luci-app-sixfold.json")?;
    let rights = json("root/usr/share/rpcd/acl.d/luci-app-sixfold.json")?;
    let top = &menu["admin/services/sixfold"];
    ensure!(top["depends"]["acl"][0] == "luci-app-sixfold", "{top}");
    ensure!(rights["luci-app-sixfold"]["write"]["uci"][0] == "sixfold", "{rights}");
    // LuCI itself lets accounts that may write alone run anything: who may only read sees the status by this.
    ensure!(rights["luci-app-sixfold"]["read"]["ubus"] == serde_json::json!({"file": ["exec"]}), "{rights}");
    ensure!(
        rights["luci-app-sixfold"]["write"].as_object().is_some_and(|write| write.len() == 1),
        "{rights}"
    );
    let views = menu.as_object().context("menu")?.values().filter(|entry| entry["action"]["type"] == "view");
    let mut count = 0;
    for entry in views {
        let path = entry["action"]["path"].as_str().context("path")?;
        ensure!(file(&format!("htdocs/luci-static/resources/view/{path}.js")).exists(), "{path}");
        count += 1;
    }
    ensure!(count == 2);
    Ok(())
}
