//! A relay that was started as root serves as somebody else, with nothing but what it needs.

use anyhow::{Result, ensure};
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::nginx;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::process::status_field;
use sixfold_netns_tests::relay::{CONFIG, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::{device, sandbox, wait, workspace};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::Command;
use std::time::Duration;

const NEEDS: &[Peer] = &[Peer::Root, Peer::Nginx, Peer::Radvd];
const SPOOL: &str = "/run/spool";
const STORE: &str = "/run/kept/sessions";
const CONTEXTS: &str = "/run/known/contexts.toml";
const CONTEXT: &str = "[[context]]\nname = \"meter-17\"\nrecipient_id = \"6d3137\"\nsender_id = \"01\"\n\
    master_secret = \"0102030405060708090a0b0c0d0e0f10\"\n";
const NOBODY: u32 = 65534;
const PATIENCE: Duration = Duration::from_secs(120);

fn config(spool: &str, more: &str) -> String {
    format!(
        "{CONFIG}max_age = \"1 h\"\n{more}\n[cache]\ndisk = {{ path = \"{spool}\", limit = \"16 MiB\" }}\n\n\
         [process]\nuser = \"nobody\"\n\n\
         [sessions]\nstore = \"{STORE}\"\ncontexts = \"{CONTEXTS}\"\n"
    )
}

/// One session, for the relay to keep: a secret of the user that it becomes.
fn write_contexts() -> Result<()> {
    fs::create_dir_all("/run/known")?;
    fs::write(CONTEXTS, CONTEXT)?;
    fs::set_permissions(CONTEXTS, Permissions::from_mode(0o600))?;
    Ok(chown(CONTEXTS, Some(NOBODY), Some(NOBODY))?)
}

#[test]
fn a_relay_that_root_started_serves_as_somebody_else() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let image = nginx::publish_image("image.bin", 1, 100_000)?;
        write_contexts()?;
        let relay = Relay::start(&scene.net.relay, &config(SPOOL, ""))?;
        let pid = relay.id();
        let four = format!("{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}");
        ensure!(status_field(pid, "Uid")? == four && status_field(pid, "Gid")? == four);
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            ensure!(status_field(pid, set)? == "0000000000000000", "{set}");
        }
        ensure!(status_field(pid, "NoNewPrivs")? == "1");
        ensure!(
            relay.log().contains(&format!("confined: user {NOBODY}, no capabilities; landlock ")),
            "{}",
            relay.log()
        );
        if cfg!(target_arch = "x86_64") && fs::exists("/proc/sys/kernel/seccomp")? {
            ensure!(status_field(pid, "Seccomp")? == "2");
        }
        // Each thread, also those that were started later.
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let thread = thread?.file_name().to_string_lossy().parse()?;
            ensure!(
                status_field(thread, "CapEff")? == "0000000000000000"
                    && status_field(thread, "NoNewPrivs")? == "1"
            );
        }

        ensure!(
            device::fetch(&scene.net.devices[0], "first", "/fw/image.bin", &[])?.image(PATIENCE)? == image
        );
        wait::until_true("the image on disk", wait::SOON, || {
            fs::read_dir(SPOOL).is_ok_and(|files| {
                files.flatten().any(|file| file.path().extension().is_some_and(|it| it == "image"))
            })
        })?;
        for file in fs::read_dir(SPOOL)? {
            ensure!(file?.metadata()?.uid() == NOBODY);
        }
        // Sessions are kept, and again when one goes.
        let kept = fs::read(STORE)?;
        ensure!(fs::metadata(STORE)?.uid() == NOBODY && relay.metric("sixfold_sessions")? == 1.0);
        revoke_all(&scene.net.relay)?;
        wait::until_true("the sessions on disk", wait::SOON, || {
            fs::read(STORE).is_ok_and(|now| now != kept)
        })?;
        ensure!(relay.metric("sixfold_sessions")? == 0.0, "{}", relay.log());

        let beta = "[[route]]\npath = \"/beta\"\norigin = \"https://origin.test/beta/\"\nca_file = \"/run/ca/ca.pem\"\n";
        relay.reload(&config(SPOOL, beta).replace(CONTEXTS, "/run/known/others.toml"))?;
        ensure!(relay.log().contains("configuration reloaded"), "{}", relay.log());
        let waits = "changes of sessions.store and sessions.contexts wait for the next start";
        ensure!(relay.log().contains(waits), "{}", relay.log());
        relay.reload(&config("/srv/elsewhere", ""))?;
        if relay.log().contains("landlock in force") {
            ensure!(relay.log().contains("/srv/elsewhere was not in the configuration"), "{}", relay.log());
        }
        ensure!(
            device::fetch(&scene.net.devices[0], "second", "/fw/image.bin", &[])?.image(PATIENCE)? == image
        );
        Ok(())
    })
}

fn revoke_all(netns: &Netns) -> Result<()> {
    let program = workspace::program_dir().join("sixfold-relay");
    let status = netns.enter(|| Command::new(program).args(["sessions", "revoke", "--all"]).status())??;
    ensure!(status.success(), "sessions revoke: {status}");
    Ok(())
}

/// An interface may appear late: the port is opened then.
#[test]
fn a_port_below_1024_keeps_one_capability() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        write_contexts()?;
        let config = config(SPOOL, "").replace("[listen]\n", "[listen]\ncoap = [\"[::]:683\"]\n");
        let relay = Relay::start(&scene.net.relay, &config)?;
        // CAP_NET_BIND_SERVICE is number 10.
        ensure!(status_field(relay.id(), "CapEff")? == "0000000000000400", "{}", relay.log());
        ensure!(status_field(relay.id(), "Uid")?.starts_with(&format!("{NOBODY}\t")));
        Ok(())
    })
}

/// The local address and the port of what `/proc/PID/net/NAME` has, as it writes them, if it waits for what comes from anywhere.
fn listens(pid: u32, name: &str) -> Result<Vec<String>> {
    let table = fs::read_to_string(format!("/proc/{pid}/net/{name}"))?;
    let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    // TCP_LISTEN, and TCP_CLOSE for a UDP socket without a peer (the kernel's include/net/tcp_states.h).
    let rows = rows.filter(|row| row.get(3).is_some_and(|state| ["0A", "07"].contains(state)));
    Ok(rows.filter_map(|row| row.get(1).map(|local| (*local).to_owned())).collect())
}

/// CoAP for everybody, the admin port for this host, and nothing else: no session port.
#[test]
fn by_default_coap_alone_is_open_to_others() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let relay = Relay::start(&scene.net.relay, CONFIG)?;
        let pid = relay.id();
        let any = "0".repeat(32);
        // 5683 and 61616; 9683 for the admin port.
        let mut coap = listens(pid, "udp6")?;
        coap.sort();
        ensure!(coap == [format!("{any}:1633"), format!("{any}:F0B0")], "{coap:?}");
        let loopback = if cfg!(target_endian = "little") { "01000000" } else { "00000001" };
        let admin = format!("{}{loopback}:25D3", "0".repeat(24));
        ensure!(listens(pid, "tcp6")? == [admin], "{:?}", listens(pid, "tcp6")?);
        ensure!(listens(pid, "udp")?.is_empty() && listens(pid, "tcp")?.is_empty());
        Ok(())
    })
}
