//! What the relay can give up on this machine.

use super::Finding;
use crate::config::Config;
use crate::confine;
use nix::unistd::geteuid;
use std::path::Path;

pub(super) fn all(config: &Config) -> Vec<Finding> {
    let seccomp = confine::has_seccomp() && Path::new("/proc/sys/kernel/seccomp/actions_avail").exists();
    let user = config.process.user.as_deref();
    let user =
        user.map(|name| confine::identity(name).map(|user| user.uid.as_raw()).map_err(|e| format!("{e:#}")));
    let sandbox = config.process.sandbox;
    vec![judge_user(user, geteuid().is_root()), judge_sandbox(sandbox, confine::landlock(), seccomp)]
}

/// `user` is that of the configuration.
fn judge_user(user: Option<Result<u32, String>>, is_root: bool) -> Finding {
    match user {
        Some(Ok(uid)) => Finding::ok("user", format!("started as root, the relay becomes user {uid}")),
        Some(Err(what)) => Finding::failure("user", what, "started as root, the relay refuses to serve"),
        None if is_root => {
            let remedy = "start it as another user, as the packages do, or name one in process.user";
            Finding::warning("user", "started as root, the relay stays root, without capabilities", remedy)
        }
        None => Finding::ok("user", "not root"),
    }
}

fn judge_sandbox(is_on: bool, landlock: bool, seccomp: bool) -> Finding {
    if !is_on {
        let remedy = "remove process.sandbox = false, unless it is in the way";
        return Finding::warning("sandbox", "turned off", remedy);
    }
    let missing: Vec<_> = [("Landlock", landlock), ("seccomp", seccomp)]
        .into_iter()
        .filter(|(_, has)| !has)
        .map(|(name, _)| name)
        .collect();
    if missing.is_empty() {
        return Finding::ok("sandbox", "Landlock and seccomp");
    }
    let remedy = "a kernel that has it confines the relay further; it serves without";
    Finding::warning("sandbox", format!("this machine has no {}", missing.join(" and no ")), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    #[test]
    fn root_is_told() {
        assert_eq!(judge_user(None, false).severity, Severity::Ok);
        assert_eq!(judge_user(None, true).severity, Severity::Warning);
        assert_eq!(judge_user(Some(Ok(5)), true).severity, Severity::Ok);
        assert_eq!(judge_user(Some(Err("no such user".into())), false).severity, Severity::Failure);
    }

    #[test]
    fn what_a_machine_lacks_is_named() {
        assert_eq!(judge_sandbox(true, true, true).severity, Severity::Ok);
        let lacking = judge_sandbox(true, false, false);
        assert_eq!(lacking.what, "this machine has no Landlock and no seccomp");
        assert_eq!(judge_sandbox(false, true, true).severity, Severity::Warning);
    }
}
