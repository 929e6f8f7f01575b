//! A router with OpenWrt's ways: a root file system with busybox, in which the real init script runs.
//!
//! `netns-tests/openwrt/` stands for rc.common, procd and the functions of packages: what the script tells procd is recorded, and
//! [`procd`] does it. Whether packages are what they should be is not seen here ([`crate::packed`]).

mod package;
pub mod procd;

use crate::netns::Netns;
use crate::peer::Peer;
use crate::workspace;
use anyhow::{Context, Result, ensure};
use sixfold_relay::config::Config;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ROOT: &str = "/run/root";
const INIT: &str = "/etc/init.d/sixfold";
/// The first number that OpenWrt gives to a package's user.
pub const USER: u32 = 65536;
const PROGRAM: &str = "usr/bin/sixfold-relay";
/// What the package's file of UCI is called.
pub const UCI: &str = "etc/config/sixfold";
/// What the init script writes for the relay.
pub const WRITTEN: &str = "var/etc/sixfold/relay.toml";
const APPLETS: &[&str] = &[
    "basename",
    "cat",
    "chmod",
    "chown",
    "cmp",
    "dirname",
    "grep",
    "mkdir",
    "mktemp",
    "mv",
    "readlink",
    "rm",
    "sed",
    "sh",
    "sha256sum",
    "start-stop-daemon",
];
/// Where opkg keeps what it knows of packages.
const INFO: &str = "usr/lib/opkg/info";

/// A file of the package's sources.
pub fn file(name: &str) -> PathBuf {
    workspace::root().join("config/openwrt/sixfold/files").join(name)
}

/// What `/etc/config/sixfold` may hold, as the init script knows it: types of sections, options, and types of UCI.
///
/// # Errors
///
/// When the script is not written as this is.
pub fn options() -> Result<Vec<(String, String, String)>> {
    let script = fs::read_to_string(file("sixfold.init"))?;
    let known = script.split("\nknow() {").nth(1).and_then(|rest| rest.split("\n}").next());
    let mut found = Vec::new();
    for part in known.context("no function know")?.split("' ;;") {
        let Some((section, options)) = part.split_once(") options='") else { continue };
        for option in options.split_whitespace() {
            let (option, kind) = option.split_once(':').with_context(|| option.to_owned())?;
            let section = section.split_whitespace().last().context("no section")?;
            found.push((section.to_owned(), option.to_owned(), kind.to_owned()));
        }
    }
    Ok(found)
}

/// What a command printed.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A router's root file system, as far as the package needs one.
#[derive(Debug)]
pub struct Router(PathBuf);

impl Router {
    /// One without the package.
    pub fn create() -> Result<Self> {
        let router = Self(PathBuf::from(ROOT));
        for folder in
            ["bin", "usr/bin", "etc/config", "etc/init.d", "lib/functions", "tmp", "dev", "var", INFO]
        {
            fs::create_dir_all(router.path(folder))?;
        }
        let busybox = Peer::Busybox.program().with_context(|| Peer::Busybox.remedy())?;
        fs::copy(busybox, router.path("bin/busybox"))?;
        for applet in APPLETS {
            symlink("busybox", router.path("bin").join(applet))?;
        }
        let shim = workspace::root().join("netns-tests/openwrt");
        for (name, place) in [
            ("rc.common", "etc/rc.common"),
            ("network.sh", "lib/functions/network.sh"),
            ("functions.sh", "lib/functions.sh"),
        ] {
            fs::copy(shim.join(name), router.path(place))?;
            fs::set_permissions(router.path(place), fs::Permissions::from_mode(0o755))?;
        }
        fs::write(router.path("networks"), "lowpan wpan0\n")?;
        fs::write(router.path("dev/null"), "")?;
        fs::create_dir_all(router.path("proc"))?;
        router.set_mounted(&[])?;
        // As it is without dnsmasq. The links of a router begin with /.
        symlink("../tmp/resolv.conf", router.path("etc/resolv.conf"))?;
        symlink("resolv.conf.d/resolv.conf.auto", router.path("tmp/resolv.conf"))?;
        router.set_resolver("")?;
        let authority = rcgen::generate_simple_self_signed(["an authority".to_owned()])?;
        fs::create_dir_all(router.path("etc/ssl/certs"))?;
        fs::write(router.path("etc/ssl/certs/ca-certificates.crt"), authority.cert.pem())?;
        Ok(router)
    }

    /// One with the init script and the relay alone, put there without a package.
    pub fn with_service() -> Result<Self> {
        let router = Self::create()?;
        let program = workspace::program_dir().join("sixfold-relay");
        fs::copy(&program, router.path(PROGRAM))?;
        router.install_libraries(&program)?;
        fs::copy(file("sixfold.init"), router.path(INIT))?;
        fs::set_permissions(router.path(INIT), fs::Permissions::from_mode(0o755))?;
        fs::write(
            router.path("etc/passwd"),
            format!("sixfold:x:{USER}:{USER}:sixfold:/var/run/sixfold:/bin/false\n"),
        )?;
        fs::write(router.path("etc/group"), format!("sixfold:x:{USER}:sixfold\n"))?;
        Ok(router)
    }

    /// Puts a script of the shell in the relay's place.
    pub fn replace_program(&self, script: &str) -> Result<()> {
        Ok(fs::write(self.path(PROGRAM), script)?)
    }

    /// What the kernel is to say of mounts, beside the root on flash and `/tmp` in RAM: the places of disks.
    pub fn set_mounted(&self, disks: &[&str]) -> Result<()> {
        let mut mounts = "overlayfs:/overlay / overlay rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n".to_owned();
        disks.iter().for_each(|place| mounts += &format!("/dev/sda1 {place} ext4 rw 0 0\n"));
        Ok(fs::write(self.path("proc/mounts"), mounts)?)
    }

    /// Writes what is known of name servers as netifd does it: into a file that takes the place of the one before.
    pub fn set_resolver(&self, text: &str) -> Result<()> {
        let folder = self.path("tmp/resolv.conf.d");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("resolv.conf.auto.tmp"), text)?;
        Ok(fs::rename(folder.join("resolv.conf.auto.tmp"), folder.join("resolv.conf.auto"))?)
    }

    /// Where `path` of the router is.
    pub fn path(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// The libraries that this build of a program wants. What is shipped is static.
    pub fn install_libraries(&self, program: &Path) -> Result<()> {
        for library in libraries(program)? {
            let place = self.path(&library);
            fs::create_dir_all(place.parent().context("a library without a folder")?)?;
            fs::copy(library, place)?;
        }
        Ok(())
    }

    /// Whether procd is to say that the service runs.
    pub fn set_running(&self, running: bool) -> Result<()> {
        let flag = self.path("running");
        if running {
            fs::write(flag, "")?;
        } else if flag.exists() {
            fs::remove_file(flag)?;
        }
        Ok(())
    }

    /// Runs an action of the init script with this `/etc/config/sixfold`: whether it succeeded, and what it told procd and
    /// the log, a call a line.
    pub fn run(&self, action: &str, config: &str) -> Result<(bool, String)> {
        fs::write(self.path(UCI), config)?;
        self.act(action, None)
    }

    /// The same with the file that is there, in a namespace.
    pub fn act(&self, action: &str, netns: Option<&Netns>) -> Result<(bool, String)> {
        fs::write(self.path("record"), "")?;
        let mut command = self.command(INIT);
        command.arg(action);
        let output = match netns {
            Some(netns) => netns.enter(|| command.output())??,
            None => command.output()?,
        };
        let said = said(&output);
        ensure!(said.is_empty(), "{action}: {said}");
        Ok((output.status.success(), self.record()?))
    }

    /// What was told procd, uci and the log since the last action began.
    pub fn record(&self) -> Result<String> {
        Ok(fs::read_to_string(self.path("record"))?)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("chroot");
        command.arg(&self.0).arg(program).env("PATH", "/bin:/usr/bin:/usr/sbin:/sbin");
        command
    }

    /// The configuration that was written for the relay.
    pub fn written(&self) -> Result<Config> {
        Ok(Config::parse(&fs::read_to_string(self.path(WRITTEN))?, Path::new(WRITTEN))?)
    }
}

fn libraries(program: &Path) -> Result<Vec<String>> {
    let listed = Command::new("ldd").arg(program).output()?;
    let words = said(&listed);
    Ok(words.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned).collect())
}
