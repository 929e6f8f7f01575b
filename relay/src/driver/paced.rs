//! Which interfaces the engine paces: those that the configuration names, and those that the kernel calls low-power.
//! They come and go, so they are looked up again and again.

use crate::config::Link;
use crate::udp::{Hardware, Interface, eui64, hardware};
use sixfold_engine::LinkConfig;
use std::collections::BTreeMap;

#[derive(Debug)]
struct Known {
    name: String,
    config: Option<LinkConfig>,
    is_up: bool,
    /// It is up, and has neighbours.
    has_others: bool,
}

/// What the engine was told, by the index of the interface, whose name it was told not.
#[derive(Debug, Default)]
pub(crate) struct Paced(BTreeMap<u32, Known>);

impl Paced {
    /// Takes what interfaces there are now; returns what is different from before.
    pub(crate) fn update(
        &mut self,
        interfaces: &[Interface],
        links: &[Link],
    ) -> Vec<(u32, Option<LinkConfig>)> {
        let wanted = |interface: &Interface| Known {
            name: interface.name.clone(),
            config: self.wanted(interface, links),
            is_up: interface.up,
            has_others: interface.multicast,
        };
        let wanted: BTreeMap<_, _> =
            interfaces.iter().map(|interface| (interface.index, wanted(interface))).collect();
        let gone = self.0.keys().filter(|index| !wanted.contains_key(index)).map(|&index| (index, None));
        let changed = wanted
            .iter()
            .filter(|(index, known)| self.config(**index) != known.config)
            .map(|(&index, known)| (index, known.config));
        let changes = gone.chain(changed).collect();
        self.0 = wanted;
        changes
    }

    /// What people call an interface: its name when it was looked at last, or its index.
    pub(crate) fn label(&self, index: u32) -> String {
        self.0.get(&index).map_or_else(|| index.to_string(), |known| known.name.clone())
    }

    /// Whether the interface of this name was there and up when it was looked at last.
    pub(crate) fn is_up(&self, name: &str) -> bool {
        self.0.values().any(|known| known.name == name && known.is_up)
    }

    /// The interfaces with neighbours that are served and not paced; `only` is the one that is served, if not all are.
    pub(crate) fn unpaced(&self, only: Option<&str>) -> Vec<String> {
        let served = self.0.values().filter(|known| only.is_none_or(|only| only == known.name));
        let unpaced = served.filter(|known| known.has_others && known.config.is_none());
        unpaced.map(|known| known.name.clone()).collect()
    }

    fn config(&self, index: u32) -> Option<LinkConfig> {
        self.0.get(&index).and_then(|known| known.config)
    }

    fn wanted(&self, interface: &Interface, links: &[Link]) -> Option<LinkConfig> {
        let named = links.iter().find(|link| link.interface == interface.name);
        let config = named.map(|link| link.pacing).or_else(|| {
            let known = self.0.get(&interface.index).map(|known| known.config.is_some());
            let is_low_power = || hardware(&interface.name) == Hardware::LowPower;
            known.unwrap_or_else(is_low_power).then(LinkConfig::default)
        })?;
        Some(LinkConfig { eui64: eui64(&interface.name), ..config })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, index: u32) -> Interface {
        Interface { name: name.to_owned(), index, up: true, multicast: true, prefixes: Vec::new() }
    }

    #[test]
    fn links_are_told_when_they_come_change_and_go() {
        let pacing = LinkConfig { duty_cycle: 10, ..LinkConfig::default() };
        let link = |pacing| vec![Link { interface: "wpan0".to_owned(), pacing }];
        let mut paced = Paced::default();
        assert_eq!(paced.update(&[interface("lo", 1)], &link(pacing)), [], "loopback is not paced");
        let both = [interface("lo", 1), interface("wpan0", 7)];
        assert_eq!(paced.update(&both, &link(pacing)), [(7, Some(pacing))]);
        assert_eq!(paced.update(&both, &link(pacing)), []);
        assert_eq!((paced.unpaced(None), paced.unpaced(Some("wpan0"))), (vec!["lo".to_owned()], vec![]));
        assert_eq!((paced.label(7).as_str(), paced.label(8).as_str()), ("wpan0", "8"));
        let other = LinkConfig::default();
        assert_eq!(paced.update(&both, &link(other)), [(7, Some(other))]);
        assert_eq!(paced.update(&[interface("lo", 1)], &link(other)), [(7, None)]);
        assert_eq!((paced.label(7).as_str(), paced.is_up("lo"), paced.is_up("wpan0")), ("7", true, false));
    }

    #[test]
    fn an_interface_that_is_there_and_down_is_not_up() {
        let mut paced = Paced::default();
        for up in [true, false] {
            paced.update(&[Interface { up, ..interface("wpan0", 7) }], &[]);
            assert_eq!(paced.is_up("wpan0"), up);
        }
    }
}
