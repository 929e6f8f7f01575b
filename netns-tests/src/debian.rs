//! A Debian system on which packages are really installed: this machine's own files, with a layer over them that takes whatever is
//! written, and a service manager that only notes what it is told.
//!
//! dpkg, the maintainer scripts and what they call are the real ones. Nothing of it reaches the machine.

use crate::peer::Peer;
use crate::{isolation, process, workspace};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::env::consts::ARCH;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// What packages are made and installed with.
pub const NEEDS: &[Peer] = &[Peer::Root, Peer::Dpkg, Peer::CargoDeb, Peer::Systemd];
/// The programs that are packed.
pub const PROGRAMS: &[&str] = &["sixfold-relay", "sixfold-device", "sixfold-publish"];
/// The time that packages bear, in seconds since 1970.
const TIME: &str = "1700000000";
const MOUNT: &str = "\
mount -t tmpfs tmpfs /run/debian && cd /run/debian && mkdir upper work root &&
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root && cd root &&
mount --rbind /proc proc && mount --rbind /dev dev && mount -t tmpfs tmpfs run && mount -t tmpfs tmpfs tmp";
/// Stands for systemctl: what concerns files is done, what is for the service manager is noted.
const SYSTEMCTL: &str = "\
#!/bin/sh
case \"$*\" in
	*--root=*) exec systemctl.real \"$@\" ;;
	*is-enabled*) exec systemctl.real --root=/ \"$@\" ;;
	*) echo \"$*\" >>/run/systemctl ;;
esac
";

/// Writes both packages around the programs of this workspace, once in a test program. Call it outside of the isolation.
pub fn build_packages() -> Result<()> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    if isolation::is_inside() || NEEDS.iter().any(|peer| peer.program().is_none()) {
        return Ok(());
    }
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

fn build() -> Result<()> {
    workspace::build_programs()?;
    let programs = folder().join("programs");
    fs::create_dir_all(&programs)?;
    // What is for debuggers would take most of the time of packing.
    for program in PROGRAMS {
        process::run(
            Command::new("strip")
                .arg(workspace::program_dir().join(program))
                .arg("-o")
                .arg(programs.join(program)),
        )?;
    }
    fs::copy(workspace::program_dir().join("sixfold-pages"), programs.join("sixfold-pages"))?;
    let mut command = workspace::script("deb");
    command.args([architecture()?, &format!("{ARCH}-unknown-linux-gnu")]).arg(programs).arg(folder());
    process::run(command.env("SOURCE_DATE_EPOCH", TIME))?;
    Ok(())
}

fn folder() -> PathBuf {
    workspace::target_dir().join("debian-packages")
}

fn architecture() -> Result<&'static str> {
    let names = [("x86_64", "amd64"), ("aarch64", "arm64"), ("riscv64", "riscv64")];
    let found = names.iter().find(|(name, _)| *name == ARCH);
    Ok(found.with_context(|| format!("what does Debian call {ARCH}?"))?.1)
}

/// A package that [`build_packages`] has written: `sixfold-relay` or `sixfold-tools`.
pub fn package(name: &str) -> Result<PathBuf> {
    Ok(folder().join(format!("{name}_{}.deb", architecture()?)))
}

/// The relay's package as of another version, whose manual has a line more if there is one. Inside of the isolation.
pub fn another_version(version: &str, line: &str) -> Result<PathBuf> {
    another_version_in(Path::new("/run"), version, line)
}

/// The same, written to a folder.
pub fn another_version_in(folder: &Path, version: &str, line: &str) -> Result<PathBuf> {
    let parts = folder.join(version);
    process::run(Command::new("dpkg-deb").arg("--raw-extract").arg(package("sixfold-relay")?).arg(&parts))?;
    let control = parts.join("DEBIAN/control");
    let fields = fs::read_to_string(&control)?;
    let old = fields.lines().find(|field| field.starts_with("Version: ")).context("no version")?;
    fs::write(&control, fields.replace(old, &format!("Version: {version}")))?;
    let manual = parts.join("usr/share/sixfold/relay.toml");
    fs::write(&manual, fs::read_to_string(&manual)? + line)?;
    let deb = folder.join(format!("{version}.deb"));
    process::run(
        Command::new("dpkg-deb").args(["-Znone", "--root-owner-group", "--build"]).arg(&parts).arg(&deb),
    )?;
    Ok(deb)
}

/// The system.
#[derive(Debug)]
pub struct Debian {
    root: PathBuf,
}

impl Debian {
    /// One without the packages, with systemd installed but not running, as while a system is being made.
    pub fn create() -> Result<Self> {
        fs::create_dir_all("/run/debian")?;
        process::run(Command::new("sh").args(["-c", MOUNT]))?;
        let debian = Self { root: PathBuf::from("/run/debian/root") };
        let systemctl = debian.path("usr/bin/systemctl");
        fs::rename(&systemctl, systemctl.with_extension("real"))?;
        fs::write(&systemctl, SYSTEMCTL)?;
        fs::set_permissions(systemctl, fs::Permissions::from_mode(0o755))?;
        // Small systems leave pages out, and some machines forbid services to start.
        for rule in fs::read_dir(debian.path("etc/dpkg/dpkg.cfg.d"))? {
            fs::remove_file(rule?.path())?;
        }
        debian.allow_starts(true)?;
        // An index of all manual pages, made anew each time, is most of the time and proves nothing.
        let index = debian.path("var/lib/man-db/auto-update");
        if index.exists() {
            fs::remove_file(index)?;
        }
        Ok(debian)
    }

    /// Where `path` of the system is.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Whether systemd is to run.
    pub fn boot(&self) -> Result<()> {
        Ok(fs::create_dir_all(self.path("run/systemd/system"))?)
    }

    /// Whether the machine's policy lets services start (Debian's invoke-rc.d).
    pub fn allow_starts(&self, are_allowed: bool) -> Result<()> {
        let policy = self.path("usr/sbin/policy-rc.d");
        if are_allowed {
            return if policy.exists() { Ok(fs::remove_file(policy)?) } else { Ok(()) };
        }
        fs::write(&policy, "#!/bin/sh\nexit 101\n")?;
        Ok(fs::set_permissions(policy, fs::Permissions::from_mode(0o755))?)
    }

    /// Runs a program of the system, with nobody to answer its questions.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new("chroot");
        command.arg(&self.root).args(arguments).stdin(Stdio::null());
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
        Ok(command.env("DEBIAN_FRONTEND", "noninteractive").output()?)
    }

    /// The same with a success: what it printed.
    pub fn expect(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(arguments)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = text(&output.stdout) + &text(&output.stderr);
        ensure!(output.status.success(), "{arguments:?}: {}\n{said}", output.status);
        Ok(said)
    }

    /// Installs a package from a file, or upgrades to it.
    pub fn install(&self, deb: &Path, options: &[&str]) -> Result<String> {
        fs::copy(deb, self.path("tmp/package.deb"))?;
        self.expect(&[&["dpkg"], options, &["--install", "/tmp/package.deb"]].concat())
    }

    /// What systemctl was told since the last time, without questions.
    pub fn orders(&self) -> Result<Vec<String>> {
        let record = self.path("run/systemctl");
        let told = fs::read_to_string(&record).unwrap_or_default();
        fs::write(record, "")?;
        let orders = told.lines().filter(|line| !line.contains(" is-"));
        let mut orders: Vec<_> = orders
            .map(|line| line.replace("--quiet", "").replace("--system", "").trim().to_owned())
            .collect();
        // The scripts of the old version and those of the new one both read the units again.
        orders.dedup();
        Ok(orders)
    }

    /// All that is in the folders that packages and programs write to.
    pub fn files(&self) -> Result<BTreeSet<String>> {
        let find = Command::new("find")
            .args(["etc", "usr", "var", "opt", "-xdev"])
            .current_dir(&self.root)
            .output()?;
        ensure!(find.status.success(), "find: {}", String::from_utf8_lossy(&find.stderr));
        Ok(String::from_utf8_lossy(&find.stdout).lines().map(str::to_owned).collect())
    }
}
