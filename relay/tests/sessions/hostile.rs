//! Who gets no session, and what it costs the others: nothing.

use super::support::Authority;
use super::world::{Device, World, call, issue};
use sixfold_profile::agreement::{Answer, Ask, Refusal};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// Nothing may be left of a device that was refused, and the next one must be served.
async fn assert_unharmed(world: &World) {
    let before = world.sessions().await;
    let mut honest = Device::new(&world.authority, world.issue("honest"));
    honest.agree(world).await.unwrap();
    assert_eq!((before, world.sessions().await), (vec![], vec!["honest".to_owned()]));
}

#[tokio::test]
async fn a_certificate_of_another_authority_gets_no_session() {
    let world = World::start(|_| {}).await;
    let stranger = Authority::new();
    let mut device = Device::new(&world.authority, issue(&stranger, "lamp"));
    assert!(device.agree(&world).await.is_err());
    world.wait_until_counted("untrusted", 1.0).await;
    assert_unharmed(&world).await;
}

#[tokio::test]
async fn an_expired_certificate_gets_no_session() {
    let world = World::start(|_| {}).await;
    let ended = rcgen::date_time_ymd(2020, 1, 1);
    let early = rcgen::date_time_ymd(4000, 1, 1);
    let expired = world.authority.issue(|params| params.not_after = ended);
    let not_yet = world.authority.issue(|params| params.not_before = early);
    for files in [expired, not_yet] {
        assert!(Device::new(&world.authority, files).agree(&world).await.is_err());
    }
    world.wait_until_counted("expired", 2.0).await;
    assert_unharmed(&world).await;
}

#[tokio::test]
async fn without_a_certificate_there_is_no_session() {
    let world = World::start(|_| {}).await;
    assert!(Device::without_certificate(&world.authority).agree(&world).await.is_err());
    world.wait_until_counted("no_certificate", 1.0).await;
    assert_unharmed(&world).await;
}

#[tokio::test]
async fn a_certificate_for_servers_alone_gets_no_session() {
    let world = World::start(|_| {}).await;
    let usage = rcgen::ExtendedKeyUsagePurpose::ServerAuth;
    let files = world.authority.issue(|params| params.extended_key_usages = vec![usage]);
    assert!(Device::new(&world.authority, files).agree(&world).await.is_err());
    world.wait_until_counted("untrusted", 1.0).await;
    assert_unharmed(&world).await;
}

#[tokio::test]
async fn a_name_that_could_forge_a_log_line_gets_no_session() {
    let world = World::start(|_| {}).await;
    for name in ["lamp\n2026 ERROR all is lost", "\x1b[2Jlamp", ""] {
        let files = world.authority.issue(|params| call(params, name));
        let agreed = Device::new(&world.authority, files).agree(&world).await.unwrap();
        assert_eq!(Answer::decode(&agreed.answer), Ok(Answer::Refused(Refusal::Nameless)), "{name:?}");
    }
    assert_eq!(world.counted("nameless"), 3.0);
    assert_unharmed(&world).await;
}

#[tokio::test]
async fn a_device_that_does_not_trust_the_relay_is_told_apart() {
    let world = World::start(|_| {}).await;
    let other = Authority::new();
    assert!(Device::new(&other, world.issue("lamp")).agree(&world).await.is_err());
    world.wait_until_counted("distrusted", 1.0).await;
    assert_unharmed(&world).await;
}

#[tokio::test]
async fn another_protocol_is_refused() {
    let world = World::start(|_| {}).await;
    for protocols in [vec![b"h2".to_vec()], Vec::new()] {
        let mut device = Device::new(&world.authority, world.issue("lamp"));
        device.tls.alpn_protocols = protocols;
        assert!(device.agree(&world).await.is_err());
    }
    world.wait_until_counted("protocol", 2.0).await;
    assert_unharmed(&world).await;
}

#[tokio::test]
async fn garbage_is_closed_and_counted() {
    let world = World::start(|_| {}).await;
    for garbage in
        [&b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n"[..], &[0; 64], &[0x16, 3, 1, 0xff, 0xff, 1, 2, 3]]
    {
        let mut stream = TcpStream::connect(world.address()).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        // It may be reset, because not everything was read.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    world.wait_until_counted("malformed", 3.0).await;
    assert_unharmed(&world).await;
}

#[tokio::test]
async fn nonsense_after_the_handshake_gets_no_session() {
    let world = World::start(|_| {}).await;
    let mut device = Device::new(&world.authority, world.issue("lamp"));
    let mut reserved = Ask { lifetime: 0 }.encode();
    reserved[1] = 1;
    device.ask = reserved.to_vec();
    assert!(device.agree(&world).await.is_err());
    assert_eq!(world.counted("malformed"), 1.0);
    let mut newer = Ask { lifetime: 0 }.encode();
    newer[0] = 2;
    device.ask = newer.to_vec();
    let agreed = device.agree(&world).await.unwrap();
    assert_eq!(Answer::decode(&agreed.answer), Ok(Answer::Refused(Refusal::Version)));
    assert_unharmed(&world).await;
}

/// Silent from the start, silent within the handshake, and a byte at a time: each is ended by the time-out.
#[tokio::test]
async fn slow_devices_make_room_in_time() {
    let mut world = World::start(|config| config.sessions.handshakes.timeout = Duration::from_secs(2)).await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        slow.push(TcpStream::connect(world.address()).await.unwrap());
    }
    slow[1].write_all(&[0x16, 3, 1, 0, 200, 1]).await.unwrap();
    let drip = tokio::spawn(dawdle(TcpStream::connect(world.address()).await.unwrap()));
    world.wait_until_counted("timeout", 3.0).await;
    drip.abort();
    give_time(&mut world).await;
    assert_unharmed(&world).await;
}

/// An honest handshake on a busy machine may take longer than a hostile one has in these tests.
async fn give_time(world: &mut World) {
    world.reload(|config| config.sessions.handshakes.timeout = Duration::from_secs(60)).await.unwrap();
}

/// A handshake whose bytes come one by one, for as long as the relay takes them.
async fn dawdle(mut stream: TcpStream) {
    for byte in [0x16, 3, 1, 2, 0].into_iter().chain([0; 500]) {
        if stream.write_all(&[byte]).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A connection from an address of its own.
async fn connect_from(n: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 1, n], 0))).unwrap();
    socket.connect(to).await.unwrap()
}

/// No time-out helps the honest device here. On this machine's own link each address is a source.
#[tokio::test]
async fn slow_devices_of_many_addresses_keep_nobody_out() {
    let world = World::start(|config| {
        config.sessions.handshakes.timeout = Duration::from_secs(3600);
        let port = config.sessions.port.as_mut().unwrap();
        port.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    })
    .await;
    let total = world.config.sessions.handshakes.total;
    let mut slow = JoinSet::new();
    // Eight have all places, then each of many one.
    for n in (0..total / 4).flat_map(|n| [n; 4]).chain(100..100 + 2 * total) {
        slow.spawn(dawdle(connect_from(n as u8, world.address()).await));
    }
    world.wait_until_counted("displaced", 2.0 * total as f64).await;
    assert_unharmed(&world).await;
    assert_eq!(world.counted("displaced"), (2 * total + 1) as f64);
    assert_eq!(world.counted("rate") + world.counted("timeout"), 0.0);
}

/// Whoever has shown a certificate keeps its place, whoever comes.
#[tokio::test]
async fn a_device_that_has_shown_its_certificate_is_not_displaced() {
    let world = World::start(|config| config.sessions.handshakes.total = 1).await;
    let mut honest = Device::new(&world.authority, world.issue("honest"));
    let mut tls = honest.shake_hands(&world).await.unwrap();
    // The relay knows the certificate before it sends this.
    let hasty = TcpStream::connect(world.address()).await.unwrap();
    tls.write_all(&honest.ask).await.unwrap();
    tls.read_exact(&mut [0; sixfold_profile::agreement::ANSWER]).await.unwrap();
    assert_eq!(world.sessions().await, ["honest"]);
    drop((tls, hasty));
    world.wait_until_counted("broken", 1.0).await;
    assert_eq!((world.counted("granted"), world.counted("displaced")), (1.0, 0.0));
}

#[tokio::test]
async fn a_device_that_is_silent_after_the_handshake_makes_room() {
    let mut world = World::start(|config| {
        config.sessions.handshakes.total = 1;
        config.sessions.handshakes.timeout = Duration::from_secs(2);
    })
    .await;
    let mut silent = Device::new(&world.authority, world.issue("silent"));
    silent.ask = Vec::new();
    assert!(silent.agree(&world).await.is_err());
    world.wait_until_counted("timeout", 1.0).await;
    give_time(&mut world).await;
    assert_unharmed(&world).await;
}

#[tokio::test]
async fn one_address_has_only_so_many_connections() {
    let world = World::start(|config| config.sessions.handshakes.per_client = 2).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(TcpStream::connect(world.address()).await.unwrap());
    }
    world.wait_until_counted("displaced", 2.0).await;
    drop(held);
    world.wait_until_counted("broken", 2.0).await;
    assert_unharmed(&world).await;
}

#[tokio::test]
async fn one_address_has_only_so_many_connections_that_keep_their_places() {
    let world = World::start(|config| config.sessions.handshakes.per_client = 2).await;
    let mut device = Device::new(&world.authority, world.issue("lamp"));
    let held = [device.shake_hands(&world).await.unwrap(), device.shake_hands(&world).await.unwrap()];
    assert!(device.agree(&world).await.is_err());
    world.wait_until_counted("rate", 1.0).await;
    drop(held);
    world.wait_until_counted("broken", 2.0).await;
    assert_unharmed(&world).await;
}

#[tokio::test]
async fn one_address_connects_only_so_often() {
    let world = World::start(|config| config.sessions.handshakes.rate = 3).await;
    for _ in 0..10 {
        drop(TcpStream::connect(world.address()).await.unwrap());
    }
    world.wait_until_counted("rate", 1.0).await;
}
