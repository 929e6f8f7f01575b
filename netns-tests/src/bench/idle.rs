//! Clients that fetched one block each and fell silent: what a relay remembers of a building at rest.

use super::exchange::{Answer, MAX_MESSAGE, Resource, acknowledgement};
use anyhow::{Context, Result};
use sixfold_profile::coap::Szx;
use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

const RETRY_AFTER: Duration = Duration::from_millis(250);
const ATTEMPTS: usize = 20;
/// Below the ports that the system hands out by itself.
const FIRST_PORT: u16 = 10_000;

/// Lets `count` clients with a port each fetch the first block, one after the other.
pub(super) fn visit(server: SocketAddr, resource: &Resource, szx: Szx, count: usize) -> Result<()> {
    let sockets = (FIRST_PORT..=u16::MAX).filter_map(|port| bind(port).transpose());
    for socket in sockets.take(count) {
        fetch_first(&socket?, server, resource, szx)?;
    }
    Ok(())
}

/// A socket on this port; `None` when another program has it.
fn bind(port: u16) -> Result<Option<UdpSocket>> {
    match UdpSocket::bind((Ipv6Addr::LOCALHOST, port)) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(None),
        Err(error) => Err(error).context("idle client"),
    }
}

fn fetch_first(socket: &UdpSocket, server: SocketAddr, resource: &Resource, szx: Szx) -> Result<()> {
    socket.connect(server)?;
    socket.set_read_timeout(Some(RETRY_AFTER))?;
    let mut request = [0; MAX_MESSAGE];
    let request_length = resource.request(1, 0, szx, &mut request)?;
    let mut answer = [0; MAX_MESSAGE];
    for _ in 0..ATTEMPTS {
        socket.send(&request[..request_length])?;
        while let Ok(length) = socket.recv(&mut answer) {
            if let Answer::Block { acknowledge } = resource.check(&answer[..length], 1, 0, szx)? {
                if let Some(message_id) = acknowledge {
                    socket.send(&acknowledgement(message_id))?;
                }
                return Ok(());
            }
        }
    }
    anyhow::bail!("{server} does not answer")
}
