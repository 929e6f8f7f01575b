//! Whole updates and preparations, datagram by datagram: boot program or main program, and the relay's engine, in virtual time.

mod preparation;
mod script;
mod simulation;
mod step;
mod update;

use crate::{flash, hex, release, tickets};
use script::{MEMBER, SCENARIOS, Scenario};
use serde_json::{Value, json};
use sixfold_profile::ticket::Ticket;
use std::error::Error;

/// The random bits of the device.
const DEVICE_SEED: u32 = 8;
/// The random bits of the relay: 32 bytes of this value.
const RELAY_SEED: u8 = 7;
/// The relay's only route, and the origin behind it.
const ROUTE: (&str, &str) = ("fw", "https://origin.example/firmware/");

pub(crate) fn vectors() -> Result<Value, Box<dyn Error>> {
    let ticket = tickets::bytes(&tickets::plain())?;
    let (preparation, prepared) = preparation::vector()?;
    let exchanges =
        SCENARIOS.iter().map(|scenario| vector(scenario, &ticket)).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({
        "format": "exchange",
        "version": 1,
        "image": hex(&release::image()),
        "index": hex(&release::index()),
        "ticket": hex(&ticket),
        "device": { "page": flash::PAGE, "write_unit": flash::WRITE_UNIT, "seed": DEVICE_SEED },
        "relay": { "route": ROUTE.0, "origin": ROUTE.1, "seed": hex(&[RELAY_SEED; 32]) },
        "vectors": exchanges,
        "preparations": [preparation],
        "members": [member(&prepared)?],
    }))
}

fn member(ticket: &[u8]) -> Result<Value, Box<dyn Error>> {
    let steps = update::listen(&MEMBER, &Ticket::read(ticket)?)?;
    let steps: Vec<_> = steps.iter().map(step::Step::to_json).collect();
    Ok(json!({ "name": MEMBER.name, "ticket": hex(ticket), "steps": steps }))
}

fn vector(scenario: &Scenario, ticket: &[u8]) -> Result<Value, Box<dyn Error>> {
    let ticket = Ticket::read(ticket)?;
    let steps: Vec<_> = update::run(scenario, &ticket)?.iter().map(step::Step::to_json).collect();
    Ok(json!({ "name": scenario.name, "steps": steps }))
}
