//! What changes when the configuration does, and what a ticket does not outlive.

use super::support::Authority;
use super::world::{Device, World, server};
use rustls::HandshakeKind;
use sixfold_profile::agreement::{Answer, Refusal};
use std::path::PathBuf;

#[tokio::test]
async fn a_new_certificate_is_taken_without_a_restart() {
    let mut world = World::start(|_| {}).await;
    let before = (world.address(), world.metric("sixfold_session_certificate_not_after_seconds"));
    let port = world.config.sessions.port.clone().unwrap();
    let later = world.authority.issue(|params| params.not_after = rcgen::date_time_ymd(4000, 1, 1));
    let mut device = Device::new(&world.authority, world.issue("lamp"));
    device.agree(&world).await.unwrap();
    let new = sixfold_relay::config::Port { certificate: later.0, key: later.1, ..port };
    world.reload(|config| config.sessions.port = Some(new)).await.unwrap();
    let after = (world.address(), world.metric("sixfold_session_certificate_not_after_seconds"));
    assert!(before.0 == after.0 && before.1 != after.1, "{before:?} {after:?}");
    let agreed = device.agree(&world).await.unwrap();
    assert_eq!(agreed.kind, HandshakeKind::Resumed, "a reload makes nobody's next handshake dear");
}

#[tokio::test]
async fn whoever_resumes_is_verified_by_what_is_in_force_then() {
    let mut world = World::start(|_| {}).await;
    let mut device = Device::new(&world.authority, world.issue("lamp"));
    device.agree(&world).await.unwrap();
    let other = Authority::new();
    world.reload(|config| config.sessions.port.as_mut().unwrap().client_ca = other.ca_file()).await.unwrap();
    let agreed = device.agree(&world).await.unwrap();
    assert_eq!(agreed.kind, HandshakeKind::Resumed, "TLS itself would let it in");
    assert_eq!(Answer::decode(&agreed.answer), Ok(Answer::Refused(Refusal::Certificate)));
    assert_eq!((world.counted("untrusted"), world.sessions().await.len()), (1.0, 1));
}

#[tokio::test]
async fn a_revoked_certificate_gets_no_session_resumed_or_not() {
    let mut world = World::start(|_| {}).await;
    let serial = rcgen::SerialNumber::from(77);
    let files = world.authority.issue(|params| params.serial_number = Some(serial));
    let mut device = Device::new(&world.authority, files.clone());
    device.agree(&world).await.unwrap();
    let list: PathBuf = world.authority.revoke(77);
    world.reload(|config| config.sessions.port.as_mut().unwrap().client_crl = Some(list)).await.unwrap();
    let agreed = device.agree(&world).await.unwrap();
    assert_eq!(Answer::decode(&agreed.answer), Ok(Answer::Refused(Refusal::Certificate)));
    assert_eq!(agreed.kind, HandshakeKind::Resumed);
    assert!(Device::new(&world.authority, files).agree(&world).await.is_err());
    world.wait_until_counted("revoked", 2.0).await;
    let mut other = Device::new(&world.authority, world.issue("other"));
    other.agree(&world).await.unwrap();
}

#[tokio::test]
async fn a_mistake_leaves_the_port_as_it_was() {
    let mut world = World::start(|_| {}).await;
    let other = Authority::new();
    let stranger = server(&other);
    let error = world
        .reload(|config| config.sessions.port.as_mut().unwrap().key = stranger.key)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("operator: sessions.key: ") && error.contains("does not fit"), "{error}");
    Device::new(&world.authority, world.issue("lamp")).agree(&world).await.unwrap();
}

#[tokio::test]
async fn a_port_closes_when_nobody_wants_it() {
    let mut world = World::start(|_| {}).await;
    let address = world.address();
    world.reload(|config| config.sessions.port = None).await.unwrap();
    for _ in 0..3000 {
        if tokio::net::TcpStream::connect(address).await.is_err() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("it is still open");
}
