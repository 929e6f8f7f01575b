//! Sockets against the real loopback, and listeners against interfaces of a namespace of their own.

use super::{ALL_COAP_NODES, BATCH, BatchSocket, Change, Listener, ListenerConfig, MAX_DATAGRAM, Membership};
use super::{RecvBatch, interface::index_of};
use sixfold_engine::{Path, Transmit};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::Duration;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(10);

fn bound(address: &str) -> BatchSocket {
    BatchSocket::bind(address.parse().unwrap(), None, 3).unwrap()
}

fn port(socket: &BatchSocket) -> u16 {
    socket.local_addr().unwrap().port()
}

/// A plain socket that asks, and waits for no longer than the deadline.
fn asker(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind((address.parse::<IpAddr>().unwrap(), 0)).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

/// Receives until `count` datagrams are here; also says how many were truncated on the way.
async fn receive(socket: &mut BatchSocket, count: usize) -> (Vec<(Path, Vec<u8>)>, usize) {
    let (mut all, mut truncated, mut batch) = (Vec::new(), 0, RecvBatch::new());
    while all.len() < count {
        timeout(DEADLINE, socket.readable()).await.expect("a datagram arrives").unwrap();
        while socket.recv(&mut batch).unwrap() > 0 {
            truncated += batch.truncated();
            all.extend(batch.iter().map(|received| (received.path, received.bytes.to_vec())));
        }
    }
    (all, truncated)
}

async fn send(socket: &mut BatchSocket, transmits: &[Transmit]) -> Vec<(SocketAddr, ErrorKind)> {
    let (mut sent, mut refused) = (0, Vec::new());
    while sent < transmits.len() {
        timeout(DEADLINE, socket.writable()).await.expect("the socket takes datagrams").unwrap();
        sent += socket
            .send(&transmits[sent..], |transmit, error| refused.push((transmit.path.peer, error.kind())));
    }
    refused
}

fn to(peer: SocketAddr, local: Option<IpAddr>, bytes: &[u8]) -> Transmit {
    Transmit { path: Path { peer, local, socket: 3, multicast: false }, bytes: bytes.to_vec() }
}

#[tokio::test]
async fn more_than_a_batch_goes_round() {
    let mut server = bound("[::]:0");
    let mut client = bound("[::1]:0");
    let count = 3 * BATCH + 5;
    let address = SocketAddr::new("::1".parse().unwrap(), port(&server));
    let requests: Vec<_> = (0..count).map(|n| to(address, None, &[n as u8; 40])).collect();
    assert_eq!(send(&mut client, &requests).await, []);
    let (received, _) = receive(&mut server, count).await;
    let ours = "::1".parse().ok();
    for (number, (path, bytes)) in received.iter().enumerate() {
        let expected = Path { peer: client.local_addr().unwrap(), local: ours, socket: 3, multicast: false };
        assert_eq!((path, bytes), (&expected, &vec![number as u8; 40]));
    }
    let answers: Vec<_> = received.into_iter().map(|(path, bytes)| Transmit { path, bytes }).collect();
    assert_eq!(send(&mut server, &answers).await, []);
    let (echoed, _) = receive(&mut client, count).await;
    assert!(echoed.iter().map(|(_, bytes)| bytes).eq(requests.iter().map(|request| &request.bytes)));
}

#[tokio::test]
async fn both_families_share_a_port() {
    let v6 = bound("[::]:0");
    let v4 = BatchSocket::bind(SocketAddr::new("0.0.0.0".parse().unwrap(), port(&v6)), None, 0);
    assert_eq!(port(&v4.unwrap()), port(&v6));
    let taken = BatchSocket::bind(v6.local_addr().unwrap(), None, 0).err().unwrap();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    assert!(taken.to_string().contains("another program listens there"), "{taken}");
}

#[tokio::test]
async fn answers_leave_from_the_address_that_was_asked() {
    let mut server = bound("0.0.0.0:0");
    let asked: Vec<IpAddr> = (1..=5).map(|host| IpAddr::from([127, 0, 0, host])).collect();
    let client = asker("127.0.0.9");
    for address in &asked {
        client.send_to(b"?", (*address, port(&server))).unwrap();
    }
    let (received, _) = receive(&mut server, asked.len()).await;
    let locals: Vec<_> = received.iter().filter_map(|(path, _)| path.local).collect();
    assert_eq!(locals, asked);
    let answers: Vec<_> = received.into_iter().map(|(path, bytes)| Transmit { path, bytes }).collect();
    assert_eq!(send(&mut server, &answers).await, []);
    for address in asked {
        let (_, from) = client.recv_from(&mut [0; 8]).unwrap();
        assert_eq!(from, SocketAddr::new(address, port(&server)));
    }
}

#[tokio::test]
async fn what_is_too_long_is_counted_and_the_rest_arrives() {
    let mut server = bound("[::1]:0");
    let client = asker("::1");
    for length in [10, MAX_DATAGRAM + 1, MAX_DATAGRAM, 0, 20_000, 11] {
        client.send_to(&vec![7; length], server.local_addr().unwrap()).unwrap();
    }
    let (received, truncated) = receive(&mut server, 4).await;
    let lengths: Vec<_> = received.iter().map(|(_, bytes)| bytes.len()).collect();
    assert_eq!((lengths, truncated), (vec![10, MAX_DATAGRAM, 0, 11], 2));
}

#[tokio::test]
async fn one_bad_destination_does_not_lose_the_others() {
    let mut socket = bound("[::1]:0");
    let client = asker("::1");
    let good = client.local_addr().unwrap();
    let v4 = "127.0.0.1:9".parse().unwrap();
    let transmits = [
        to(good, None, b"1"),
        to(v4, None, b"another family"),
        to(good, "2001:db8::1".parse().ok(), b"not our address"),
        to(good, "::1".parse().ok(), b"2"),
        to(good, None, &[0; 70_000]),
        to(good, None, b"3"),
    ];
    let refused = send(&mut socket, &transmits).await;
    assert_eq!(refused.iter().map(|(peer, _)| *peer).collect::<Vec<_>>(), [v4, good, good]);
    for expected in [b"1", b"2", b"3"] {
        let mut bytes = [0; 8];
        let length = client.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], expected);
    }
}

#[tokio::test]
async fn an_empty_socket_gives_nothing() {
    let mut socket = bound("[::1]:0");
    assert_eq!(socket.recv(&mut RecvBatch::new()).unwrap(), 0);
    assert_eq!(socket.send(&[], |_, _| {}), 0);
    assert!(socket.rejoin().unwrap().is_empty(), "a socket on one address hears no group");
}

#[tokio::test]
async fn the_buffers_hold_a_burst() {
    let mut server = bound("[::1]:0");
    assert!(server.buffers().unwrap().receive >= 200_000, "{:?}", server.buffers());
    let client = asker("::1");
    for _ in 0..150 {
        client.send_to(&[0; 30], server.local_addr().unwrap()).unwrap();
    }
    assert_eq!(receive(&mut server, 150).await.0.len(), 150);
}

#[tokio::test]
async fn group_requests_are_marked_and_answered_from_a_unicast_address() {
    let config =
        ListenerConfig { address: "[::]:0".parse().unwrap(), interface: Some("lo".into()), index: 3 };
    let (mut listener, changes) = Listener::open(config).unwrap();
    assert!(
        matches!(&changes[..], [Change::Listening { .. }, Change::Multicast(Membership::Joined(_))]),
        "{changes:?}"
    );
    assert!(listener.poll_interfaces().is_empty());
    let socket = listener.socket().unwrap();
    let client = asker("::1");
    for group in ALL_COAP_NODES {
        let group = SocketAddrV6::new(group, port(socket), 0, index_of("lo").unwrap());
        socket2::SockRef::from(&client).set_multicast_if_v6(group.scope_id()).unwrap();
        client.send_to(b"?", group).unwrap();
        let (received, _) = receive(socket, 1).await;
        let (path, bytes) = received.into_iter().next().unwrap();
        assert_eq!((path.multicast, path.local, path.peer), (true, None, client.local_addr().unwrap()));
        assert_eq!(send(socket, &[Transmit { path, bytes }]).await, []);
        let (_, from) = client.recv_from(&mut [0; 8]).unwrap();
        assert_eq!(from, SocketAddr::new("::1".parse().unwrap(), group.port()));
    }
}

#[tokio::test]
async fn errors_say_what_to_do() {
    let open = |address: &str| {
        let config = ListenerConfig { address: address.parse().unwrap(), interface: None, index: 0 };
        Listener::open(config).err().unwrap().to_string()
    };
    assert!(open("[2001:db8::1]:0").contains("no interface has this address"));
}

/// Interfaces come and go: root and a network namespace are needed.
mod namespace {
    use super::*;
    use nix::sched::{CloneFlags, unshare};
    use std::process::Command;

    fn ip(arguments: &str) {
        let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
        assert!(status.success(), "ip {arguments}");
    }

    /// Runs `test` on a thread that has a network namespace to itself.
    fn in_namespace<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
        let thread = std::thread::spawn(|| {
            if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
                eprintln!("SKIPPED: no network namespace ({error}); run as root");
                return;
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(test());
        });
        thread.join().unwrap();
    }

    fn lines(changes: &[Change]) -> String {
        changes.iter().map(|change| format!("{change}\n")).collect()
    }

    #[test]
    fn a_listener_waits_for_its_interface_and_follows_it() {
        in_namespace(|| async {
            let config = ListenerConfig {
                address: "[::]:5683".parse().unwrap(),
                interface: Some("lowpan0".into()),
                index: 3,
            };
            let (mut listener, changes) = Listener::open(config).unwrap();
            assert_eq!(lines(&changes), "interface lowpan0 is not there; waiting for it\n");
            assert!(listener.poll_interfaces().is_empty(), "said once");
            for _ in 0..2 {
                ip("link add lowpan0 type veth peer name other");
                ip("link set lowpan0 up");
                ip("link set other up");
                let opened = lines(&listener.poll_interfaces());
                assert!(opened.starts_with("listening on [::]:5683, interface lowpan0 (receive"), "{opened}");
                assert!(opened.ends_with("joined All CoAP Nodes on lowpan0\n"), "{opened}");
                group_request_arrives(&mut listener).await;
                // Made anew between two looks: the old socket would stay deaf.
                ip("link del lowpan0");
                ip("link add lowpan0 type veth peer name other");
                ip("link set lowpan0 up");
                ip("link set other up");
                assert_eq!(lines(&listener.poll_interfaces()), opened);
                group_request_arrives(&mut listener).await;
                ip("link del lowpan0");
                assert_eq!(
                    lines(&listener.poll_interfaces()),
                    "interface lowpan0 is not there; waiting for it\n"
                );
                assert!(listener.socket().is_none());
                let waits = timeout(Duration::from_millis(1), listener.readable()).await;
                assert!(waits.is_err(), "there is nothing to read");
            }
        });
    }

    #[test]
    fn every_interface_that_appears_is_joined() {
        in_namespace(|| async {
            let config = ListenerConfig { address: "[::]:5683".parse().unwrap(), interface: None, index: 3 };
            let (mut listener, _) = Listener::open(config).unwrap();
            ip("link add lowpan0 type veth peer name other");
            assert_eq!(lines(&listener.poll_interfaces()), "", "down");
            ip("link set lowpan0 up");
            ip("link set other up");
            let joined = "joined All CoAP Nodes on lowpan0\njoined All CoAP Nodes on other\n";
            assert_eq!(lines(&listener.poll_interfaces()), joined);
            assert_eq!(lines(&listener.poll_interfaces()), "");
            group_request_arrives(&mut listener).await;
            ip("link set other down");
            assert_eq!(lines(&listener.poll_interfaces()), "other no longer takes multicast\n");
            ip("link set other up");
            assert_eq!(lines(&listener.poll_interfaces()), "joined All CoAP Nodes on other\n");
            group_request_arrives(&mut listener).await;
        });
    }

    /// A neighbour on the other end of the link asks the group from its link-local address, and gets an answer.
    async fn group_request_arrives(listener: &mut Listener) {
        let asker = link_local_asker("other").await;
        let group = SocketAddrV6::new(ALL_COAP_NODES[0], 5683, 0, index_of("other").unwrap());
        asker.send_to(b"?", group).await.unwrap();
        let socket = listener.socket().unwrap();
        let (received, _) = receive(socket, 1).await;
        let (path, bytes) = received.into_iter().next().unwrap();
        assert!(path.multicast && path.local.is_none(), "{path:?}");
        let SocketAddr::V6(peer) = path.peer else { panic!("{path:?}") };
        assert_eq!(Some(peer.scope_id()), index_of("lowpan0"));
        assert_eq!(send(socket, &[Transmit { path, bytes }]).await, []);
        let (_, from) = timeout(DEADLINE, asker.recv_from(&mut [0; 8])).await.unwrap().unwrap();
        assert_eq!((from.port(), from.is_ipv6()), (5683, true));
    }

    /// A socket on the link-local address of an interface, as soon as duplicate address detection is over.
    async fn link_local_asker(interface: &str) -> tokio::net::UdpSocket {
        let index = index_of(interface).unwrap();
        timeout(DEADLINE, async {
            loop {
                let ready = ["lowpan0", interface].iter().all(|name| link_local(name).is_some());
                if let (true, Some(address)) = (ready, link_local(interface)) {
                    if let Ok(socket) =
                        tokio::net::UdpSocket::bind(SocketAddrV6::new(address, 0, 0, index)).await
                    {
                        return socket;
                    }
                }
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("a link-local address")
    }

    /// The link-local address of an interface that may be used already.
    fn link_local(interface: &str) -> Option<std::net::Ipv6Addr> {
        let shown =
            Command::new("ip").args(["-6", "addr", "show", "dev", interface, "-tentative"]).output().ok()?;
        let text = String::from_utf8(shown.stdout).ok()?;
        text.split_whitespace().find_map(|word| word.strip_suffix("/64")?.parse().ok())
    }
}
