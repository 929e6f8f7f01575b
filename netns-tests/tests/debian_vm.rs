//! The Debian packages where systemd is process 1, in a virtual machine: a life of the service, from installation to purge. What dpkg
//! does by itself is the business of `debian.rs`, what the unit says that of `systemd.rs`.

use anyhow::{Result, ensure};
use sixfold_netns_tests::debian::{self, NEEDS};
use sixfold_netns_tests::sandbox;
use sixfold_netns_tests::vm::{self, Boot};

/// A life of the service, in this order: functions of `netns-tests/vm/debian/test`.
const CHECKS: &[&str] = &[
    "nothing_runs_before_it_is_configured",
    "what_the_readme_says_works",
    "it_is_announced_while_it_serves",
    "its_user_can_do_nothing_else",
    "it_serves_what_is_configured",
    "it_writes_to_its_own_folders_alone",
    "a_reload_with_a_mistake_changes_nothing",
    "a_reload_changes_what_is_served",
    "a_restart_needs_no_origin",
    "the_journal_knows_how_bad_a_line_is",
    "a_relay_that_hangs_is_restarted",
    "a_relay_that_was_killed_is_restarted",
    "a_mistake_is_not_tried_again",
    "a_port_that_is_taken_is_waited_for",
    "an_upgrade_keeps_what_there_is_and_runs_the_new_program",
    "what_was_switched_off_stays_so",
    "it_starts_with_the_system",
    "purging_leaves_nothing",
];

#[test]
fn the_service_lives_under_systemd_from_installation_to_purge() -> Result<()> {
    const NAME: &str = "the_service_lives_under_systemd_from_installation_to_purge";
    if let Some(absent) = NEEDS.iter().find(|peer| peer.program().is_none()) {
        return sandbox::skip_or_fail(NAME, &absent.remedy());
    }
    debian::build_packages()?;
    let console = match vm::debian::run(CHECKS)? {
        Boot::Console(console) => console,
        Boot::Missing(what) => return sandbox::skip_or_fail(NAME, &what),
    };
    let passed: Vec<_> = console.lines().filter_map(|line| line.trim().strip_prefix("PASSED ")).collect();
    println!("{}", passed.join("\n"));
    ensure!(passed == CHECKS, "a check was left out:\n{console}");
    Ok(())
}
