//! Scenario files: the samples, and what is made of them.

#![allow(clippy::unwrap_used)] // A panic is how a test fails.

use sixfold_air::loss::Loss;
use sixfold_air::scenario::{Disturbance, Fetch, Network, Origin, Overrides, Radio, Scenario, Scope};
use sixfold_air::topology::{Hearing, Node, NodeId, Role, Topology};
use std::fs;
use std::path::Path;
use std::time::Duration;

fn sample(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(name)).unwrap()
}

fn samples() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.map(|name| (name.clone(), sample(&name))).collect()
}

fn read(text: &str) -> Scenario {
    read_with(text, Overrides::default())
}

fn read_with(text: &str, overrides: Overrides) -> Scenario {
    Scenario::read(text, &overrides).unwrap_or_else(|mistakes| panic!("{mistakes}\nin\n{text}"))
}

/// The name of each node's parent.
fn parents(topology: &Topology) -> Vec<(&str, &str)> {
    let children = topology.nodes.iter().filter_map(|node| Some((node, node.parent?)));
    children.map(|(node, parent)| (node.name.as_str(), topology.node(parent).name.as_str())).collect()
}

fn named<'t>(topology: &'t Topology, name: &str) -> (NodeId, &'t Node) {
    let id = topology.ids().find(|&id| topology.node(id).name == name).unwrap();
    (id, topology.node(id))
}

fn hears(topology: &Topology, one: &str, other: &str) -> bool {
    let (one, other) = (named(topology, one).0, named(topology, other).0);
    assert_eq!(topology.hears(one, other), topology.hears(other, one));
    topology.hears(one, other)
}

#[test]
fn every_sample_is_a_scenario_named_like_its_file() {
    let samples = samples();
    assert!(samples.len() >= 5);
    for (file, text) in samples {
        let scenario = read(&text);
        assert_eq!(format!("{}.toml", scenario.name), file);
        assert!(scenario.topology.fetchers().count() > 0, "{file}");
    }
}

/// Removes the "#" before "#key = default".
fn with_defaults_given(text: &str) -> String {
    let given = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => rest.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(given).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_manual_shows_the_true_defaults() {
    let text = sample("star.toml");
    let given = with_defaults_given(&text);
    assert_ne!(given, text);
    assert_eq!(read(&given), read(&text));
    for (default, other) in [("queue = 32", "queue = 31"), ("delay_s = 0.05", "delay_s = 0.06")] {
        assert_ne!(read(&given.replace(default, other)), read(&text), "{default}");
    }
}

#[test]
fn the_samples_explain_every_key() {
    let all = samples().iter().map(|(_, text)| with_defaults_given(text)).collect::<Vec<_>>().join("\n");
    for table in [
        "[radio]",
        "[radio.loss]",
        "[network]",
        "[topology]",
        "[fetch]",
        "[origin]",
        "[[node]]",
        "[disturbance]",
    ] {
        let mistakes =
            Scenario::read(&format!("{table}\nno_such_key = 1"), &Overrides::default()).unwrap_err();
        let (_, known) = mistakes
            .0
            .iter()
            .find_map(|mistake| mistake.message.split_once("there is no such key here, only "))
            .unwrap();
        for key in known.split(", ") {
            assert!(all.contains(&format!("\n{key} = ")), "{table} {key}");
        }
    }
}

#[test]
fn a_star_and_defaults() {
    let scenario = read("name = \"s\"\n[topology]\nshape = \"star\"\ndevices = 2");
    assert_eq!(scenario.radio, Radio::default());
    assert_eq!(scenario.network, Network::default());
    assert_eq!(scenario.fetch, Fetch::default());
    assert_eq!(scenario.origin, Origin::default());
    assert_eq!(scenario.disturbance, Disturbance::default());
    assert_eq!(scenario.topology.hearing, Hearing::All);
    assert_eq!(parents(&scenario.topology), [("d1", "border-router"), ("d2", "border-router")]);
    assert!(scenario.topology.nodes.iter().all(|node| node.up == Loss::NONE && node.down == Loss::NONE));
    assert_eq!(scenario.topology.fetchers().collect::<Vec<_>>(), [NodeId(1), NodeId(2)]);
}

#[test]
fn some_times_may_be_none_at_all() {
    let text = "name = \"s\"\n[topology]\nshape = \"star\"\ndevices = 1\n[origin]\ndelay_s = 0\n\
                [fetch]\npower_on_within_s = 0.0\nrestart_after_s = 0";
    let scenario = read(text);
    assert_eq!((scenario.origin.delay, scenario.fetch.power_on_within), (Duration::ZERO, Duration::ZERO));
    assert_eq!(scenario.fetch.restart_after, Some(Duration::ZERO));
    assert!(Scenario::read(&format!("{text}\ngive_up_after_s = 0"), &Overrides::default()).is_err());
}

#[test]
fn a_tree_is_dealt_out_in_turn() {
    let scenario = read(&sample("three-hops.toml"));
    let above: Vec<_> = parents(&scenario.topology).into_iter().map(|(_, parent)| parent).collect();
    let root = "border-router";
    let expected = [root, root, "r1", "r2", "r1", "r2", "r3", "r4", "r5", "r6", "r3", "r4", "r5", "r6"];
    assert_eq!(above, expected);
    assert_eq!(scenario.network.scope, Scope::Global);
    assert!(scenario.topology.fetchers().all(|id| scenario.topology.depth(id) == 3));
    assert_eq!(scenario.topology.fetchers().count(), 8);
}

#[test]
fn addresses_are_global_by_default_when_link_local_ones_do_not_reach() {
    let text = sample("three-hops.toml").replace("addresses = \"global\"", "");
    assert_eq!(read(&text).network.scope, Scope::Global);
    assert_eq!(read(&sample("star.toml")).network.scope, Scope::LinkLocal);
    assert_eq!(read(&sample("building.toml")).network.scope, Scope::Global);
}

#[test]
fn others_are_around_the_same_border_router_and_around_its_second_radio() {
    let star = "name = \"s\"\n[topology]\nshape = \"star\"\ndevices = 2\n";
    let scenario = read(&format!("{star}legacy = 1\nflooders = 1\nmutes = 1\nsecond_link = 2"));
    let topology = &scenario.topology;
    let shown: Vec<_> =
        topology.nodes.iter().map(|node| (node.name.as_str(), node.role, node.link)).collect();
    let expected = [
        ("border-router", Role::Forward, 0),
        ("d1", Role::Fetch, 0),
        ("d2", Role::Fetch, 0),
        ("l1", Role::Legacy, 0),
        ("f1", Role::Flood, 0),
        ("m1", Role::Mute, 0),
        ("border-router-2", Role::Forward, 1),
        ("e1", Role::Fetch, 1),
        ("e2", Role::Fetch, 1),
    ];
    assert_eq!(shown, expected);
    assert_eq!(topology.fetchers().count(), 5);
    assert_eq!(topology.roots().collect::<Vec<_>>(), [NodeId(0), NodeId(6)]);
    assert!(hears(topology, "e1", "border-router-2") && hears(topology, "e1", "e2"));
    assert!(!hears(topology, "e1", "d1") && !hears(topology, "border-router", "border-router-2"));
}

#[test]
fn disturbances_are_read() {
    let star = "name = \"s\"\n[topology]\nshape = \"star\"\ndevices = 1\n[disturbance]\n";
    let keys = "late = 0.5\nlate_after_s = 3\nlate_within_s = 1\nreboots = 1\nreboots_after_s = 0.5\n\
                reboots_within_s = 0\noff_s = 0\nflood_per_s = 7";
    let expected = Disturbance {
        late: 0.5,
        late_after: Duration::from_secs(3),
        late_within: Duration::from_secs(1),
        reboots: 1.0,
        reboots_after: Duration::from_millis(500),
        reboots_within: Duration::ZERO,
        off: Duration::ZERO,
        flood_per_s: 7,
    };
    assert_eq!(read(&format!("{star}{keys}")).disturbance, expected);
}

#[test]
fn cells_are_dealt_out_in_turn() {
    let topology = read(&sample("hidden.toml")).topology;
    assert!(hears(&topology, "d1", "d4"));
    assert!(!hears(&topology, "d1", "d2"));
    assert!(hears(&topology, "d1", "border-router"));
}

#[test]
fn bursts_are_on_every_link() {
    let topology = read(&sample("bursts.toml")).topology;
    let bursts = Loss::GilbertElliott { to_bad: 0.05, to_good: 0.35, good: 0.0, bad: 0.8 };
    assert!(topology.nodes.iter().skip(1).all(|node| node.up == bursts && node.down == bursts));
}

#[test]
fn listed_nodes_stand_below_their_parents() {
    let text = "name = \"n\"\n[[node]]\nname = \"c\"\nparent = \"b\"\n[[node]]\nname = \"b\"\nparent = \"a\"\n\
                [[node]]\nname = \"a\"\n[[node]]\nname = \"d\"";
    let scenario = read(text);
    assert_eq!(
        parents(&scenario.topology),
        [("a", "border-router"), ("d", "border-router"), ("b", "a"), ("c", "b")]
    );
    for node in scenario.topology.ids().skip(1) {
        assert!(scenario.topology.node(node).parent < Some(node));
    }
}

#[test]
fn links_of_listed_nodes_are_as_lossy_as_they_say() {
    let topology = read(&sample("building.toml")).topology;
    let losses = |name| named(&topology, name).1.up.mean()..named(&topology, name).1.down.mean();
    assert_eq!(losses("stairs"), 0.01..0.01);
    assert_eq!(losses("lobby"), 0.02..0.02);
    assert_eq!(losses("window"), 0.2..0.05);
    assert_eq!(losses("roof").end, 0.02);
    assert!(matches!(named(&topology, "roof").1.up, Loss::GilbertElliott { .. }));
}

#[test]
fn one_of_two_says_who_hears_whom() {
    let topology = read(&sample("building.toml")).topology;
    assert!(hears(&topology, "stairs", "cellar-meter"));
    assert!(hears(&topology, "stairs", "lobby"), "siblings of one cell");
    assert!(!hears(&topology, "window", "roof"), "siblings of two cells");
    let Hearing::Family(pairs) = &topology.hearing else { panic!("not a family") };
    assert_eq!(pairs.len(), 2);
    assert!(pairs.iter().all(|(one, other)| one < other));
}

#[test]
fn pairs_have_the_smaller_number_first() {
    let text = "name = \"n\"\nradio.hearing = \"family\"\n[[node]]\nname = \"a\"\n\
                [[node]]\nname = \"b\"\nparent = \"a\"\nhears = [\"border-router\"]";
    let topology = read(text).topology;
    assert_eq!(topology.hearing, Hearing::Family([(NodeId(0), NodeId(2))].into()));
}

#[test]
fn a_loss_for_one_direction_goes_before_that_for_both() {
    let text = "name = \"n\"\n[[node]]\nname = \"a\"\nloss = 0.1\nloss_down = 0.3";
    let topology = read(text).topology;
    assert_eq!(topology.nodes[1].up, Loss::Bernoulli(0.1));
    assert_eq!(topology.nodes[1].down, Loss::Bernoulli(0.3));
}

#[test]
fn the_command_line_goes_before_the_file() {
    let overrides =
        Overrides { devices: Some(3), loss: Some(0.25), image_bytes: Some(1000), block_bytes: Some(512) };
    let scenario = read_with(&sample("bursts.toml"), overrides);
    assert_eq!(scenario.topology.fetchers().count(), 3);
    assert!(scenario.topology.nodes.iter().skip(1).all(|node| node.up == Loss::Bernoulli(0.25)));
    assert_eq!((scenario.fetch.image_bytes, scenario.fetch.block_bytes), (1000, 512));
}

#[test]
fn a_loss_of_the_command_line_is_on_every_listed_link() {
    let overrides = Overrides { loss: Some(0.0), ..Overrides::default() };
    let topology = read_with(&sample("building.toml"), overrides).topology;
    assert!(topology.nodes.iter().all(|node| node.up == Loss::NONE && node.down == Loss::NONE));
}

#[test]
fn a_hundred_thousand_nodes_in_one_chain() {
    let link = |n: u32| format!("[[node]]\nname = \"n{n}\"\nparent = \"n{}\"\n", n + 1);
    let chain: String = (0..99_999).map(link).collect();
    let text = format!("name = \"chain\"\n{chain}[[node]]\nname = \"n99999\"\n");
    let topology = read(&text).topology;
    assert_eq!(topology.depth(named(&topology, "n0").0), 100_000);
}
