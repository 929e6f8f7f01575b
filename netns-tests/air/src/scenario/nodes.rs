//! Nodes that are listed one by one: who stands below whom, and what cannot be.

use super::plan::BORDER_ROUTER;
use super::read::read_loss;
use super::reader::{Section, Source};
use super::values::{self, MOST};
use crate::loss::Loss;
use crate::topology::{Node, NodeId, Role};
use std::collections::{HashMap, HashSet};

/// The border router's place. The node at `listed[i]` has the place `i + 1`.
const ROOT: usize = 0;

/// All nodes in the order of the file, and how they are connected, by their places.
pub(super) struct Nodes {
    listed: Vec<Listed>,
    /// The parent of each node; the border router is its own.
    parents: Vec<usize>,
    /// Who hears whom beyond the family.
    pairs: Vec<(usize, usize)>,
}

/// One `[[node]]`, as it stands there. Names come with their lines.
struct Listed {
    name: (usize, String),
    parent: (usize, String),
    fetches: bool,
    cell: u32,
    up: Option<Loss>,
    down: Option<Loss>,
    hears: Vec<(usize, String)>,
}

impl Listed {
    fn read(section: &mut Section<'_, '_>) -> Self {
        let (mut name, mut parent) = (String::new(), BORDER_ROUTER.to_owned());
        let (mut fetches, mut cell) = (true, 0);
        let name_line = section.require("name", &mut name, values::text);
        let parent_line = section.read("parent", &mut parent, values::text);
        section.read("fetches", &mut fetches, values::flag);
        section.read("cell", &mut cell, values::whole(0, MOST));
        let both = read_loss(section, "loss");
        let up = read_loss(section, "loss_up").or(both);
        let down = read_loss(section, "loss_down").or(both);
        let hears = section.read_list("hears", values::text);
        Self { name: (name_line, name), parent: (parent_line, parent), fetches, cell, up, down, hears }
    }

    fn node(&self, parent: NodeId, loss: Loss) -> Node {
        Node {
            name: self.name.1.clone(),
            parent: Some(parent),
            role: if self.fetches { Role::Fetch } else { Role::Forward },
            link: 0,
            cell: self.cell,
            up: self.up.unwrap_or(loss),
            down: self.down.unwrap_or(loss),
        }
    }
}

impl Nodes {
    pub(super) fn read(top: &mut Section<'_, '_>) -> Self {
        let listed = if top.length_of("node") < MOST as usize { Self::list(top) } else { Self::refuse(top) };
        Self::connect(top.source, listed)
    }

    fn list(top: &mut Section<'_, '_>) -> Vec<Listed> {
        let line = top.line_of("node");
        let listed = top.sections("node", Listed::read);
        if !listed.is_empty() && !listed.iter().any(|node| node.fetches) {
            top.mistake(line, "node", "no node fetches the image; let one say fetches = true");
        }
        listed
    }

    /// Reads none of too many nodes.
    fn refuse(top: &mut Section<'_, '_>) -> Vec<Listed> {
        let message = format!("{} nodes are too many; give fewer than {MOST}", top.length_of("node"));
        top.read("node", &mut (), |_| Err(message));
        Vec::new()
    }

    fn connect(source: &Source<'_>, listed: Vec<Listed>) -> Self {
        let places = places(source, &listed);
        let parents = parents(source, &listed, &places);
        refuse_cycles(source, &listed, &parents);
        let pairs = pairs(source, &listed, &places);
        Self { listed, parents, pairs }
    }

    pub(super) fn forget_losses(&mut self) {
        for node in &mut self.listed {
            (node.up, node.down) = (None, None);
        }
    }

    pub(super) fn are_deep(&self) -> bool {
        self.parents.iter().any(|&parent| parent != ROOT)
    }

    /// The nodes, parents first, and the pairs that hear each other. What hangs in a cycle is left out.
    pub(super) fn build(&self, loss: Loss) -> (Vec<Node>, HashSet<(NodeId, NodeId)>) {
        let order = self.parents_first();
        let mut ids = vec![NodeId::BORDER_ROUTER; self.parents.len()];
        for (id, &place) in (0..).zip(&order) {
            ids[place] = NodeId(id);
        }
        let below = order.iter().skip(1);
        let mut nodes = vec![Node::root(BORDER_ROUTER, 0)];
        nodes.extend(below.map(|&place| self.listed[place - 1].node(ids[self.parents[place]], loss)));
        let sorted = |&(one, other): &(usize, usize)| (ids[one].min(ids[other]), ids[one].max(ids[other]));
        (nodes, self.pairs.iter().map(sorted).collect())
    }

    /// The places of all nodes, ring by ring.
    fn parents_first(&self) -> Vec<usize> {
        let mut children = vec![Vec::new(); self.parents.len()];
        for (place, &parent) in self.parents.iter().enumerate().skip(1) {
            children[parent].push(place);
        }
        let mut order = vec![ROOT];
        let mut next = 0;
        while let Some(&place) = order.get(next) {
            order.append(&mut children[place]);
            next += 1;
        }
        order
    }
}

/// The place of each name.
fn places<'n>(source: &Source<'_>, listed: &'n [Listed]) -> HashMap<&'n str, usize> {
    let mut places = HashMap::from([(BORDER_ROUTER, ROOT)]);
    for (place, Listed { name: (line, name), .. }) in (1..).zip(listed) {
        match places.get(name.as_str()) {
            Some(&ROOT) => {
                let message = "the root of the tree has this name, and needs no [[node]]; give another name";
                source.mistake(*line, "node.name", message);
            }
            Some(&other) => {
                let (name, other) = (values::shown(name), listed[other - 1].name.0);
                let message =
                    format!("\"{name}\" is the name of the node of line {other} too; give another name");
                source.mistake(*line, "node.name", message);
            }
            None if name.is_empty() => {}
            None => drop(places.insert(name, place)),
        }
    }
    places
}

/// The parent of each node.
fn parents(source: &Source<'_>, listed: &[Listed], places: &HashMap<&str, usize>) -> Vec<usize> {
    let mut parents = vec![ROOT];
    for Listed { parent: (line, parent), .. } in listed {
        let place = places.get(parent.as_str()).copied();
        if place.is_none() {
            source.mistake(*line, "node.parent", nobody(parent));
        }
        parents.push(place.unwrap_or(ROOT));
    }
    parents
}

fn nobody(name: &str) -> String {
    format!(
        "there is no node \"{}\"; give the name of a [[node]], or \"{BORDER_ROUTER}\"",
        values::shown(name)
    )
}

/// Follows the parents from every node until the path meets the border router or an earlier path. A path that meets
/// itself is a cycle: nobody in it, or below, is reachable.
fn refuse_cycles(source: &Source<'_>, listed: &[Listed], parents: &[usize]) {
    let mut path_of = vec![None; parents.len()];
    path_of[ROOT] = Some(ROOT);
    for start in 1..parents.len() {
        let mut place = start;
        while path_of[place].is_none() {
            path_of[place] = Some(start);
            place = parents[place];
        }
        if path_of[place] == Some(start) {
            let Listed { name: (_, name), parent: (line, _), .. } = &listed[place - 1];
            let message = format!(
                "\"{}\" is its own ancestor, so it is not reachable; let its parents lead to \"{BORDER_ROUTER}\"",
                values::shown(name)
            );
            source.mistake(*line, "node.parent", message);
        }
    }
}

/// Who hears whom, by their places.
fn pairs(source: &Source<'_>, listed: &[Listed], places: &HashMap<&str, usize>) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for (own, node) in (1..).zip(listed) {
        for (line, name) in &node.hears {
            match places.get(name.as_str()) {
                None => source.mistake(*line, "node.hears", nobody(name)),
                Some(&other) if other == own => {
                    source.mistake(*line, "node.hears", "every node hears itself; remove this entry");
                }
                Some(&other) => pairs.push((own, other)),
            }
        }
    }
    pairs
}
