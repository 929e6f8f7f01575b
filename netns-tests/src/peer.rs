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

/// How a peer is found, and what to do where it is not.
enum Source {
    /// A program in the search path, and Debian's package with it.
    Package(&'static str, &'static str),
    /// Something else: where it is, and what to do.
    Other(fn() -> Option<PathBuf>, &'static str),
}

impl Peer {
    fn source(self) -> Source {
        use Source::{Other, Package};
        match self {
            Self::Nginx => Package("nginx", "nginx-light"),
            Self::Radvd => Package("radvd", "radvd"),
            Self::CoapClient => Package("coap-client-notls", "libcoap3-bin"),
            Self::Promtool => Package("promtool", "prometheus"),
            Self::Prometheus => Package("prometheus", "prometheus"),
            Self::Ping => Package("ping", "iputils-ping"),
            Self::Tshark => Package("tshark", "tshark"),
            Self::Tftp => Package("tftp", "tftp-hpa"),
            Self::Tftpd => Package("in.tftpd", "tftpd-hpa"),
            Self::Qemu => Package("qemu-system-x86_64", "qemu-system-x86"),
            Self::QemuArm => Package("qemu-system-arm", "qemu-system-arm"),
            Self::Systemd => Package("systemd-analyze", "systemd"),
            Self::Busybox => Package("busybox", "busybox-static"),
            Self::Shellcheck => Package("shellcheck", "shellcheck"),
            Self::Avahi => Package("avahi-daemon", "avahi-daemon"),
            Self::Node => Package("node", "nodejs"),
            Self::Varnish => Package("varnishd", "varnish"),
            Self::Chromium => Package("chromium", "chromium"),
            Self::Chromedriver => Package("chromedriver", "chromium-driver"),
            Self::Signify => Package("signify-openbsd", "signify-openbsd"),
            Self::Python => Package("python3", "python3"),
            Self::Lintian => Package("lintian", "lintian"),
            Self::Man => Package("man", "man-db"),
            Self::Dpkg => Other(|| in_path("dpkg"), "this is no Debian: dpkg is missing"),
            Self::Aiocoap => {
                Other(python, "aiocoap is missing (scripts/setup makes its virtual environment)")
            }
            Self::FoundationSdk => {
                Other(python, "Grafana's SDK is missing (scripts/setup makes its virtual environment)")
            }
            Self::Cryptography => Other(
                python,
                "Python's cryptography is missing (scripts/setup makes its virtual environment)",
            ),
            Self::CargoDeb => Other(cargo_deb, "cargo-deb is missing (scripts/package-tools --cargo-deb)"),
            Self::Faketime => Other(faketime, "libfaketime is missing (Debian: faketime)"),
            Self::Tun => Other(
                tun,
                "/dev/net/tun cannot be opened (modprobe tun; users need read and write permission)",
            ),
            Self::Root => Other(root, "it needs more users than one: run the tests as root"),
        }
    }

    /// Where it is, if it is installed and this user may use it.
    pub fn program(self) -> Option<PathBuf> {
        match self.source() {
            Source::Package(program, _) => in_path(program),
            Source::Other(find, _) => find().filter(|found| found.exists()),
        }
    }

    /// What to do to get it.
    pub fn remedy(self) -> String {
        match self.source() {
            Source::Package(program, package) => format!("{program} is missing (Debian: {package})"),
            Source::Other(_, remedy) => remedy.to_owned(),
        }
    }
}

/// The search path with the system directories that ordinary users' paths leave out.
pub fn search_path() -> String {
    format!("{}:/usr/sbin:/sbin:/usr/bin:/bin", env::var("PATH").unwrap_or_default())
}

/// The tests' virtual environment, as a program.
fn python() -> Option<PathBuf> {
    Some(workspace::target_dir().join("venv/bin/python"))
}

fn tun() -> Option<PathBuf> {
    File::options().read(true).write(true).open(TUN).ok().map(|_| TUN.into())
}

/// The one that `scripts/cargo-tool` has built, of whatever version.
fn cargo_deb() -> Option<PathBuf> {
    let folders = workspace::target_dir().join("tools").read_dir().ok()?.flatten();
    let mut programs = folders.map(|folder| folder.path().join("bin/cargo-deb"));
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
