//! Clock, disk, memory and limits of this machine.

use super::Finding;
use crate::config::Config;
use crate::spool::{self, Place};
use bytesize::ByteSize;
use nix::sys::statvfs::statvfs;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// 2026-01-01: no clock that is right shows an earlier time to this program.
const EARLIEST: Duration = Duration::from_secs(1_767_225_600);

/// What the relay asks for a socket's buffer.
const BUFFER: u64 = 4 << 20;

/// What it takes beside the images.
const OVERHEAD: u64 = 16 << 20;

pub(super) fn clock() -> Finding {
    judge_clock(SystemTime::now())
}

fn judge_clock(now: SystemTime) -> Finding {
    let shown = humantime::format_rfc3339_seconds(now.max(UNIX_EPOCH));
    if now.duration_since(UNIX_EPOCH).is_ok_and(|since| since >= EARLIEST) {
        return Finding::ok("clock", format!("{shown}, which may be right"));
    }
    let remedy = "set it, or see that NTP reaches a server: no certificate is valid yet by this clock";
    Finding::failure("clock", format!("{shown} is over"), remedy)
}

pub(super) fn disk(config: &Config) -> Option<Finding> {
    let disk = config.cache.disk.as_ref()?;
    Some(judge_disk(&disk.path, disk.limit))
}

fn judge_disk(path: &Path, limit: u64) -> Finding {
    let shown = path.display();
    match spool::place(path) {
        Place::There => {}
        Place::ToBeMade(parent) => {
            return judge_room(
                &format!("{shown} is not there yet: the relay makes it, if its user may, and it"),
                parent,
                0,
                limit,
            );
        }
        Place::OutOfReach(parent) => {
            let what = format!("{shown} is not there, and cannot be made in {}", parent.display());
            let remedy = "make it for the relay's user, or correct cache.disk: without it images do not outlive a restart. \
                          A service makes it when it starts: systemd /var/cache/sixfold, procd any";
            return Finding::warning("disk", what, remedy);
        }
    }
    if let Err(error) = fs::read_dir(path) {
        let remedy = "give the directory to the relay's user, or correct cache.disk: without it images do not outlive a restart";
        return Finding::warning("disk", format!("{shown} cannot be read: {error}"), remedy);
    }
    if let Err(error) = tempfile::tempfile_in(path) {
        let remedy = "give the directory to the relay's user; run this as that user to be sure";
        return Finding::warning("disk", format!("{shown} cannot be written: {error}"), remedy);
    }
    let used = fs::read_dir(path).into_iter().flatten().flatten();
    let used = used.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum();
    judge_room(&shown.to_string(), path, used, limit)
}

/// `place` is where the file system is asked, and `used` what of it the images have already, in bytes.
fn judge_room(shown: &str, place: &Path, used: u64, limit: u64) -> Finding {
    match statvfs(place) {
        Ok(space) => {
            #[allow(clippy::useless_conversion, reason = "some systems count in 32 bits")]
            let free = u64::from(space.blocks_available()).saturating_mul(u64::from(space.fragment_size()));
            let room = ByteSize(free.saturating_add(used));
            if room.as_u64() >= limit {
                Finding::ok("disk", format!("{shown} has room for {room}"))
            } else {
                let remedy =
                    format!("free some, or set the limit of cache.disk, {}, below it", ByteSize(limit));
                Finding::warning("disk", format!("{shown} has room for {room} only"), remedy)
            }
        }
        Err(error) => Finding::warning("disk", format!("{shown}: {error}"), "look at the file system"),
    }
}

pub(super) fn memory(config: &Config) -> Option<Finding> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    judge_memory(&text, config.cache.memory)
}

fn judge_memory(meminfo: &str, cache: u64) -> Option<Finding> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    let available = ByteSize(kilobytes << 10);
    let wanted = ByteSize(cache + OVERHEAD);
    Some(if available >= wanted {
        Finding::ok("memory", format!("{available} available, {wanted} at most are taken"))
    } else {
        let remedy = "lower cache.memory to what is to spare, but not below the largest image";
        Finding::warning("memory", format!("{available} available, {wanted} may be taken"), remedy)
    })
}

/// A thousand devices that power on at once send more than the usual buffer takes.
pub(super) fn buffers() -> Option<Finding> {
    let read =
        |name: &str| fs::read_to_string(format!("/proc/sys/net/core/{name}")).ok()?.trim().parse().ok();
    Some(judge_buffers(read("rmem_max")?, read("wmem_max")?))
}

fn judge_buffers(receive: u64, send: u64) -> Finding {
    let limits = [("rmem_max", receive), ("wmem_max", send)];
    let too_small: Vec<_> = limits.into_iter().filter(|(_, limit)| *limit < BUFFER).collect();
    if too_small.is_empty() {
        return Finding::ok("buffers", "a thousand requests at once find room");
    }
    let settings: Vec<_> = too_small.iter().map(|(name, _)| format!("net.core.{name}={BUFFER}")).collect();
    let remedy = format!("sysctl -w {}, and in /etc/sysctl.d to keep it", settings.join(" "));
    let least = receive.min(send);
    let what = format!("{} are allowed: about {} requests at once find room", ByteSize(least), least / 1100);
    Finding::warning("buffers", what, remedy)
}

#[cfg(test)]
mod tests {
    use super::super::Severity::{Failure, Ok as Fine, Warning};
    use super::*;

    #[test]
    fn a_clock_of_a_router_that_has_just_booted_is_wrong() {
        assert_eq!(judge_clock(UNIX_EPOCH).severity, Failure);
        assert_eq!(judge_clock(UNIX_EPOCH + EARLIEST).severity, Fine);
    }

    #[test]
    fn memory_is_compared_with_what_may_be_taken() {
        let meminfo = "MemTotal: 60000 kB\nMemAvailable:   32768 kB\n";
        assert_eq!(judge_memory(meminfo, 16 << 20).unwrap().severity, Fine);
        assert_eq!(judge_memory(meminfo, (16 << 20) + 1).unwrap().severity, Warning);
    }

    #[test]
    fn a_disk_is_there_and_has_room() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(judge_disk(directory.path(), 1).severity, Fine);
        assert_eq!(judge_disk(directory.path(), u64::MAX).severity, Warning);
        let absent = judge_disk(&directory.path().join("not/there"), 1);
        assert_eq!(absent.severity, Fine, "the relay makes it");
        assert!(absent.what.contains("not there yet"), "{absent}");
        assert_eq!(judge_disk(&directory.path().join("absent"), u64::MAX).severity, Warning);
        let out_of_reach = judge_disk(Path::new("/dev/null/images"), 1);
        assert_eq!(out_of_reach.severity, Warning);
        assert!(out_of_reach.what.contains("cannot be made in /dev/null"), "{out_of_reach}");
    }

    #[test]
    fn buffers_below_the_relays_wish_are_said() {
        assert_eq!(judge_buffers(BUFFER, BUFFER).severity, Fine);
        for (receive, send, settings) in [
            (212_992, BUFFER, "net.core.rmem_max=4194304,"),
            (4 * BUFFER, 212_992, "net.core.wmem_max=4194304,"),
            (212_992, 212_992, "net.core.rmem_max=4194304 net.core.wmem_max=4194304,"),
        ] {
            let finding = judge_buffers(receive, send);
            assert_eq!(finding.severity, Warning);
            // What is large enough is not made smaller.
            assert!(finding.to_string().contains(&format!("sysctl -w {settings}")), "{finding}");
            assert!(finding.what.contains("about 193 requests"), "{finding}");
        }
    }
}
