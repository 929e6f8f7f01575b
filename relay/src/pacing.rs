//! Which interfaces are paced and which are not, in words, before an operator finds out by lost frames.
//!
//! What is paced is decided in `driver::paced`, by the same rule: what a `[[link]]` names, and what the kernel calls low-power. A TUN
//! device, as agents of Thread and Wi-SUN make, looks like a fast link to the kernel.

use crate::config::Config;
use crate::udp::{Hardware, hardware, interfaces};
use std::fmt;

/// What is so with a configuration on this machine now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pacing {
    /// Interfaces that are paced when they are there.
    pub paced: Vec<String>,
    /// Interfaces that are served without.
    pub unpaced: Vec<String>,
    /// What is most likely a mistake, and what to do.
    pub doubts: Vec<(String, String)>,
}

impl Pacing {
    /// Looks at this machine's interfaces.
    pub fn of(config: &Config) -> Self {
        let present = interfaces().unwrap_or_default().into_iter().filter(|interface| interface.multicast);
        let present = present.map(|interface| {
            let hardware = hardware(&interface.name);
            (interface.name, hardware)
        });
        Self::judge(config, &present.collect::<Vec<_>>())
    }

    fn judge(config: &Config, present: &[(String, Hardware)]) -> Self {
        let only = config.listen.interface.as_deref();
        let has_link = |name: &str| config.link.iter().any(|link| link.interface == name);
        let mut pacing = Self::default();
        for link in &config.link {
            let name = &link.interface;
            match only.filter(|only| only != name) {
                None => pacing.paced.push(name.clone()),
                Some(only) => pacing.doubts.push((
                    format!("[[link]] {name} paces nothing: listen.interface is {only}"),
                    format!("name {name} in listen.interface, name none there, or remove the link"),
                )),
            }
        }
        let served = present.iter().filter(|(name, _)| only.is_none_or(|only| only == name));
        for (name, hardware) in served.filter(|(name, _)| !has_link(name)) {
            if *hardware == Hardware::LowPower {
                pacing.paced.push(name.clone());
                continue;
            }
            pacing.unpaced.push(name.clone());
            if *hardware == Hardware::Tun {
                let what =
                    format!("{name} is a TUN device, as Thread and Wi-SUN agents make, and is not paced");
                pacing.doubts.push((what, remedy(name)));
            }
        }
        if let Some(name) = only
            && !has_link(name)
            && present.iter().all(|(present, _)| present != name)
        {
            pacing.unpaced.push(name.to_owned());
            let what =
                format!("{name} is not there, and will not be paced unless the kernel calls it low-power");
            pacing.doubts.push((what, remedy(name)));
        }
        pacing
    }
}

fn remedy(name: &str) -> String {
    format!("add a [[link]] with interface = \"{name}\" if a radio network is behind it (docs/pacing.md)")
}

/// `paced: wpan0; not paced: eth0`.
impl fmt::Display for Pacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        write!(f, "paced: {}; not paced: {}", list(&self.paced), list(&self.unpaced))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn judge(text: &str, present: &[(&str, Hardware)]) -> (String, Vec<String>) {
        let config = Config::parse(text, Path::new("f.toml")).unwrap();
        let present: Vec<_> = present.iter().map(|&(name, hardware)| (name.to_owned(), hardware)).collect();
        let pacing = Pacing::judge(&config, &present);
        (pacing.to_string(), pacing.doubts.into_iter().map(|(what, _)| what).collect())
    }

    #[test]
    fn a_radio_that_is_served_without_a_link_is_told() {
        let all = [("eth0", Hardware::Other), ("wpan0", Hardware::Tun), ("lowpan0", Hardware::LowPower)];
        let (shown, doubts) = judge("", &all);
        assert_eq!(shown, "paced: lowpan0; not paced: eth0, wpan0");
        assert!(doubts.len() == 1 && doubts[0].starts_with("wpan0 is a TUN device"), "{doubts:?}");
        let (shown, doubts) = judge("[[link]]\ninterface = \"wpan0\"", &all);
        assert_eq!((shown.as_str(), doubts.len()), ("paced: wpan0, lowpan0; not paced: eth0", 0));
        let (shown, doubts) = judge("[listen]\ninterface = \"eth0\"", &all);
        assert_eq!((shown.as_str(), doubts.len()), ("paced: none; not paced: eth0", 0));
        let (shown, doubts) = judge("[listen]\ninterface = \"wpan9\"", &all);
        assert_eq!(shown, "paced: none; not paced: wpan9");
        assert!(doubts[0].starts_with("wpan9 is not there"), "{doubts:?}");
    }

    #[test]
    fn a_link_that_is_not_served_is_told() {
        let text = "[listen]\ninterface = \"eth0\"\n[[link]]\ninterface = \"wpan0\"";
        let (shown, doubts) = judge(text, &[("eth0", Hardware::Other), ("wpan0", Hardware::Tun)]);
        assert_eq!(shown, "paced: none; not paced: eth0");
        assert_eq!(doubts, ["[[link]] wpan0 paces nothing: listen.interface is eth0"]);
    }
}
