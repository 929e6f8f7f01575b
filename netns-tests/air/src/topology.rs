//! Who is there, who hears whom, and which way a packet goes.
//!
//! Nodes form a tree with the border router at its root: packets go up to the parent, or down to the child that leads
//! to their destination. That is the shape that static routes and RPL give a network. Hearing is a matter of its
//! own: it decides over carrier sense and collisions.
//!
//! A border router with two radios is two roots, each with a tree on a channel of its own.

use crate::loss::Loss;
use std::collections::HashSet;

/// A node: its place in [`Topology::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The border router (6LBR), by its first radio.
    pub const BORDER_ROUTER: Self = Self(0);

    /// The place in a list of all nodes.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name: `border-router`, `d1`, …
    pub name: String,
    /// The next hop towards the border router, which alone has none. A parent stands before its children.
    pub parent: Option<NodeId>,
    /// What it does.
    pub role: Role,
    /// The radio channel: nodes on others are neither heard nor disturbed.
    pub link: u32,
    /// Siblings hear each other when they are in the same cell.
    pub cell: u32,
    /// Loss from this node to its parent.
    pub up: Loss,
    /// Loss from the parent to this node.
    pub down: Loss,
}

/// What a node does besides forwarding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nothing: it is a forwarder, or the border router.
    Forward,
    /// It fetches the image.
    Fetch,
    /// It fetches the image as clients do that know RFC 7252 alone, whatever the others are.
    Legacy,
    /// It asks and asks, whatever is answered.
    Flood,
    /// It asks for block after block, and acknowledges nothing.
    Mute,
}

impl Role {
    /// The name in reports.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Fetch => "fetch",
            Self::Legacy => "legacy",
            Self::Flood => "flood",
            Self::Mute => "mute",
        }
    }
}

impl Node {
    /// The border router by its radio on channel `link`.
    pub fn root(name: &str, link: u32) -> Self {
        let name = name.to_owned();
        Self { name, parent: None, role: Role::Forward, link, cell: 0, up: Loss::NONE, down: Loss::NONE }
    }

    /// A node that fetches, with the same loss in both directions.
    pub fn device(name: String, parent: NodeId, loss: Loss) -> Self {
        Self { name, parent: Some(parent), role: Role::Fetch, link: 0, cell: 0, up: loss, down: loss }
    }
}

/// Who hears whose transmissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// Everybody hears everybody: one collision domain.
    All,
    /// Parents, children, and siblings of one cell; and these pairs, in both directions, smaller number first.
    Family(HashSet<(NodeId, NodeId)>),
}

/// All nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Topology {
    /// The border router first.
    pub nodes: Vec<Node>,
    /// Who hears whom.
    pub hearing: Hearing,
}

impl Topology {
    /// Whether `listener` can hear `speaker`. A node hears itself: while it talks, the channel is busy for it.
    pub fn hears(&self, listener: NodeId, speaker: NodeId) -> bool {
        if self.node(listener).link != self.node(speaker).link {
            return false;
        }
        match &self.hearing {
            Hearing::All => true,
            Hearing::Family(pairs) => {
                listener == speaker
                    || self.are_family(listener, speaker)
                    || pairs.contains(&(listener.min(speaker), listener.max(speaker)))
            }
        }
    }

    fn are_family(&self, one: NodeId, other: NodeId) -> bool {
        let (a, b) = (self.node(one), self.node(other));
        a.parent == Some(other)
            || b.parent == Some(one)
            || (a.parent.is_some() && a.parent == b.parent && a.cell == b.cell)
    }

    /// The neighbour to which `from` hands a packet for `to`; `None` when that is `from` itself.
    pub fn next_hop(&self, from: NodeId, to: NodeId) -> Option<NodeId> {
        if from == to {
            return None;
        }
        // A parent's number is smaller than its child's, so this ends at the border router at the latest.
        let mut hop = to;
        while let Some(parent) = self.node(hop).parent {
            if parent == from {
                return Some(hop);
            }
            hop = parent;
        }
        self.node(from).parent
    }

    /// The node with this number.
    ///
    /// # Panics
    /// When the number is not of this topology.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// The node of this name.
    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.ids().find(|&id| self.node(id).name == name)
    }

    /// The numbers of all nodes.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len() as u32).map(NodeId)
    }

    /// The nodes that fetch the image.
    pub fn fetchers(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.ids().filter(|&id| matches!(self.node(id).role, Role::Fetch | Role::Legacy))
    }

    /// Whether a node is a radio of the border router.
    pub fn is_root(&self, id: NodeId) -> bool {
        self.node(id).parent.is_none()
    }

    /// The radios of the border router.
    pub fn roots(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.ids().filter(|&id| self.is_root(id))
    }

    /// How many hops lie between a node and the border router.
    pub fn depth(&self, id: NodeId) -> u32 {
        std::iter::successors(self.node(id).parent, |&up| self.node(up).parent).count() as u32
    }
}
