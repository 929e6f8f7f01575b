//! A device that runs release 7, a publisher, and a relay that does what it is told.

use super::model::device::{Device, End, Release};
use super::model::flash::PowerGone;
use super::model::{Server, image};
use super::pki::{Authority, Leaf, NOW, leaf, root, trust};
use sixfold_device::ETag;
use sixfold_device::prepare::{NoGroup, PrepareError, Prepared, Probe, Request, Source, Target, prepare};
use sixfold_manifest::keys::{Algorithm, SigningKey, VerifyingKey};
use sixfold_manifest::{Manifest, class_identifier, cms, suit, vendor_identifier};
use sixfold_profile::coap::{Code, Szx};
use sixfold_profile::index::ChunkSize;
use sixfold_profile::ticket::Endpoint;
use std::collections::HashMap;
use std::net::Ipv6Addr;

pub(super) const RUNNING: u64 = 7;
pub(super) const SUIT: &str = "/fw/app.suit";
pub(super) const CMS: &str = "/fw/app.p7s";
pub(super) const CHUNK: u32 = 512;

/// Why the relay gives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    NotFound,
    TooLong,
    Silence,
}

/// What it has, by URI.
pub(super) struct Relay {
    pub(super) files: HashMap<String, Vec<u8>>,
    pub(super) probe: Probe,
    /// What it says when it is asked for a group.
    pub(super) group: Result<Vec<u8>, NoGroup>,
    /// The request, from 0, that is not answered.
    pub(super) silent_at: Option<usize>,
    pub(super) requests: usize,
}

impl Relay {
    fn request(&mut self) -> Result<(), Trouble> {
        let number = self.requests;
        self.requests += 1;
        if self.silent_at == Some(number) { Err(Trouble::Silence) } else { Ok(()) }
    }
}

impl Source for Relay {
    type Error = Trouble;

    fn fetch(&mut self, target: &Target, limit: usize) -> Result<Vec<u8>, Trouble> {
        self.request()?;
        let body = self.files.get(target.uri()).ok_or(Trouble::NotFound)?;
        if body.len() > limit { Err(Trouble::TooLong) } else { Ok(body.clone()) }
    }

    fn probe(&mut self, _: &Target, _: Szx) -> Result<Probe, Trouble> {
        self.request()?;
        Ok(self.probe)
    }

    fn group(&mut self, _: &Target) -> Result<Vec<u8>, NoGroup> {
        self.request().map_err(|_| NoGroup::Silence)?;
        self.group.clone()
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Untrusted {
    Suit(suit::Error),
    Cms(cms::Error),
}

pub(super) type Outcome = Result<Prepared, PrepareError<Trouble, Untrusted, PowerGone>>;

/// Everybody.
pub(super) struct World<const WRITE: usize, const ERASE: usize> {
    pub(super) device: Device<WRITE, ERASE>,
    pub(super) relay: Relay,
    pub(super) request: Request,
    pub(super) publisher: SigningKey,
    pub(super) authority: Authority,
    pub(super) signer: Leaf,
    pub(super) keys: Vec<VerifyingKey>,
    pub(super) anchors: cms::TrustAnchors,
    pub(super) now_unix_s: u64,
    pub(super) old: Release,
    pub(super) new: Release,
}

impl<const WRITE: usize, const ERASE: usize> World<WRITE, ERASE> {
    /// The new release is at the relay, signed in both ways; the device asks for the SUIT manifest.
    pub(super) fn new(two_slots: bool) -> Self {
        let (device, old) = running(two_slots);
        let authority = root("root");
        let publisher = SigningKey::from_seed(Algorithm::Ed25519, &[1; 32]).unwrap();
        let anchors = trust(&authority);
        let mut world = Self {
            request: request(&device),
            device,
            relay: Relay {
                files: HashMap::new(),
                probe: probe(0),
                group: Err(NoGroup::Refused(Code::NOT_ACCEPTABLE)),
                silent_at: None,
                requests: 0,
            },
            keys: vec![publisher.verifying_key()],
            publisher,
            signer: leaf(&authority),
            authority,
            anchors,
            now_unix_s: NOW,
            new: old.clone(),
            old,
        };
        world.publish(release(3 * CHUNK as usize + 77, 2, RUNNING + 1));
        world
    }

    /// Puts a release and its honest manifests on the relay.
    pub(super) fn publish(&mut self, release: Release) {
        self.new = release;
        self.relay.probe = probe(self.new.image.len() as u32);
        self.put("/fw/app.idx", self.new.index.clone());
        self.sign_suit(|_| ());
        self.sign_cms(|_| ());
    }

    pub(super) fn put(&mut self, path: &str, body: Vec<u8>) {
        self.relay.files.insert(format!("coap://relay{path}"), body);
    }

    pub(super) fn body(&mut self, path: &str) -> &mut Vec<u8> {
        self.relay.files.get_mut(&format!("coap://relay{path}")).unwrap()
    }

    /// Signs something else than the release's manifest.
    pub(super) fn sign_suit(&mut self, change: impl FnOnce(&mut Manifest)) {
        let mut manifest = manifest(&self.new);
        manifest.index = Some(self.new.index.clone());
        change(&mut manifest);
        let envelope = suit::sign(&manifest, &self.publisher).unwrap();
        self.put(SUIT, envelope);
    }

    pub(super) fn sign_cms(&mut self, change: impl FnOnce(&mut Manifest)) {
        let mut manifest = manifest(&self.new);
        change(&mut manifest);
        let p7s =
            cms::sign(&manifest, &self.signer.signing_key(), std::slice::from_ref(&self.signer.der)).unwrap();
        self.put(CMS, p7s);
    }

    pub(super) fn ask_for(&mut self, manifest: &str) {
        self.request.manifest = Target::new(manifest).unwrap();
    }

    pub(super) fn prepare(&mut self) -> Outcome {
        let (keys, anchors, now) = (&self.keys, &self.anchors, self.now_unix_s);
        let verify = |signed: &[u8]| match suit::is_envelope(signed) {
            true => suit::verify(signed, keys).map_err(Untrusted::Suit),
            false => cms::verify(signed, anchors, now).map_err(Untrusted::Cms),
        };
        self.relay.requests = 0;
        prepare(&mut self.device.flash, &self.device.layout, &mut self.relay, verify, &self.request)
    }

    /// A boot program, until the image of `release` runs.
    pub(super) fn boots_into(&mut self, release: &Release) {
        let end = self.device.boot(&mut Server::new(release.image.clone())).unwrap();
        let End::Runs(which) = end else { panic!("{end:?}") };
        assert!(self.device.slot(which, release.image.len()) == release.image, "another image runs");
    }
}

/// With room for six chunks.
fn running<const WRITE: usize, const ERASE: usize>(two_slots: bool) -> (Device<WRITE, ERASE>, Release) {
    let slot = 6 * CHUNK / ERASE as u32;
    let mut device = Device::new(two_slots, 512_u32.div_ceil(ERASE as u32) + 4, slot);
    let old = release(2 * CHUNK as usize + 10, 1, RUNNING);
    device.prepare(&old).unwrap();
    device.boot(&mut Server::new(old.image.clone())).unwrap();
    device.flash.power_on(None, 1);
    (device, old)
}

pub(super) fn release(length: usize, seed: u32, sequence_number: u64) -> Release {
    Release::new(image(length, seed), ChunkSize::from_bytes(CHUNK).unwrap(), sequence_number)
}

fn manifest(release: &Release) -> Manifest {
    let ticket = release.ticket();
    let vendor = vendor_identifier("example.com");
    Manifest {
        sequence_number: release.sequence_number,
        vendor,
        class: class_identifier(vendor, "lamp"),
        image_size: ticket.image_size,
        image_digest: ticket.image_digest,
        chunk_size: release.chunk_size,
        index_digest: ticket.index_digest,
        index: None,
        uri: None,
        encryption: None,
    }
}

fn request<const WRITE: usize, const ERASE: usize>(device: &Device<WRITE, ERASE>) -> Request {
    let slot = &device.layout.slots[0];
    let vendor = vendor_identifier("example.com");
    Request {
        relay: Endpoint { address: Ipv6Addr::LOCALHOST, port: 5683 },
        manifest: Target::new(SUIT).unwrap(),
        device: sixfold_manifest::Device {
            vendor,
            class: class_identifier(vendor, "lamp"),
            slot_size: slot.end - slot.start,
            page_size: ERASE as u32,
            last_sequence_number: None,
        },
        keys: Vec::new(),
        interface_identifier: [2, 0, 0, 0, 0, 0, 0, 1],
        szx: Szx::B64,
        group: true,
    }
}

fn probe(size: u32) -> Probe {
    Probe { size: Some(size), etag: ETag::new(b"one"), szx: Szx::MAX }
}
