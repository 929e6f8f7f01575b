//! The test network itself: nothing of Sixfold runs here, so that a failure elsewhere is Sixfold's.

use anyhow::{Result, ensure};
use sixfold_netns_tests::ca::Ca;
use sixfold_netns_tests::nginx::{self, Nginx, Site};
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::topology::{Topology, address_of};
use sixfold_netns_tests::{sandbox, wait};
use std::net::{Ipv6Addr, TcpStream, UdpSocket};

const NEEDS: &[Peer] = &[Peer::Nginx, Peer::Radvd];

#[test]
fn devices_get_addresses_by_slaac_and_reach_the_relay_but_not_the_origin() -> Result<()> {
    sandbox::run(NEEDS, || {
        let net = Topology::create(3)?;
        let relay = net.relay.enter(|| UdpSocket::bind("[2001:db8:6::1]:5683"))??;
        relay.set_read_timeout(Some(wait::SOON))?;
        for device in &net.devices {
            let prefix = address_of(device)?.segments();
            ensure!(prefix[..4] == [0x2001, 0xdb8, 6, 0], "{prefix:x?}");
            device.enter(|| UdpSocket::bind("[::]:0")?.send_to(b"ping", "[2001:db8:6::1]:5683"))??;
            let (_, from) = relay.recv_from(&mut [0; 16])?;
            ensure!(from.ip() == address_of(device)?, "{from}");
        }
        let identity = Ca::create("ca")?.issue(&["origin.test"])?;
        let _nginx = Nginx::start(&net.origin, &[Site { port: 443, identity: &identity, directives: "" }])?;
        let origin: Ipv6Addr = "2001:db8:1::2".parse()?;
        net.relay.enter(|| TcpStream::connect((origin, 443)))??;
        let direct = net.devices[0]
            .enter(|| TcpStream::connect_timeout(&(origin, 443).into(), std::time::Duration::from_secs(1)))?;
        ensure!(direct.is_err(), "a device reached the origin past the relay");
        Ok(())
    })
}

#[test]
fn replaced_files_have_new_validators() -> Result<()> {
    sandbox::run(NEEDS, || {
        nginx::publish("a.bin", b"one")?;
        let first = std::fs::metadata("/run/nginx/www/a.bin")?.modified()?;
        nginx::publish("a.bin", b"two")?;
        ensure!(std::fs::metadata("/run/nginx/www/a.bin")?.modified()? > first);
        Ok(())
    })
}

#[test]
fn the_device_interface_can_go_and_come_back() -> Result<()> {
    sandbox::run(NEEDS, || {
        let net = Topology::create(1)?;
        net.remove_device_interface()?;
        ensure!(net.relay.global_addresses("lowpan0")?.is_empty());
        net.create_device_interface()?;
        let relay = net.relay.enter(|| UdpSocket::bind("[2001:db8:6::1]:5683"))??;
        relay.set_read_timeout(Some(wait::SOON))?;
        net.devices[0].enter(|| UdpSocket::bind("[::]:0")?.send_to(b"ping", "[2001:db8:6::1]:5683"))??;
        relay.recv_from(&mut [0; 16])?;
        Ok(())
    })
}
