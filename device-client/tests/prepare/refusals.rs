//! Every error of a preparation, each reached by its own mistake or attack, and flash untouched after it.

use super::model::device::OPTIONS;
use super::model::flash::{Cut, How, PowerGone};
use super::pki::{END, START, crl, root, trust};
use super::world::{CHUNK, CMS, Outcome, RUNNING, SUIT, Trouble, Untrusted, World, release};
use sixfold_device::boot::{BootError, Choice, Which, choose, record};
use sixfold_device::prepare::{PrepareError, TargetError};
use sixfold_device::uri::UriError;
use sixfold_manifest::keys::{Algorithm, SigningKey};
use sixfold_manifest::{Manifest, Refusal, cms, suit};
use sixfold_profile::coap::Szx;
use sixfold_profile::ticket::MAX_TICKET;
use uuid::Uuid;

type Small = World<4, 256>;
type Error = PrepareError<Trouble, Untrusted, PowerGone>;

impl Small {
    /// Prepares, and sees that not one byte of flash is touched.
    fn refuses(&mut self) -> Error {
        let before = self.device.flash.bytes().to_vec();
        self.device.flash.operations = 0;
        let error = self.prepare().unwrap_err();
        assert_eq!(self.device.flash.operations, 0, "{error:?}: flash was touched");
        assert!(self.device.flash.bytes() == before, "{error:?}: flash was changed");
        assert!(!error.to_string().is_empty());
        error
    }

    fn refuses_suit(change: impl FnOnce(&mut Manifest)) -> Error {
        let mut world = Self::new(false);
        world.sign_suit(change);
        world.refuses()
    }

    fn refuses_cms(change: impl FnOnce(&mut Self)) -> Error {
        let mut world = Self::new(false);
        world.ask_for(CMS);
        change(&mut world);
        world.refuses()
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::fmt::Display for Untrusted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Suit(error) => error.fmt(f),
            Self::Cms(error) => error.fmt(f),
        }
    }
}

fn untrusted(error: Error) -> cms::Error {
    match error {
        PrepareError::Untrusted(Untrusted::Cms(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_trouble_the_ticket_says_what_was_signed() {
    for (manifest, two_slots) in [(SUIT, false), (SUIT, true), (CMS, false), (CMS, true)] {
        let mut world = Small::new(two_slots);
        world.ask_for(manifest);
        let prepared = world.prepare().unwrap();
        let Choice::Update { record, .. } =
            choose(&mut world.device.flash, &world.device.layout, &mut [0; MAX_TICKET]).unwrap()
        else {
            panic!("nothing to do")
        };
        assert_eq!(prepared.record, Some(record));
        let mut buffer = [0; MAX_TICKET];
        let place = world.device.layout.record(record).clone();
        let ticket = record::read_ticket(&mut world.device.flash, &place, &mut buffer).unwrap();
        let mut expected = world.new.ticket();
        expected.etag = Some(b"one");
        assert_eq!(ticket.fields(), Ok(expected));
        assert_eq!(ticket.options(), OPTIONS, "the manifest names no URI: the image is beside it");
        let new = world.new.clone();
        world.boots_into(&new);
    }
}

#[test]
fn other_devices_manifests() {
    let other = Uuid::from_u128(1);
    assert_eq!(
        Small::refuses_suit(|manifest| manifest.vendor = other),
        PrepareError::Refused(Refusal::Vendor(other))
    );
    assert_eq!(
        Small::refuses_suit(|manifest| manifest.class = other),
        PrepareError::Refused(Refusal::Class(other))
    );
}

#[test]
fn sequence_numbers_never_go_back() {
    let refused = |offered, accepted| PrepareError::Refused(Refusal::Sequence { offered, accepted });
    let error = Small::refuses_suit(|manifest| manifest.sequence_number = RUNNING - 1);
    assert_eq!(error, refused(RUNNING - 1, RUNNING), "what the flash says");
    let mut world = Small::new(false);
    world.request.device.last_sequence_number = Some(100);
    assert_eq!(world.refuses(), refused(RUNNING + 1, 100), "what the caller says");
    world.request.device.last_sequence_number = Some(1);
    world.sign_suit(|manifest| manifest.sequence_number = RUNNING - 1);
    assert_eq!(world.refuses(), refused(RUNNING - 1, RUNNING), "the higher one of both counts");
}

#[test]
fn an_update_that_waits_counts_as_accepted() {
    let mut world = Small::new(false);
    world.publish(release(CHUNK as usize, 3, RUNNING + 2));
    world.prepare().unwrap();
    world.publish(release(CHUNK as usize, 4, RUNNING + 1));
    let (offered, accepted) = (RUNNING + 1, RUNNING + 2);
    assert_eq!(world.refuses(), PrepareError::Refused(Refusal::Sequence { offered, accepted }));
}

#[test]
fn the_image_that_runs_is_not_prepared_again() {
    let mut world = Small::new(false);
    world.publish(world.old.clone());
    world.device.flash.operations = 0;
    assert_eq!(world.prepare().unwrap().record, None);
    assert_eq!((world.device.flash.operations, world.relay.requests), (0, 1));
}

/// With two slots both would be finished at last, and after a restart nobody could tell which is newer: the boot program would
/// run the old one, and the main program would prepare the new one again, for ever.
#[test]
fn a_sequence_number_of_the_image_that_runs_is_not_for_another_one() {
    let other = release(CHUNK as usize, 9, RUNNING);
    let mut world = Small::new(true);
    world.publish(other.clone());
    assert_eq!(world.refuses(), PrepareError::Reused { sequence_number: RUNNING });
    world.publish(release(CHUNK as usize, 3, RUNNING + 1));
    world.device.flash.power_on(None, 1);
    world.prepare().unwrap();
    world.publish(release(CHUNK as usize, 4, RUNNING + 1));
    assert!(world.prepare().is_ok(), "what waits may be replaced");
    let new = world.new.clone();
    world.boots_into(&new);
    world.publish(release(CHUNK as usize, 5, RUNNING + 1));
    assert_eq!(world.refuses(), PrepareError::Reused { sequence_number: RUNNING + 1 });
    // With one slot the old record is gone, so that nobody can take it for the newer one.
    let mut world = Small::new(false);
    world.publish(other.clone());
    assert!(world.prepare().is_ok());
    world.boots_into(&other);
    assert_eq!(world.prepare().unwrap().record, None);
}

#[test]
fn what_does_not_fit_the_device() {
    let mut world = Small::new(false);
    world.publish(release(6 * CHUNK as usize + 1, 3, 8));
    let (image, slot) = (6 * CHUNK + 1, 6 * CHUNK);
    assert_eq!(world.refuses(), PrepareError::Refused(Refusal::TooLarge { image, slot }));
    let mut world = Small::new(false);
    world.request.device.page_size = 1024;
    let (chunk, page) = (CHUNK, 1024);
    assert_eq!(world.refuses(), PrepareError::Refused(Refusal::ChunkSize { chunk, page }));
    let mut world = Small::new(false);
    world.publish(release(6 * CHUNK as usize + 1, 3, 8));
    world.request.device.slot_size = u32::MAX;
    assert_eq!(world.refuses(), PrepareError::Flash(BootError::Layout), "the caller does not know its flash");
}

#[test]
fn a_huge_index_is_neither_fetched_nor_written() {
    let huge = |manifest: &mut Manifest| manifest.image_size = u32::MAX;
    let mut world = Small::new(false);
    world.ask_for(CMS);
    world.sign_cms(huge);
    let (image, slot) = (u32::MAX, 6 * CHUNK);
    assert_eq!(world.refuses(), PrepareError::Refused(Refusal::TooLarge { image, slot }));
    assert_eq!(world.relay.requests, 1, "the manifest alone was fetched");
    let mut world = Small::new(false);
    world.ask_for(CMS);
    world.body("/fw/app.idx").resize(1 << 20, 0);
    let uri = "coap://relay/fw/app.idx".to_owned();
    assert_eq!(world.refuses(), PrepareError::Fetch { uri, error: Trouble::TooLong });
    let mut world = Small::new(false);
    world.device.layout.records.iter_mut().for_each(|record| record.end = record.start + 512);
    world.device.layout.records[1].end = world.device.layout.records[1].start + 512;
    assert_eq!(world.refuses(), PrepareError::Flash(BootError::Layout), "a record without room for an index");
}

#[test]
fn only_the_signed_index() {
    let refused = PrepareError::Refused(Refusal::Index);
    assert_eq!(Small::refuses_cms(|world| world.body("/fw/app.idx")[40] ^= 1), refused);
    assert_eq!(Small::refuses_cms(|world| world.body("/fw/app.idx").truncate(96)), refused);
    assert_eq!(Small::refuses_cms(|world| world.body("/fw/app.idx").clear()), refused);
    assert_eq!(Small::refuses_cms(|world| world.sign_cms(|manifest| manifest.index_digest[0] ^= 1)), refused);
    let missing = Small::refuses_cms(|world| drop(world.relay.files.remove("coap://relay/fw/app.idx")));
    let uri = "coap://relay/fw/app.idx".to_owned();
    assert_eq!(missing, PrepareError::Fetch { uri, error: Trouble::NotFound });
}

#[test]
fn a_relay_that_falls_silent_at_any_request() {
    for (manifest, requests) in [(SUIT, 2), (CMS, 3)] {
        let mut world = Small::new(false);
        world.ask_for(manifest);
        for request in 0..requests {
            world.relay.silent_at = Some(request);
            let error = world.refuses();
            assert!(matches!(error, PrepareError::Fetch { error: Trouble::Silence, .. }), "{error:?}");
        }
        world.relay.silent_at = Some(requests);
        assert!(world.prepare().is_ok(), "the last request is for a group, and can do without an answer");
    }
}

#[test]
fn manifests_that_are_missing_or_endless() {
    let mut world = Small::new(false);
    world.relay.files.clear();
    let uri = "coap://relay/fw/app.suit".to_owned();
    assert_eq!(world.refuses(), PrepareError::Fetch { uri: uri.clone(), error: Trouble::NotFound });
    world.put(SUIT, vec![0; (1 << 20) + 1]);
    assert_eq!(world.refuses(), PrepareError::Fetch { uri, error: Trouble::TooLong });
}

#[test]
fn the_relay_has_another_image() {
    let mut world = Small::new(false);
    let signed = world.new.image.len() as u32;
    for offered in [0, signed - 1, signed + 1, u32::MAX] {
        world.relay.probe.size = Some(offered);
        assert_eq!(world.refuses(), PrepareError::OtherSize { signed, offered });
    }
    world.relay.probe.size = None;
    assert!(world.prepare().is_ok(), "a relay need not know");
}

#[test]
fn uris_that_no_ticket_can_hold() {
    let refuses = |uri: &str| match Small::refuses_suit(|manifest| manifest.uri = Some(uri.to_owned())) {
        PrepareError::Target(error) => error,
        other => panic!("{uri}: {other:?}"),
    };
    assert_eq!(refuses("a b"), TargetError::Syntax("a b".into()));
    assert_eq!(refuses("app#x"), TargetError::Coap(UriError::Fragment));
    assert_eq!(refuses("coap://elsewhere/app"), TargetError::OtherServer("coap://elsewhere/app".into()));
    assert_eq!(refuses(&format!("/{}/{}", "a".repeat(200), "b".repeat(200))), TargetError::TooLong);
    assert_eq!(refuses(&format!("https://example/{}", "a".repeat(2000))), TargetError::TooLong);
    let mut world = Small::new(false);
    world.sign_suit(|manifest| manifest.uri = Some("/a".repeat(12)));
    assert!(world.prepare().is_ok());
    let new = world.new.clone();
    world.boots_into(&new);
}

#[test]
fn whose_key_is_not_trusted() {
    let mut world = Small::new(false);
    world.publisher = SigningKey::from_seed(Algorithm::Ed25519, &[2; 32]).unwrap();
    world.sign_suit(|_| ());
    let stranger = Some(world.publisher.key_id());
    assert_eq!(
        world.refuses(),
        PrepareError::Untrusted(Untrusted::Suit(suit::Error::UntrustedKey(stranger)))
    );
    world.keys.clear();
    assert!(matches!(world.refuses(), PrepareError::Untrusted(_)));
}

#[test]
fn an_envelope_with_any_bit_flipped_or_cut_anywhere() {
    let mut world = Small::new(false);
    let envelope = world.body(SUIT).clone();
    for bit in 0..envelope.len() * 8 {
        world.body(SUIT)[bit / 8] ^= 1 << (bit % 8);
        let error = world.refuses();
        assert!(matches!(error, PrepareError::Untrusted(_)), "bit {bit}: {error:?}");
        world.body(SUIT).clone_from(&envelope);
    }
    for length in 0..envelope.len() {
        world.body(SUIT).truncate(length);
        let error = world.refuses();
        assert!(matches!(error, PrepareError::Untrusted(_)), "{length} bytes: {error:?}");
        world.body(SUIT).clone_from(&envelope);
    }
    let signature = envelope.windows(2).position(|head| head == [0x58, 0x40]).unwrap() + 2;
    world.body(SUIT)[signature] ^= 1;
    let key = world.publisher.key_id();
    assert_eq!(world.refuses(), PrepareError::Untrusted(Untrusted::Suit(suit::Error::Signature(key))));
}

#[test]
fn chains_out_of_their_time() {
    let error = Small::refuses_cms(|world| world.now_unix_s = END + 1);
    assert_eq!(untrusted(error), cms::Error::Expired(END));
    let error = Small::refuses_cms(|world| world.now_unix_s = START - 1);
    assert_eq!(untrusted(error), cms::Error::NotYetValid(START));
}

#[test]
fn revoked_chains() {
    let error = Small::refuses_cms(|world| world.anchors.crls = vec![crl(&world.authority, &["firmware"])]);
    assert_eq!(untrusted(error), cms::Error::Revoked);
    let error = Small::refuses_cms(|world| world.anchors.crls = vec![crl(&root("other"), &[])]);
    assert_eq!(untrusted(error), cms::Error::UnknownRevocationStatus);
}

#[test]
fn chains_to_nobody_that_is_known() {
    let error = Small::refuses_cms(|world| world.anchors = trust(&root("stranger")));
    assert_eq!(untrusted(error), cms::Error::UnknownIssuer);
    let error = Small::refuses_cms(|world| world.anchors = trust(&root("root")));
    assert_eq!(untrusted(error), cms::Error::BadChainSignature, "an anchor of the same name");
    let error = Small::refuses_cms(|world| world.anchors.certificates.clear());
    assert_eq!(untrusted(error), cms::Error::NoTrustAnchors);
}

#[test]
fn a_cms_object_with_any_bit_flipped() {
    let mut world = Small::new(false);
    world.ask_for(CMS);
    let p7s = world.body(CMS).clone();
    for bit in (0..p7s.len() * 8).step_by(3) {
        world.body(CMS)[bit / 8] ^= 1 << (bit % 8);
        let error = world.refuses();
        assert!(matches!(error, PrepareError::Untrusted(_)), "bit {bit}: {error:?}");
        world.body(CMS).clone_from(&p7s);
    }
    world.body(CMS).pop();
    assert!(matches!(untrusted(world.refuses()), cms::Error::Malformed(_)));
    // The signature's s ends the object.
    world.body(CMS).clone_from(&p7s);
    *world.body(CMS).last_mut().unwrap() ^= 1;
    assert_eq!(untrusted(world.refuses()), cms::Error::BadSignature);
}

#[test]
fn a_relay_may_offer_blocks_of_any_size() {
    for exponent in 0..=6 {
        let mut world = Small::new(false);
        world.relay.probe.szx = Szx::new(exponent).unwrap();
        assert!(world.prepare().is_ok());
        let new = world.new.clone();
        world.boots_into(&new);
    }
}

#[test]
fn flash_that_fails_is_said_to() {
    let mut world = Small::new(false);
    world.device.flash.power_on(Some(Cut { at: 0, how: How::Before }), 1);
    let outcome: Outcome = world.prepare();
    assert_eq!(outcome, Err(PrepareError::Flash(BootError::Flash(PowerGone))));
    world.device.flash.power_on(None, 1);
    let choice = choose(&mut world.device.flash, &world.device.layout, &mut [0; MAX_TICKET]);
    assert_eq!(choice, Ok(Choice::Run(Which::B)));
}
