//! Network namespaces, through `ip(8)` and setns(2).

use crate::wait;
use anyhow::{Context, Result, anyhow, ensure};
use nix::sched::{CloneFlags, setns};
use std::fs::{self, File};
use std::io::Write;
use std::net::Ipv6Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

/// A named network namespace. It goes when it is dropped, with its links.
#[derive(Debug)]
pub struct Netns {
    name: String,
    handle: File,
}

impl Netns {
    /// Makes a namespace with its loopback interface up.
    pub fn create(name: &str) -> Result<Self> {
        ip_batch(&format!("netns add {name}"))?;
        let handle = File::open(Path::new("/run/netns").join(name))?;
        let netns = Self { name: name.to_owned(), handle };
        // Links are private and addresses unique here: waiting a second for each duplicate address detection proves nothing.
        netns.sysctl("ipv6/conf/default/accept_dad", "0")?;
        netns.ip("link set lo up")?;
        Ok(netns)
    }

    /// The name, for `ip` commands that refer to this namespace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Does `work` inside the namespace: processes and sockets that it makes belong there.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(&self.handle, CloneFlags::CLONE_NEWNET).context("setns")?;
                Ok(work())
            });
            inside.join().map_err(|_| anyhow!("a panic inside namespace {}", self.name))?
        })
    }

    /// Carries out `ip` commands, one a line.
    pub fn ip(&self, commands: &str) -> Result<()> {
        self.enter(|| ip_batch(commands))?.with_context(|| format!("in namespace {}", self.name))
    }

    /// Waits until an interface transmits. For up to a second after it was set up the kernel may drop what is sent.
    pub fn wait_until_up(&self, interface: &str) -> Result<()> {
        let show = || Command::new("ip").args(["-oneline", "link", "show", "dev", interface]).output();
        wait::until_true(&format!("{interface} in {} to be up", self.name), wait::SOON, || {
            let shown = self.enter(show).ok().and_then(Result::ok);
            shown.is_some_and(|shown| String::from_utf8_lossy(&shown.stdout).contains(" state UP "))
        })
    }

    /// Sets `/proc/sys/net/KEY`.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys/net").join(key);
        self.enter(|| fs::write(&path, value))?
            .with_context(|| format!("setting {} to {value}", path.display()))
    }

    /// The global addresses of an interface, without those that are still tentative.
    pub fn global_addresses(&self, interface: &str) -> Result<Vec<Ipv6Addr>> {
        const TENTATIVE: u32 = 0x40;
        let table = self.enter(|| fs::read_to_string("/proc/thread-self/net/if_inet6"))??;
        Ok(parse_if_inet6(&table)
            .filter(|row| row.interface == interface && row.scope == 0 && row.flags & TENTATIVE == 0)
            .map(|row| row.address)
            .collect())
    }

    /// Bytes sent on an interface so far, headers included.
    pub fn sent_bytes(&self, interface: &str) -> Result<u64> {
        let table = self.enter(|| fs::read_to_string("/proc/thread-self/net/dev"))??;
        let counters = table.lines().find_map(|line| line.trim().strip_prefix(interface)?.strip_prefix(':'));
        let sent = counters.and_then(|counters| counters.split_whitespace().nth(8)?.parse().ok());
        sent.with_context(|| format!("no interface {interface} in {}", self.name))
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = ip_batch(&format!("netns delete {}", self.name));
    }
}

/// Carries out `ip` commands in the namespace of the calling thread.
fn ip_batch(commands: &str) -> Result<()> {
    let mut ip =
        Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    ip.stdin.take().context("ip without standard input")?.write_all(commands.as_bytes())?;
    let output = ip.wait_with_output()?;
    ensure!(output.status.success(), "ip: {}\n{commands}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

struct InterfaceAddress<'a> {
    address: Ipv6Addr,
    scope: u32,
    flags: u32,
    interface: &'a str,
}

/// Rows of `/proc/net/if_inet6`: address, index, prefix length, scope and flags in hexadecimal, then the interface.
fn parse_if_inet6(table: &str) -> impl Iterator<Item = InterfaceAddress<'_>> {
    table.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [address, _index, _length, scope, flags, interface] = fields[..] else { return None };
        Some(InterfaceAddress {
            address: u128::from_str_radix(address, 16).ok()?.into(),
            scope: u32::from_str_radix(scope, 16).ok()?,
            flags: u32::from_str_radix(flags, 16).ok()?,
            interface,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_address_table() {
        let table = "20010db8000600000000000000000001 02 40 00 80    wpan0\n\
                     fe80000000000000000000000000000a 02 40 20 c0    wpan0\n";
        let rows: Vec<_> = parse_if_inet6(table).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].address, "2001:db8:6::1".parse::<Ipv6Addr>().unwrap());
        assert_eq!((rows[0].scope, rows[0].flags, rows[0].interface), (0, 0x80, "wpan0"));
        assert_eq!((rows[1].scope, rows[1].flags), (0x20, 0xc0));
    }
}
