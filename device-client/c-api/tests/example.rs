//! The C examples, compiled and run against a relay in a thread: they leave a ticket, bring an image, and go on after a kill.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod compiler;
mod server;

use hmac_sha256::Hash;
use server::{GROUP, Server};
use sixfold::SixfoldPrepared;
use sixfold_device::prepare::{Origin, interface_identifier};
use sixfold_manifest::keys::{Algorithm, SigningKey};
use sixfold_manifest::{Manifest, chunk_index, class_identifier, suit, vendor_identifier};
use sixfold_profile::index::ChunkSize;
use sixfold_profile::ticket::{Endpoint, Group, MAX_TICKET, Ticket};
use std::io::{BufRead, BufReader};
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

const RECORD: usize = 3 * 4096;
const SLOT: usize = 16 * 4096;
const SECRET: &[u8; 16] = b"0123456789abcdef";

struct World {
    folder: TempDir,
    image: Vec<u8>,
    flash: PathBuf,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let flash = folder.path().join("flash.bin");
        std::fs::write(&flash, vec![0xff; 2 * RECORD + SLOT]).unwrap();
        let image = (0..50_001_u32).map(|n| (n.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
        Self { folder, image, flash }
    }

    /// What the publisher signed, for devices of class `lamp`.
    fn manifest(&self, key: &SigningKey, sequence_number: u64) -> Vec<u8> {
        let chunk_size = ChunkSize::from_bytes(4096).unwrap();
        let index = chunk_index(&self.image, chunk_size);
        let vendor = vendor_identifier("example.com");
        let manifest = Manifest {
            sequence_number,
            vendor,
            class: class_identifier(vendor, "lamp"),
            image_digest: Hash::hash(&self.image),
            image_size: self.image.len() as u32,
            chunk_size,
            index_digest: Hash::hash(&index),
            uri: Some("lamp.bin".to_owned()),
            encryption: None,
            index: Some(index),
        };
        suit::sign(&manifest, key).unwrap()
    }

    fn run(&self, example: &str, arguments: &[String]) -> Command {
        let mut command = Command::new(compiler::example(example, self.folder.path()));
        command.arg(&self.flash).args([RECORD.to_string(), SLOT.to_string()]).args(arguments);
        command
    }

    fn prepare(&self, server: &Server, key: &SigningKey, class: &str) -> Output {
        let pem = self.folder.path().join("key.pub");
        std::fs::write(&pem, key.verifying_key().to_pem().unwrap()).unwrap();
        let vendor = vendor_identifier("example.com");
        let class = class_identifier(vendor, class);
        let secret = self.folder.path().join("secret");
        std::fs::write(&secret, SECRET).unwrap();
        let arguments = [
            "::1".to_owned(),
            server.port().to_string(),
            "/fw/lamp.bin.suit".to_owned(),
            pem.display().to_string(),
            vendor.simple().to_string(),
            class.simple().to_string(),
            secret.display().to_string(),
        ];
        self.run("prepare", &arguments).output().unwrap()
    }

    /// The first ticket goes to record B.
    fn ticket_in_flash(&self) -> Vec<u8> {
        std::fs::read(&self.flash).unwrap()[RECORD..][..MAX_TICKET].to_vec()
    }

    fn image_in_flash(&self) -> Vec<u8> {
        let flash = std::fs::read(&self.flash).unwrap();
        flash[2 * RECORD..][..self.image.len()].to_vec()
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_boot_program_in_c_brings_the_image_that_a_main_program_in_c_asked_for() {
    let world = World::new();
    let key = SigningKey::generate(Algorithm::Ed25519).unwrap();
    let server = Server::start();
    server.put("/fw/lamp.bin.suit", world.manifest(&key, 2));
    server.put("/fw/lamp.bin", world.image.clone());

    let refused = world.prepare(&server, &key, "heater");
    assert_eq!(refused.status.code(), Some(SixfoldPrepared::Class as i32), "{}", text(&refused));
    assert!(text(&refused).contains("another class"), "{}", text(&refused));
    let stranger = world.prepare(&server, &SigningKey::generate(Algorithm::Ed25519).unwrap(), "lamp");
    assert_eq!(stranger.status.code(), Some(SixfoldPrepared::Untrusted as i32), "{}", text(&stranger));

    let prepared = world.prepare(&server, &key, "lamp");
    assert_eq!(prepared.status.code(), Some(0), "{}", text(&prepared));
    let ticket = world.ticket_in_flash();
    let ticket = Ticket::read(&ticket).unwrap();
    let origin =
        Origin { prefix: Ipv6Addr::LOCALHOST, interface: "", network: b"", dad_counter: 0, secret: SECRET };
    assert_eq!(*ticket.interface_identifier(), interface_identifier(origin));
    assert_eq!(ticket.relay(), Endpoint { address: Ipv6Addr::LOCALHOST, port: server.port() });
    let endpoint = Endpoint { address: GROUP, port: 5683 };
    assert_eq!(ticket.group(), Ok(Some(Group { endpoint, token: b"on" })));
    assert!(text(&prepared).contains("group [ff12::6f]:5683, Token 6f6e"), "{}", text(&prepared));

    // The relay goes silent in the middle, and the program is killed there.
    server.silent_after(Some(20));
    let mut boot = world.run("boot", &[]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(boot.stdout.take().unwrap()).lines();
    let progress = lines.map(Result::unwrap).find(|line| line.starts_with("4 of 13"));
    assert!(progress.is_some());
    boot.kill().unwrap();
    boot.wait().unwrap();
    server.silent_after(None);
    let before = server.requests();

    let output = world.run("boot", &[]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text(&output).ends_with("runs the image of 50001 bytes at 24576\n"), "{}", text(&output));
    assert!(world.image_in_flash() == world.image);
    assert!(server.requests() - before < 45, "nothing that was there came again");

    let again = world.run("boot", &[]).output().unwrap();
    assert!(again.status.success() && server.requests() - before < 45, "it runs without the relay");
    let same = world.prepare(&server, &key, "lamp");
    assert_eq!(same.status.code(), Some(1), "{}", text(&same));
    server.put("/fw/lamp.bin.suit", world.manifest(&key, 1));
    let superseded = world.prepare(&server, &key, "lamp");
    assert_eq!(superseded.status.code(), Some(SixfoldPrepared::Sequence as i32), "{}", text(&superseded));
}

#[test]
fn without_a_ticket_the_factory_image_runs() {
    let world = World::new();
    let output = world.run("boot", &[]).output().unwrap();
    assert!(output.status.success());
    assert_eq!(text(&output), "runs what the factory left\n");
}
