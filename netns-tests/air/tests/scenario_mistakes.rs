//! Mistakes in scenario files: each with its line, its key and a remedy, and all of them at once.

use proptest::prelude::*;
use sixfold_air::scenario::{Overrides, Scenario};

/// Two lines without mistakes; what follows begins on line 3.
const STAR: &str = "name = \"s\"\ntopology = { shape = \"star\", devices = 2 }\n";

/// One line without mistakes; what follows begins on line 2.
const LIST: &str = "name = \"n\"\n";

#[track_caller]
fn refused_with(text: &str, overrides: Overrides, messages: &[&str]) {
    match Scenario::read(text, &overrides) {
        Ok(_) => panic!("no mistake was found in\n{text}"),
        Err(mistakes) => assert_eq!(mistakes.to_string(), messages.join("\n"), "in\n{text}"),
    }
}

#[track_caller]
fn refused(text: &str, messages: &[&str]) {
    refused_with(text, Overrides::default(), messages);
}

#[test]
fn what_is_not_toml() {
    let cases: [(&str, &[&str]); 4] = [
        ("[radio", &["line 3: this is not TOML: unclosed table, expected `]`"]),
        ("queue 5", &["line 3: this is not TOML: key with no value, expected `=`"]),
        ("[radio]\ncsma = true\n\ncsma = true", &["line 6: this is not TOML: duplicate key"]),
        (
            "[fetch]\nblock = \nimage = 5]",
            &[
                "line 4: this is not TOML: string values must be quoted, expected literal string",
                "line 5: this is not TOML: unexpected key or value, expected newline, `#`",
            ],
        ),
    ];
    for (text, messages) in cases {
        refused(&format!("{STAR}{text}"), messages);
    }
}

#[test]
fn what_is_missing() {
    refused(
        "",
        &[
            "line 1: name: this key is missing; give it",
            "line 1: topology: nobody is there; give [topology], or a [[node]] for each node",
        ],
    );
    refused(
        "name = \"s\"\n[topology]",
        &[
            "line 2: topology.shape: this key is missing; give it",
            "line 2: topology.devices: this key is missing; give it",
        ],
    );
    refused(
        "name = \"t\"\n[topology]\nshape = \"tree\"\ndevices = 1",
        &["line 2: topology.routers: this key is missing; give it"],
    );
    refused(
        &format!("{LIST}[[node]]\n[[node]]\n[[node]]\nname = \"a\""),
        &[
            "line 2: node.name: this key is missing; give it",
            "line 3: node.name: this key is missing; give it",
        ],
    );
    refused(
        &format!("{STAR}[radio.loss]\nto_bad = 0.1\nbad = 1"),
        &[
            "line 3: radio.loss.to_good: this key is missing; give it",
            "line 3: radio.loss.good: this key is missing; give it",
        ],
    );
}

#[test]
fn keys_that_are_not_known() {
    refused(
        &format!("{STAR}[radio]\nquue = 5\n[orign]\n[weather]\n"),
        &[
            "line 4: radio.quue: there is no such key; did you mean \"queue\"?",
            "line 5: orign: there is no such key; did you mean \"origin\"?",
            "line 6: weather: there is no such key here, only name, radio, topology, node, network, fetch, origin, disturbance",
        ],
    );
    refused(
        "name = \"s\"\n[topology]\nshape = \"star\"\ndevices = 1\nrouters = [1]",
        &[
            "line 5: topology.routers: there is no such key here, only shape, devices, cells, legacy, flooders, mutes, second_link",
        ],
    );
    refused(
        "name = \"s\"\n[topology]\nshape = \"tree\"\ndevices = 1\nrouters = [1]\ncells = 1",
        &["line 6: topology.cells: there is no such key here, only shape, devices, routers"],
    );
    refused(
        &format!("{STAR}\"two\\nlines\" = 1"),
        &[
            "line 3: two\\nlines: there is no such key here, only name, radio, topology, node, network, fetch, origin, disturbance",
        ],
    );
}

#[test]
fn values_of_a_wrong_type() {
    refused(
        "name = 5\ntopology = 1\nradio = []\nfetch = 2024-01-01",
        &[
            "line 1: name: this is of type integer; give a string in quotes",
            "line 2: topology: this is of type integer; give a table",
            "line 3: radio: this is of type array; give a table",
            "line 4: fetch: this is of type datetime; give a table",
        ],
    );
    refused(
        &format!("{STAR}[radio]\ncsma = 1\nqueue = 1.5\nloss = \"little\"\nhearing = \"none\""),
        &[
            "line 4: radio.csma: this is of type integer; give true or false",
            "line 5: radio.queue: this is of type float; give a whole number",
            "line 6: radio.loss: \"little\" is not a probability or a table { to_bad, to_good, good, bad }",
            "line 7: radio.hearing: \"none\" is not \"all\" or \"family\"",
        ],
    );
    refused(
        &format!("{STAR}[network]\naddresses = true\ninterface_identifiers = \"EUI64\""),
        &[
            "line 4: network.addresses: this is of type boolean; give \"link-local\" or \"global\"",
            "line 5: network.interface_identifiers: \"EUI64\" is not \"private\" or \"private-devices\" or \"eui64\"",
        ],
    );
    for list in ["5", "[]"] {
        refused(
            &format!("{LIST}node = {list}"),
            &["line 2: node: this is no list of tables; head each with [[node]]"],
        );
    }
    refused(
        &format!("{LIST}node = [\n  5,\n  {{ name = \"\" }}]"),
        &[
            "line 3: node: this is of type integer; give a table",
            "line 4: node.name: this is empty; give a name",
        ],
    );
}

#[test]
fn losses_that_let_nothing_through() {
    let cases = [
        ("1", "this link loses everything, so nobody beyond it is reachable; give less than 1"),
        ("1.0", "this link loses everything, so nobody beyond it is reachable; give less than 1"),
        ("-0.1", "-0.1 is no probability; give a number from 0 to 1"),
        ("1.1", "1.1 is no probability; give a number from 0 to 1"),
        ("nan", "NaN is no probability; give a number from 0 to 1"),
        ("inf", "inf is no probability; give a number from 0 to 1"),
    ];
    for (loss, message) in cases {
        refused(&format!("{STAR}[radio]\nloss = {loss}"), &[&format!("line 4: radio.loss: {message}")]);
        let node = format!("{LIST}[[node]]\nname = \"a\"\nloss_up = {loss}");
        refused(&node, &[&format!("line 4: node.loss_up: {message}")]);
    }
}

#[test]
fn bursts_without_end() {
    let bursts = |to_bad, to_good, good, bad| {
        format!("{STAR}radio.loss = {{ to_bad = {to_bad}, to_good = {to_good}, good = {good}, bad = {bad} }}")
    };
    let for_ever = "loses everything for ever, so nobody beyond it is reachable; give less than 1, or let";
    let good = format!("line 3: radio.loss.good: a link that is good {for_ever} to_bad lead out of it");
    let bad = format!("line 3: radio.loss.bad: a link that is bad {for_ever} to_good lead out of it");
    refused(&bursts(0.0, 0.5, 1.0, 0.0), &[&good]);
    refused(&bursts(0.5, 0.5, 1.0, 1.0), &[&good]);
    refused(&bursts(0.1, 0.0, 0.0, 1.0), &[&bad]);
    refused(
        &bursts(2.0, 0.5, 0.0, 1.0),
        &["line 3: radio.loss.to_bad: 2.0 is no probability; give a number from 0 to 1"],
    );
    for harmless in [bursts(0.0, 0.0, 0.0, 1.0), bursts(0.1, 0.0, 0.0, 0.9), bursts(0.1, 0.1, 1.0, 0.0)] {
        assert!(Scenario::read(&harmless, &Overrides::default()).is_ok(), "{harmless}");
    }
}

#[test]
fn numbers_out_of_range() {
    refused(
        &format!("{STAR}[radio]\nqueue = 0\nborder_router_queue = 99999999999999999999"),
        &[
            "line 4: radio.queue: 0 is out of range; give a whole number from 1 to 1000000",
            "line 5: radio.border_router_queue: 99999999999999999999 is far out of range; give a smaller number",
        ],
    );
    refused(
        &format!("{STAR}[network]\nreassembly_timeout_s = 60.1\nreassembly_buffers = 0"),
        &[
            "line 4: network.reassembly_timeout_s: 60.1 s is out of range; give a time above 0 and up to 60 s",
            "line 5: network.reassembly_buffers: 0 is out of range; give a whole number from 1 to 1000000",
        ],
    );
    refused(
        &format!("{STAR}[origin]\ndelay_s = -1\nbytes_per_s = 0"),
        &[
            "line 4: origin.delay_s: -1.0 s is out of range; give a time above 0 and up to 31622400 s",
            "line 5: origin.bytes_per_s: 0 is out of range; give a whole number from 1 to 4294967295",
        ],
    );
    for time in ["-5", "nan", "inf", "1e300", "1e-12"] {
        let shown: f64 = time.parse().unwrap();
        let message = format!("{shown:?} s is out of range; give a time above 0 and up to 31622400 s");
        refused(
            &format!("{STAR}[fetch]\npower_on_within_s = {time}\ngive_up_after_s = {time}"),
            &[
                &format!("line 4: fetch.power_on_within_s: {message}"),
                &format!("line 5: fetch.give_up_after_s: {message}"),
            ],
        );
    }
}

#[test]
fn images_and_blocks() {
    refused(
        &format!("{STAR}[fetch]\nimage = 0\nblock = 48"),
        &[
            "line 4: fetch.image: 0 is out of range; give a whole number from 1 to 4294967295",
            "line 5: fetch.block: 48 is no block size; give 16, 32, 64, 128, 256, 512 or 1024",
        ],
    );
    let of_image = |bytes: u32| format!("{STAR}[fetch]\nblock = 16\nimage = {bytes}");
    let message = "line 5: fetch.image: 20-bit numbers of 16-byte blocks reach 16777216 bytes, not 16777217; \
                   give a smaller image or larger blocks";
    refused(&of_image(16_777_217), &[message]);
    assert!(Scenario::read(&of_image(16_777_216), &Overrides::default()).is_ok());
}

#[test]
fn disturbances_that_cannot_be() {
    refused(
        &format!(
            "{STAR}[disturbance]\nlate = 1.5\nreboots = -0.1\nlate_after_s = -1\nreboots_within_s = \"soon\"\n\
             flood_per_s = 0\nlat = 1"
        ),
        &[
            "line 4: disturbance.late: 1.5 is no share of the devices; give a number from 0 (none) to 1 (all)",
            "line 5: disturbance.reboots: -0.1 is no share of the devices; give a number from 0 (none) to 1 (all)",
            "line 6: disturbance.late_after_s: -1.0 s is out of range; give a time above 0 and up to 31622400 s",
            "line 7: disturbance.reboots_within_s: \"soon\" is not a number",
            "line 8: disturbance.flood_per_s: 0 is out of range; give a whole number from 1 to 1000000",
            "line 9: disturbance.lat: there is no such key; did you mean \"late\"?",
        ],
    );
}

#[test]
fn guests_and_images_out_of_range() {
    refused(
        &format!("{STAR}[fetch]\nimages = 17\nlisten_memory = -1"),
        &[
            "line 4: fetch.images: 17 is out of range; give a whole number from 1 to 16",
            "line 5: fetch.listen_memory: -1 is out of range; give a whole number from 0 to 1000000",
        ],
    );
    let star = "name = \"s\"\n[topology]\nshape = \"star\"\ndevices = 1\n";
    refused(
        &format!("{star}legacy = -1\nflooders = 1000001\nmutes = true\nsecond_link = 0.5"),
        &[
            "line 5: topology.legacy: -1 is out of range; give a whole number from 0 to 1000000",
            "line 6: topology.flooders: 1000001 is out of range; give a whole number from 0 to 1000000",
            "line 7: topology.mutes: this is of type boolean; give a whole number",
            "line 8: topology.second_link: this is of type float; give a whole number",
        ],
    );
    // A second link has a root of its own.
    refused(
        &format!("{star}second_link = 999998"),
        &["line 4: topology.devices: that makes 1000001 nodes in all; there may be 1000000 at most"],
    );
}

#[test]
fn shapes_that_cannot_be() {
    let shape = |rest: &str| format!("name = \"s\"\n[topology]\n{rest}");
    refused(
        &shape("shape = \"ring\"\ndevices = 0\ncells = 0\nrouters = [1]"),
        &[
            "line 3: topology.shape: \"ring\" is not \"star\" or \"tree\"",
            "line 4: topology.devices: 0 is out of range; give a whole number from 1 to 1000000",
            "line 5: topology.cells: 0 is out of range; give a whole number from 1 to 1000000",
        ],
    );
    refused(
        &shape("shape = \"tree\"\ndevices = 1\nrouters = [\n1,\n0,\n-1]"),
        &[
            "line 7: topology.routers: 0 is out of range; give a whole number from 1 to 1000000",
            "line 8: topology.routers: -1 is out of range; give a whole number from 1 to 1000000",
        ],
    );
    refused(
        &shape("shape = \"tree\"\ndevices = 1\nrouters = []"),
        &["line 5: topology.routers: the list is empty; give at least one entry"],
    );
    refused(
        &shape("shape = \"star\"\ndevices = 1000001"),
        &["line 4: topology.devices: 1000001 is out of range; give a whole number from 1 to 1000000"],
    );
    refused(
        &shape("shape = \"tree\"\nrouters = [500000]\ndevices = 500000"),
        &["line 5: topology.devices: that makes 1000001 nodes in all; there may be 1000000 at most"],
    );
}

#[test]
fn both_ways_to_say_who_is_there() {
    let both = "line 3: topology: both [topology] and [[node]] say who is there; remove one of them";
    refused(&format!("{STAR}[[node]]\nname = \"a\""), &[both]);
    refused("name = \"s\"\nnode = [{name = \"a\"}]\ntopology = { shape = \"star\", devices = 2 }", &[both]);
}

#[test]
fn link_local_addresses_go_one_hop() {
    let message = "line 3: network.addresses: link-local addresses go one hop, and some nodes are further away; \
                   say \"global\"";
    let network = "name = \"s\"\n[network]\naddresses = \"link-local\"\n";
    refused(&format!("{network}[topology]\nshape = \"tree\"\nrouters = [1]\ndevices = 1"), &[message]);
    let chain = "[[node]]\nname = \"a\"\n[[node]]\nname = \"b\"\nparent = \"a\"";
    refused(&format!("{network}{chain}"), &[message]);
}

#[test]
fn names_of_nodes() {
    let nodes =
        "[[node]]\nname = \"a\"\nfetches = false\n[[node]]\nname = \"border-router\"\n[[node]]\nname = \"a\"";
    refused(
        &format!("{LIST}{nodes}"),
        &[
            "line 6: node.name: the root of the tree has this name, and needs no [[node]]; give another name",
            "line 8: node.name: \"a\" is the name of the node of line 3 too; give another name",
        ],
    );
    refused(
        &format!("{LIST}[[node]]\nname = \"a\"\nparent = \"b\"\nhears = [\n\"a\",\n\"c\\n\"]"),
        &[
            "line 4: node.parent: there is no node \"b\"; give the name of a [[node]], or \"border-router\"",
            "line 6: node.hears: every node hears itself; remove this entry",
            "line 7: node.hears: there is no node \"c\\n\"; give the name of a [[node]], or \"border-router\"",
        ],
    );
}

#[test]
fn nodes_that_hang_on_themselves() {
    let node = |name: &str, parent: &str| format!("[[node]]\nname = \"{name}\"\nparent = \"{parent}\"\n");
    let message = |line: u32, name: &str| {
        format!(
            "line {line}: node.parent: \"{name}\" is its own ancestor, so it is not reachable; \
             let its parents lead to \"border-router\""
        )
    };
    refused(&format!("{LIST}{}", node("a", "a")), &[&message(4, "a")]);
    // Two nodes below a cycle, one before it and one behind it; and a cycle of its own.
    let nodes =
        [("x", "b"), ("a", "b"), ("b", "c"), ("c", "a"), ("y", "x"), ("ok", "border-router"), ("z", "z")];
    let text: String = nodes.iter().map(|(name, parent)| node(name, parent)).collect();
    refused(&format!("{LIST}{text}"), &[&message(10, "b"), &message(22, "z")]);
}

#[test]
fn nobody_fetches() {
    refused(
        &format!("{LIST}[[node]]\nname = \"a\"\nfetches = false"),
        &["line 2: node: no node fetches the image; let one say fetches = true"],
    );
}

#[test]
fn a_million_listed_nodes() {
    let nodes = "0,".repeat(1_000_000);
    refused(
        &format!("{LIST}node = [{nodes}]"),
        &["line 2: node: 1000000 nodes are too many; give fewer than 1000000"],
    );
}

#[test]
fn mistakes_of_the_command_line() {
    let wrong = Overrides { devices: Some(0), loss: Some(1.0), image_bytes: Some(0), block_bytes: Some(65) };
    refused_with(
        &format!("{STAR}[radio]\nqueue = 0"),
        wrong,
        &[
            "--devices: 0 is out of range; give a whole number from 1 to 1000000",
            "--loss: this link loses everything, so nobody beyond it is reachable; give less than 1",
            "--image: 0 is out of range; give a whole number from 1 to 4294967295",
            "--szx: 65 is no block size; give 16, 32, 64, 128, 256, 512 or 1024",
            "line 4: radio.queue: 0 is out of range; give a whole number from 1 to 1000000",
        ],
    );
    let devices = |devices| Overrides { devices: Some(devices), ..Overrides::default() };
    refused_with(
        &format!("{LIST}[[node]]\nname = \"a\""),
        devices(5),
        &["--devices: this file lists its nodes; only [topology] can have any number of devices"],
    );
    refused_with(
        STAR,
        devices(1_000_000),
        &["--devices: that makes 1000001 nodes in all; there may be 1000000 at most"],
    );
    refused_with(
        STAR,
        devices(2_000_000),
        &["--devices: 2000000 is out of range; give a whole number from 1 to 1000000"],
    );
    let nan = Overrides { loss: Some(f64::NAN), ..Overrides::default() };
    refused_with(STAR, nan, &["--loss: NaN is no probability; give a number from 0 to 1"]);
}

#[test]
fn images_that_are_too_large_because_of_the_command_line() {
    let message = "20-bit numbers of 16-byte blocks reach 16777216 bytes, not 20000000; \
                   give a smaller image or larger blocks";
    let image = Overrides { image_bytes: Some(20_000_000), ..Overrides::default() };
    refused_with(&format!("{STAR}fetch.block = 16"), image, &[&format!("--image: {message}")]);
    let block = Overrides { block_bytes: Some(16), ..Overrides::default() };
    refused_with(&format!("{STAR}fetch.image = 20000000"), block, &[&format!("--szx: {message}")]);
}

/// Reads a text that may be anything: it may be refused, in as many lines as there are mistakes.
fn survives(text: &str) {
    if let Err(mistakes) = Scenario::read(text, &Overrides::default()) {
        assert!(!mistakes.0.is_empty());
        assert_eq!(mistakes.to_string().lines().count(), mistakes.0.len(), "{mistakes}");
        let lines = text.matches('\n').count() + 1;
        assert!(
            mistakes.0.iter().all(|mistake| mistake.line.is_some_and(|line| (1..=lines).contains(&line)))
        );
    }
}

const SAMPLES: [&str; 5] = [
    include_str!("../../scenarios/star.toml"),
    include_str!("../../scenarios/three-hops.toml"),
    include_str!("../../scenarios/hidden.toml"),
    include_str!("../../scenarios/bursts.toml"),
    include_str!("../../scenarios/building.toml"),
];

/// A sample without its comments, as words and the spaces between them.
fn words(sample: &str) -> Vec<String> {
    let lines = sample.lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(|line| line.split(' ').map(str::to_owned).chain(["\n".to_owned()])).collect()
}

/// A sample in which some words are replaced by words of a sample, by odd ones, or by nothing.
fn mutated() -> impl Strategy<Value = String> {
    let odd = [
        "",
        "=",
        "[",
        "]",
        "\"",
        "-1",
        "0",
        "1",
        "nan",
        "1e999",
        "99999999999999999999",
        "\u{0}",
        "[[node]]\n",
    ];
    let mut spares: Vec<String> = SAMPLES.iter().flat_map(|sample| words(sample)).collect();
    spares.extend(odd.map(str::to_owned));
    let change = (any::<prop::sample::Index>(), prop::sample::select(spares));
    let changes = prop::collection::vec(change, 1..6);
    (prop::sample::select(SAMPLES.to_vec()), changes).prop_map(|(sample, changes)| {
        let mut words = words(sample);
        for (place, spare) in changes {
            *place.get_mut(&mut words) = spare;
        }
        words.join(" ")
    })
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        survives(&text);
    }

    #[test]
    fn mutated_samples_are_read_or_refused(text in mutated()) {
        survives(&text);
    }

    #[test]
    fn any_tree_of_parents_is_read_or_refused(parents in prop::collection::vec(0..12_usize, 1..12)) {
        let nodes = parents.iter().enumerate();
        let nodes = nodes.map(|(place, parent)| format!("[[node]]\nname = \"n{place}\"\nparent = \"n{parent}\"\n"));
        let text = nodes.collect::<String>().replace("\"n11\"", "\"border-router\"");
        survives(&format!("{LIST}{text}"));
    }
}
