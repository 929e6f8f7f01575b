//! Devices that agree by EDHOC over CoAP, through the sockets of a whole relay; and those who try.

use super::support::write_secret;
use super::world::World;
use sixfold_edhoc::{BEFORE_MESSAGE_1, Credential, Identity, initiator};
use sixfold_profile::Hex;
use sixfold_profile::coap::{Code, Message, Type, Writer, content_format, option};
use sixfold_relay::config::EdhocFiles;
use sixfold_relay::sessions::edhoc::identity;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::UdpSocket;
use tokio::time::timeout;

const DEVICE_KEY: &str = include_str!("../../../profile/edhoc/tests/device.key");
const RELAY_KEY: &str = include_str!("../../../profile/edhoc/tests/relay.key");

fn device(name: &str, kid: u8) -> Identity {
    Identity::make(DEVICE_KEY, name, &[kid]).unwrap()
}

/// A relay that knows one device, and its credential.
async fn start() -> (World, TempDir, Credential) {
    let folder = TempDir::new().unwrap();
    let files = EdhocFiles { key: folder.path().join("key"), devices: folder.path().join("devices") };
    write_secret(&files.key, RELAY_KEY);
    let line: String = Hex(device("lamp-7", 7).credential().as_bytes()).to_string();
    std::fs::write(&files.devices, format!("# those in the hall\n\n{line} # by the door\n")).unwrap();
    let credential = identity(&files.key).unwrap().credential().clone();
    let world = World::start(|config| config.sessions.edhoc = Some(files)).await;
    (world, folder, credential)
}

/// A CoAP client that posts to /.well-known/edhoc.
struct Client {
    socket: UdpSocket,
    message_id: u16,
}

impl Client {
    async fn new(world: &World) -> Self {
        let socket = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).await.unwrap();
        socket.connect(SocketAddr::from((Ipv6Addr::LOCALHOST, world.coap_port))).await.unwrap();
        Self { socket, message_id: 0 }
    }

    async fn post(&mut self, payload: &[u8]) -> (Code, Vec<u8>) {
        self.send(payload).await;
        self.hear().await
    }

    async fn send(&mut self, payload: &[u8]) {
        self.message_id += 1;
        let mut request = [0; 1200];
        let mut writer =
            Writer::new(&mut request, Type::Confirmable, Code::POST, self.message_id, &[9, 9]).unwrap();
        writer.option(option::URI_PATH, b".well-known").unwrap();
        writer.option(option::URI_PATH, b"edhoc").unwrap();
        writer.uint_option(option::CONTENT_FORMAT, content_format::CID_EDHOC_CBOR_SEQ.into()).unwrap();
        let length = writer.payload(payload).unwrap();
        self.socket.send(&request[..length]).await.unwrap();
    }

    async fn hear(&self) -> (Code, Vec<u8>) {
        let mut answer = [0; 1200];
        let received = timeout(Duration::from_secs(60), self.socket.recv(&mut answer)).await;
        let length = received.expect("an answer").unwrap();
        let message = Message::parse(&answer[..length]).unwrap();
        (message.code, message.payload.to_vec())
    }
}

#[tokio::test]
async fn a_known_device_gets_a_session_by_edhoc() {
    let (world, _folder, relay) = start().await;
    let mut client = Client::new(&world).await;
    let (waiting, message_1) = initiator::begin(&[0x20], [1; 32]).unwrap();
    let (code, message_2) = client.post(&[&[BEFORE_MESSAGE_1], &message_1[..]].concat()).await;
    assert_eq!(code, Code::CHANGED, "{message_2:?}");
    let (confirming, message_3) = waiting.proceed(&message_2, &device("lamp-7", 7), &relay).unwrap();
    let request = [confirming.before_message_3(), message_3].concat();
    let (code, message_4) = client.post(&request).await;
    assert_eq!(code, Code::CHANGED, "{message_4:?}");
    assert_eq!(client.post(&request).await, (code, message_4.clone()), "repeated, its answer was lost");
    let agreed = confirming.confirm(&message_4).unwrap();
    let (list, _) = world.handle.sessions(Default::default()).await.unwrap();
    let found: Vec<_> = list.iter().map(|one| (&*one.name, one.recipient_id.as_slice())).collect();
    assert_eq!(found, [("lamp-7", &agreed.device_id[..])]);
    assert_eq!(world.counted("granted"), 1.0);
}

#[tokio::test]
async fn a_device_that_is_not_known_gets_no_session_by_edhoc() {
    let (world, _folder, relay) = start().await;
    for stranger in [device("lamp-7", 8), Identity::make(RELAY_KEY, "lamp-7", &[7]).unwrap()] {
        let mut client = Client::new(&world).await;
        let (waiting, message_1) = initiator::begin(&[], [3; 32]).unwrap();
        let (_, message_2) = client.post(&[&[BEFORE_MESSAGE_1], &message_1[..]].concat()).await;
        let (confirming, message_3) = waiting.proceed(&message_2, &stranger, &relay).unwrap();
        let request = [confirming.before_message_3(), message_3].concat();
        let (code, error) = client.post(&request).await;
        assert_eq!(code, Code::BAD_REQUEST, "{error:?}");
        assert_eq!(client.post(&request).await.0, Code::BAD_REQUEST, "there is no second try");
    }
    assert_eq!((world.counted("untrusted"), world.sessions().await), (2.0, vec![]));
}

#[tokio::test]
async fn edhoc_garbage_is_answered_with_an_error_and_costs_nothing() {
    let (world, _folder, _) = start().await;
    let mut client = Client::new(&world).await;
    let hostile: [&[u8]; 5] = [
        &[],
        &[BEFORE_MESSAGE_1],
        &[BEFORE_MESSAGE_1, 3, 2, 0x40],
        &[0x45, 1, 2, 3, 4, 5, 0, 191],
        &[0xff; 800],
    ];
    for payload in hostile {
        let (code, _) = client.post(payload).await;
        assert_eq!(code, Code::BAD_REQUEST, "{payload:?}");
    }
    assert_eq!(world.counted("malformed"), 5.0);
    assert!(world.sessions().await.is_empty());
}

#[tokio::test]
async fn one_address_begins_only_so_many_exchanges() {
    let (world, _folder, _) = start().await;
    let mut client = Client::new(&world).await;
    let begin = |n| initiator::begin(&[], [n; 32]).unwrap().1;
    // All at once: an address has two a second, and making them takes its time.
    let messages: Vec<_> = (0..30).map(begin).collect();
    for message_1 in &messages {
        client.send(&[&[BEFORE_MESSAGE_1], &message_1[..]].concat()).await;
    }
    let mut codes = Vec::new();
    for _ in &messages {
        codes.push(client.hear().await.0);
    }
    assert!(codes.contains(&Code::CHANGED) && codes.contains(&Code::SERVICE_UNAVAILABLE), "{codes:?}");
}

#[tokio::test]
async fn without_configuration_nobody_answers_edhoc() {
    let world = World::start(|_| {}).await;
    let mut client = Client::new(&world).await;
    assert_eq!(client.post(&[BEFORE_MESSAGE_1]).await.0, Code::METHOD_NOT_ALLOWED);
}
