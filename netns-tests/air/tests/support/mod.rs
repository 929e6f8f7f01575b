//! Small topologies and frames.
#![allow(dead_code)] // each test program uses some of it

use sixfold_air::frame::{self, Destination, FCS};
use sixfold_air::loss::Loss;
use sixfold_air::topology::{Hearing, Node, NodeId, Role, Topology};

pub(crate) const BORDER_ROUTER: NodeId = NodeId::BORDER_ROUTER;

/// Devices around a border router who all hear each other, without loss.
pub(crate) fn star(devices: u32) -> Topology {
    star_with(devices, Loss::NONE, Hearing::All)
}

/// Devices around a border router, all in one cell.
pub(crate) fn star_with(devices: u32, loss: Loss, hearing: Hearing) -> Topology {
    let mut nodes = vec![Node::root("border-router", 0)];
    nodes.extend((1..=devices).map(|n| Node::device(format!("d{n}"), BORDER_ROUTER, loss)));
    Topology { nodes, hearing }
}

/// A chain of nodes, of which the last one fetches.
pub(crate) fn line(hops: u32) -> Topology {
    let mut nodes = vec![Node::root("border-router", 0)];
    nodes.extend((1..=hops).map(|n| Node::device(format!("n{n}"), NodeId(n - 1), Loss::NONE)));
    nodes.iter_mut().rev().skip(1).for_each(|node| node.role = Role::Forward);
    Topology { nodes, hearing: Hearing::All }
}

/// An MPDU without FCS, as another stack would make it.
pub(crate) fn frame_to(from: NodeId, to: NodeId, payload: &[u8]) -> Vec<u8> {
    without_fcs(frame::data(from, Destination::Unicast(to), true, 0, false, payload))
}

/// The same, for all.
pub(crate) fn broadcast_frame(from: NodeId, payload: &[u8]) -> Vec<u8> {
    without_fcs(frame::data(from, Destination::Broadcast, false, 0, false, payload))
}

fn without_fcs(mut mpdu: Vec<u8>) -> Vec<u8> {
    mpdu.truncate(mpdu.len() - FCS);
    mpdu
}
