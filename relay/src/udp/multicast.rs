//! Membership of the All CoAP Nodes groups (RFC 7252 §12.8), kept up as interfaces come and go.

use super::BatchSocket;
use super::interface::{Interface, interfaces};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::Ipv6Addr;

/// The All CoAP Nodes groups of link-local and site-local scope.
pub const ALL_COAP_NODES: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfd), Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0xfd)];

/// What [`BatchSocket::rejoin`] found or did since it was last called.
#[derive(Debug)]
pub enum Membership {
    /// Requests to the groups are heard on this interface now.
    Joined(String),
    /// The groups could not be joined on this interface. It is tried again at every call, and reported again
    /// when the reason is another one.
    Failed(String, io::Error),
    /// The interface is gone or down.
    Left(String),
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined(name) => write!(f, "joined All CoAP Nodes on {name}"),
            Self::Failed(name, error) => write!(f, "cannot join All CoAP Nodes on {name}: {error}"),
            Self::Left(name) => write!(f, "{name} no longer takes multicast"),
        }
    }
}

/// Where one socket is a member.
pub(super) struct Groups {
    /// Only here; everywhere if `None`.
    interface: Option<String>,
    /// By interface index: the name, and why it could not be joined.
    seen: HashMap<u32, (String, Option<io::ErrorKind>)>,
}

impl Groups {
    pub(super) fn new(interface: Option<&str>) -> Self {
        Self { interface: interface.map(str::to_owned), seen: HashMap::new() }
    }

    /// An interface that is named is used as it is, also loopback; otherwise all that take multicast.
    fn wants(&self, interface: &Interface) -> bool {
        self.interface.as_ref().map_or(interface.multicast, |name| *name == interface.name)
    }
}

impl BatchSocket {
    /// Joins the All CoAP Nodes groups on every interface that has appeared since the last call: all that are
    /// up and take multicast, or the one that the socket is bound to. Says what has changed. Costs one
    /// listing of interfaces; meant to be called about once a second. Does nothing on a socket that is bound
    /// to a specific address or to IPv4, which hears no group.
    ///
    /// # Errors
    /// When the interfaces cannot be listed.
    pub fn rejoin(&mut self) -> io::Result<Vec<Membership>> {
        let Some(groups) = &mut self.groups else { return Ok(Vec::new()) };
        let wanted: Vec<_> = interfaces()?.into_iter().filter(|interface| groups.wants(interface)).collect();
        let mut changes = Vec::new();
        groups.seen.retain(|index, (name, failure)| {
            let stays = wanted.iter().any(|interface| interface.index == *index);
            if !stays && failure.is_none() {
                changes.push(Membership::Left(name.clone()));
            }
            stays
        });
        for Interface { name, index, .. } in wanted {
            let before = groups.seen.get(&index).map(|(_, failure)| *failure);
            if before == Some(None) {
                continue;
            }
            let failure = join(&self.socket, index).err();
            let kind = failure.as_ref().map(io::Error::kind);
            if before != Some(kind) {
                changes.push(match failure {
                    Some(error) => Membership::Failed(name.clone(), error),
                    None => Membership::Joined(name.clone()),
                });
            }
            groups.seen.insert(index, (name, kind));
        }
        Ok(changes)
    }
}

fn join(socket: &tokio::net::UdpSocket, index: u32) -> io::Result<()> {
    for group in &ALL_COAP_NODES {
        match socket.join_multicast_v6(group, index) {
            // A member already: the interface was down for a while.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            other => other?,
        }
    }
    Ok(())
}
