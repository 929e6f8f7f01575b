//! The main program's part (`sixfold_device::prepare`) for C.

use crate::flash::{CFlash, SixfoldFlash, SixfoldLayout};
use crate::status::{SixfoldStatus, text_of};
use core::ffi::{CStr, c_char, c_int, c_void};
use sixfold_device::Fetch;
use sixfold_device::boot::BootError;
use sixfold_device::fetch::{Event, Received};
use sixfold_device::prepare::{
    Inquiry, NoGroup, PrepareError, Prepared, Probe, Request, Source, Target, prepare,
};
use sixfold_device::uri::encode;
use sixfold_manifest::cms::{self, TrustAnchors};
use sixfold_manifest::encryption::DecryptionKey;
use sixfold_manifest::keys::VerifyingKey;
use sixfold_manifest::{Device, Distrust, Manifest, Refusal, suit};
use sixfold_profile::Instant;
use sixfold_profile::coap::{Code, Full, Options, Szx};
use sixfold_profile::ticket::Endpoint;
use std::fmt;
use std::net::Ipv6Addr;
use uuid::Uuid;

/// The largest datagram that a relay sends: a block of 1024 bytes, and what a response adds.
const LONGEST_RESPONSE: usize = 1152;
const LONGEST_REQUEST: usize = 2048;
/// How often a resource may change while it is fetched.
const MAX_CHANGES: u32 = 3;

/// The way to the relay. Each callback gets `context`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SixfoldLink {
    /// Handed to each callback.
    pub context: *mut c_void,
    /// Sends a datagram to the relay. It may get lost.
    pub send: Option<unsafe extern "C" fn(context: *mut c_void, datagram: *const u8, length: usize)>,
    /// Waits for a datagram from the relay until a time, in microseconds of `now`'s clock. Gives its length, which is `size`
    /// at most, or 0 when none came.
    pub receive: Option<
        unsafe extern "C" fn(context: *mut c_void, buffer: *mut u8, size: usize, until_us: u64) -> usize,
    >,
    /// A monotonic clock, in microseconds.
    pub now: Option<unsafe extern "C" fn(context: *mut c_void) -> u64>,
}

/// What is to be prepared. Texts end with a zero byte.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SixfoldRequest {
    /// The relay's IPv6 address, from which the boot program will fetch.
    pub relay_address: [u8; 16],
    /// Its UDP port.
    pub relay_port: u16,
    /// The manifest: a path at the relay, such as `/fw/lamp.bin.suit`.
    pub manifest: *const c_char,
    /// The publisher's public key in PEM, for SUIT; null to trust none.
    pub key: *const c_char,
    /// A certification authority's certificates in PEM, for CMS; null to trust none.
    pub anchor: *const c_char,
    /// Revocation lists in PEM; may be null.
    pub crl: *const c_char,
    /// The device's key for encrypted images: 32 hexadecimal digits of a key that its publisher has too, or its private key on P-256 in
    /// PEM (PKCS #8); null when it has none.
    pub key_encryption_key: *const c_char,
    /// The time, in seconds since 1970, for the validity of certificates.
    pub unix_time: u64,
    /// The vendor identifier: a UUID (RFC 9124 §3.3).
    pub vendor: [u8; 16],
    /// The class identifier: a UUID (RFC 9124 §3.4).
    pub class_: [u8; 16],
    /// The lower half of the boot program's addresses (RFC 7217).
    pub interface_identifier: [u8; 8],
    /// The largest block that the boot program has room for: an exponent 0 to 6 for 16 to 1024 bytes.
    pub szx: u8,
    /// Whether to ask the relay for a group, in which the boot program can hear what is sent to many devices.
    pub group: bool,
    /// No manifest with a lower sequence number is accepted, whatever the flash says; 0 when nothing is known.
    pub last_sequence_number: u64,
    /// Random bits, hard to guess.
    pub seed: u32,
}

/// What came of a preparation. What is not in flash yet was refused before anything was written.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SixfoldPrepared {
    /// A ticket is in flash.
    Ticket = 0,
    /// The device runs this image already.
    Runs,
    /// A null pointer, or an argument out of range: the calling program is to blame.
    Argument,
    /// The relay has no such manifest, index or image.
    NotFound,
    /// No answer in time: relay or link.
    Silence,
    /// Manifest, index or image changed more than three times while they were fetched.
    Unstable,
    /// The relay refuses, or its answers make no sense.
    Refused,
    /// The manifest is none, or says what is not understood.
    Malformed,
    /// The manifest is not signed by anybody whom this device trusts.
    Untrusted,
    /// A signature is wrong: of the manifest, or in the chain of certificates.
    BadSignature,
    /// A certificate is expired, or not valid yet.
    OutOfTime,
    /// A certificate is revoked.
    Revoked,
    /// There are revocation lists, but none that tells whether a certificate is revoked.
    UnknownRevocation,
    /// The manifest is for devices of another vendor.
    Vendor,
    /// The manifest is for devices of another class.
    Class,
    /// The manifest was superseded.
    Sequence,
    /// The image that runs has the manifest's sequence number, and is another one.
    Reused,
    /// The image is too large for the slot.
    TooLarge,
    /// Chunks are not made of whole erase pages.
    ChunkSize,
    /// The chunk index is not the one that was signed.
    Index,
    /// The manifest names no resource that can be fetched.
    Target,
    /// The relay's image has another size than the signed one.
    OtherSize,
    /// Record or image do not fit their places in flash, or the library was built for other flash.
    Layout,
    /// The flash failed.
    Flash,
    /// Manifest or index are longer than they may be.
    TooLong,
    /// The image is encrypted, and not for the key of this device.
    NoContentKey,
}

/// A `sixfold_prepared` in words: English, without a full stop, for ever valid.
#[unsafe(no_mangle)]
pub extern "C" fn sixfold_prepared_text(prepared: c_int) -> *const c_char {
    const TEXTS: [&CStr; 26] = [
        c"a ticket is in flash",
        c"the device runs this image already",
        c"an argument is null or out of range",
        c"the relay has no such manifest, index or image",
        c"the relay does not answer",
        c"manifest, index or image changed while they were fetched",
        c"the relay refuses, or its answers make no sense",
        c"the manifest is none, or not understood",
        c"the manifest is not signed by anybody whom this device trusts",
        c"a signature is wrong",
        c"a certificate is expired, or not valid yet",
        c"a certificate is revoked",
        c"nobody can tell whether a certificate is revoked",
        c"the manifest is for devices of another vendor",
        c"the manifest is for devices of another class",
        c"the manifest was superseded",
        c"the image that runs has this sequence number, and is another one",
        c"the image is too large for the slot",
        c"chunks are not made of whole erase pages",
        c"the chunk index is not the one that was signed",
        c"the manifest names no resource that can be fetched",
        c"the relay's image has another size than the signed one",
        c"record or image do not fit their places in flash",
        c"the flash failed",
        c"manifest or index are longer than they may be",
        c"the image is encrypted, and not for the key of this device",
    ];
    text_of(&TEXTS, prepared)
}

/// Fetches and judges a manifest, and leaves a ticket for the boot program. Blocks until that is done or refused. What went
/// wrong in detail is written to `message`, which has room for `size` bytes with the zero byte at the end; null to leave it out.
///
/// # Safety
/// Pointers are null or point to what they say, and callbacks do what they say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sixfold_prepare(
    flash: *const SixfoldFlash,
    layout: *const SixfoldLayout,
    link: *const SixfoldLink,
    request: *const SixfoldRequest,
    message: *mut c_char,
    size: usize,
) -> SixfoldPrepared {
    // SAFETY: this function's condition.
    let arguments = unsafe { (flash.as_ref(), layout.as_ref(), link.as_ref(), request.as_ref()) };
    let (Some(flash), Some(layout), Some(link), Some(request)) = arguments else {
        return SixfoldPrepared::Argument;
    };
    // SAFETY: this function's condition.
    let result = unsafe { Wanted::read(request) }.and_then(|wanted| run(flash, layout, link, &wanted));
    let (prepared, text) = result.unwrap_or_else(|refused| refused);
    // SAFETY: this function's condition.
    unsafe { say(&text, message, size) };
    prepared
}

type Said = (SixfoldPrepared, String);

fn argument(what: impl fmt::Display) -> Said {
    (SixfoldPrepared::Argument, what.to_string())
}

fn run(
    flash: &SixfoldFlash,
    layout: &SixfoldLayout,
    link: &SixfoldLink,
    wanted: &Wanted,
) -> Result<Said, Said> {
    let layout = layout.layout();
    let mut flash = CFlash::new(flash).map_err(|status| match status {
        SixfoldStatus::Layout => {
            (SixfoldPrepared::Layout, "the library was built for other flash".to_owned())
        }
        _ => argument("a flash callback is missing"),
    })?;
    let mut relay = Relay::new(link, wanted.seed)?;
    let device = Device {
        slot_size: layout.slots.iter().map(|slot| slot.end.saturating_sub(slot.start)).min().unwrap_or(0),
        ..wanted.request.device.clone()
    };
    let request = Request { device, ..wanted.request.clone() };
    let Prepared { manifest, record, group, .. } =
        prepare(&mut flash, &layout, &mut relay, |signed| wanted.verify(signed), &request)
            .map_err(refused)?;
    let group = match group {
        Some(Ok(told)) => format!(", group {told}"),
        Some(Err(why)) => format!(", no group: {why}"),
        None => String::new(),
    };
    let what = format!("sequence number {}, {} bytes{group}", manifest.sequence_number, manifest.image_size);
    Ok((if record.is_some() { SixfoldPrepared::Ticket } else { SixfoldPrepared::Runs }, what))
}

fn refused<F: fmt::Debug>(error: PrepareError<Trouble, Untrusted, F>) -> Said {
    let prepared = match &error {
        PrepareError::Fetch { error, .. } | PrepareError::Session(error) => error.0,
        PrepareError::Untrusted(Untrusted(distrust, _)) => match distrust {
            Distrust::Malformed => SixfoldPrepared::Malformed,
            Distrust::UntrustedSigner => SixfoldPrepared::Untrusted,
            Distrust::BadSignature => SixfoldPrepared::BadSignature,
            Distrust::OutOfTime => SixfoldPrepared::OutOfTime,
            Distrust::Revoked => SixfoldPrepared::Revoked,
            Distrust::UnknownRevocation => SixfoldPrepared::UnknownRevocation,
            Distrust::Index => SixfoldPrepared::Index,
        },
        PrepareError::Refused(Refusal::Vendor(_)) => SixfoldPrepared::Vendor,
        PrepareError::Refused(Refusal::Class(_)) => SixfoldPrepared::Class,
        PrepareError::Refused(Refusal::Sequence { .. }) => SixfoldPrepared::Sequence,
        PrepareError::Refused(Refusal::TooLarge { .. }) => SixfoldPrepared::TooLarge,
        PrepareError::Refused(Refusal::ChunkSize { .. }) => SixfoldPrepared::ChunkSize,
        PrepareError::Refused(Refusal::Index) | PrepareError::Flash(BootError::Index) => {
            SixfoldPrepared::Index
        }
        PrepareError::NoContentKey(_) => SixfoldPrepared::NoContentKey,
        PrepareError::Target(_) => SixfoldPrepared::Target,
        PrepareError::OtherSize { .. } => SixfoldPrepared::OtherSize,
        PrepareError::Reused { .. } => SixfoldPrepared::Reused,
        PrepareError::Flash(BootError::Layout) => SixfoldPrepared::Layout,
        PrepareError::Flash(
            BootError::Flash(_) | BootError::Ticket(_) | BootError::Request | BootError::Session,
        ) => SixfoldPrepared::Flash,
    };
    (prepared, error.to_string())
}

/// Why a manifest is not believed, in kind and in words.
#[derive(Debug)]
struct Untrusted(Distrust, String);

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.1)
    }
}

/// Why nothing was fetched, in kind and in words.
#[derive(Debug)]
struct Trouble(SixfoldPrepared, String);

impl Trouble {
    fn refused(what: impl fmt::Display) -> Self {
        Self(SixfoldPrepared::Refused, what.to_string())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.1)
    }
}

/// A request, read.
struct Wanted {
    request: Request,
    keys: Vec<VerifyingKey>,
    anchors: TrustAnchors,
    unix_time: u64,
    seed: u32,
}

impl Wanted {
    /// # Safety
    /// Its texts are null or end with a zero byte.
    unsafe fn read(request: &SixfoldRequest) -> Result<Self, Said> {
        // SAFETY: this function's condition.
        let text = |text: *const c_char| unsafe { (!text.is_null()).then(|| CStr::from_ptr(text)) };
        let manifest = text(request.manifest).ok_or_else(|| argument("manifest is null"))?;
        let manifest = Target::new(&manifest.to_string_lossy()).map_err(argument)?;
        let keys = text(request.key).map(|pem| VerifyingKey::from_pem(&pem.to_string_lossy()));
        let decrypting =
            text(request.key_encryption_key).map(|text| DecryptionKey::from_text(&text.to_string_lossy()));
        let certificates = text(request.anchor).map(|pem| cms::certificates(pem.to_bytes()));
        let crls = text(request.crl).map(|pem| cms::revocation_lists(pem.to_bytes()));
        let anchors = TrustAnchors {
            certificates: certificates.transpose().map_err(argument)?.unwrap_or_default(),
            crls: crls.transpose().map_err(argument)?.unwrap_or_default(),
        };
        let address = Ipv6Addr::from(request.relay_address);
        let szx = Szx::new(request.szx).ok_or_else(|| argument("szx is above 6"))?;
        Ok(Self {
            request: Request {
                relay: Endpoint { address, port: request.relay_port },
                manifest,
                device: Device {
                    vendor: Uuid::from_bytes(request.vendor),
                    class: Uuid::from_bytes(request.class_),
                    slot_size: 0,
                    page_size: crate::flash::PAGE_SIZE as u32,
                    last_sequence_number: Some(request.last_sequence_number).filter(|number| *number > 0),
                },
                keys: decrypting.transpose().map_err(argument)?.into_iter().collect(),
                interface_identifier: request.interface_identifier,
                szx,
                group: request.group,
            },
            keys: keys.transpose().map_err(argument)?.into_iter().collect(),
            anchors,
            unix_time: request.unix_time,
            seed: request.seed,
        })
    }

    fn verify(&self, signed: &[u8]) -> Result<Manifest, Untrusted> {
        if suit::is_envelope(signed) {
            return suit::verify(signed, &self.keys)
                .map_err(|error| Untrusted(error.distrust(), error.to_string()));
        }
        cms::verify(signed, &self.anchors, self.unix_time)
            .map_err(|error| Untrusted(error.distrust(), error.to_string()))
    }
}

/// The relay, through C's callbacks.
struct Relay {
    context: *mut c_void,
    send: unsafe extern "C" fn(*mut c_void, *const u8, usize),
    receive: unsafe extern "C" fn(*mut c_void, *mut u8, usize, u64) -> usize,
    now: unsafe extern "C" fn(*mut c_void) -> u64,
    seed: u32,
}

impl Relay {
    fn new(link: &SixfoldLink, seed: u32) -> Result<Self, Said> {
        match *link {
            SixfoldLink { context, send: Some(send), receive: Some(receive), now: Some(now) } => {
                Ok(Self { context, send, receive, now, seed })
            }
            _ => Err(argument("a link callback is missing")),
        }
    }

    fn now(&self) -> Instant {
        // SAFETY: whoever called `sixfold_prepare` said that the callback does what the header says.
        Instant::from_micros(unsafe { (self.now)(self.context) })
    }

    fn send(&self, datagram: &[u8]) {
        // SAFETY: as in `now`; the bytes are there.
        unsafe { (self.send)(self.context, datagram.as_ptr(), datagram.len()) };
    }

    fn receive<'b>(&self, buffer: &'b mut [u8], until: Instant) -> Option<&'b [u8]> {
        // SAFETY: as in `now`; there is room for so many bytes.
        let length =
            unsafe { (self.receive)(self.context, buffer.as_mut_ptr(), buffer.len(), until.as_micros()) };
        buffer.get(..length).filter(|datagram| !datagram.is_empty())
    }

    fn send_due(&mut self, fetch: &mut Fetch<'_>, request: &mut [u8]) -> Result<(), Trouble> {
        let now = self.now();
        while let Some(length) = fetch.poll_transmit(now, request).map_err(Trouble::refused)? {
            self.send(&request[..length]);
        }
        Ok(())
    }

    /// Hands every block to `take` until that says that it is enough, or the body is complete; `None`: it starts over.
    fn blocks(
        &mut self,
        target: &Target,
        szx: Szx,
        mut take: impl FnMut(Option<&Received<'_>>) -> Result<bool, Trouble>,
    ) -> Result<(), Trouble> {
        let options = encode(&target.options).map_err(Trouble::refused)?;
        self.seed = self.seed.wrapping_add(1);
        let mut fetch = Fetch::new(Options::new(&options), szx, self.seed);
        let (mut request, mut response) = ([0; LONGEST_REQUEST], [0; LONGEST_RESPONSE]);
        let mut changes = 0;
        loop {
            self.send_due(&mut fetch, &mut request)?;
            let heard = self.receive(&mut response, fetch.poll_timeout().unwrap_or(Instant::ZERO));
            let now = self.now();
            let event = match heard {
                Some(datagram) => fetch.handle_datagram(now, datagram),
                None => fetch.handle_timeout(now),
            };
            match event {
                Some(Event::Block(block)) if take(Some(&block))? || !block.more => {
                    fetch.stop();
                    return self.send_due(&mut fetch, &mut request);
                }
                Some(Event::StartOver(change)) if changes >= MAX_CHANGES => {
                    return Err(Trouble(SixfoldPrepared::Unstable, change.to_string()));
                }
                Some(Event::StartOver(_)) => {
                    changes += 1;
                    take(None)?;
                }
                Some(Event::Refused { code, .. }) => {
                    let kind = if code == Code::NOT_FOUND {
                        SixfoldPrepared::NotFound
                    } else {
                        SixfoldPrepared::Refused
                    };
                    return Err(Trouble(kind, format!("the relay answers {code:?}")));
                }
                Some(Event::TimedOut) => {
                    return Err(Trouble(SixfoldPrepared::Silence, "no answer".to_owned()));
                }
                Some(Event::Reset) => return Err(Trouble::refused("the relay rejects the request")),
                Some(Event::Violation(violation)) => return Err(Trouble::refused(violation)),
                Some(Event::Block(_) | Event::Wait(_)) | None => {}
            }
        }
    }
}

impl Source for Relay {
    type Error = Trouble;

    fn fetch(&mut self, target: &Target, limit: usize) -> Result<Vec<u8>, Trouble> {
        let mut body = Vec::new();
        self.blocks(target, Szx::MAX, |block| {
            let Some(block) = block else {
                body.clear();
                return Ok(false);
            };
            body.extend_from_slice(block.payload);
            if body.len() > limit {
                Err(Trouble(SixfoldPrepared::TooLong, format!("more than {limit} bytes")))
            } else {
                Ok(false)
            }
        })?;
        Ok(body)
    }

    fn probe(&mut self, target: &Target, szx: Szx) -> Result<Probe, Trouble> {
        let mut probe = Probe { size: None, etag: None, szx };
        self.blocks(target, szx, |block| {
            if let Some(block) = block {
                let whole = (!block.more).then_some(block.payload.len() as u32);
                probe = Probe { size: block.size.or(whole), etag: block.etag, szx: block.szx };
            }
            Ok(block.is_some())
        })?;
        Ok(probe)
    }

    fn group(&mut self, target: &Target) -> Result<Vec<u8>, NoGroup> {
        // A target that was fetched fits a request, with two short options more.
        let too_long = |Full| NoGroup::Silence;
        let options = encode(&target.options).map_err(too_long)?;
        self.seed = self.seed.wrapping_add(1);
        let mut inquiry = Inquiry::new(Options::new(&options), self.now(), self.seed);
        let (mut request, mut response) = ([0; LONGEST_REQUEST], [0; LONGEST_RESPONSE]);
        let mut outcome = None;
        loop {
            let now = self.now();
            while let Some(length) = inquiry.poll_transmit(now, &mut request).map_err(too_long)? {
                self.send(&request[..length]);
            }
            if let Some(outcome) = outcome {
                return outcome;
            }
            let heard = self.receive(&mut response, inquiry.poll_timeout());
            let now = self.now();
            outcome = match heard {
                Some(datagram) => inquiry.handle_datagram(now, datagram),
                None => inquiry.handle_timeout(now),
            };
        }
    }
}

/// # Safety
/// `message` is null or has room for `size` bytes.
unsafe fn say(text: &str, message: *mut c_char, size: usize) {
    if message.is_null() || size == 0 {
        return;
    }
    // SAFETY: it is not null; the rest is this function's condition.
    let room = unsafe { core::slice::from_raw_parts_mut(message.cast::<u8>(), size) };
    room.fill(0);
    room.iter_mut().take(size - 1).zip(text.bytes()).for_each(|(to, byte)| *to = byte);
}

#[cfg(test)]
mod tests {
    use super::*;
    use sixfold_device::prepare::TargetError;
    use sixfold_profile::ticket::TicketError;

    /// Every refusal, and what C is told.
    fn refusals() -> Vec<(PrepareError<Trouble, Untrusted, ()>, SixfoldPrepared)> {
        use SixfoldPrepared as Said;
        let trouble = [Said::NotFound, Said::Silence, Said::Unstable, Said::Refused, Said::TooLong];
        let distrust = [
            Said::Malformed,
            Said::Untrusted,
            Said::BadSignature,
            Said::OutOfTime,
            Said::Revoked,
            Said::UnknownRevocation,
            Said::Index,
        ];
        let nobody = Uuid::nil();
        let mut all = vec![
            (PrepareError::Refused(Refusal::Vendor(nobody)), Said::Vendor),
            (PrepareError::Refused(Refusal::Class(nobody)), Said::Class),
            (PrepareError::Refused(Refusal::Sequence { offered: 1, accepted: 2 }), Said::Sequence),
            (PrepareError::Reused { sequence_number: 1 }, Said::Reused),
            (PrepareError::Refused(Refusal::TooLarge { image: 2, slot: 1 }), Said::TooLarge),
            (PrepareError::Refused(Refusal::ChunkSize { chunk: 1, page: 2 }), Said::ChunkSize),
            (PrepareError::Refused(Refusal::Index), Said::Index),
            (PrepareError::Flash(BootError::Index), Said::Index),
            (PrepareError::Target(TargetError::TooLong), Said::Target),
            (PrepareError::OtherSize { signed: 1, offered: 2 }, Said::OtherSize),
            (PrepareError::Flash(BootError::Layout), Said::Layout),
            (PrepareError::Flash(BootError::Flash(())), Said::Flash),
            (PrepareError::Flash(BootError::Ticket(TicketError::Crc)), Said::Flash),
        ];
        all.extend(trouble.map(|said| {
            (PrepareError::Fetch { uri: String::new(), error: Trouble(said, String::new()) }, said)
        }));
        let kinds = Distrust::ALL.into_iter().zip(distrust);
        all.extend(kinds.map(|(kind, said)| (PrepareError::Untrusted(Untrusted(kind, String::new())), said)));
        all
    }

    #[test]
    fn every_refusal_has_its_number_and_its_text() {
        let mut told: Vec<_> = refusals()
            .into_iter()
            .map(|(error, said)| {
                let text = format!("{error:?}");
                assert_eq!(refused(error).0, said, "{text}");
                said as c_int
            })
            .chain(
                [SixfoldPrepared::Ticket, SixfoldPrepared::Runs, SixfoldPrepared::Argument]
                    .map(|said| said as c_int),
            )
            .collect();
        told.sort_unstable();
        told.dedup();
        assert_eq!(told, Vec::from_iter(0..=SixfoldPrepared::TooLong as c_int), "each is told by something");
        let text = |number| {
            // SAFETY: texts are static and end with a zero byte.
            unsafe { CStr::from_ptr(sixfold_prepared_text(number)) }.to_str().unwrap_or_default()
        };
        let texts: std::collections::HashSet<_> = told.iter().map(|number| text(*number)).collect();
        assert_eq!(texts.len(), told.len(), "{texts:?}");
    }
}
