//! The update loop: carries datagrams between [`Boot`] and a link until the image may run.

use embedded_storage::nor_flash::NorFlash;
use sixfold_device::boot::{Boot, BootError, Event};
use sixfold_profile::Instant;

/// What a request of a boot program fits in, in bytes: the longest ticket, and what is added to its options. A member of a group
/// says what it misses.
pub const LONGEST_REQUEST: usize =
    (if cfg!(feature = "listen") { 384 } else { 320 }) + if SESSIONS { 32 } else { 0 };

const SESSIONS: bool = cfg!(feature = "oscore");
/// A protected request is made of one that is not, beside it.
const ROOM: usize = if SESSIONS { 2 * LONGEST_REQUEST } else { LONGEST_REQUEST };

/// A datagram from the relay.
#[derive(Debug)]
pub enum Heard<'d> {
    /// For this device alone.
    Own(&'d mut [u8]),
    /// For the group.
    #[cfg(feature = "listen")]
    Group(&'d [u8]),
}

/// The device's end of its link to the relay, and its clock.
pub trait Link {
    /// The time since the device started.
    fn now(&mut self) -> Instant;

    /// Sends a datagram to the relay. It may get lost.
    fn send(&mut self, datagram: &[u8]);

    /// The next datagram from the relay, if one is there.
    fn receive(&mut self) -> Option<Heard<'_>>;

    /// Tells whoever watches the device what happened.
    fn report(&mut self, event: Event);
}

/// Goes on until the image may run.
///
/// # Errors
/// [`BootError::Flash`] and [`BootError::Request`].
pub fn run<F: NorFlash>(mut boot: Boot<'_, F>, link: &mut impl Link) -> Result<(), BootError<F::Error>> {
    let mut request = [0; ROOM];
    while !boot.is_bootable() {
        let now = link.now();
        while let Some(datagram) =
            boot.poll_transmit(now, &mut request)?.and_then(|length| request.get(..length))
        {
            link.send(datagram);
        }
        let heard = match link.receive() {
            Some(Heard::Own(datagram)) => boot.handle_datagram(now, datagram)?,
            #[cfg(feature = "listen")]
            Some(Heard::Group(datagram)) => boot.handle_group_datagram(now, datagram)?,
            None => None,
        };
        let timed = boot.handle_timeout(now)?;
        heard.into_iter().chain(timed).for_each(|event| link.report(event));
    }
    Ok(())
}
