//! The short version of `make soak`.

use anyhow::{Result, ensure};
use sixfold_netns_tests::sandbox;
use sixfold_netns_tests::soak::{self, Plan};
use std::time::Duration;

#[test]
fn two_minutes_of_trouble_lose_nothing() -> Result<()> {
    // Two minutes, and what it takes for everybody to come to rest, also on a busy machine.
    sandbox::run_within(Duration::from_secs(900), soak::NEEDS, || {
        let plan = Plan { devices: 200, duration: Duration::from_secs(120), seed: 6 };
        let ledger = soak::run(&plan, |trouble| println!("{trouble}"))?;
        println!("{ledger}");
        ensure!(ledger.verdict().is_empty(), "{:#?}\n{}", ledger.verdict(), ledger.relay_log);
        ensure!(ledger.images.values().sum::<u64>() > 200, "too little happened");
        ensure!(ledger.troubles.len() == soak::KINDS, "not every kind of trouble: {:?}", ledger.troubles);
        Ok(())
    })
}
