//! Captures of the modelled air, as Wireshark's dissectors understand them.

use anyhow::{Context, Result, ensure};
use sixfold_air::counters::Counters;
use sixfold_air::scenario::{Overrides, Scenario};
use sixfold_netns_tests::lab::job;
use sixfold_netns_tests::lab::network::{Network, NodeSockets};
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::sandbox;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const STAR: &str = include_str!("../scenarios/star.toml");
const CAPTURE: &str = "/run/air.pcap";
const BLOCKS: usize = 20;

/// One device fetches [`BLOCKS`] blocks of 64 bytes; what the nodes have counted from the first frame on.
fn capture_a_fetch() -> Result<Counters> {
    let image_bytes = Some(64 * BLOCKS as u32);
    let overrides = Overrides { devices: Some(1), image_bytes, ..Overrides::default() };
    let scenario = Scenario::read(STAR, &overrides)?;
    let network = Network::create(&scenario, 1, &NodeSockets::new(), Some(Path::new(CAPTURE)))?;
    let outcome = job::run(&scenario, &network, 1, |_| ())?;
    ensure!((outcome.done, outcome.wrong_bytes) == (1, 0), "{outcome:?}");
    Ok(network.air.stop()?.counters.into_iter().sum())
}

/// What tshark prints of the frames that `filter` lets through, one a line.
fn dissect(filter: &str, options: &[&str]) -> Result<Vec<String>> {
    let mut tshark = Command::new(Peer::Tshark.program().with_context(|| Peer::Tshark.remedy())?);
    let output =
        tshark.args(["-r", CAPTURE, "-o", "udp.check_checksum:TRUE", "-Y", filter]).args(options).output()?;
    ensure!(output.status.success(), "tshark: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}

fn ensure_count(filter: &str, count: u64) -> Result<()> {
    let frames = dissect(filter, &[])?;
    ensure!(frames.len() as u64 == count, "{filter}: {} in place of {count}:\n{frames:#?}", frames.len());
    Ok(())
}

/// A frame whose acknowledgement was lost in a collision is sent again, so that one message may be there twice.
fn ensure_messages(filter: &str, count: usize) -> Result<()> {
    let ids: BTreeSet<_> = dissect(filter, &["-T", "fields", "-e", "coap.mid"])?.into_iter().collect();
    ensure!(ids.len() == count, "{filter}: {} messages in place of {count}: {ids:?}", ids.len());
    Ok(())
}

#[test]
fn tshark_sees_every_layer_from_802_15_4_to_coap() -> Result<()> {
    sandbox::run(&[Peer::Radvd, Peer::Tun, Peer::Tshark], || {
        let counters = capture_a_fetch()?;
        ensure_count("wpan.frame_type == 1", counters.frames)?;
        ensure_count("wpan.frame_type == 2", counters.acknowledgements)?;
        ensure_count("wpan.fcs_ok == 1", counters.frames + counters.acknowledgements)?;
        ensure_count("_ws.malformed || udp.checksum.bad || icmpv6.checksum_bad.expert", 0)?;
        ensure_messages("coap.code == 1", BLOCKS)?;
        ensure_messages("coap.code == 69 && 6lowpan.reassembled.length", BLOCKS)?;
        let protocols = dissect("coap.code == 69", &["-T", "fields", "-e", "frame.protocols"])?;
        ensure!(
            protocols.iter().all(|names| names.starts_with("wpan:6lowpan:ipv6:udp:coap")),
            "{protocols:?}"
        );
        Ok(())
    })
}
