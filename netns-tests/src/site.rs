//! A site with many border routers, and one HTTP cache between them and the origin.
//!
//! ```text
//!  `origin`           `cache`                     `relay0`, `relay1`, ...            `field0`, `field1`, ...
//! +--------+ veth +-----------------+ bridge +--------------------------+ veth +--------------------------+
//! | nginx  o------o nginx       lan o--------o uplink           lowpan0 o------o wpan0    sixfold-device  |
//! | 1::2   |      | 1::1       2::1 |        | 2::N             6::1    |      | 6::2     x devices       |
//! +--------+      +-----------------+        +--------------------------+      +--------------------------+
//! ```
//!
//! (Each `N::` is `2001:db8:N::`.) The origin has no route to relays or devices: what reaches them went through the cache.

use crate::ca::Identity;
use crate::names::NameServer;
use crate::netns::Netns;
use crate::peer::Peer;
use crate::process::Process;
use crate::relay::Relay;
use crate::{wait, workspace};
use anyhow::{Context, Result, ensure};
use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

const FOLDER: &str = "/run/cache";
/// Where the origin is.
pub const ORIGIN: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2);

/// A configuration for the relays of the site: `/fw` is what the cache has of the origin.
pub const CONFIG: &str = "\
[listen]
interface = \"lowpan0\"

[[route]]
path = \"/fw\"
origin = \"https://cache.test/\"
ca_file = \"/run/ca/ca.pem\"
";

/// The namespaces.
#[derive(Debug)]
pub struct Site {
    /// Where the origin server runs.
    pub origin: Netns,
    /// Where the cache runs.
    pub cache: Netns,
    /// Whom the cache asks for the origin's address.
    pub names: NameServer,
    /// Where relays run.
    pub relays: Vec<Netns>,
    /// Where devices run, one for each relay.
    pub fields: Vec<Netns>,
}

impl Site {
    /// Builds the network.
    pub fn create(relays: usize) -> Result<Self> {
        let some = |kind: &str| {
            (0..relays).map(|n| Netns::create(&format!("{kind}{n}"))).collect::<Result<Vec<_>>>()
        };
        let cache = Netns::create("cache")?;
        let site = Self {
            origin: Netns::create("origin")?,
            names: NameServer::start(&cache, ORIGIN)?,
            cache,
            relays: some("relay")?,
            fields: some("field")?,
        };
        let mut cache = "link add uplink type veth peer name uplink netns origin
address add 2001:db8:1::1/64 dev uplink
link set uplink up
link add lan type bridge mcast_snooping 0
link set lan up
address add 2001:db8:2::1/64 dev lan
"
        .to_owned();
        for n in 0..relays {
            let _ = writeln!(cache, "link add port{n} type veth peer name uplink netns relay{n}");
            let _ = writeln!(cache, "link set port{n} master lan up");
        }
        site.cache.ip(&cache)?;
        site.origin.ip("address add 2001:db8:1::2/64 dev uplink\nlink set uplink up")?;
        for (n, (relay, field)) in site.relays.iter().zip(&site.fields).enumerate() {
            relay.ip(&format!(
                "address add 2001:db8:2::1:{n}/64 dev uplink
link set uplink up
link add lowpan0 type veth peer name wpan0 netns field{n}
address add 2001:db8:6::1/64 dev lowpan0
link set lowpan0 mtu 1280 up
"
            ))?;
            field.ip("address add 2001:db8:6::2/64 dev wpan0\nlink set wpan0 mtu 1280 up")?;
        }
        for netns in site.relays.iter().chain([&site.origin]) {
            netns.wait_until_up("uplink")?;
        }
        site.fields.iter().try_for_each(|field| field.wait_until_up("wpan0"))?;
        Ok(site)
    }

    /// Starts all relays, with their own names.
    pub fn start_relays(&self, config: &str) -> Result<Vec<Relay<'_>>> {
        let relays = self.relays.iter().enumerate();
        relays.map(|(n, netns)| Relay::start_as(netns, &format!("relay{n}"), config)).collect()
    }

    /// Starts nginx with `config/scale-out/nginx.conf`, at `https://cache.test/`; `ca` is the authority that it trusts.
    pub fn start_cache(&self, identity: &Identity, ca: &Path) -> Result<Process> {
        fs::create_dir_all(FOLDER)?;
        let mut sample = fs::read_to_string(workspace::root().join("config/scale-out/nginx.conf"))?;
        let places = [
            ("/etc/nginx/sixfold/cache.pem", identity.certificate.as_path()),
            ("/etc/nginx/sixfold/cache.key", identity.key.as_path()),
            ("/etc/ssl/certs/ca-certificates.crt", ca),
            ("/var/lib/nginx/sixfold", Path::new("/run/cache/images")),
            ("[2001:db8::53] valid=60s", Path::new("[::1] valid=1s")),
        ];
        for (name, place) in places {
            ensure!(sample.contains(name), "the sample does not name {name}");
            sample = sample.replace(name, &place.display().to_string());
        }
        self.start_nginx(&sample)
    }

    /// Starts Varnish with `config/scale-out/varnish.vcl`, and what speaks TLS for it on both sides: nginx, where the sample says stunnel.
    /// Here images are fresh for a
    /// second, not a minute, and the origin is asked more often whether it is there.
    pub fn start_varnish(&self, identity: &Identity, ca: &Path) -> Result<[Process; 2]> {
        fs::create_dir_all(FOLDER)?;
        let mut sample = fs::read_to_string(workspace::root().join("config/scale-out/varnish.vcl"))?;
        for (long, short) in [(".interval = 10s;", ".interval = 200ms;"), ("ttl = 1m;", "ttl = 1s;")] {
            ensure!(sample.contains(long), "the sample does not say {long}");
            sample = sample.replace(long, short);
        }
        let vcl = Path::new(FOLDER).join("varnish.vcl");
        fs::write(&vcl, sample)?;
        let tls = self.start_nginx(&format!(
            "    server {{
        listen [::]:443 ssl http2;
        ssl_certificate {};
        ssl_certificate_key {};
        location / {{ proxy_pass http://127.0.0.1:6081; proxy_http_version 1.1; proxy_buffering off; }}
    }}
    server {{
        listen 127.0.0.1:8443;
        location / {{
            proxy_pass https://origin.test;
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_set_header Host $host;
            proxy_ssl_server_name on;
            proxy_ssl_name origin.test;
            proxy_ssl_verify on;
            proxy_ssl_trusted_certificate {};
        }}
    }}
",
            identity.certificate.display(),
            identity.key.display(),
            ca.display()
        ))?;
        let mut command = Command::new(Peer::Varnish.program().with_context(|| Peer::Varnish.remedy())?);
        command.args(["-F", "-n", "/run/cache/varnish", "-a", "127.0.0.1:6081", "-s", "malloc,64m"]);
        command.args(["-j", "none", "-f"]).arg(vcl);
        let mut varnish = Process::start(&self.cache, "varnish", command)?;
        self.wait_for((Ipv4Addr::LOCALHOST, 6081).into(), &mut varnish)?;
        Ok([tls, varnish])
    }

    fn start_nginx(&self, servers: &str) -> Result<Process> {
        let config = format!(
            "daemon off;
user root;
pid nginx.pid;
error_log stderr info;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
{servers}}}
"
        );
        let file = Path::new(FOLDER).join("nginx.conf");
        fs::write(&file, config)?;
        let mut command = Command::new(Peer::Nginx.program().with_context(|| Peer::Nginx.remedy())?);
        command.args(["-p", FOLDER, "-e", "stderr", "-c"]).arg(file);
        let mut process = Process::start(&self.cache, "cache", command)?;
        self.wait_for((Ipv6Addr::LOCALHOST, 443).into(), &mut process)?;
        Ok(process)
    }

    fn wait_for(&self, address: SocketAddr, process: &mut Process) -> Result<()> {
        wait::until_true("the cache to accept connections", wait::SOON, || {
            let connected = self.cache.enter(|| TcpStream::connect(address));
            connected.is_ok_and(|stream| stream.is_ok()) || !process.is_running()
        })?;
        ensure!(process.is_running(), "it ended: {}", process.log());
        Ok(())
    }
}
