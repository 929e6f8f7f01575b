//! The scenario file: its tables, their keys, and what must fit together.

use super::mistakes::Mistakes;
use super::overrides::Overrides;
use super::plan::Plan;
use super::reader::{Section, Source};
use super::values::{self, MOST};
use super::{Disturbance, Fetch, InterfaceIdentifiers, Network, Origin, Radio, Scenario, Scope};
use crate::loss::Loss;
use crate::mac;
use sixfold_engine::Repair;
use std::time::Duration;

/// RFC 4944 §5.3: the reassembly time-out is at most this long.
const LONGEST_REASSEMBLY: Duration = Duration::from_secs(60);

/// How many images there may be: more would be a test of the relay's cache.
pub const MOST_IMAGES: u32 = 16;

/// How many blocks a 20-bit block number can count (RFC 7959 §2.2).
const BLOCKS: u64 = 1 << 20;

impl Scenario {
    /// Reads the text of a scenario file, and lets the command line change it.
    ///
    /// # Errors
    /// All mistakes of the text and of the overrides; or, when the text is not TOML, only where it is not.
    pub fn read(text: &str, overrides: &Overrides) -> Result<Self, Mistakes> {
        let source = Source::new(text);
        let mut top = source.parse()?;
        let overrides = overrides.checked(&source);
        let mut name = String::new();
        top.require("name", &mut name, values::text);
        let (radio, channel) = top.section("radio", radio).unwrap_or_default();
        let hearing = channel.hearing;
        let mut plan = Plan::read(&mut top);
        plan.change(&source, &overrides);
        let network = network(&mut top, &plan);
        let fetch = fetch(&mut top, &overrides);
        let origin = top.section("origin", origin).unwrap_or_default();
        let disturbance = top.section("disturbance", disturbance).unwrap_or_default();
        top.finish();
        source.verdict()?;
        let loss = overrides.loss.map_or(channel.loss, Loss::Bernoulli);
        let topology = plan.topology(loss, hearing);
        Ok(Self { name, radio, network, topology, fetch, origin, disturbance })
    }
}

/// Who hears whom, as files say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ears {
    /// Everybody hears everybody.
    #[default]
    All,
    /// Only relatives hear each other, and those who say so.
    Family,
}

/// What `[radio]` says that is a matter of the topology.
struct Channel {
    loss: Loss,
    hearing: Ears,
}

impl Default for Channel {
    fn default() -> Self {
        Self { loss: Loss::NONE, hearing: Ears::default() }
    }
}

fn radio(section: &mut Section<'_, '_>) -> (Radio, Channel) {
    let (mut radio, mut channel) = (Radio::default(), Channel::default());
    section.read("acknowledged", &mut radio.acknowledged, values::flag);
    section.read("security", &mut radio.security, values::flag);
    section.read("csma", &mut radio.csma, values::flag);
    section.read("border_router_min_be", &mut radio.border_router_min_be, values::whole(0, mac::MAX_BE));
    section.read("border_router_queue", &mut radio.border_router_queue, values::whole(1, MOST));
    section.read("queue", &mut radio.queue, values::whole(1, MOST));
    channel.loss = read_loss(section, "loss").unwrap_or(channel.loss);
    let ears = values::one_of([("all", Ears::All), ("family", Ears::Family)]);
    section.read("hearing", &mut channel.hearing, ears);
    (radio, channel)
}

/// Reads a loss: one probability, or the table of a Gilbert–Elliott process.
pub(super) fn read_loss(section: &mut Section<'_, '_>, key: &'static str) -> Option<Loss> {
    if section.has_table(key) {
        return section.section(key, bursts);
    }
    let mut loss = None;
    section.read(key, &mut loss, |value| values::constant_loss(value).map(Some));
    loss
}

fn bursts(section: &mut Section<'_, '_>) -> Loss {
    let [mut to_bad, mut to_good, mut good, mut bad] = [0.5, 0.5, 0.0, 0.5];
    section.require("to_bad", &mut to_bad, values::probability);
    section.require("to_good", &mut to_good, values::probability);
    let good_line = section.require("good", &mut good, values::probability);
    let bad_line = section.require("bad", &mut bad, values::probability);
    if good == 1.0 && (to_bad == 0.0 || bad == 1.0) {
        section.mistake(good_line, "good", stuck("good", "to_bad"));
    } else if bad == 1.0 && to_good == 0.0 && to_bad > 0.0 {
        section.mistake(bad_line, "bad", stuck("bad", "to_good"));
    }
    Loss::GilbertElliott { to_bad, to_good, good, bad }
}

fn stuck(state: &str, exit: &str) -> String {
    format!(
        "a link that is {state} loses everything for ever, so nobody beyond it is reachable; \
         give less than 1, or let {exit} lead out of it"
    )
}

fn network(top: &mut Section<'_, '_>, plan: &Plan) -> Network {
    let mut network = Network::default();
    if plan.is_deep() {
        network.scope = Scope::Global;
    }
    top.section("network", |section| {
        let scopes = values::one_of([("link-local", Scope::LinkLocal), ("global", Scope::Global)]);
        let line = section.read("addresses", &mut network.scope, scopes);
        if plan.is_deep() && network.scope == Scope::LinkLocal {
            let message = "link-local addresses go one hop, and some nodes are further away; say \"global\"";
            section.mistake(line, "addresses", message);
        }
        let identifiers = values::one_of([
            ("private", InterfaceIdentifiers::Private),
            ("private-devices", InterfaceIdentifiers::PrivateDevices),
            ("eui64", InterfaceIdentifiers::Eui64),
        ]);
        section.read("interface_identifiers", &mut network.interface_identifiers, identifiers);
        let timeout = values::seconds_up_to(LONGEST_REASSEMBLY);
        section.read("reassembly_timeout_s", &mut network.reassembly_timeout, timeout);
        section.read("reassembly_buffers", &mut network.reassembly_buffers, values::whole(1, MOST));
    });
    network
}

fn fetch(top: &mut Section<'_, '_>, overrides: &Overrides) -> Fetch {
    let mut fetch = Fetch::default();
    let mut line = top.line;
    top.section("fetch", |section| {
        line = section.read("image", &mut fetch.image_bytes, values::whole(1, u32::MAX));
        section.read("block", &mut fetch.block_bytes, values::block);
        section.read("images", &mut fetch.images, values::whole(1, MOST_IMAGES));
        section.read("listen_memory", &mut fetch.listen_memory, values::whole(0, MOST));
        let repairs = values::one_of(Repair::ALL.map(|repair| (repair.label(), repair)));
        section.read("repair", &mut fetch.repair, repairs);
        section.read("encrypted", &mut fetch.encrypted, values::flag);
        section.read("power_on_within_s", &mut fetch.power_on_within, values::seconds_or_none);
        section.read("give_up_after_s", &mut fetch.give_up_after, values::seconds);
        section.read("restart_after_s", &mut fetch.restart_after, |value| {
            values::seconds_or_none(value).map(Some)
        });
    });
    fetch.image_bytes = overrides.image_bytes.unwrap_or(fetch.image_bytes);
    fetch.block_bytes = overrides.block_bytes.unwrap_or(fetch.block_bytes);
    if let Some(message) = beyond_the_last_block(&fetch) {
        match (overrides.image_bytes, overrides.block_bytes) {
            (Some(_), _) => top.source.wrong_option("--image", message),
            (None, Some(_)) => top.source.wrong_option("--szx", message),
            (None, None) => top.mistake(line, "fetch.image", message),
        }
    }
    fetch
}

fn beyond_the_last_block(fetch: &Fetch) -> Option<String> {
    let reach = u64::from(fetch.block_bytes) * BLOCKS;
    (u64::from(fetch.image_bytes) > reach).then(|| {
        format!(
            "20-bit numbers of {}-byte blocks reach {reach} bytes, not {}; give a smaller image or larger blocks",
            fetch.block_bytes, fetch.image_bytes
        )
    })
}

fn origin(section: &mut Section<'_, '_>) -> Origin {
    let mut origin = Origin::default();
    section.read("delay_s", &mut origin.delay, values::seconds_or_none);
    section.read("bytes_per_s", &mut origin.bytes_per_s, values::whole(1, u32::MAX));
    section.read("max_age_s", &mut origin.max_age, values::seconds);
    origin
}

fn disturbance(section: &mut Section<'_, '_>) -> Disturbance {
    let mut disturbance = Disturbance::default();
    section.read("late", &mut disturbance.late, values::share);
    section.read("late_after_s", &mut disturbance.late_after, values::seconds_or_none);
    section.read("late_within_s", &mut disturbance.late_within, values::seconds_or_none);
    section.read("reboots", &mut disturbance.reboots, values::share);
    section.read("reboots_after_s", &mut disturbance.reboots_after, values::seconds_or_none);
    section.read("reboots_within_s", &mut disturbance.reboots_within, values::seconds_or_none);
    section.read("off_s", &mut disturbance.off, values::seconds_or_none);
    section.read("flood_per_s", &mut disturbance.flood_per_s, values::whole(1, MOST));
    disturbance
}
