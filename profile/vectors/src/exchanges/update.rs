//! A boot program's part: an update from a ticket in flash.

use super::DEVICE_SEED;
use super::script::Scenario;
use super::simulation::{Device, FLASH, Simulation, layout};
use super::step::Step;
use crate::flash::Flash;
use crate::release;
use sixfold_device::boot::{Boot, BootError, install, listening_memory};
use sixfold_edhoc::Agreed;
use sixfold_profile::Instant;
use sixfold_profile::coap::{Block, Code, Full, Options, Type, Writer, option};
use sixfold_profile::ticket::{Ticket, TicketError};
use std::error::Error;

/// Everything that happens, in order.
pub(super) fn run(
    scenario: &Scenario,
    ticket: &Ticket<'_>,
    session: Option<&Agreed>,
) -> Result<Vec<Step>, Box<dyn Error>> {
    let mut flash = Flash::erased(FLASH);
    let fields = ticket.fields().map_err(TicketError::Field)?;
    let which = install(&mut flash, &layout(), &fields, &release::index()).map_err(say)?;
    let mut boot = Boot::new(flash, &layout(), which, *ticket, DEVICE_SEED).map_err(say)?;
    let mut simulation = Simulation::new(scenario, false)?;
    simulation.agree(session)?;
    simulation.drive(&mut boot)?;
    Ok(simulation.steps)
}

/// The same of a member of a group, beside another one that has asked for the image already.
pub(super) fn listen(
    scenario: &Scenario,
    ticket: &Ticket<'_>,
    session: Option<&Agreed>,
) -> Result<Vec<Step>, Box<dyn Error>> {
    let mut flash = Flash::erased(FLASH);
    let fields = ticket.fields().map_err(TicketError::Field)?;
    let which = install(&mut flash, &layout(), &fields, &release::index()).map_err(say)?;
    let blocks = ticket.image_size().div_ceil(ticket.szx().size() as u32);
    let mut memory = vec![0; listening_memory(ticket.image_size(), blocks, ticket.szx())];
    let mut boot = Boot::new(flash, &layout(), which, *ticket, DEVICE_SEED).map_err(say)?;
    boot.listen(&mut memory);
    let mut simulation = Simulation::new(scenario, true)?;
    simulation.agree(session)?;
    simulation.other(first_request(ticket)?);
    simulation.drive(&mut boot)?;
    Ok(simulation.steps)
}

/// A member's, before it has heard a stream (profile, section 5.7).
fn first_request(ticket: &Ticket<'_>) -> Result<Vec<u8>, String> {
    let mut buffer = [0; 256];
    let write = |buffer: &mut [u8]| -> Result<usize, Full> {
        let mut writer = Writer::new(buffer, Type::Confirmable, Code::GET, 1, b"\x01")?;
        writer.uint_option(option::OBSERVE, 0)?;
        for option in Options::new(ticket.options()) {
            writer.option(option.number, option.value)?;
        }
        writer.uint_option(option::Q_BLOCK2, Block::first(ticket.szx()).encode())?;
        Ok(writer.finish())
    };
    let length = write(&mut buffer).map_err(|Full| "the request is too long".to_owned())?;
    Ok(buffer.get(..length).unwrap_or_default().to_vec())
}

fn say<E: std::fmt::Debug>(error: BootError<E>) -> String {
    error.to_string()
}

impl Device for Boot<'_, Flash> {
    fn transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Result<Option<usize>, String> {
        self.poll_transmit(now, buffer).map_err(say)
    }

    fn hear(&mut self, now: Instant, datagram: &[u8]) -> Result<(), String> {
        self.handle_datagram(now, &mut datagram.to_vec()).map(drop).map_err(say)
    }

    fn hear_group(&mut self, now: Instant, datagram: &[u8]) -> Result<(), String> {
        self.handle_group_datagram(now, datagram).map(drop).map_err(say)?;
        self.time_out(now)
    }

    fn time_out(&mut self, now: Instant) -> Result<(), String> {
        self.handle_timeout(now).map(drop).map_err(say)
    }

    fn due(&self) -> Option<Instant> {
        self.poll_timeout()
    }

    fn is_done(&self) -> bool {
        self.is_bootable()
    }
}
