//! A boot program's part: an update from a ticket in flash.

use super::DEVICE_SEED;
use super::script::Scenario;
use super::simulation::{Device, Simulation, layout};
use super::step::Step;
use crate::flash::{Flash, PAGE};
use crate::release;
use sixfold_device::boot::{Boot, BootError, install};
use sixfold_profile::Instant;
use sixfold_profile::ticket::{Ticket, TicketError};
use std::error::Error;

/// Everything that happens, in order.
pub(super) fn run(scenario: &Scenario, ticket: &Ticket<'_>) -> Result<Vec<Step>, Box<dyn Error>> {
    let mut flash = Flash::erased(12 * PAGE);
    let fields = ticket.fields().map_err(TicketError::Field)?;
    let which = install(&mut flash, &layout(), &fields, &release::index()).map_err(say)?;
    let mut boot = Boot::new(flash, &layout(), which, *ticket, DEVICE_SEED).map_err(say)?;
    let mut simulation = Simulation::new(scenario, false)?;
    simulation.drive(&mut boot)?;
    Ok(simulation.steps)
}

fn say<E: std::fmt::Debug>(error: BootError<E>) -> String {
    error.to_string()
}

impl Device for Boot<'_, Flash> {
    fn transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Result<Option<usize>, String> {
        self.poll_transmit(now, buffer).map_err(say)
    }

    fn hear(&mut self, now: Instant, datagram: &[u8]) -> Result<(), String> {
        self.handle_datagram(now, datagram).map(drop).map_err(say)
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
