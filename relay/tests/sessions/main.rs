//! The session port of a whole relay, in this process: who gets a session, who does not and why, and that nobody can hold it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

#[path = "../support/mod.rs"]
mod support;

mod edhoc;
mod hostile;
mod reload;
mod world;

use hmac_sha256::{HKDF, Hash};
use rustls::HandshakeKind;
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use sixfold_oscore::{Derived, Secret};
use sixfold_profile::agreement::{Answer, Ask, Refusal, SALT_LABEL, SECRET_LABEL, exporter_context};
use sixfold_relay::ops::status::Page;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use world::{Device, World};

#[tokio::test]
async fn a_device_with_a_certificate_gets_a_session() {
    let world = World::start(|_| {}).await;
    let mut device = Device::new(&world.authority, world.issue("lamp-7.example"));
    let agreed = device.agree(&world).await.unwrap();
    let Answer::Granted(grant) = Answer::decode(&agreed.answer).unwrap() else { panic!("{agreed:?}") };
    assert_eq!((grant.device_id.len(), grant.relay_id, grant.port), (5, &[][..], Some(world.coap_port)));
    let (list, count) = world.handle.sessions(Page::default()).await.unwrap();
    assert_eq!(
        (count, &*list[0].name, list[0].recipient_id.as_slice()),
        (1, "lamp-7.example", grant.device_id)
    );
    let left = list[0].left.unwrap();
    let lifetime = Duration::from_secs(grant.lifetime.into());
    assert!(left <= lifetime && lifetime - left < Duration::from_secs(3600), "{left:?} {lifetime:?}");
    assert_eq!(world.counted("granted"), 1.0);
}

#[tokio::test]
async fn every_agreement_has_keys_of_its_own() {
    let world = World::start(|_| {}).await;
    let mut device = Device::new(&world.authority, world.issue("lamp"));
    let (first, second) = (device.agree(&world).await.unwrap(), device.agree(&world).await.unwrap());
    assert_ne!(first.secret, second.secret, "the second was resumed from the first");
    let keys = |agreed: &world::Agreed| {
        let secret = Secret { master_secret: &agreed.secret, master_salt: &agreed.salt, id_context: None };
        Derived::new(secret, &[1], &[]).unwrap()
    };
    assert_ne!(keys(&first), keys(&second));
}

/// RFC 8446 §7.5 from the connection's exporter_master_secret on, as the profile and its vectors have it.
#[tokio::test]
async fn the_exporter_is_that_of_the_vectors() {
    fn expand_label(secret: &[u8], label: &[u8], context: &[u8], length: usize) -> Vec<u8> {
        let label = [b"tls13 ", label].concat();
        let head = [(length as u16).to_be_bytes().to_vec(), vec![label.len() as u8]].concat();
        let mut out = vec![0; length];
        HKDF::expand(&mut out, secret, [&head, &label, &[context.len() as u8][..], context].concat());
        out
    }
    let world = World::start(|_| {}).await;
    let mut device = Device::with_suite(TLS13_AES_128_GCM_SHA256, &world.authority, world.issue("lamp"));
    let log = Arc::new(world::Secrets::default());
    device.tls.key_log = log.clone();
    let agreed = device.agree(&world).await.unwrap();
    let Answer::Granted(grant) = Answer::decode(&agreed.answer).unwrap() else { panic!("{agreed:?}") };
    let (context, length) = exporter_context(grant.device_id, grant.relay_id).unwrap();
    let exporter = log.of("EXPORTER_SECRET");
    for (label, found) in [(SECRET_LABEL, &agreed.secret), (SALT_LABEL, &agreed.salt)] {
        let secret = expand_label(&exporter, label, &Hash::hash(b""), 32);
        assert_eq!(*found, expand_label(&secret, b"exporter", &Hash::hash(&context[..length]), found.len()));
    }
}

#[tokio::test]
async fn the_second_handshake_is_cheap() {
    let world = World::start(|_| {}).await;
    let mut device = Device::new(&world.authority, world.issue("lamp"));
    let (first, second) = (device.agree(&world).await.unwrap(), device.agree(&world).await.unwrap());
    assert_eq!((first.kind, second.kind), (HandshakeKind::Full, HandshakeKind::Resumed));
    assert!(10 * second.bytes < 6 * first.bytes, "{} bytes, then {}", first.bytes, second.bytes);
    let (list, _) = world.handle.sessions(Page::default()).await.unwrap();
    assert!(
        list.len() == 2 && list.iter().all(|session| &*session.name == "lamp"),
        "the name is still known"
    );
    assert!(world.counted("granted") == 1.0 && world.counted("resumed") == 1.0);
}

#[tokio::test]
async fn no_session_outlives_the_certificate_or_what_was_wanted() {
    let world = World::start(|config| config.sessions.lifetime = Duration::from_secs(1000)).await;
    let soon = SystemTime::now() + Duration::from_secs(500);
    let identity = world.authority.issue(|params| params.not_after = soon.into());
    let lifetime = |agreed: world::Agreed| match Answer::decode(&agreed.answer).unwrap() {
        Answer::Granted(grant) => grant.lifetime,
        refused => panic!("{refused:?}"),
    };
    let mut short = Device::new(&world.authority, identity);
    assert!(lifetime(short.agree(&world).await.unwrap()) <= 500);
    let mut device = Device::new(&world.authority, world.issue("lamp"));
    assert_eq!(lifetime(device.agree(&world).await.unwrap()), 1000);
    device.ask = Ask { lifetime: 7 }.encode().to_vec();
    assert_eq!(lifetime(device.agree(&world).await.unwrap()), 7);
}

#[tokio::test]
async fn a_relay_that_is_full_says_so() {
    let world = World::start(|config| config.sessions.limit = 1).await;
    for (name, refused) in [("a", None), ("b", Some(Refusal::Full))] {
        let mut device = Device::new(&world.authority, world.issue(name));
        let agreed = device.agree(&world).await.unwrap();
        let refusal = match Answer::decode(&agreed.answer).unwrap() {
            Answer::Granted(_) => None,
            Answer::Refused(refusal) => Some(refusal),
        };
        assert_eq!(refusal, refused, "{name}");
    }
    assert_eq!(world.counted("full"), 1.0);
}
