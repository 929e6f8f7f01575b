//! Sessions: whether the port can be bound, how long its certificate is good, whom EDHOC knows, and whether sessions can be kept.

use super::Finding;
use super::network::Running;
use crate::config::{Config, EdhocFiles, Port};
use crate::sessions::credentials::{Credentials, RENEWAL};
use crate::sessions::edhoc;
use crate::sessions::store::{SessionStore, directory};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;
use std::time::SystemTime;

pub(super) fn examine(config: &Config, running: Running) -> Vec<Finding> {
    let sessions = &config.sessions;
    let port = sessions.port.iter().flat_map(|port| [address(port, running), certificate(port)]);
    port.chain(sessions.edhoc.as_ref().map(known)).chain(sessions.store.as_deref().map(store)).collect()
}

/// Whom the relay knows, which is what mistakes leave open.
fn known(files: &EdhocFiles) -> Finding {
    let devices = edhoc::identity(&files.key).and_then(|_| edhoc::devices(&files.devices));
    match devices {
        Ok(devices) if devices.is_empty() => Finding::warning(
            "sessions",
            format!("EDHOC: {} names no device", files.devices.display()),
            "add the credentials of devices, a line each, then let the relay read them (SIGHUP)",
        ),
        Ok(devices) => Finding::ok("sessions", format!("EDHOC: {} devices are known", devices.len())),
        Err(what) => Finding::failure("sessions", what, "until then no device agrees by EDHOC"),
    }
}

/// Whether the relay's user, if it is who runs this, can write there.
fn store(file: &Path) -> Finding {
    let (shown, directory) = (file.display(), directory(file));
    let remedy = "without it sessions do not outlive a restart: see sessions.store";
    if let Err(error) = tempfile::tempfile_in(directory) {
        let what = format!("{} cannot be written: {error}", directory.display());
        let remedy = "make the directory, and give it to the relay's user; run this as that user to be sure";
        return Finding::warning("sessions", what, remedy);
    }
    match SessionStore::look(file) {
        Ok(None) => Finding::ok("sessions", format!("{shown} will be made")),
        Ok(Some(contents)) => {
            Finding::ok("sessions", format!("{shown} has {} sessions", contents.sessions.len()))
        }
        Err(error) => Finding::failure("sessions", format!("{error:#}"), remedy),
    }
}

fn address(port: &Port, running: Running) -> Finding {
    let listen = port.listen;
    match TcpListener::bind(listen) {
        Ok(_) => Finding::ok("sessions", format!("TCP {listen} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse && running.is_certain() => {
            Finding::ok("sessions", format!("TCP {listen} is in use, most likely by the relay that runs"))
        }
        Err(error) if error.kind() == ErrorKind::AddrInUse && running == Running::Unknown => {
            let remedy = "ss -ltnp, as root, lists who has it";
            Finding::warning("sessions", format!("TCP {listen} is in use, by the relay if it runs"), remedy)
        }
        Err(error) => {
            let remedy =
                "stop the program that has it (ss -ltnp lists them), or choose another sessions.listen";
            Finding::failure("sessions", format!("TCP {listen} cannot be bound: {error}"), remedy)
        }
    }
}

/// Files that cannot be used are mistakes in the configuration, and were told before.
fn certificate(port: &Port) -> Finding {
    let not_after = Credentials::load(port).ok().and_then(|credentials| credentials.not_after());
    judge(not_after, SystemTime::now())
}

fn judge(not_after: Option<SystemTime>, now: SystemTime) -> Finding {
    let remedy = "renew sessions.certificate, then let the relay read it (SIGHUP)";
    let Some(not_after) = not_after else {
        return Finding::failure("sessions", "the certificate cannot be read", remedy);
    };
    let shown = humantime::format_rfc3339_seconds(not_after);
    match not_after.duration_since(now) {
        Err(_) => Finding::failure(
            "sessions",
            format!("the certificate expired at {shown}: no device accepts it"),
            remedy,
        ),
        Ok(left) if left < RENEWAL => {
            Finding::warning("sessions", format!("the certificate expires at {shown}"), remedy)
        }
        Ok(_) => Finding::ok("sessions", format!("the certificate is valid until {shown}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_store_is_looked_at_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sessions");
        assert_eq!(store(&file).severity, Severity::Ok);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "something was made");
        let (kept, contents) = SessionStore::open(&file).unwrap();
        kept.write(&contents).unwrap();
        assert!(store(&file).what.ends_with("has 0 sessions"));
        std::fs::write(&file, b"something else").unwrap();
        assert_eq!(store(&file).severity, Severity::Failure);
        assert_eq!(store(&folder.path().join("absent/sessions")).severity, Severity::Warning);
    }

    #[test]
    fn whoever_knows_no_device_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (key, devices) = (folder.path().join("key"), folder.path().join("devices"));
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        crate::secret::write(&key, pair.serialize_pem().as_bytes()).unwrap();
        let severity = |list: &str| {
            std::fs::write(&devices, list).unwrap();
            known(&EdhocFiles { key: key.clone(), devices: devices.clone() }).severity
        };
        assert_eq!(severity("# none yet\n"), Severity::Warning);
        assert_eq!(severity("not hexadecimal\n"), Severity::Failure);
        let own = edhoc::shown(&EdhocFiles { key: key.clone(), devices: devices.clone() });
        assert_eq!(severity(&own), Severity::Ok);
    }

    #[test]
    fn certificates_are_renewed_in_time() {
        let end = UNIX_EPOCH + Duration::from_secs(2_000_000_000);
        let severity = |left| judge(Some(end), end - left).severity;
        assert_eq!(severity(RENEWAL), Severity::Ok);
        assert_eq!(severity(RENEWAL - Duration::from_secs(1)), Severity::Warning);
        assert_eq!(judge(Some(end), end + Duration::from_secs(1)).severity, Severity::Failure);
        assert_eq!(judge(None, end).severity, Severity::Failure);
    }
}
