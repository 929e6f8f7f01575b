//! Which nodes there are: generated shapes, or a list.

use super::nodes::Nodes;
use super::overrides::Overrides;
use super::read::Ears;
use super::reader::{Section, Source};
use super::values::{self, MOST};
use crate::loss::Loss;
use crate::topology::{Hearing, Node, NodeId, Role, Topology};
use std::collections::HashSet;
use std::ops::Range;

/// The name of the root.
pub(super) const BORDER_ROUTER: &str = "border-router";
/// The name of its second radio.
const SECOND_RADIO: &str = "border-router-2";

/// What the file says about the nodes.
pub(super) enum Plan {
    /// `[topology]`
    Rings(Rings),
    /// `[[node]]`
    Listed(Nodes),
}

/// Rings of forwarders around the border router, and the devices around the last ring. A star has no forwarders, but may
/// have other guests.
pub(super) struct Rings {
    routers: Vec<u32>,
    devices: u32,
    cells: u32,
    legacy: u32,
    flooders: u32,
    mutes: u32,
    second_link: u32,
    /// The line of `devices`.
    line: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Star,
    Tree,
}

impl Plan {
    pub(super) fn read(top: &mut Section<'_, '_>) -> Self {
        let (shaped, listed) = (top.has("topology"), top.has("node"));
        if shaped && listed {
            let message = "both [topology] and [[node]] say who is there; remove one of them";
            top.mistake(top.line_of("topology").max(top.line_of("node")), "topology", message);
        } else if !shaped && !listed {
            top.mistake(
                top.line,
                "topology",
                "nobody is there; give [topology], or a [[node]] for each node",
            );
        }
        let rings = top.section("topology", Rings::read);
        let nodes = Nodes::read(top);
        if listed { Self::Listed(nodes) } else { Self::Rings(rings.unwrap_or(Rings::ONE)) }
    }

    /// Applies the overrides, and checks what they change.
    pub(super) fn change(&mut self, source: &Source<'_>, overrides: &Overrides) {
        match self {
            Self::Rings(rings) => rings.change(source, overrides.devices),
            Self::Listed(nodes) => {
                if overrides.devices.is_some() {
                    let message = "this file lists its nodes; only [topology] can have any number of devices";
                    source.wrong_option("--devices", message);
                }
                if overrides.loss.is_some() {
                    nodes.forget_losses();
                }
            }
        }
    }

    /// Whether a node is more than one hop away from the border router.
    pub(super) fn is_deep(&self) -> bool {
        match self {
            Self::Rings(rings) => !rings.routers.is_empty(),
            Self::Listed(nodes) => nodes.are_deep(),
        }
    }

    /// The nodes, when there were no mistakes. `loss` is that of links of which nothing else is said.
    pub(super) fn topology(&self, loss: Loss, ears: Ears) -> Topology {
        let (nodes, pairs) = match self {
            Self::Rings(rings) => (rings.nodes(loss), HashSet::new()),
            Self::Listed(nodes) => nodes.build(loss),
        };
        let hearing = match ears {
            Ears::All => Hearing::All,
            Ears::Family => Hearing::Family(pairs),
        };
        Topology { nodes, hearing }
    }
}

impl Rings {
    /// One device.
    const ONE: Self = Self {
        routers: Vec::new(),
        devices: 1,
        cells: 1,
        legacy: 0,
        flooders: 0,
        mutes: 0,
        second_link: 0,
        line: 1,
    };

    fn read(section: &mut Section<'_, '_>) -> Self {
        let mut rings = Self::ONE;
        let mut shape = None;
        let shapes = values::one_of([("star", Some(Shape::Star)), ("tree", Some(Shape::Tree))]);
        section.require("shape", &mut shape, shapes);
        rings.line = section.require("devices", &mut rings.devices, values::whole(1, MOST));
        if shape != Some(Shape::Tree) {
            section.read("cells", &mut rings.cells, values::whole(1, MOST));
            section.read("legacy", &mut rings.legacy, values::whole(0, MOST));
            section.read("flooders", &mut rings.flooders, values::whole(0, MOST));
            section.read("mutes", &mut rings.mutes, values::whole(0, MOST));
            section.read("second_link", &mut rings.second_link, values::whole(0, MOST));
        }
        if shape == Some(Shape::Tree) {
            section.must_have("routers");
        }
        if shape != Some(Shape::Star) {
            let routers = section.read_list("routers", values::whole(1, MOST));
            rings.routers = routers.into_iter().map(|(_, routers)| routers).collect();
        }
        rings
    }

    fn change(&mut self, source: &Source<'_>, devices: Option<u32>) {
        self.devices = devices.unwrap_or(self.devices);
        let guests = [self.devices, self.legacy, self.flooders, self.mutes];
        let radios = 1 + u64::from(self.second_link > 0);
        let counts = self.routers.iter().chain(&guests).chain([&self.second_link]);
        let nodes = radios + counts.map(|&nodes| u64::from(nodes)).sum::<u64>();
        if nodes <= u64::from(MOST) {
            return;
        }
        let message = format!("that makes {nodes} nodes in all; there may be {MOST} at most");
        match devices {
            Some(_) => source.wrong_option("--devices", message),
            None => source.mistake(self.line, "topology.devices", message),
        }
    }

    fn nodes(&self, loss: Loss) -> Vec<Node> {
        let mut nodes = vec![Node::root(BORDER_ROUTER, 0)];
        let mut inner = 0..1;
        for &routers in &self.routers {
            let first = nodes.len() as u32;
            let ring = (first..first + routers).zip(parents(inner));
            nodes.extend(ring.map(|(id, parent)| Node {
                role: Role::Forward,
                ..Node::device(format!("r{id}"), parent, loss)
            }));
            inner = first..first + routers;
        }
        let devices = (0..self.devices).zip(parents(inner));
        nodes.extend(devices.map(|(device, parent)| Node {
            cell: device % self.cells,
            ..Node::device(format!("d{}", device + 1), parent, loss)
        }));
        for (letter, role, count) in self.guests() {
            let guest =
                |n| Node { role, ..Node::device(format!("{letter}{n}"), NodeId::BORDER_ROUTER, loss) };
            nodes.extend((1..=count).map(guest));
        }
        if self.second_link > 0 {
            let root = NodeId(nodes.len() as u32);
            nodes.push(Node::root(SECOND_RADIO, 1));
            let device = |n| Node { link: 1, ..Node::device(format!("e{n}"), root, loss) };
            nodes.extend((1..=self.second_link).map(device));
        }
        nodes
    }

    /// Who is there besides the devices: the first letter of their names, what they do, and how many there are.
    const fn guests(&self) -> [(char, Role, u32); 3] {
        [('l', Role::Legacy, self.legacy), ('f', Role::Flood, self.flooders), ('m', Role::Mute, self.mutes)]
    }
}

/// The nodes of a ring, over and over: parents for those around it.
fn parents(ring: Range<u32>) -> impl Iterator<Item = NodeId> {
    ring.map(NodeId).cycle()
}
