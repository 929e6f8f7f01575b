//! Encrypted images: the key is unwrapped for the ticket, or nothing is written.

use super::model::Server;
use super::model::device::End;
use super::world::World;
use sixfold_device::boot::record::read_ticket;
use sixfold_device::prepare::PrepareError;
use sixfold_manifest::encryption::{
    ContentEncryptionKey, DecryptionKey, Encryption, KeyEncryptionKey, NoContentKey, RecipientKey,
};
use sixfold_profile::ticket::MAX_TICKET;

const OURS: KeyEncryptionKey = KeyEncryptionKey::new([1; 16]);
const OTHERS: KeyEncryptionKey = KeyEncryptionKey::new([2; 16]);
const CONTENT_KEY: ContentEncryptionKey = ContentEncryptionKey::new([3; 16]);

type Small = World<4, 256>;

/// With a manifest for these recipients.
fn world(recipients: &[KeyEncryptionKey]) -> (Small, Encryption) {
    let mut world = Small::new(false);
    let encryption = Encryption::new(&CONTENT_KEY, recipients);
    world.sign_suit(|manifest| {
        manifest.uri = Some("app".to_owned());
        manifest.encryption = Some(encryption.clone());
    });
    (world, encryption)
}

#[test]
fn the_ticket_has_the_key_and_the_image_runs() {
    let (world, encryption) = world(&[OTHERS, OURS]);
    runs_with(world, &encryption, OURS.into());
}

fn runs_with(mut world: Small, encryption: &Encryption, key: DecryptionKey) {
    world.request.keys = vec![key];
    let record = world.prepare().unwrap().record.unwrap();
    let mut buffer = [0; MAX_TICKET];
    let place = world.device.layout.record(record).clone();
    let ticket = read_ticket(&mut world.device.flash, &place, &mut buffer).unwrap();
    let content = ticket.content_key().unwrap();
    assert_eq!((content.key, content.iv), (CONTENT_KEY.as_bytes(), &encryption.iv));
    let mut published = world.new.image.clone();
    encryption.apply(&CONTENT_KEY, &mut published);
    assert_ne!(published, world.new.image);
    let Ok(End::Runs(which)) = world.device.boot(&mut Server::new(published)) else {
        panic!("it does not run")
    };
    assert_eq!(world.device.slot(which, world.new.image.len()), world.new.image);
}

#[test]
fn without_its_key_nothing_is_written() {
    for keys in [vec![], vec![OTHERS.into()]] {
        let (mut world, _) = world(&[OURS]);
        let before = world.device.flash.bytes().to_vec();
        world.request.keys = keys;
        assert_eq!(world.prepare(), Err(PrepareError::NoContentKey(NoContentKey::NotForUs)));
        assert_eq!(world.device.flash.bytes(), before);
        assert_eq!(world.relay.requests, 1, "only the manifest was fetched");
    }
}

fn pair(byte: u8) -> RecipientKey {
    RecipientKey::from_seed(&[byte; 32]).unwrap()
}

/// With a manifest for others with a shared key, and for these with key pairs; `change` is made before it is signed.
fn world_of_pairs(pairs: &[RecipientKey], change: impl FnOnce(&mut Encryption)) -> (Small, Encryption) {
    let mut world = Small::new(false);
    let mut encryption = Encryption::new(&CONTENT_KEY, &[OTHERS]);
    for (pair, seed) in pairs.iter().zip(40..) {
        encryption.add(&CONTENT_KEY, &pair.public_key(), &self::pair(seed));
    }
    change(&mut encryption);
    world.sign_suit(|manifest| {
        manifest.uri = Some("app".to_owned());
        manifest.encryption = Some(encryption.clone());
    });
    (world, encryption)
}

#[test]
fn a_device_with_a_key_pair_needs_no_secret_of_the_publisher() {
    for ours in [pair(10), pair(11)] {
        let (world, encryption) = world_of_pairs(&[pair(10), pair(11)], |_| ());
        runs_with(world, &encryption, ours.into());
    }
    let (mut world, _) = world_of_pairs(&[pair(10)], |_| ());
    world.request.keys = vec![pair(11).into()];
    let before = world.device.flash.bytes().to_vec();
    assert_eq!(world.prepare(), Err(PrepareError::NoContentKey(NoContentKey::NotForUs)));
    assert_eq!(world.device.flash.bytes(), before);
}

/// The publisher signed it so: its tool is wrong, and whoever is told is not left to guess.
#[test]
fn a_damaged_recipient_is_refused_and_nothing_is_written() {
    let changes: [fn(&mut Encryption); 4] = [
        |encryption| encryption.recipients[1].wrapped[23] ^= 1,
        |encryption| encryption.recipients[1].ephemeral.as_mut().unwrap().x[31] ^= 1,
        |encryption| encryption.recipients[1].ephemeral = None,
        |encryption| encryption.recipients[1].wrapped = encryption.recipients[0].wrapped,
    ];
    for change in changes {
        let (mut world, _) = world_of_pairs(&[pair(10)], change);
        world.request.keys = vec![pair(10).into()];
        let before = world.device.flash.bytes().to_vec();
        let id = pair(10).public_key().key_id();
        assert_eq!(world.prepare(), Err(PrepareError::NoContentKey(NoContentKey::Damaged(id))));
        assert_eq!(world.device.flash.bytes(), before);
    }
}

#[test]
fn who_has_keys_takes_other_images_too() {
    let mut world = Small::new(false);
    world.request.keys = vec![OURS.into()];
    world.prepare().unwrap();
    let new = world.new.clone();
    world.boots_into(&new);
}
