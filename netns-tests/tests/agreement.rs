//! A device and a relay agree on a session, as the programs that people install: certificates from files, TCP over a network, a
//! ticket in flash, a name in the relay's log.

use anyhow::{Result, ensure};
use serde_json::Value;
use sixfold_netns_tests::ca::Ca;
use sixfold_netns_tests::lamp::{FLASH, configuration, equip, expect, expect_prepare, prepare};
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::relay::Relay;
use sixfold_netns_tests::sandbox;
use sixfold_netns_tests::scene::Scene;

const NEEDS: &[Peer] = &[Peer::Nginx, Peer::Radvd];
#[test]
fn prepare_leaves_a_session_in_the_ticket_that_the_relay_knows() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let site = Ca::create("site")?;
        let relay = Relay::start(&scene.net.relay, &configuration(&site, "2001:db8:6::1")?)?;
        let netns = &scene.net.devices[0];
        equip(netns, 5000)?;
        let lamp = site.issue_device("lamp-7.example")?;
        let output = expect_prepare(netns, &prepare(&site, &lamp), 0, "a session with the relay, for ")?;
        let result: Value = serde_json::from_str(&output)?;
        let id = result["session"]["id"].as_str().unwrap_or_default();
        ensure!(id.len() == 10 && result["last_session"].is_null(), "{result}");
        let shown = expect(netns, "sixfold-publish", &["inspect", FLASH], 0, "")?;
        ensure!(shown.contains(&format!("Sender ID '{id}', Recipient ID ''")), "{shown}");
        ensure!(relay.metric("sixfold_agreements_total{result=\"granted\"}")? == 1.0, "{}", relay.log());
        ensure!(relay.log().contains("device=\"lamp-7.example\""), "{}", relay.log());
        let output = expect_prepare(netns, &prepare(&site, &lamp), 0, "a session with the relay, for ")?;
        let result: Value = serde_json::from_str(&output)?;
        ensure!(result["last_session"] == "usable", "{result}");
        Ok(())
    })
}

#[test]
fn whoever_has_the_wrong_certificate_is_told_so_and_gets_no_ticket() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let (site, other) = (Ca::create("site")?, Ca::create("other")?);
        let relay = Relay::start(&scene.net.relay, &configuration(&site, "2001:db8:6::1")?)?;
        let netns = &scene.net.devices[0];
        equip(netns, 5000)?;
        let (lamp, stranger) = (site.issue_device("lamp")?, other.issue_device("stranger")?);
        expect_prepare(netns, &prepare(&site, &stranger), 29, "sessions.client_ca")?;
        expect_prepare(netns, &prepare(&other, &lamp), 28, "the relay's certificate is not trusted")?;
        let names = ["--session-name".to_owned(), "elsewhere.test".to_owned()];
        expect_prepare(netns, &[&prepare(&site, &lamp)[..], &names].concat(), 28, "is not trusted")?;
        let closed = prepare(&site, &lamp).into_iter().map(|word| word.replace(":9684", ":9685"));
        expect_prepare(netns, &closed.collect::<Vec<_>>(), 30, "the connection to the session port")?;
        expect(netns, "sixfold-device", &["boot", "--flash", FLASH], 20, "prepare first")?;
        for result in ["untrusted", "distrusted"] {
            let counted = relay.metric(&format!("sixfold_agreements_total{{result=\"{result}\"}}"))?;
            ensure!(counted > 0.0, "{result}: {}", relay.log());
        }
        Ok(())
    })
}
