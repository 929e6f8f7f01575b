//! The steps of a preparation, in their order.

use super::agreed::{Agreed, InTicket};
use super::informative::{self, Told};
use super::inquiry::NoGroup;
use super::target::{Target, TargetError};
use crate::ETag;
use crate::boot::{BootError, Choice, Layout, Which, accepted_sequence_number, choose, install, record};
use embedded_storage::nor_flash::NorFlash;
use sixfold_manifest::encryption::{DecryptionKey, NoContentKey};
use sixfold_manifest::{Device, Manifest, Refusal};
use sixfold_profile::coap::Szx;
use sixfold_profile::ticket::{ContentKey, Endpoint, Fields, MAX_TICKET};
use std::fmt;
use std::prelude::v1::*;

/// The longest manifest that is fetched, in bytes.
const MAX_MANIFEST: usize = 1 << 20;

/// Where bytes come from: the relay.
pub trait Source {
    /// Why they did not come.
    type Error;

    /// Fetches a whole body of at most `limit` bytes.
    ///
    /// # Errors
    /// When it does not arrive, or is longer.
    fn fetch(&mut self, target: &Target, limit: usize) -> Result<Vec<u8>, Self::Error>;

    /// Fetches the first block of a body, as a boot program would.
    ///
    /// # Errors
    /// When it does not arrive.
    fn probe(&mut self, target: &Target, szx: Szx) -> Result<Probe, Self::Error>;

    /// Asks for an image's group ([`super::Inquiry`]): the payload of the informative response.
    ///
    /// # Errors
    /// When there is none.
    fn group(&mut self, target: &Target) -> Result<Vec<u8>, NoGroup>;

    /// Agrees on a session with the relay; `None` when there is to be none. Nothing more is asked for after this.
    ///
    /// # Errors
    /// When there is to be one, and is not.
    fn session(&mut self) -> Result<Option<Agreed>, Self::Error> {
        Ok(None)
    }
}

/// What the first block tells of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Its length in bytes, if the relay knows it (Size2, RFC 7959 §4).
    pub size: Option<u32>,
    /// The version.
    pub etag: Option<ETag>,
    /// The largest block that the relay serves.
    pub szx: Szx,
}

/// What is to be prepared.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where the boot program will fetch from.
    pub relay: Endpoint,
    /// The manifest.
    pub manifest: Target,
    /// What this device is. Its `last_sequence_number` is a lower bound from elsewhere; what the flash says counts too.
    pub device: Device,
    /// The device's keys for encrypted images; its boot program can decrypt.
    pub keys: Vec<DecryptionKey>,
    /// The lower half of the boot program's addresses ([`super::interface_identifier`]).
    pub interface_identifier: [u8; 8],
    /// The largest block that the boot program has room for.
    pub szx: Szx,
    /// Whether to ask for a group, so that the boot program can hear what the relay sends to many.
    pub group: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// What the publisher signed.
    pub manifest: Manifest,
    /// The record that was written; `None` when this image is what the device runs already.
    pub record: Option<Which>,
    /// The group in the ticket, or why there is none; `None` when the relay was not asked.
    pub group: Option<Result<Told, NoGroup>>,
    /// The session in the ticket.
    pub session: Option<InTicket>,
}

/// Why nothing was prepared. The flash is as it was before, or holds one more whole ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrepareError<S, V, F> {
    /// There is to be a session, and there is none.
    Session(S),
    /// Something could not be fetched: relay, origin or link.
    Fetch {
        /// What it was.
        uri: String,
        /// Why.
        error: S,
    },
    /// The manifest is not signed by anybody whom this device trusts, or is none.
    Untrusted(V),
    /// The manifest is not for this device.
    Refused(Refusal),
    /// The image is encrypted, and this device cannot decrypt it.
    NoContentKey(NoContentKey),
    /// The manifest names no resource that can be fetched: the publisher is to blame.
    Target(TargetError),
    /// The relay's image has another size than the signed one: it was replaced, or the upload is not complete.
    OtherSize {
        /// Bytes that were signed.
        signed: u32,
        /// Bytes that the relay offers.
        offered: u32,
    },
    /// With two slots: the manifest has the sequence number of the image that runs, and is of another one. Which of them is newer
    /// nobody could tell after a restart. The publisher is to blame, who used a number twice.
    Reused {
        /// The number.
        sequence_number: u64,
    },
    /// The record cannot be written.
    Flash(BootError<F>),
}

impl<S: fmt::Display, V: fmt::Display, F: fmt::Debug> fmt::Display for PrepareError<S, V, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fetch { uri, error } => write!(f, "{uri}: {error}"),
            Self::Session(error) => write!(f, "no session: {error}"),
            Self::Untrusted(error) => error.fmt(f),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::NoContentKey(error) => error.fmt(f),
            Self::Target(error) => write!(f, "the manifest's URI: {error}"),
            Self::OtherSize { signed, offered } => write!(
                f,
                "the image has {offered} bytes at the relay, but {signed} were signed: publish image and manifest together"
            ),
            Self::Reused { sequence_number } => write!(
                f,
                "the image that runs has sequence number {sequence_number} too, and is another one: sign with a higher number"
            ),
            Self::Flash(error) => error.fmt(f),
        }
    }
}

impl<S: fmt::Debug + fmt::Display, V: fmt::Debug + fmt::Display, F: fmt::Debug> std::error::Error
    for PrepareError<S, V, F>
{
}

/// Leaves a ticket for the boot program. `verify` gets the bytes of the manifest and says what their signed statements are.
///
/// # Errors
/// Every [`PrepareError`]; each leaves flash as it was, but for [`PrepareError::Flash`] with a failing flash.
pub fn prepare<S: Source, V, F: NorFlash>(
    flash: &mut F,
    layout: &Layout,
    source: &mut S,
    verify: impl FnOnce(&[u8]) -> Result<Manifest, V>,
    request: &Request,
) -> Result<Prepared, PrepareError<S::Error, V, F::Error>> {
    let signed = fetch(source, &request.manifest, MAX_MANIFEST)?;
    let manifest = verify(&signed).map_err(PrepareError::Untrusted)?;
    let in_flash = accepted_sequence_number(flash, layout).map_err(PrepareError::Flash)?;
    let device = Device {
        last_sequence_number: request.device.last_sequence_number.max(in_flash),
        ..request.device.clone()
    };
    manifest.check(&device).map_err(PrepareError::Refused)?;
    match running(flash, layout, &manifest).map_err(PrepareError::Flash)? {
        Running::This => return Ok(Prepared { manifest, record: None, group: None, session: None }),
        Running::SameNumber if !layout.is_single() => {
            return Err(PrepareError::Reused { sequence_number: manifest.sequence_number });
        }
        Running::SameNumber | Running::Another => {}
    }
    let encryption = manifest.encryption.as_ref();
    let content_key = encryption.map(|encryption| encryption.content_key(&request.keys)).transpose();
    let content_key = content_key.map_err(PrepareError::NoContentKey)?;
    let image = image_target(&request.manifest, &manifest).map_err(PrepareError::Target)?;
    let index = index(source, &image, &manifest)?;
    let probe = source.probe(&image, request.szx).map_err(|error| in_fetch(&image, error))?;
    if let Some(offered) = probe.size.filter(|size| *size != manifest.image_size) {
        return Err(PrepareError::OtherSize { signed: manifest.image_size, offered });
    }
    let options = image.encode().map_err(PrepareError::Target)?;
    let group = request.group.then(|| group(source, &image, request.relay));
    let told = group.as_ref().and_then(|told| told.as_ref().ok());
    let session = source.session().map_err(PrepareError::Session)?;
    let ticket = Fields {
        image_size: manifest.image_size,
        image_digest: manifest.image_digest,
        index_digest: manifest.index_digest,
        chunk_size: manifest.chunk_size,
        szx: probe.szx.min(request.szx),
        sequence_number: manifest.sequence_number,
        relay: told.map_or(request.relay, |told| told.relay),
        interface_identifier: request.interface_identifier,
        etag: probe.etag.as_ref().map(ETag::as_bytes).filter(|etag| !etag.is_empty()),
        group: told.map(Told::group),
        session: session.as_ref().map(Agreed::session),
        content_key: encryption
            .zip(content_key.as_ref())
            .map(|(encryption, key)| ContentKey { key: key.as_bytes(), iv: &encryption.iv }),
        options: &options,
    };
    let record = install(flash, layout, &ticket, &index).map_err(PrepareError::Flash)?;
    Ok(Prepared { record: Some(record), manifest, group, session: session.map(Agreed::spent) })
}

type Failed<S, V, F> = PrepareError<<S as Source>::Error, V, F>;

fn in_fetch<S, V, F>(target: &Target, error: S) -> PrepareError<S, V, F> {
    PrepareError::Fetch { uri: target.uri().to_owned(), error }
}

fn fetch<S: Source, V, F>(source: &mut S, target: &Target, limit: usize) -> Result<Vec<u8>, Failed<S, V, F>> {
    source.fetch(target, limit).map_err(|error| in_fetch(target, error))
}

/// Where the image is. Without a URI it is beside the manifest, under its name without the last extension, if it has one.
fn image_target(place: &Target, manifest: &Manifest) -> Result<Target, TargetError> {
    match &manifest.uri {
        Some(uri) => place.join(uri),
        None => place.join(&with_name(place.uri(), |name| match name.rsplit_once('.') {
            Some((name, _extension)) if !name.is_empty() => name.to_owned(),
            _ => name.to_owned(),
        })),
    }
}

/// A URI without its query, and another name for what is behind the last `/`.
fn with_name(uri: &str, rename: impl FnOnce(&str) -> String) -> String {
    let path = uri.split_once('?').map_or(uri, |(path, _query)| path);
    let (folder, name) = path.split_at(path.rfind('/').map_or(0, |at| at + 1));
    format!("{folder}{}", rename(name))
}

/// The chunk index: what the manifest carries, or else the file beside the image with `.idx` behind its name.
fn index<S: Source, V, F>(
    source: &mut S,
    image: &Target,
    manifest: &Manifest,
) -> Result<Vec<u8>, Failed<S, V, F>> {
    let index = match &manifest.index {
        Some(index) => index.clone(),
        None => {
            let target = image
                .join(&with_name(image.uri(), |name| format!("{name}.idx")))
                .map_err(PrepareError::Target)?;
            let length = manifest.chunk_size.index_length(manifest.image_size);
            fetch(source, &target, length as usize)?
        }
    };
    manifest.check_index(&index).map_err(PrepareError::Refused)?;
    Ok(index)
}

/// Where the relay sends the image to all who listen. The device does without when it does not say so, or says nonsense.
fn group<S: Source>(source: &mut S, image: &Target, relay: Endpoint) -> Result<Told, NoGroup> {
    informative::read(&source.group(image)?, relay).map_err(NoGroup::Nonsense)
}

/// What the device runs, compared with a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Running {
    /// Its image, and there is nothing to do.
    This,
    /// Another image of the same sequence number.
    SameNumber,
    /// Anything else.
    Another,
}

fn running<F: NorFlash>(
    flash: &mut F,
    layout: &Layout,
    manifest: &Manifest,
) -> Result<Running, BootError<F::Error>> {
    let mut buffer = [0; MAX_TICKET];
    let (which, is_in_force) = match choose(flash, layout, &mut buffer)? {
        Choice::Run(which) => (which, true),
        Choice::Update { fallback: Some(which), .. } => (which, false),
        Choice::Update { fallback: None, .. } | Choice::Nothing | Choice::Lost => {
            return Ok(Running::Another);
        }
    };
    let ticket = record::read_ticket(flash, layout.record(which), &mut buffer)?;
    let is_same_number = ticket.sequence_number() == manifest.sequence_number;
    Ok(match (is_same_number, *ticket.image_digest() == manifest.image_digest) {
        (true, true) if is_in_force => Running::This,
        (true, false) => Running::SameNumber,
        _ => Running::Another,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beside_other_names() {
        let cut =
            |uri| with_name(uri, |name| name.rsplit_once('.').map_or(name, |(name, _)| name).to_owned());
        assert_eq!(cut("coap://relay/fw/v1.2/lamp.suit"), "coap://relay/fw/v1.2/lamp");
        assert_eq!(cut("coap://relay/fw/v1.2/lamp"), "coap://relay/fw/v1.2/lamp");
        assert_eq!(cut("lamp.bin.suit?at=a/b.c"), "lamp.bin");
        assert_eq!(with_name("/fw/a.bin?x=1", |name| format!("{name}.idx")), "/fw/a.bin.idx");
    }
}
