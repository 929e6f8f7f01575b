//! What procd and its ujail make of an instance that an init script described: when it is restarted, and a process in a jail.
//!
//! As procd's `service/instance.c` and `jail/jail.c` have it, of what this package uses. Seccomp filters, respawning and
//! triggers are not here.

use super::{ROOT, Router, libraries};
use crate::netns::Netns;
use crate::process::Process;
use anyhow::{Context, Result, ensure};
use caps::CapSet;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_no_new_privs;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

const JAIL: &str = "/run/jail";
const JAIL_PARAMETER: &str = "jail";
/// The jail's own file system, and in it SOURCE PLACE MODE, one a line; what is not there is left out.
const MOUNTS: &str = r#"
set -e
mkdir -p "$1" && mount -t tmpfs -o mode=0755 tmpfs "$1"
while read -r source place mode; do
	[ -e "$source" ] || continue
	if [ -d "$source" ]; then
		mkdir -p "$1$place"
	else
		mkdir -p "$(dirname "$1$place")" && : >"$1$place"
	fi
	mount --rbind "$source" "$1$place"
	[ "$mode" = rw ] || mount -o remount,bind,ro "$1$place"
done
mkdir -p "$1/dev"
for device in null urandom; do : >"$1/dev/$device" && mount --bind "/dev/$device" "$1/dev/$device"; done
"#;

/// What the init script said of its only instance, and the bytes of the files that procd watches. Procd restarts a service that
/// runs when these are not what they were, and leaves it alone otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    parameters: Vec<(String, Vec<String>)>,
    /// What the jail shows of the router, and whether it may be written to.
    mounts: BTreeMap<String, bool>,
    files: Vec<Vec<u8>>,
}

impl Instance {
    /// Reads it from what was told procd; `None` if nothing was opened.
    pub fn read(router: &Router, record: &str) -> Result<Option<Self>> {
        if !record.lines().any(|line| line == "procd_open_instance") {
            return Ok(None);
        }
        let (mut parameters, mut mounts) = (Vec::new(), BTreeMap::new());
        for line in record.lines() {
            let mut words = line.split(' ').map(str::to_owned);
            match words.next().as_deref() {
                Some("procd_set_param") => {
                    parameters.push((words.next().context("a parameter without a name")?, words.collect()));
                }
                Some("procd_add_jail") => parameters.push((JAIL_PARAMETER.to_owned(), words.collect())),
                Some("procd_add_jail_mount") => mounts.extend(words.map(|path| (path, false))),
                Some("procd_add_jail_mount_rw") => mounts.extend(words.map(|path| (path, true))),
                _ => {}
            }
        }
        let mut instance = Self { parameters, mounts, files: Vec::new() };
        let files: Vec<_> = instance.all("file").map(|path| fs::read(router.path(path))).collect();
        instance.files = files.into_iter().collect::<Result<_, _>>()?;
        Ok(Some(instance))
    }

    /// All values of a parameter that may be there several times.
    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let found = self.parameters.iter().filter(move |(parameter, _)| parameter == name);
        found.flat_map(|(_, values)| values.iter().map(String::as_str))
    }

    fn one(&self, name: &str) -> Result<&str> {
        self.all(name).next().with_context(|| format!("no {name} in {self:?}"))
    }

    /// Starts it in its jail and in a network namespace, as its user, as process 1.
    pub fn start(&self, router: &Router, netns: &Netns, name: &str) -> Result<Process> {
        let program = self.one("command")?;
        let (user, group) = (self.number(router, "user")?, self.number(router, "group")?);
        let mounts = self.mounts(router, program)?;
        let is_unprivileged = self.one("no_new_privs")? == "1";
        let kept = fs::read_to_string(router.path(self.one("capabilities")?))?;
        let kept: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&kept)?;
        ensure!(
            kept.values().all(|set| set.as_array().is_some_and(Vec::is_empty)),
            "this jail keeps no capability"
        );
        let mut command = Command::new(program);
        command.args(self.all("command").skip(1)).uid(user).gid(group).current_dir("/");
        Process::start_after(netns, name, command, move || {
            unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC).context("unshare")?;
            let mut shell = Command::new("sh");
            shell.args(["-c", MOUNTS, "sh", JAIL]);
            mount(shell, &mounts)?;
            // Those of the thread go when the process becomes its user.
            caps::clear(None, CapSet::Bounding)?;
            caps::clear(None, CapSet::Inheritable)?;
            if is_unprivileged {
                set_no_new_privs()?;
            }
            unshare(CloneFlags::CLONE_NEWPID).context("unshare")?;
            Ok(nix::unistd::chroot(JAIL)?)
        })
    }

    /// Lines for [`MOUNTS`].
    fn mounts(&self, router: &Router, program: &str) -> Result<String> {
        let mut lines = String::new();
        let mut add = |path: &str, mode: &str| lines += &format!("{ROOT}{path} {path} {mode}\n");
        ["/etc/passwd", "/etc/group", program].iter().for_each(|path| add(path, "ro"));
        libraries(&router.path(program))?.iter().for_each(|path| add(path, "ro"));
        self.mounts.iter().for_each(|(path, is_writable)| add(path, if *is_writable { "rw" } else { "ro" }));
        for (word, folder) in [("procfs", "/proc"), ("sysfs", "/sys")] {
            if self.all(JAIL_PARAMETER).any(|it| it == word) {
                lines += &format!("{folder} {folder} rw\n");
            }
        }
        Ok(lines)
    }

    /// The number of the user or group that a parameter names.
    fn number(&self, router: &Router, parameter: &str) -> Result<u32> {
        let (name, table) = (self.one(parameter)?, if parameter == "user" { "passwd" } else { "group" });
        let table = fs::read_to_string(router.path("etc").join(table))?;
        let row = table.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|row| row[0] == name);
        let row = row.with_context(|| format!("there is no {parameter} {name}"))?;
        Ok(row.get(2).context("a short row")?.parse()?)
    }
}

fn mount(mut shell: Command, lines: &str) -> Result<()> {
    let mut shell = shell.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    shell.stdin.take().context("no standard input")?.write_all(lines.as_bytes())?;
    let output = shell.wait_with_output()?;
    ensure!(output.status.success(), "mounting: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
