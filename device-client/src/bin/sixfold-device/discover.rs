//! Finding a relay on one link, with a socket of the host.

use crate::failure::Failure;
use crate::relay::seed;
use sixfold_device::prepare::discover::{ALL_COAP_NODES, PORT, ROUND, ROUNDS, is_relay, question};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::Instant;

/// The relay that answers first on `interface`.
pub(crate) fn relay(interface: &str) -> Result<SocketAddrV6, Failure> {
    let index = nix::net::if_::if_nametoindex(interface)
        .map_err(|_| Failure::Usage(format!("there is no interface {interface}")))?;
    let trouble = |error| Failure::TimedOut(format!("cannot ask on {interface}: {error}"));
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).map_err(trouble)?;
    let group = SocketAddrV6::new(ALL_COAP_NODES, PORT, 0, index);
    let seed = seed();
    let mut buffer = [0; 1500];
    for round in 0..ROUNDS {
        let asked = question(seed, round, &mut buffer).ok().and_then(|length| buffer.get(..length));
        socket.send_to(asked.unwrap_or_default(), group).map_err(trouble)?;
        let end = Instant::now() + ROUND;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            socket.set_read_timeout(Some(left)).map_err(trouble)?;
            let Ok((length, SocketAddr::V6(peer))) = socket.recv_from(&mut buffer) else { continue };
            if is_relay(seed, &buffer[..length]) {
                return Ok(peer);
            }
        }
    }
    Err(Failure::NoRelay(format!(
        "no relay answered on {interface}: is one running there, with multicast on?"
    )))
}
