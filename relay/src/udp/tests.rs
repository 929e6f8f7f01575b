//! Sockets against the real loopback, and listeners against interfaces of a namespace of their own.

use super::{ALL_COAP_NODES, BATCH, BatchSocket, Change, Listener, ListenerConfig, MAX_DATAGRAM};
use super::{RecvBatch, interface::index_of};
use sixfold_engine::{Path, Transmit};
use std::future::poll_fn;
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
    Transmit {
        path: Path { peer, local, socket: 3, interface: 0, multicast: false },
        bytes: bytes.to_vec(),
        hop_limit: None,
    }
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
        let expected = Path {
            peer: client.local_addr().unwrap(),
            local: ours,
            socket: 3,
            interface: index_of("lo").unwrap(),
            multicast: false,
        };
        assert_eq!((path, bytes), (&expected, &vec![number as u8; 40]));
    }
    let answers: Vec<_> =
        received.into_iter().map(|(path, bytes)| Transmit { path, bytes, hop_limit: None }).collect();
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
    let answers: Vec<_> =
        received.into_iter().map(|(path, bytes)| Transmit { path, bytes, hop_limit: None }).collect();
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
async fn the_buffers_are_larger_than_usual() {
    let usual = asker("::1");
    let usual = socket2::SockRef::from(&usual);
    let buffers = bound("[::1]:0").buffers().unwrap();
    assert!(buffers.receive > usual.recv_buffer_size().unwrap(), "{buffers:?}");
    assert!(buffers.send > usual.send_buffer_size().unwrap(), "{buffers:?}");
}

#[tokio::test]
async fn errors_say_what_to_do() {
    let open = |address: &str| {
        let config = ListenerConfig { address: address.parse().unwrap(), interface: None, index: 0 };
        Listener::open(config).err().unwrap().to_string()
    };
    assert!(open("[2001:db8::1]:0").contains("no interface has this address"));
}

/// Interfaces come and go: root and network namespaces are needed.
mod namespace {
    use super::*;
    use nix::cmsg_space;
    use nix::sched::{CloneFlags, setns, unshare};
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, setsockopt, sockopt};
    use std::fs::File;
    use std::io::IoSliceMut;
    use std::net::Ipv6Addr;
    use std::os::fd::AsRawFd;
    use std::process::Command;

    /// The namespace of the relay, in which the tests run, and that of its neighbour. The link between them
    /// is `lowpan0` with `fe80::1` here and `other` with `fe80::2` there.
    struct Link {
        here: File,
        there: File,
    }

    impl Link {
        fn new() -> nix::Result<Self> {
            let fresh = || {
                unshare(CloneFlags::CLONE_NEWNET)?;
                Ok(File::open("/proc/thread-self/ns/net").unwrap())
            };
            let link = Self { there: fresh()?, here: fresh()? };
            link.there(|| ip("link set lo up"));
            Ok(link)
        }

        fn there<T>(&self, act: impl FnOnce() -> T) -> T {
            setns(&self.there, CloneFlags::CLONE_NEWNET).unwrap();
            let value = act();
            setns(&self.here, CloneFlags::CLONE_NEWNET).unwrap();
            value
        }

        async fn add(&self) {
            let there = format!("/proc/{}/fd/{}", std::process::id(), self.there.as_raw_fd());
            ip(&format!("link add lowpan0 type veth peer name other netns {there}"));
            set_up("lowpan0", "fe80::1");
            self.there(|| set_up("other", "fe80::2"));
            timeout(DEADLINE, async {
                while !(is_up("lowpan0") && self.there(|| is_up("other"))) {
                    tokio::task::yield_now().await;
                }
            })
            .await
            .expect("the link comes up");
        }

        /// The neighbour asks both groups from its link-local address, and hears the relay's.
        async fn group_request_arrives(&self, listener: &mut Listener) {
            let index = self.there(|| index_of("other")).unwrap();
            let from = SocketAddrV6::new("fe80::2".parse().unwrap(), 0, 0, index);
            let neighbour = self.there(|| UdpSocket::bind(from)).unwrap();
            neighbour.set_read_timeout(Some(DEADLINE)).unwrap();
            for group in ALL_COAP_NODES {
                neighbour.send_to(b"?", SocketAddrV6::new(group, 5683, 0, index)).unwrap();
                let socket = listener.socket().unwrap();
                let (path, bytes) = receive(socket, 1).await.0.remove(0);
                assert!(path.multicast && path.local.is_none(), "{path:?}");
                let SocketAddr::V6(peer) = path.peer else { panic!("{path:?}") };
                assert_eq!(Some(peer.scope_id()), index_of("lowpan0"));
                assert_eq!(send(socket, &[Transmit { path, bytes, hop_limit: None }]).await, []);
                let (_, from) = neighbour.recv_from(&mut [0; 8]).unwrap();
                assert_eq!(from, SocketAddrV6::new("fe80::1".parse().unwrap(), 5683, 0, index).into());
            }
        }
    }

    fn set_up(name: &str, address: &str) {
        ip(&format!("link set {name} addrgenmode none up"));
        ip(&format!("addr add {address}/64 dev {name} nodad"));
    }

    fn is_up(name: &str) -> bool {
        let shown = Command::new("ip").args(["link", "show", name]).output().unwrap();
        String::from_utf8(shown.stdout).unwrap().contains("state UP")
    }

    fn ip(arguments: &str) {
        let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
        assert!(status.success(), "ip {arguments}");
    }

    /// Runs `test` on a thread of its own, because that thread changes its namespace.
    fn with_link<F: Future<Output = ()>>(test: impl FnOnce(Link) -> F + Send + 'static) {
        let thread = std::thread::spawn(|| match Link::new() {
            Ok(link) => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(test(link));
            }
            Err(error) => eprintln!("SKIPPED: no network namespace ({error}); run as root"),
        });
        thread.join().unwrap();
    }

    fn listener(interface: Option<&str>) -> (Listener, Vec<Change>) {
        let interface = interface.map(str::to_owned);
        Listener::open(ListenerConfig { address: "[::]:5683".parse().unwrap(), interface, index: 3 }).unwrap()
    }

    fn lines(changes: &[Change]) -> String {
        changes.iter().map(|change| format!("{change}\n")).collect()
    }

    #[test]
    fn a_listener_waits_for_its_interface_and_follows_it() {
        with_link(|link| async move {
            let absent = "interface lowpan0 is not there; waiting for it\n";
            let (mut listener, changes) = listener(Some("lowpan0"));
            assert_eq!(lines(&changes), absent);
            assert!(listener.poll_interfaces().is_empty(), "said once");
            let waits =
                timeout(Duration::from_millis(1), poll_fn(|context| listener.poll_readable(context))).await;
            assert!(waits.is_err(), "there is nothing to read");
            link.add().await;
            let opened = lines(&listener.poll_interfaces());
            assert!(opened.starts_with("listening on [::]:5683, interface lowpan0 (receive"), "{opened}");
            assert!(opened.ends_with("joined All CoAP Nodes on lowpan0\n"), "{opened}");
            link.group_request_arrives(&mut listener).await;
            // Made anew between two looks: the old socket would stay deaf.
            ip("link del lowpan0");
            link.add().await;
            assert_eq!(lines(&listener.poll_interfaces()), opened);
            link.group_request_arrives(&mut listener).await;
            ip("link del lowpan0");
            assert_eq!(lines(&listener.poll_interfaces()), absent);
            assert!(listener.socket().is_none());
        });
    }

    #[test]
    fn every_interface_that_appears_is_joined() {
        with_link(|link| async move {
            let (mut listener, _) = listener(None);
            ip("link add early type veth peer name bird");
            assert_eq!(lines(&listener.poll_interfaces()), "", "down");
            for _ in 0..2 {
                link.add().await;
                assert_eq!(lines(&listener.poll_interfaces()), "joined All CoAP Nodes on lowpan0\n");
                assert_eq!(lines(&listener.poll_interfaces()), "");
                link.group_request_arrives(&mut listener).await;
                ip("link set lowpan0 down");
                assert_eq!(lines(&listener.poll_interfaces()), "lowpan0 no longer takes multicast\n");
                set_up("lowpan0", "fe80::3");
                assert_eq!(lines(&listener.poll_interfaces()), "joined All CoAP Nodes on lowpan0\n");
                ip("link del lowpan0");
                assert_eq!(lines(&listener.poll_interfaces()), "lowpan0 no longer takes multicast\n");
            }
        });
    }

    /// To a group of the link, from the port and address that devices ask, no further than was said, and not back to us.
    #[test]
    fn what_goes_to_a_group_leaves_by_its_interface_with_its_hop_limit() {
        with_link(|link| async move {
            link.add().await;
            let mut socket = bound("[::]:5683");
            let here = index_of("lowpan0").unwrap();
            for (group, hops) in [("ff02::fd", 1_u8), ("ff03::fd", 7)] {
                let group: Ipv6Addr = group.parse().unwrap();
                let join = |index: u32| {
                    let ears = UdpSocket::bind("[::]:61616").unwrap();
                    ears.set_read_timeout(Some(DEADLINE)).unwrap();
                    ears.join_multicast_v6(&group, index).unwrap();
                    setsockopt(&ears, sockopt::Ipv6RecvHopLimit, &true).unwrap();
                    ears
                };
                let (ours, theirs) = (join(here), link.there(|| join(index_of("other").unwrap())));
                let peer = SocketAddrV6::new(group, 61_616, 0, here).into();
                let local = "fe80::1".parse().ok();
                let path = Path { peer, local, socket: 3, interface: here, multicast: true };
                let count = BATCH + 3;
                let datagrams = vec![Transmit { path, bytes: vec![7; 64], hop_limit: Some(hops) }; count];
                assert_eq!(send(&mut socket, &datagrams).await, []);
                for _ in 0..count {
                    let (from, limit) = hear(&theirs);
                    assert_eq!((from.ip().to_string(), from.port()), ("fe80::1".to_owned(), 5683));
                    assert_eq!(limit, i32::from(hops));
                }
                ours.set_nonblocking(true).unwrap();
                assert_eq!(ours.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
            }
        });
    }

    /// The sender of the next datagram, and its hop limit.
    fn hear(socket: &UdpSocket) -> (SocketAddrV6, i32) {
        let (mut bytes, mut space) = ([0; 128], cmsg_space!(libc::c_int));
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let message =
            recvmsg::<SockaddrIn6>(socket.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::empty())
                .unwrap();
        let limit = message.cmsgs().unwrap().find_map(|cmsg| match cmsg {
            ControlMessageOwned::Ipv6HopLimit(limit) => Some(limit),
            _ => None,
        });
        (message.address.unwrap().into(), limit.expect("asked for"))
    }

    #[test]
    fn a_link_local_address_of_ours_answers_a_global_peer() {
        with_link(|link| async move {
            link.add().await;
            ip("addr add 2001:db8::1/64 dev lowpan0 nodad");
            let device = link.there(|| {
                ip("addr add 2001:db8::2/64 dev other nodad");
                asker("2001:db8::2")
            });
            let mut socket = bound("[::]:5683");
            let index = link.there(|| index_of("other")).unwrap();
            let asked = SocketAddrV6::new("fe80::1".parse().unwrap(), 5683, 0, index);
            device.send_to(b"?", asked).unwrap();
            let (path, bytes) = receive(&mut socket, 1).await.0.remove(0);
            assert_eq!(path.peer.ip(), device.local_addr().unwrap().ip());
            assert_eq!(path.local, Some((*asked.ip()).into()));
            assert_eq!(send(&mut socket, &[Transmit { path, bytes, hop_limit: None }]).await, []);
            let (_, from) = device.recv_from(&mut [0; 8]).unwrap();
            assert_eq!(from, asked.into());
        });
    }
}
