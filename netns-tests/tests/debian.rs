//! The Debian packages as dpkg installs, upgrades and removes them, around the programs of this workspace. `make packages` packs static
//! ones, and `make packages-test` looks at those.

use anyhow::{Context, Result, ensure};
use sixfold_netns_tests::debian::{self, Debian, NEEDS, PROGRAMS, another_version, package};
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::{process, sandbox, workspace};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::Command;

const CONFIG: &str = "etc/sixfold/relay.toml";
const ANNOUNCEMENT: &str = "etc/sixfold/avahi.service";
const MANUAL: &str = "/usr/share/sixfold/relay.toml";
const SAMPLES: &str = "/usr/share/doc/sixfold-relay/examples";
const WANTED: &str = "etc/systemd/system/multi-user.target.wants/sixfold-relay.service";

/// What dpkg keeps of packages that were there, and the caches that it keeps up to date, of manual pages say.
const DPKGS: &[&str] =
    &["var/lib/dpkg/", "var/log/", "var/cache/man", "var/cache/debconf/", "var/lib/systemd/"];
/// What making a user leaves: Debian's packages do not remove theirs, so that nobody else gets its number and its files.
const USERS: &[&str] = &["etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-", "etc/.pwd.lock"];

fn run<F: FnOnce() -> Result<()>>(more: &[Peer], body: F) -> Result<()> {
    debian::build_packages()?;
    sandbox::run(&[NEEDS, more].concat(), body)
}

/// What is there now and was not before, as far as it is the packages'.
fn left(before: &BTreeSet<String>, now: &BTreeSet<String>) -> Vec<String> {
    let new = now
        .difference(before)
        .filter(|path| !DPKGS.iter().any(|start| path.starts_with(start)) && !USERS.contains(&path.as_str()));
    new.cloned().collect()
}

#[test]
fn installing_makes_the_user_and_its_folders_and_starts_nothing_without_systemd() -> Result<()> {
    run(&[], || {
        let debian = Debian::create()?;
        for name in ["sixfold-relay", "sixfold-tools"] {
            debian.install(&package(name)?, &[])?;
        }
        let orders = debian.orders()?;
        ensure!(orders.is_empty(), "without a service manager it wants {orders:?}");
        let account = debian.expect(&["getent", "passwd", "sixfold"])?;
        ensure!(account.trim_end().ends_with(":/nonexistent:/usr/sbin/nologin"), "{account}");
        let group: u32 = account.split(':').nth(3).context("no group")?.parse()?;
        let keys = fs::metadata(debian.path("etc/sixfold/keys"))?;
        ensure!((keys.uid(), keys.gid(), keys.mode() & 0o7777) == (0, group, 0o750), "{keys:?}");
        ensure!(!debian.path(WANTED).is_symlink(), "it starts with the system before it is configured");
        for program in PROGRAMS {
            let version = debian.expect(&[program, "--version"])?;
            ensure!(version.trim_end() == format!("{program} {}", env!("CARGO_PKG_VERSION")), "{version}");
        }
        // As the user that the service is.
        let check = ["setpriv", "--reuid=sixfold", "--regid=sixfold", "--clear-groups", "--no-new-privs"];
        let check = [&check[..], &["sixfold-relay", "check", "--config", "/etc/sixfold/relay.toml"]].concat();
        let said = debian.expect(&check)?;
        ensure!(said.contains("[::]:5683") && said.contains("[::]:61616"), "{said}");
        let other = debian.expect(&["dpkg", "--verify", "sixfold-relay", "sixfold-tools"])?;
        ensure!(other.is_empty(), "not as they were packed: {other}");
        Ok(())
    })
}

#[test]
fn the_service_is_started_restarted_and_stopped_as_the_machine_allows() -> Result<()> {
    run(&[], || {
        let debian = Debian::create()?;
        let relay = package("sixfold-relay")?;
        debian.boot()?;
        debian.allow_starts(false)?;
        debian.install(&relay, &[])?;
        let orders = debian.orders()?;
        ensure!(orders == ["daemon-reload"], "against the machine's policy: {orders:?}");

        debian.allow_starts(true)?;
        debian.expect(&["dpkg", "--purge", "sixfold-relay"])?;
        debian.orders()?;
        debian.install(&relay, &[])?;
        let orders = debian.orders()?;
        ensure!(orders == ["daemon-reload"], "before it is configured: {orders:?}");
        debian.expect(&["systemctl", "--root=/", "enable", "sixfold-relay"])?;
        debian.install(&another_version("0.1.0-2", "")?, &[])?;
        ensure!(debian.path(WANTED).is_symlink(), "an upgrade disables what the operator enabled");
        let orders = debian.orders()?;
        ensure!(orders == ["daemon-reload", "try-restart sixfold-relay.service"], "{orders:?}");
        debian.expect(&["dpkg", "--remove", "sixfold-relay"])?;
        let orders = debian.orders()?;
        ensure!(orders.first().is_some_and(|order| order == "stop sixfold-relay.service"), "{orders:?}");
        debian.install(&relay, &[])?;
        ensure!(debian.path(WANTED).is_symlink(), "it was enabled when it was removed");
        debian.expect(&["systemctl", "--root=/", "disable", "sixfold-relay"])?;
        debian.install(&another_version("0.1.0-3", "")?, &[])?;
        ensure!(!debian.path(WANTED).is_symlink(), "an upgrade enables what the operator disabled");
        Ok(())
    })
}

/// Kernel settings are files here, in place of those of the machine.
#[test]
fn buffers_are_larger_before_the_service_starts() -> Result<()> {
    const USUAL: &str = "212992\n";
    run(&[], || {
        let debian = Debian::create()?;
        let settings = debian.path("proc/sys/net/core");
        let mount = |options: &str| {
            let tmpfs = ["-t", "tmpfs", "-o", options, "tmpfs"];
            process::run(Command::new("mount").args(tmpfs).arg(&settings)).map(|_| ())
        };
        mount("mode=755")?;
        let limits = ["rmem_max", "wmem_max"].map(|name| settings.join(name));
        for limit in &limits {
            fs::write(limit, USUAL)?;
        }
        debian.install(&package("sixfold-relay")?, &[])?;
        for limit in &limits {
            ensure!(
                fs::read_to_string(limit)? == USUAL,
                "a system that is being made has no kernel of its own"
            );
        }

        debian.boot()?;
        mount("remount,ro")?;
        debian.install(&another_version("0.1.0-2", "")?, &[])?;
        mount("remount,rw")?;
        let said = debian.install(&another_version("0.1.0-3", "")?, &[])?;
        for limit in &limits {
            let now = fs::read_to_string(limit)?;
            ensure!(now.trim() == "4194304", "{}: {now}{said}", limit.display());
        }

        // A file of the operator's wins, and what is larger already stays, whether a file says so or not.
        fs::write(debian.path("etc/sysctl.d/30-router.conf"), "net.core.rmem_max = 16777216\n")?;
        fs::write(&limits[0], USUAL)?;
        fs::write(&limits[1], "33554432\n")?;
        debian.install(&another_version("0.1.0-4", "")?, &[])?;
        for (limit, wanted) in limits.iter().zip(["16777216", "33554432"]) {
            let now = fs::read_to_string(limit)?;
            ensure!(now.trim() == wanted, "{}: {now}", limit.display());
        }
        Ok(())
    })
}

#[test]
fn an_upgrade_keeps_what_the_operator_wrote() -> Result<()> {
    run(&[], || {
        let debian = Debian::create()?;
        debian.install(&package("sixfold-relay")?, &[])?;
        let (config, announcement) = (debian.path(CONFIG), debian.path(ANNOUNCEMENT));
        let edited = uncommented(&fs::read_to_string(&config)?);
        fs::write(&config, &edited)?;
        let announced = fs::read_to_string(&announcement)?.replace("5683", "5999");
        fs::write(&announcement, &announced)?;
        let is_kept = |when: &str| -> Result<()> {
            ensure!(fs::read_to_string(&config)? == edited, "{when} took the configuration");
            ensure!(fs::read_to_string(&announcement)? == announced, "{when} took the announcement");
            Ok(())
        };

        // Nobody is there to answer a question of dpkg's.
        debian.install(&another_version("0.1.0-2", "# new\n")?, &[])?;
        is_kept("an upgrade")?;
        let manual = fs::read_to_string(debian.path(MANUAL))?;
        ensure!(manual.ends_with("# new\n"), "the manual is not kept up to date");
        debian.expect(&["sixfold-relay", "check", "--config", "/etc/sixfold/relay.toml"])?;

        // As after a power cut: the service could not take it back.
        let left = debian.path("etc/avahi/services/sixfold-relay.service");
        fs::create_dir_all(left.parent().context("a folder")?)?;
        fs::copy(&announcement, &left)?;
        debian.expect(&["dpkg", "--remove", "sixfold-relay"])?;
        is_kept("removing the package")?;
        ensure!(!left.exists(), "a relay that is gone is announced");
        debian.install(&package("sixfold-relay")?, &[])?;
        is_kept("installing it again")
    })
}

/// The configuration that the package brings, with what it proposes in force.
fn uncommented(shipped: &str) -> String {
    let lines = shipped
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn what_the_package_brings_begins_as_the_readme_does() -> Result<()> {
    run(&[], || {
        let debian = Debian::create()?;
        debian.install(&package("sixfold-relay")?, &[])?;
        let shipped = fs::read_to_string(debian.path(CONFIG))?;
        let config: Vec<_> =
            uncommented(&shipped).lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
        let config = config.join("\n");
        let readme = fs::read_to_string(workspace::root().join("README.md"))?;
        ensure!(readme.contains(&format!("```toml\n{}\n```", config.trim())), "{config}");
        // Whatever it names is there.
        let named: Vec<_> = shipped.split_whitespace().filter(|word| word.starts_with('/')).collect();
        ensure!(named.contains(&MANUAL) && named.contains(&SAMPLES), "{named:?}");
        for place in named {
            ensure!(debian.path(place).exists(), "there is no {place}");
        }
        ensure!(fs::read(debian.path(MANUAL))? == fs::read(workspace::root().join("config/relay.toml"))?);
        for sample in fs::read_dir(workspace::root().join("config/samples"))? {
            let sample = sample?;
            let copy = fs::read(debian.path(SAMPLES).join(sample.file_name()))?;
            ensure!(copy == fs::read(sample.path())?, "{}", sample.path().display());
        }
        Ok(())
    })
}

#[test]
fn what_is_purged_leaves_nothing_but_its_user() -> Result<()> {
    run(&[], || {
        let debian = Debian::create()?;
        let before = debian.files()?;
        let packages = ["sixfold-relay", "sixfold-tools"];
        for name in packages {
            debian.install(&package(name)?, &[])?;
        }
        // As systemd makes the folders of a DynamicUser.
        for folder in ["var/cache", "var/lib"] {
            fs::create_dir_all(debian.path(folder).join("private/sixfold"))?;
            fs::write(debian.path(folder).join("private/sixfold/one"), "")?;
            symlink("private/sixfold", debian.path(folder).join("sixfold"))?;
        }
        debian.expect(&[&["dpkg", "--remove"][..], &packages].concat())?;
        let kept = left(&before, &debian.files()?);
        for path in [
            CONFIG,
            ANNOUNCEMENT,
            "etc/sixfold/keys",
            "var/cache/private/sixfold/one",
            "var/lib/private/sixfold/one",
        ] {
            ensure!(kept.iter().any(|it| it == path), "removing took {path}");
        }
        ensure!(!kept.iter().any(|path| path.starts_with("usr/")), "removing leaves {kept:?}");

        debian.expect(&[&["dpkg", "--purge"][..], &packages].concat())?;
        let mut rest = left(&before, &debian.files()?);
        // systemd's, for all services.
        rest.retain(|path| !["var/cache/private", "var/lib/private"].contains(&path.as_str()));
        ensure!(rest.is_empty(), "purging leaves {rest:?}");
        let gone: Vec<_> = before.difference(&debian.files()?).cloned().collect();
        ensure!(
            gone.iter().all(|path| DPKGS.iter().any(|start| path.starts_with(start))),
            "purging took {gone:?}"
        );
        debian.expect(&["getent", "passwd", "sixfold"])?;

        // A key is the operator's.
        debian.install(&package("sixfold-relay")?, &[])?;
        fs::write(debian.path("etc/sixfold/keys/origin.key"), "")?;
        debian.expect(&["dpkg", "--purge", "sixfold-relay"])?;
        let rest = left(&before, &debian.files()?);
        let mut rest: Vec<_> = rest.iter().filter(|path| path.starts_with("etc/")).collect();
        rest.sort();
        ensure!(rest == ["etc/sixfold", "etc/sixfold/keys", "etc/sixfold/keys/origin.key"], "{rest:?}");
        Ok(())
    })
}

#[test]
fn lintian_has_nothing_to_say() -> Result<()> {
    run(&[Peer::Lintian], || {
        let mut command = Command::new(Peer::Lintian.program().with_context(|| Peer::Lintian.remedy())?);
        // What is shipped is static, and what is packed here is not: it says no more of the libraries that it needs.
        command.args(["--suppress-tags", "missing-dependency-on-libc,undeclared-elf-prerequisites"]);
        command
            .args(["--fail-on", "error,warning"])
            .arg(package("sixfold-relay")?)
            .arg(package("sixfold-tools")?);
        let output = command.output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success() && said.is_empty(), "{said}");
        Ok(())
    })
}

#[test]
fn every_program_has_its_pages_and_completions() -> Result<()> {
    run(&[Peer::Man], || {
        let debian = Debian::create()?;
        for name in ["sixfold-relay", "sixfold-tools"] {
            debian.install(&package(name)?, &[])?;
        }
        let files = debian.files()?;
        for program in PROGRAMS {
            for place in [
                format!("usr/share/man/man1/{program}.1.gz"),
                format!("usr/share/bash-completion/completions/{program}"),
                format!("usr/share/zsh/vendor-completions/_{program}"),
                format!("usr/share/fish/vendor_completions.d/{program}.fish"),
            ] {
                ensure!(files.contains(&place), "no {place}");
            }
            let completion = format!("/usr/share/bash-completion/completions/{program}");
            debian.expect(&["bash", "-n", &completion])?;
            let script = format!(". {completion} && complete -p {program}");
            let known = debian.expect(&["bash", "-c", &script])?;
            ensure!(known.contains(" -F ") && known.trim_end().ends_with(program), "{known}");
        }
        let pages = files.iter().filter(|path| path.starts_with("usr/share/man/man1/sixfold-"));
        let mut count = 0;
        for page in pages {
            let shown = debian.run(&["man", "--warnings", "--local-file", &format!("/{page}")])?;
            let (text, complaint) = (String::from_utf8(shown.stdout)?, String::from_utf8(shown.stderr)?);
            ensure!(shown.status.success() && complaint.is_empty(), "{page}: {complaint}");
            ensure!(text.contains("NAME") && text.contains("SYNOPSIS"), "{page}: {text}");
            count += 1;
        }
        ensure!(count > 20, "{count} pages");
        Ok(())
    })
}
