//! Who the relay is: not root, if it is told another name, and without capabilities in any case.

use super::Places;
use crate::config::{Config, Process};
use crate::refused::Refused;
use crate::spool::Spool;
use anyhow::{Context, ensure};
use caps::{CapSet, Capability, CapsHashSet};
use nix::unistd::{Uid, User, geteuid, initgroups, setfsgid, setfsuid, setgid, setuid};
use std::ffi::CString;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;
use std::thread;

/// Ports below are for who has CAP_NET_BIND_SERVICE.
const FIRST_UNPRIVILEGED_PORT: u16 = 1024;

/// Who it became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// As a number.
    pub uid: u32,
    /// It is root still.
    pub is_root: bool,
    /// It kept the capability for ports below 1024.
    pub has_ports: bool,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let capabilities = if self.has_ports { "CAP_NET_BIND_SERVICE alone" } else { "no capabilities" };
        write!(f, "user {}, {capabilities}", self.uid)
    }
}

/// The user of this name, or what is wrong with it.
///
/// # Errors
/// When there is none, or it is root.
pub fn identity(name: &str) -> anyhow::Result<User> {
    let refused = |what: &str| Refused(format!("operator: process.user: {what}"));
    let user = User::from_name(name).with_context(|| format!("operator: process.user: {name}"))?;
    let user = user.ok_or_else(|| refused(&format!("there is no user {name}; make one, without a shell")))?;
    ensure!(!user.uid.is_root(), refused(&format!("{name} is root; name another user")));
    Ok(user)
}

/// The user that a relay with this configuration becomes when it is started by who runs this: only root can. `None` where nothing
/// changes, or [`identity`] complains.
pub fn successor(process: &Process) -> Option<User> {
    let name = process.user.as_deref().filter(|_| geteuid().is_root())?;
    identity(name).ok()
}

/// Does what `work` says with the access to files that `user` has; `None` if it cannot be had.
///
/// In a thread of its own: Linux judges access to files for each thread, and takes root's privileges over files with it (setfsuid(2)).
/// The supplementary groups are the process's, and stay; root, who has more, does not miss its own.
pub fn with_access_of<T: Send>(user: &User, work: impl FnOnce() -> T + Send) -> Option<T> {
    initgroups(&CString::new(user.name.as_bytes()).ok()?, user.gid).ok()?;
    let judged = || {
        setfsgid(user.gid);
        setfsuid(user.uid);
        // It returns who it was before, which is the only way to see that it worked.
        (setfsuid(user.uid) == user.uid).then(work)
    };
    thread::scope(|scope| scope.spawn(judged).join().ok().flatten())
}

/// Whether an address needs CAP_NET_BIND_SERVICE. A socket may be opened late, when its interface appears.
pub(super) fn privileged_ports(config: &Config) -> bool {
    let port = config.sessions.port.iter().map(|port| &port.listen);
    let addresses = config.listen.coap.iter().chain(&config.admin.listen).chain(port);
    { addresses }.map(SocketAddr::port).any(|port| (1..FIRST_UNPRIVILEGED_PORT).contains(&port))
}

/// Becomes `name`, if it is root now, and gives up all capabilities but that for low ports, if those are needed.
pub(super) fn become_nobody_special(
    name: Option<&str>,
    places: &Places,
    ports: bool,
) -> anyhow::Result<Identity> {
    let held = caps::read(None, CapSet::Permitted).unwrap_or_default();
    let kept: CapsHashSet =
        held.into_iter().filter(|held| ports && *held == Capability::CAP_NET_BIND_SERVICE).collect();
    // Only who may change capabilities can shorten this list; for everybody else it says nothing that no_new_privs does not.
    let _ = caps::clear(None, CapSet::Bounding);
    match name {
        Some(name) if geteuid().is_root() => {
            let user = identity(name)?;
            hand_over(places, &user);
            if !kept.is_empty() {
                caps::securebits::set_keepcaps(true).context("relay: cannot keep a capability")?;
            }
            change(&user).with_context(|| format!("relay: cannot become {name}"))?;
        }
        Some(name) if identity(name)?.uid != geteuid() => {
            tracing::warn!(
                "operator: process.user is {name}, and the relay was not started as root: it stays user {}",
                geteuid()
            );
        }
        _ => {}
    }
    for set in [CapSet::Ambient, CapSet::Inheritable] {
        // Kernels before 4.3 have no ambient ones.
        let _ = caps::clear(None, set);
    }
    for set in [CapSet::Effective, CapSet::Permitted] {
        // A service manager's filter may refuse the call where there is nothing to be given up.
        if caps::read(None, set).context("relay: cannot read its capabilities")? != kept {
            caps::set(None, set, &kept).context("relay: cannot give up capabilities")?;
        }
    }
    let uid = geteuid();
    ensure!(uid.is_root() || setuid(Uid::from_raw(0)).is_err(), "relay: it could become root again");
    Ok(Identity { uid: uid.as_raw(), is_root: uid.is_root(), has_ports: !kept.is_empty() })
}

/// Groups first: afterwards nothing of it is allowed.
fn change(user: &User) -> anyhow::Result<()> {
    initgroups(&CString::new(user.name.as_bytes())?, user.gid)?;
    setgid(user.gid)?;
    setuid(user.uid)?;
    Ok(())
}

/// What root wrote before becomes the user's: images of the spool, the store of sessions and its key. Their directory does too if it
/// is the spool or there is nothing else in it, but not if it is one of the configuration, whose owner is the operator's decision.
/// What cannot be given is said when it is used.
fn hand_over(places: &Places, user: &User) {
    for place in places.written.iter().filter(|place| !places.read.contains(place)) {
        let files = fs::read_dir(place).into_iter().flatten().flatten().map(|file| file.path());
        let (ours, others): (Vec<_>, Vec<_>) = files.partition(|file| {
            places.kept.contains(file) || Spool::is_name(file) && Some(place) == places.spool.as_ref()
        });
        ours.iter().for_each(|file| give(file, user));
        if others.is_empty() || Some(place) == places.spool.as_ref() {
            give(place, user);
        }
    }
}

/// Neither a link nor what has another name: either could be a file of somebody else.
fn give(path: &Path, user: &User) {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let Ok(file) = OpenOptions::new().read(true).custom_flags(flags).open(path) else { return };
    let is_one = |of: fs::Metadata| of.is_dir() || of.is_file() && of.nlink() == 1;
    if file.metadata().is_ok_and(is_one) {
        let _ = fchown(&file, Some(user.uid.as_raw()), Some(user.gid.as_raw()));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "these are tests")]

    use super::*;

    #[test]
    fn only_what_is_the_relays_is_handed_over() {
        if !geteuid().is_root() {
            println!("skipped: only root can give files away");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        for name in ["etc", "spool", "shared", "own"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        let files = [
            "spool/a.image",
            "spool/notes",
            "shared/sessions",
            "shared/sessions.key",
            "shared/passwd",
            "own/sessions",
        ];
        files.iter().for_each(|name| fs::write(folder.join(name), "").unwrap());
        std::os::unix::fs::symlink(folder.join("shared/passwd"), folder.join("spool/b.image")).unwrap();
        fs::write(folder.join("shared/other"), "").unwrap();
        fs::hard_link(folder.join("shared/other"), folder.join("spool/c.part")).unwrap();
        let nobody = User::from_name("nobody").unwrap().unwrap();
        for store in ["shared", "own"] {
            let text = format!(
                "[cache]\ndisk = {{ path = \"../spool\", limit = \"1 MiB\" }}\n[sessions]\nstore = \"../{store}/sessions\""
            );
            let file = folder.join("etc/relay.toml");
            hand_over(&Places::of(&Config::parse(&text, &file).unwrap(), &file), &nobody);
        }
        let is_theirs = |name: &str| fs::metadata(folder.join(name)).unwrap().uid() == nobody.uid.as_raw();
        for name in
            ["spool", "spool/a.image", "shared/sessions", "shared/sessions.key", "own", "own/sessions"]
        {
            assert!(is_theirs(name), "{name}");
        }
        for name in ["etc", "spool/notes", "shared", "shared/passwd", "shared/other"] {
            assert!(!is_theirs(name), "{name}");
        }
    }
}
