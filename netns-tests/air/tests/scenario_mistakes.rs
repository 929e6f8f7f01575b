//! Mistakes in scenario files: each with its line, its key and a remedy, and all of them at once.

use proptest::prelude::*;
use sixfold_air::scenario::{Overrides, Scenario};

fn mistakes(text: &str, overrides: &Overrides) -> String {
    match Scenario::read(text, overrides) {
        Ok(_) => panic!("no mistake was found in\n{text}"),
        Err(mistakes) => mistakes.to_string(),
    }
}

#[track_caller]
fn refused(text: &str, messages: &[&str]) {
    assert_eq!(mistakes(text, &Overrides::default()), messages.join("\n"), "in\n{text}");
}

#[test]
fn show() {
    let star = "name = \"s\"\ntopology = { shape = \"star\", devices = 2 }\n";
    for rest in ["[radio", "a = 1\na = 2", "radio = 5", "[radio]\nquue = 5\nantenna = 1", "[radio]\ncsma = 1\nqueue = 0\nloss = 1\nhearing = \"none\"",
        "[radio]\nloss = nan", "[radio]\nloss = 1.5", "[radio]\nloss = -1", "[radio]\nloss = \"x\"", "[radio]\nloss = 1_0.0_1", "[radio]\nqueue = 99999999999999999999999", "[radio]\nqueue = -0x1",
        "[radio.loss]\nto_bad = 2\n", "[radio.loss]\nto_bad = 0.1\nto_good = 0\ngood = 0\nbad = 1", "[radio.loss]\nto_bad = 0\nto_good = 0.5\ngood = 1.0\nbad = 0",
        "[network]\nreassembly_timeout_s = 61\nreassembly_buffers = 0\naddresses = 1",
        "[fetch]\nimage = 20000000\nblock = 16\npower_on_within_s = -1\ngive_up_after_s = inf", "[fetch]\nblock = 48\n[origin]\nbytes_per_s = 0\ndelay_s = 1e-12",
        "[[node]]\nname = \"a\"", "x", "x = ", "\u{0}", "[[a]]\n[a]", "x = \"\n", "node = []", "node = 5\n", "node = [5]", "fetch = []"] {
        println!("--- {rest}\n{}", mistakes(&format!("{star}{rest}"), &Overrides::default()));
    }
}
