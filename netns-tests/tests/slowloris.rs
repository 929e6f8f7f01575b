//! Slow clients on both TCP ports of a relay, from many networks and from many addresses of one: whoever is honest is served.

use anyhow::{Result, ensure};
use sixfold_netns_tests::ca::Ca;
use sixfold_netns_tests::lamp::{configuration, equip, expect_prepare, prepare};
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::relay::Relay;
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::{sandbox, wait};
use std::net::{Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

const NEEDS: &[Peer] = &[Peer::Nginx, Peer::Radvd];

const RELAY: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
const SESSION_PORT: u16 = 9684;
const ADMIN_PORT: u16 = 9683;

/// Slow clients, until this is dropped.
struct Slow {
    over: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Slow {
    /// A connection from each of these addresses to this port, and a byte now and then on it. All are connected when this returns.
    fn start(netns: &Netns, from: Vec<Ipv6Addr>, port: u16) -> Result<Self> {
        static CONNECTED: AtomicUsize = AtomicUsize::new(0);
        let wanted = CONNECTED.load(Ordering::SeqCst) + from.len();
        let (over, ended) = watch::channel(false);
        // Threads that are made inside a namespace stay there.
        let thread = netns.enter(|| {
            thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let Ok(runtime) = runtime else { return };
                runtime.block_on(async {
                    let mut all = JoinSet::new();
                    for address in from {
                        if let Ok(stream) = connect(address, port).await {
                            CONNECTED.fetch_add(1, Ordering::SeqCst);
                            all.spawn(dawdle(stream));
                        }
                    }
                    let mut ended = ended;
                    let _ = ended.changed().await;
                });
            })
        })?;
        let slow = Self { over, thread: Some(thread) };
        wait::until_true("all slow clients to be connected", wait::SOON, || {
            CONNECTED.load(Ordering::SeqCst) == wanted
        })?;
        Ok(slow)
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        let _ = self.over.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn connect(from: Ipv6Addr, port: u16) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v6()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    socket.connect(SocketAddr::from((RELAY, port))).await
}

/// What may begin a handshake, and a request, byte by byte.
async fn dawdle(mut stream: TcpStream) {
    for byte in [0x16, 3, 1, 2, 0].into_iter().chain([b'A'; 500]) {
        if stream.write_all(&[byte]).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// An address in each of these networks of a stranger.
fn networks(which: Range<u16>) -> Vec<Ipv6Addr> {
    which.map(|n| Ipv6Addr::new(0x2001, 0xdb8, 0xbad, n, 0, 0, 0, 1)).collect()
}

/// So many addresses in one of them.
fn neighbours(count: u16) -> Vec<Ipv6Addr> {
    (0..count).map(|n| Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0xffff, 0, 0, 0, n)).collect()
}

#[test]
fn slow_clients_from_many_networks_keep_nobody_out() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let origin = &scene.net.origin;
        origin.sysctl("ipv6/ip_nonlocal_bind", "1")?;
        origin.ip("route add local 2001:db8:bad::/48 dev lo")?;
        scene.net.relay.ip("route add 2001:db8:bad::/48 via 2001:db8:1::2")?;
        let site = Ca::create("site")?;
        // No time-out helps the honest device.
        let config = configuration(&site, "2001:db8:6::1")?
            + "handshake_timeout = \"1 h\"\n"
            + "[admin]\nlisten = \"[::]:9683\"\nallow_remote = true\n";
        let relay = Relay::start(&scene.net.relay, &config)?;
        let counted =
            |result: &str| relay.metric(&format!("sixfold_agreements_total{{result=\"{result}\"}}"));
        let netns = &scene.net.devices[0];
        equip(netns, 5000)?;
        let lamp = site.issue_device("lamp-7.example")?;

        // Eight have all places by four each, then two hundred have one each.
        let crowd =
            networks(0..8).into_iter().flat_map(|address| [address; 4]).chain(networks(8..208)).collect();
        let _crowd = Slow::start(origin, crowd, SESSION_PORT)?;
        let _admins = Slow::start(origin, networks(0..200), ADMIN_PORT)?;
        ensure!(relay.is_ready(), "the admin address answers nobody");
        wait::until_true("the first to make room", wait::SOON, || {
            counted("displaced").is_ok_and(|n| n >= 200.0)
        })?;
        expect_prepare(netns, &prepare(&site, &lamp), 0, "a session with the relay, for ")?;
        ensure!(counted("granted")? == 1.0 && counted("timeout")? == 0.0, "{}", relay.log());

        // However many addresses a network has, it is one source.
        ensure!(counted("rate")? == 0.0, "{}", relay.metrics()?);
        let _neighbours = Slow::start(origin, neighbours(400), SESSION_PORT)?;
        wait::until_true("a network to be one source", wait::SOON, || {
            counted("rate").is_ok_and(|n| n > 0.0)
        })?;
        expect_prepare(netns, &prepare(&site, &lamp), 0, "a session with the relay, for ")?;
        ensure!(relay.is_ready(), "the admin address answers nobody");
        Ok(())
    })
}
