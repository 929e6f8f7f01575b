//! Whole updates and preparations, datagram by datagram: boot program or main program, and the relay's engine, in virtual time.

mod preparation;
mod script;
mod simulation;
mod step;
mod update;

use crate::{edhoc, flash, hex, release, tickets};
use script::{MEMBER, SCENARIOS, SESSIONS, Scenario};
use serde_json::{Value, json};
use sixfold_edhoc::Agreed;
use sixfold_oscore::{Derived, Secret};
use sixfold_profile::ticket::{Fields, Numbers, Session, Ticket};
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
        "members": [member(&prepared, None)?, member(&prepared, Some(&edhoc::session()?))?],
        "sessions": SESSIONS.iter().map(protected).collect::<Result<Vec<_>, _>>()?,
    }))
}

/// The same with a session and without.
fn member(ticket: &[u8], session: Option<&Agreed>) -> Result<Value, Box<dyn Error>> {
    let fields = Ticket::read(ticket)?.fields().map_err(|field| format!("{field:?}"))?;
    let with_session = session.map(|session| in_session(&fields, session)).transpose()?;
    let ticket = with_session.unwrap_or_else(|| ticket.to_vec());
    let steps = update::listen(&MEMBER, &Ticket::read(&ticket)?, session)?;
    let steps: Vec<_> = steps.iter().map(step::Step::to_json).collect();
    let mut vector = json!({ "name": MEMBER.name, "ticket": hex(&ticket), "steps": steps });
    if let (Some(session), Some(fields)) = (session, vector.as_object_mut()) {
        fields.insert("name".to_owned(), format!("in a session: {}", MEMBER.name).into());
        fields.insert("session".to_owned(), agreed(session));
    }
    Ok(vector)
}

fn vector(scenario: &Scenario, ticket: &[u8]) -> Result<Value, Box<dyn Error>> {
    let ticket = Ticket::read(ticket)?;
    let steps: Vec<_> = update::run(scenario, &ticket, None)?.iter().map(step::Step::to_json).collect();
    Ok(json!({ "name": scenario.name, "steps": steps }))
}

fn protected(scenario: &Scenario) -> Result<Value, Box<dyn Error>> {
    let session = edhoc::session()?;
    let ticket = in_session(&tickets::plain(), &session)?;
    let steps = update::run(scenario, &Ticket::read(&ticket)?, Some(&session))?;
    let steps: Vec<_> = steps.iter().map(step::Step::to_json).collect();
    Ok(json!({ "name": scenario.name, "ticket": hex(&ticket), "session": agreed(&session), "steps": steps }))
}

/// The ticket of a device that agreed on a session.
fn in_session(ticket: &Fields<'_>, session: &Agreed) -> Result<Vec<u8>, Box<dyn Error>> {
    let Agreed { master_secret, master_salt, device_id, relay_id, .. } = session;
    let derived = Derived::new(Secret { master_secret, master_salt, id_context: None }, device_id, relay_id)?;
    let keys = derived.parameters();
    let session = Session {
        sender_id: keys.sender_id,
        recipient_id: keys.recipient_id,
        sender_key: keys.sender_key,
        recipient_key: keys.recipient_key,
        common_iv: keys.common_iv,
        numbers: Numbers { first: 0, exponent: 16 },
        plain_allowed: false,
    };
    Ok(tickets::bytes(&Fields { session: Some(session), ..*ticket })?)
}

/// What the relay has of it.
fn agreed(session: &Agreed) -> Value {
    json!({
        "device_id": hex(&session.device_id),
        "relay_id": hex(&session.relay_id),
        "master_secret": hex(&session.master_secret),
        "master_salt": hex(&session.master_salt),
    })
}
