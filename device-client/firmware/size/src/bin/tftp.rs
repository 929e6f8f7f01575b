//! What the boot core is measured against: a TFTP client, and with the feature `sha256` a digest of the whole.
//!
//! It is never run: see [`sixfold_size`].
#![no_std]
#![no_main]
#![allow(unsafe_code)] // functions that are called by name

use core::mem::MaybeUninit;
use core::ops::Range;
#[cfg(feature = "sha256")]
use embedded_storage::nor_flash::{NorFlashErrorKind, ReadNorFlash};
use sixfold_profile::Instant;
use sixfold_size::Flash;
use sixfold_tftp::{BLOCK, Tftp};

#[cfg(feature = "sha256")]
#[path = "../../../../src/boot/sha256.rs"]
#[allow(
    dead_code,
    clippy::indexing_slicing,
    reason = "the boot core needs more of it, and says why it is so"
)]
mod sha256;

const SLOT: Range<u32> = 0xa000..0x3_8000;
/// Opcode and block number.
const HEADER: usize = 4;

type Client = Tftp<'static, Flash>;

/// What the report counts as the client's RAM, beside stack and buffers.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".state_size")]
static STATE_SIZE: u32 = size_of::<Client>() as u32;

/// Begins.
#[unsafe(no_mangle)]
extern "C" fn tftp_begin(
    client: &mut MaybeUninit<Client>,
    name: &'static [u8; 64],
    length: usize,
    now: u64,
) -> bool {
    let name = name.get(..length).unwrap_or_default();
    let tftp = Tftp::new(Flash, SLOT, name, Instant::from_micros(now));
    tftp.map(|tftp| client.write(tftp)).is_ok()
}

/// Takes a datagram.
#[unsafe(no_mangle)]
extern "C" fn tftp_datagram(
    client: &mut Client,
    now: u64,
    port: u16,
    datagram: &[u8; BLOCK as usize + HEADER],
    length: usize,
) -> bool {
    let datagram = datagram.get(..length).unwrap_or_default();
    client.handle_datagram(Instant::from_micros(now), port, datagram).is_ok()
}

/// Something is due.
#[unsafe(no_mangle)]
extern "C" fn tftp_timeout(client: &mut Client, now: u64) -> bool {
    client.handle_timeout(Instant::from_micros(now)).is_ok()
}

/// Writes the next datagram; gives its length, and the ports that it goes from and to.
#[unsafe(no_mangle)]
extern "C" fn tftp_transmit(client: &mut Client, datagram: &mut [u8; 128], ports: &mut [u16; 2]) -> usize {
    let Some((length, port)) = client.poll_transmit(datagram) else { return 0 };
    *ports = [client.local_port(), port];
    length
}

/// When something is due next; the end of time when the file is in the slot.
#[unsafe(no_mangle)]
extern "C" fn tftp_deadline(client: &Client) -> u64 {
    client.poll_timeout().map_or(u64::MAX, Instant::as_micros)
}

/// Whether the file has this digest.
#[cfg(feature = "sha256")]
#[unsafe(no_mangle)]
extern "C" fn tftp_is_right(client: &Client, digest: &[u8; 32]) -> bool {
    has_digest(digest, client.written()) == Ok(true)
}

#[cfg(feature = "sha256")]
fn has_digest(digest: &[u8; 32], length: u32) -> Result<bool, NorFlashErrorKind> {
    let mut hash = sha256::Sha256::new();
    let mut offset = 0;
    loop {
        Flash.read(SLOT.start + offset, hash.block_mut())?;
        if length - offset < sha256::BLOCK as u32 {
            hash.finish(length);
            return Ok(hash.is(digest));
        }
        hash.absorb();
        offset += sha256::BLOCK as u32;
    }
}
