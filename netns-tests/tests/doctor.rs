//! `sixfold-relay doctor` in a network that works, and in the same one with something broken.

use anyhow::{Result, ensure};
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::process::Process;
use sixfold_netns_tests::relay::{CONFIG, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::{sandbox, wait, workspace};
use std::fs;
use std::process::Command;

const NEEDS: &[Peer] = &[Peer::Nginx, Peer::Python, Peer::Radvd];

/// Its exit code, and what it says.
fn examine(scene: &Scene, name: &str, config: &str) -> Result<(Option<i32>, String)> {
    let file = format!("/run/{name}.toml");
    fs::write(&file, config)?;
    let mut command = Command::new(workspace::program_dir().join("sixfold-relay"));
    command.args(["doctor", "--config", &file]);
    let mut doctor = Process::start(&scene.net.relay, name, command)?;
    let status = doctor.wait(wait::SOON)?;
    Ok((status.code(), doctor.output() + &doctor.log()))
}

/// Whether a line begins so.
fn says(report: &str, severity: &str, subject: &str) -> bool {
    report.lines().any(|line| line.starts_with(&format!("{severity:<8} {subject:<10} ")))
}

#[test]
fn the_doctor_finds_what_is_broken_and_nothing_else() -> Result<()> {
    sandbox::run(NEEDS, || {
        let mut scene = Scene::create("")?;
        let (code, report) = examine(&scene, "healthy", CONFIG)?;
        ensure!(code == Some(0), "{report}");
        for subject in ["clock", "addresses", "ports", "groups", "dns", "tls", "origin", "pacing", "memory"] {
            ensure!(says(&report, "ok", subject), "{subject}: {report}");
        }

        let wrong = CONFIG.replace("origin.test", "wrong.test");
        let broken = [
            ("certificate", wrong, "origin", "with a name that its certificate has"),
            ("resolve", CONFIG.replace("origin.test", "absent.test"), "dns", "name server"),
            (
                "address",
                CONFIG.replace("[listen]", "[listen]\ncoap = [\"[2001:db8:dead::1]:5683\"]"),
                "addresses",
                "no interface has",
            ),
        ];
        for (name, config, subject, words) in &broken {
            let (code, report) = examine(&scene, name, config)?;
            ensure!(code == Some(1) && says(&report, "FAILURE", subject), "{name}: {report}");
            ensure!(report.contains(words), "{name}: {report}");
        }
        let (code, report) = examine(&scene, "absent", &CONFIG.replace("lowpan0", "wpan7"))?;
        ensure!(code == Some(0) && says(&report, "warning", "interface"), "it is waited for: {report}");
        let (code, report) = examine(&scene, "mistake", &CONFIG.replace("path", "pth"))?;
        ensure!(code == Some(2) && report.contains("route.pth"), "{report}");

        let relay = Relay::start(&scene.net.relay, CONFIG)?;
        let (code, report) = examine(&scene, "running", CONFIG)?;
        ensure!(code == Some(0) && report.contains("served by the relay that runs"), "{report}");
        ensure!(report.contains("All CoAP Nodes are joined on lowpan0"), "{report}");
        let without_admin = format!("{CONFIG}[admin]\nlisten = \"\"\n");
        let (code, report) = examine(&scene, "silent", &without_admin)?;
        ensure!(code == Some(0) && report.contains("served by the relay that runs"), "{report}");
        let (code, report) =
            examine(&scene, "moved", &format!("{CONFIG}[admin]\nlisten = \"[::1]:9999\"\n"))?;
        ensure!(code == Some(0) && report.contains("does not answer at TCP [::1]:9999"), "{report}");
        drop(relay);
        let program = "import socket, time\n\
                       taken = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n\
                       taken.bind(('::', 5683))\n\
                       time.sleep(600)";
        let mut other = Command::new("python3");
        other.args(["-c", program]);
        let other = Process::start(&scene.net.relay, "other", other)?;
        wait::until_true("the port is taken", wait::SOON, || {
            examine(&scene, "taken", &without_admin).is_ok_and(|(code, report)| {
                code == Some(1) && report.contains("taken by another program: python3 (process ")
            })
        })?;
        drop(other);
        scene.kill_nginx()?;
        let (code, report) = examine(&scene, "refused", CONFIG)?;
        ensure!(code == Some(1) && report.contains("does not accept connections"), "{report}");
        Ok(())
    })
}
