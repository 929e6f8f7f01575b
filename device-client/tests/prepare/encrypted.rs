//! Encrypted images: the key is unwrapped for the ticket, or nothing is written.

use super::model::Server;
use super::model::device::End;
use super::world::World;
use sixfold_device::boot::record::read_ticket;
use sixfold_device::prepare::PrepareError;
use sixfold_manifest::encryption::{ContentEncryptionKey, Encryption, KeyEncryptionKey, NoContentKey};
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
    let (mut world, encryption) = world(&[OTHERS, OURS]);
    world.request.keys = vec![OURS];
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
    for keys in [vec![], vec![OTHERS]] {
        let (mut world, _) = world(&[OURS]);
        let before = world.device.flash.bytes().to_vec();
        world.request.keys = keys;
        assert_eq!(world.prepare(), Err(PrepareError::NoContentKey(NoContentKey::NotForUs)));
        assert_eq!(world.device.flash.bytes(), before);
        assert_eq!(world.relay.requests, 1, "only the manifest was fetched");
    }
}

#[test]
fn who_has_keys_takes_other_images_too() {
    let mut world = Small::new(false);
    world.request.keys = vec![OURS];
    world.prepare().unwrap();
    let new = world.new.clone();
    world.boots_into(&new);
}
