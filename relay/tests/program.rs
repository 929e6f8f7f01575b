//! The program as an operator or a script meets it: what it says, and its exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use tempfile::NamedTempFile;

fn relay(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sixfold-relay")).args(arguments).env_remove("RUST_LOG").output().unwrap()
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn check(text: &str) -> (Option<i32>, String, String) {
    let file = file(text);
    let output = relay(&["check", "--config", file.path().to_str().unwrap()]);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn check_says_what_would_be_served() {
    let (code, said, _) = check("[[route]]\npath = \"/fw\"\norigin = \"https://updates.example.com/f/\"\n");
    assert_eq!(code, Some(0));
    assert!(
        said.contains("serves CoAP at [::]:5683")
            && said.contains("/fw comes from https://updates.example.com/f/"),
        "{said}"
    );
}

#[test]
fn check_names_every_mistake_and_exits_with_2() {
    let text = "[listen]\nblock_size = 5\n[[route]]\npath = \"/fw\"\norigin = \"https://h/\"\nca_file = \"missing.pem\"\n[cach]\n";
    let (code, _, said) = check(text);
    assert_eq!(code, Some(2));
    for place in
        [":2: listen.block_size: ", ":6: route.ca_file: ", ":7: cach: no such key; did you mean \"cache\"?"]
    {
        assert!(said.contains(place), "{place} in\n{said}");
    }
    assert!(said.contains("missing.pem"), "{said}");
}

#[test]
fn serve_refuses_what_check_refuses() {
    let file = file("[listen]\ncoap = []\n");
    let output = relay(&["serve", "--config", file.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
}

/// Whichever of them it is, and whoever looks.
#[test]
fn a_secret_that_others_may_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let allow = |name: &str, mode| fs::set_permissions(path(name), Permissions::from_mode(mode)).unwrap();
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = own.signing_key.serialize_pem();
    fs::write(path("own.pem"), own.cert.pem()).unwrap();
    fs::write(path("devices"), "").unwrap();
    let secrets = [
        ("route.client_key_file", "origin.key", key.as_bytes()),
        ("sessions.key", "port.key", key.as_bytes()),
        ("sessions.edhoc_key", "edhoc.key", key.as_bytes()),
        ("sessions.contexts", "contexts", b""),
        ("sessions.store", "sessions.key", &[0; 32]),
    ];
    for (_, name, content) in secrets {
        fs::write(path(name), content).unwrap();
        allow(name, 0o600);
    }
    let text = "\
[[route]]
path = \"/fw\"
origin = \"https://h/\"
client_cert_file = \"own.pem\"
client_key_file = \"origin.key\"
[sessions]
listen = \"[::1]:0\"
certificate = \"own.pem\"
key = \"port.key\"
client_ca = \"own.pem\"
edhoc_key = \"edhoc.key\"
edhoc_devices = \"devices\"
store = \"sessions\"
contexts = \"contexts\"
";
    fs::write(path("relay.toml"), text).unwrap();
    let file = path("relay.toml").display().to_string();
    let fine = relay(&["check", "--config", &file]);
    assert!(fine.status.success(), "{}", String::from_utf8_lossy(&fine.stderr));
    for (key, name, _) in secrets {
        allow(name, 0o644);
        for command in ["check", "serve", "doctor"] {
            let output = relay(&[command, "--config", &file]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{command} {name}: {said}");
            assert!(said.contains(&format!("{key}: ")) && said.contains("others may read"), "{said}");
            assert!(said.contains(&format!("chmod 600 {}", path(name).display())), "{said}");
        }
        allow(name, 0o600);
    }
}

/// Root can read what the user cannot that the relay becomes.
#[test]
fn files_are_read_as_the_user_that_the_relay_becomes() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root becomes somebody else");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let allow = |name: &str, mode| fs::set_permissions(path(name), Permissions::from_mode(mode)).unwrap();
    allow("", 0o755);
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(path("ca.pem"), own.cert.pem()).unwrap();
    let text = "[[route]]\npath = \"/fw\"\norigin = \"https://localhost:1/\"\nca_file = \"ca.pem\"\n\
                [listen]\ncoap = [\"[::1]:0\"]\n[admin]\nlisten = \"\"\n[process]\nuser = \"nobody\"\n";
    fs::write(path("relay.toml"), text).unwrap();
    let file = path("relay.toml").display().to_string();
    allow("ca.pem", 0o600);
    for command in ["check", "serve", "doctor"] {
        let output = relay(&[command, "--config", &file]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{command}: {said}");
        assert!(said.contains("relay.toml:4: route.ca_file: operator: as nobody"), "{command}: {said}");
        assert!(said.contains("Permission denied"), "{command}: {said}");
    }
    allow("ca.pem", 0o644);
    assert_eq!(relay(&["check", "--config", &file]).status.code(), Some(0));
    let text = text.replace("nobody", "no-such-user-here");
    fs::write(path("relay.toml"), text).unwrap();
    let output = relay(&["serve", "--config", &file]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("operator: process.user: there is no user"), "{said}");
}

#[test]
fn check_says_what_is_paced_and_where_images_go() {
    let folder = tempfile::tempdir().unwrap();
    let disk = |path: &str| {
        let (code, said, _) = check(&format!(
            "[listen]\ninterface = \"no-such-if\"\n[cache]\ndisk = {{ path = \"{path}\", limit = 1 }}\n"
        ));
        assert_eq!(code, Some(0));
        assert!(
            said.contains("paced: none; not paced: no-such-if\nwarning: no-such-if is not there"),
            "{said}"
        );
        said
    };
    let there = folder.path().display();
    assert!(!disk(&there.to_string()).contains("cache.disk"));
    assert!(disk(&format!("{there}/a/b")).contains("/a/b is not there yet: the relay makes it"));
    assert!(disk("/dev/null/b").contains("warning: cache.disk /dev/null/b is not there, and cannot"));
}

#[test]
fn a_file_that_is_not_there() {
    let output = relay(&["check", "--config", "/nonexistent/relay.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent/relay.toml: cannot be read"));
}

#[test]
fn an_address_in_use_is_explained() {
    let taken = std::net::UdpSocket::bind("[::1]:0").unwrap();
    let file =
        file(&format!("[listen]\ncoap = [\"{}\"]\n[admin]\nlisten = \"\"\n", taken.local_addr().unwrap()));
    let output = relay(&["serve", "--config", file.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("listen.coap"));
}

#[test]
fn help_and_version() {
    let help = relay(&["--help"]);
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("Examples:"));
    let version = relay(&["--version"]);
    assert_eq!(
        String::from_utf8_lossy(&version.stdout),
        format!("sixfold-relay {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(relay(&["serve"]).status.code(), Some(2));
}

#[test]
fn status_without_a_relay() {
    let port = std::net::TcpListener::bind("[::1]:0").unwrap().local_addr().unwrap();
    let output = relay(&["status", "--url", &format!("http://{port}")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("is the relay running"),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
