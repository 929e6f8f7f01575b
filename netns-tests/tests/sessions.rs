//! aiocoap's client with OSCORE against the relay: whole images, notifications, a restart, and what plain requests get.

use anyhow::{Context, Result, ensure};
use sixfold_netns_tests::aiocoap::{self, Response};
use sixfold_netns_tests::nginx;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::relay::{CONFIG, Relay};
use sixfold_netns_tests::sandbox;
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::topology::RELAY;
use sixfold_netns_tests::wait::SOON;
use sixfold_netns_tests::workspace;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const NEEDS: &[Peer] = &[Peer::Nginx, Peer::Radvd, Peer::Aiocoap];

/// aiocoap writes its numbers there.
const CLIENT: &str = "/run/oscore";

const CONTEXTS: &str = "\
[[context]]
name = \"meter-17\"
recipient_id = \"6d3137\"
sender_id = \"01\"
master_secret = \"0102030405060708090a0b0c0d0e0f10\"
master_salt = \"9e7ca92223786340\"
id_context = \"37cbf3210017a2d3\"
";

/// The other side of the same context.
const SETTINGS: &str = r#"{
    "sender-id_hex": "6d3137", "recipient-id_hex": "01", "id-context_hex": "37cbf3210017a2d3",
    "secret_hex": "0102030405060708090a0b0c0d0e0f10", "salt_hex": "9e7ca92223786340"
}"#;

/// The configuration of a relay that serves nobody without a session, and keeps sessions.
fn protected() -> Result<String> {
    fs::create_dir_all(CLIENT)?;
    fs::write(Path::new(CLIENT).join("settings.json"), SETTINGS)?;
    fs::write("/run/contexts.toml", CONTEXTS)?;
    fs::set_permissions("/run/contexts.toml", fs::Permissions::from_mode(0o600))?;
    Ok(format!(
        "{CONFIG}\n[sessions]\nallow_plain = false\nstore = \"/run/sessions\"\ncontexts = \"/run/contexts.toml\"\n"
    ))
}

fn ask(scene: &Scene, path: &str, arguments: &[&str]) -> Result<Response> {
    aiocoap::request(&scene.net.devices[0], &format!("coap://{RELAY}{path}"), arguments)
}

fn in_session<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["--oscore", CLIENT], arguments].concat()
}

/// What `sixfold-relay sessions` prints.
fn sessions(scene: &Scene, arguments: &[&str]) -> Result<String> {
    let program = workspace::program_dir().join("sixfold-relay");
    let output =
        scene.net.relay.enter(|| Command::new(program).arg("sessions").args(arguments).output())??;
    Ok(String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?)
}

#[test]
fn aiocoap_fetches_images_in_a_session_and_over_a_restart() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let small = nginx::publish_image("small.bin", 1, 3_001)?;
        let large = nginx::publish_image("large.bin", 2, 60_000)?;
        let config = protected()?;
        let relay = Relay::start(&scene.net.relay, &config)?;
        let plain = ask(&scene, "/fw/small.bin", &[])?;
        ensure!(plain.code == "4.01", "{plain:?}");
        let diagnostic = String::from_utf8(plain.body)?;
        ensure!(diagnostic.contains("OSCORE session"), "{diagnostic}");
        ensure!(ask(&scene, "/.well-known/core", &[])?.code == "2.05", "discovery is open");
        for szx in ["0", "2", "6"] {
            let response = ask(&scene, "/fw/small.bin", &in_session(&["--szx", szx]))?;
            ensure!(response.code == "2.05" && response.body == small, "SZX {szx}: {}", response.code);
        }
        ensure!(ask(&scene, "/fw/large.bin", &in_session(&[]))?.body == large, "the relay's own block size");
        ensure!(ask(&scene, "/fw/nothing.bin", &in_session(&[]))?.code == "4.04", "errors too");
        let list = sessions(&scene, &["list"])?;
        ensure!(list.contains("meter-17") && list.contains("6d3137 in 37cbf3210017a2d3"), "{list}");
        ensure!(relay.metric("sixfold_sessions ")? == 1.0, "{}", relay.metrics()?);

        ensure!(relay.stop()?.success());
        let relay = Relay::start(&scene.net.relay, &config)?;
        let response = ask(&scene, "/fw/large.bin", &in_session(&[]))?;
        ensure!(response.code == "2.05" && response.body == large, "after the restart: {}", response.code);
        ensure!(
            relay.metric("sixfold_session_refused_total{reason=\"freshness\"}")? == 1.0,
            "asked for Echo once"
        );

        ensure!(sessions(&scene, &["revoke", "meter-17"])?.contains("1 sessions ended"));
        let refused = ask(&scene, "/fw/large.bin", &in_session(&[]));
        ensure!(refused.is_err() || refused?.code == "4.01", "revoked");
        Ok(())
    })
}

#[test]
fn aiocoap_observes_in_a_session() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("expires 1s;")?;
        nginx::publish("manifest.json", b"{\"version\":1}")?;
        let _relay = Relay::start(&scene.net.relay, &protected()?)?;
        let uri = format!("coap://{RELAY}/fw/manifest.json");
        let mut client =
            aiocoap::start(&scene.net.devices[0], "observer", &uri, &in_session(&["--observe"]))?;
        ensure!(client.wait_for(0, SOON)?.body == b"{\"version\":1}");
        for version in [2, 3] {
            let body = format!("{{\"version\":{version},\"and\":\"{}\"}}", "x".repeat(version));
            nginx::publish("manifest.json", body.as_bytes())?;
            let notification = client.wait_for(version - 1, SOON).context("notification")?;
            ensure!(notification.body == body.as_bytes(), "{notification:?}");
        }
        Ok(())
    })
}
