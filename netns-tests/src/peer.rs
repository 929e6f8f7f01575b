//! The programs that the tests talk to, and the Debian packages that bring them; and what they need of the kernel.

use crate::workspace;
use nix::unistd::geteuid;
use std::env;
use std::fs::{self, File};
use std::path::PathBuf;

/// Where TUN interfaces are made.
pub const TUN: &str = "/dev/net/tun";

/// A program, or a device of the kernel, that a test needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The HTTPS origin server.
    Nginx,
    /// Router advertisements, for SLAAC.
    Radvd,
    /// libcoap's client.
    CoapClient,
    /// The Python CoAP library, in the tests' virtual environment.
    Aiocoap,
    /// Checks metrics.
    Promtool,
    /// Collects metrics.
    Prometheus,
    /// Grafana's SDK, in the same virtual environment.
    FoundationSdk,
    /// Echo requests.
    Ping,
    /// Wireshark's dissectors.
    Tshark,
    /// A TFTP client.
    Tftp,
    /// A TFTP server.
    Tftpd,
    /// The device that makes TUN interfaces.
    Tun,
    /// The virtual machine.
    Qemu,
    /// The firmware's machines.
    QemuArm,
    /// Judges units of systemd.
    Systemd,
    /// The shell and tools of a router.
    Busybox,
    /// Judges shell scripts.
    Shellcheck,
    /// Announces services.
    Avahi,
    /// Runs JavaScript.
    Node,
    /// Another clock for a program.
    Faketime,
    /// An HTTP cache.
    Varnish,
    /// The browser.
    Chromium,
    /// What tells the browser what to do.
    Chromedriver,
    /// Makes and checks signatures in files of OpenBSD's and OpenWrt's form.
    Signify,
    /// Keys and signatures for Python, in the tests' virtual environment.
    Cryptography,
    /// Serves a folder over HTTP.
    Python,
    /// Installs packages of Debian.
    Dpkg,
    /// Makes them.
    CargoDeb,
    /// Judges them.
    Lintian,
    /// Shows manual pages.
    Man,
    /// Other users than the one who runs the tests, and becoming one of them.
    Root,
}

impl Peer {
    /// Where it is, if it is installed and this user may use it.
    pub fn program(self) -> Option<PathBuf> {
        match self {
            Self::Nginx => in_path("nginx"),
            Self::Radvd => in_path("radvd"),
            Self::CoapClient => in_path("coap-client-notls"),
            Self::Promtool => in_path("promtool"),
            Self::Prometheus => in_path("prometheus"),
            Self::Ping => in_path("ping"),
            Self::Tshark => in_path("tshark"),
            Self::Tftp => in_path("tftp"),
            Self::Tftpd => in_path("in.tftpd"),
            Self::Qemu => in_path("qemu-system-x86_64"),
            Self::QemuArm => in_path("qemu-system-arm"),
            Self::Systemd => in_path("systemd-analyze"),
            Self::Busybox => in_path("busybox"),
            Self::Shellcheck => in_path("shellcheck"),
            Self::Avahi => in_path("avahi-daemon"),
            Self::Node => in_path("node"),
            Self::Faketime => faketime(),
            Self::Varnish => in_path("varnishd"),
            Self::Chromium => in_path("chromium"),
            Self::Chromedriver => in_path("chromedriver"),
            Self::Python => in_path("python3"),
            Self::Dpkg => in_path("dpkg"),
            Self::CargoDeb => cargo_tool("cargo-deb"),
            Self::Lintian => in_path("lintian"),
            Self::Man => in_path("man"),
            Self::Tun => File::options().read(true).write(true).open(TUN).ok().map(|_| TUN.into()),
            Self::Root => root(),
            Self::Signify => in_path("signify-openbsd"),
            Self::Aiocoap | Self::Cryptography | Self::FoundationSdk => {
                Some(workspace::target_dir().join("venv/bin/python"))
            }
        }
        .filter(|program| program.exists())
    }

    /// What to do to get it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Nginx => "nginx is missing (Debian: nginx-light)",
            Self::Radvd => "radvd is missing (Debian: radvd)",
            Self::CoapClient => "coap-client-notls is missing (Debian: libcoap3-bin)",
            Self::Promtool => "promtool is missing (Debian: prometheus)",
            Self::Prometheus => "prometheus is missing (Debian: prometheus)",
            Self::FoundationSdk => "Grafana's SDK is missing (scripts/setup makes its virtual environment)",
            Self::Ping => "ping is missing (Debian: iputils-ping)",
            Self::Tshark => "tshark is missing (Debian: tshark)",
            Self::Tftp => "tftp is missing (Debian: tftp-hpa)",
            Self::Tftpd => "in.tftpd is missing (Debian: tftpd-hpa)",
            Self::Qemu => "qemu-system-x86_64 is missing (Debian: qemu-system-x86)",
            Self::QemuArm => "qemu-system-arm is missing (Debian: qemu-system-arm)",
            Self::Systemd => "systemd-analyze is missing (Debian: systemd)",
            Self::Busybox => "busybox is missing (Debian: busybox-static)",
            Self::Shellcheck => "shellcheck is missing (Debian: shellcheck)",
            Self::Avahi => "avahi-daemon is missing (Debian: avahi-daemon)",
            Self::Node => "node is missing (Debian: nodejs)",
            Self::Faketime => "libfaketime is missing (Debian: faketime)",
            Self::Varnish => "varnishd is missing (Debian: varnish)",
            Self::Chromium => "chromium is missing (Debian: chromium)",
            Self::Chromedriver => "chromedriver is missing (Debian: chromium-driver)",
            Self::Python => "python3 is missing (Debian: python3)",
            Self::Signify => "signify-openbsd is missing (Debian: signify-openbsd)",
            Self::Cryptography => {
                "Python's cryptography is missing (scripts/setup makes its virtual environment)"
            }
            Self::Dpkg => "this is no Debian: dpkg is missing",
            Self::CargoDeb => "cargo-deb is missing (scripts/package-tools --cargo-deb)",
            Self::Lintian => "lintian is missing (Debian: lintian)",
            Self::Man => "man is missing (Debian: man-db)",
            Self::Tun => "/dev/net/tun cannot be opened (modprobe tun; users need read and write permission)",
            Self::Root => "it needs more users than one: run the tests as root",
            Self::Aiocoap => "aiocoap is missing (scripts/setup makes its virtual environment)",
        }
    }
}

/// The search path with the system directories that ordinary users' paths leave out.
pub fn search_path() -> String {
    format!("{}:/usr/sbin:/sbin:/usr/bin:/bin", env::var("PATH").unwrap_or_default())
}

/// A tool that `scripts/cargo-tool` has built, of whatever version.
fn cargo_tool(name: &str) -> Option<PathBuf> {
    let folders = workspace::target_dir().join("tools").read_dir().ok()?.flatten();
    let mut programs = folders.map(|folder| folder.path().join("bin").join(name));
    programs.find(|program| program.is_file())
}

/// The users that root has, where they are all of them: in a namespace of an ordinary user there is only one.
fn root() -> Option<PathBuf> {
    const USERS: &str = "/proc/self/uid_map";
    let map = fs::read_to_string(USERS).ok()?;
    let all = map.split_whitespace().eq(["0", "0", "4294967295"]);
    (all && geteuid().is_root()).then(|| USERS.into())
}

/// The library, in the folder of this machine's architecture.
fn faketime() -> Option<PathBuf> {
    let library = format!("/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1", env::consts::ARCH);
    Some(PathBuf::from(library)).filter(|library| library.is_file())
}

fn in_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&search_path()).map(|folder| folder.join(program)).find(|path| path.is_file())
}
