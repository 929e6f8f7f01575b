//! A record for the boards' boot programs, and how the micro:bit's main program is told to install it.

use super::serial::SerialLine;
use anyhow::{Context, Result, ensure};
use hmac_sha256::Hash;
use sixfold_profile::Hex;
use sixfold_profile::coap::{Code, Szx, Type, Writer, option};
use sixfold_profile::index::ChunkSize;
use sixfold_profile::ticket::{Endpoint, Fields, Group, MAX_TICKET, Session};

/// Where the micro:bit's slot is: device-client/firmware/microbit/src/layout.rs.
pub const SLOT: u32 = 0xc000;
/// The slot's length in bytes.
pub const SLOT_BYTES: usize = 176 * 1024;
const PAGE: u32 = 1024;
/// Ticket and journal have a page each before the chunk index.
const INDEX: u32 = 2 * PAGE;
/// The count of a session, in bytes.
const COUNT: usize = PAGE as usize;
const ERASED: u8 = 0xff;
const COAP_HEADER: usize = 4;

/// Ticket and chunk index of one update.
#[derive(Clone, Debug)]
pub struct Record {
    ticket: Vec<u8>,
    index: Vec<u8>,
}

/// The SHA-256 of bytes.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Hash::hash(bytes)
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    Hex(bytes).to_string()
}

impl Record {
    /// An update to `image`, which `relay` has under `path`, in chunks of one page.
    pub fn new(image: &[u8], relay: Endpoint, path: &[&str], szx: Szx) -> Result<Self> {
        Self::with_group(image, relay, path, szx, None)
    }

    /// The same, to be heard in a group as well.
    pub fn with_group(
        image: &[u8],
        relay: Endpoint,
        path: &[&str],
        szx: Szx,
        group: Option<Group<'_>>,
    ) -> Result<Self> {
        Self::with(image, relay, path, szx, group, None)
    }

    /// The same, without a group and with a session.
    pub fn with_session(
        image: &[u8],
        relay: Endpoint,
        path: &[&str],
        szx: Szx,
        session: Session<'_>,
    ) -> Result<Self> {
        Self::with(image, relay, path, szx, None, Some(session))
    }

    fn with(
        image: &[u8],
        relay: Endpoint,
        path: &[&str],
        szx: Szx,
        group: Option<Group<'_>>,
        session: Option<Session<'_>>,
    ) -> Result<Self> {
        let index: Vec<u8> = image.chunks(PAGE as usize).flat_map(digest).collect();
        let mut message = [0; MAX_TICKET];
        let options = options(&mut message, path)?;
        let ticket = Fields {
            image_size: image.len().try_into()?,
            image_digest: digest(image),
            index_digest: digest(&index),
            chunk_size: ChunkSize::from_bytes(PAGE).context("chunk size")?,
            szx,
            sequence_number: 2,
            relay,
            interface_identifier: [2, 0, 0, 0xff, 0xfe, 0, 0, 2],
            etag: None,
            group,
            session,
            content_key: None,
            options,
        };
        let mut bytes = vec![0xff; MAX_TICKET];
        let length = ticket.write(&mut bytes)?;
        // Flash is written in words.
        bytes.truncate(length.next_multiple_of(4));
        Ok(Self { ticket: bytes, index })
    }

    /// The record as it is in flash, from its first byte to the end of the chunk index, and erased pages behind it for the count of a
    /// session.
    pub fn in_flash(&self) -> Vec<u8> {
        let mut flash = self.ticket.clone();
        flash.resize(INDEX as usize, ERASED);
        flash.extend(&self.index);
        flash.resize(flash.len().next_multiple_of(PAGE as usize) + COUNT, ERASED);
        flash
    }

    /// Has the main program install it. Stops after `parts` of the [`Record::parts`] commands.
    pub fn install(&self, serial: &mut SerialLine, parts: usize) -> Result<()> {
        self.commands().iter().take(parts).try_for_each(|command| {
            serial.send(command)?;
            let answer = serial.line()?;
            ensure!(answer == "app: done", "the main program says: {answer}");
            Ok(())
        })
    }

    /// How many commands [`Record::install`] takes.
    pub fn parts(&self) -> usize {
        self.commands().len()
    }

    fn commands(&self) -> Vec<Vec<u8>> {
        let ticket = [b"T", &self.ticket[..]].concat();
        let index = self.index.chunks(PAGE as usize).map(|piece| [b"I", piece].concat());
        [ticket].into_iter().chain(index).chain([b"P".to_vec()]).collect()
    }
}

fn options<'m>(message: &'m mut [u8], path: &[&str]) -> Result<&'m [u8]> {
    let mut writer = Writer::new(message, Type::Confirmable, Code::GET, 0, &[])?;
    path.iter().try_for_each(|segment| writer.option(option::URI_PATH, segment.as_bytes()))?;
    let length = writer.payload(&[])?;
    message.get(COAP_HEADER..length).context("no options")
}
