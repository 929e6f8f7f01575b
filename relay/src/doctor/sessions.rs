//! The session port: whether it can be bound, and how long its certificate is good.

use super::Finding;
use crate::config::{Config, Port};
use crate::sessions::credentials::{Credentials, RENEWAL};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::time::SystemTime;

pub(super) fn examine(config: &Config, is_running: bool) -> Vec<Finding> {
    let Some(port) = &config.sessions.port else { return Vec::new() };
    vec![address(port, is_running), certificate(port)]
}

fn address(port: &Port, is_running: bool) -> Finding {
    let listen = port.listen;
    match TcpListener::bind(listen) {
        Ok(_) => Finding::ok("sessions", format!("TCP {listen} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_running => {
            Finding::ok("sessions", format!("TCP {listen} is in use, most likely by the relay that runs"))
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
    fn certificates_are_renewed_in_time() {
        let end = UNIX_EPOCH + Duration::from_secs(2_000_000_000);
        let severity = |left| judge(Some(end), end - left).severity;
        assert_eq!(severity(RENEWAL), Severity::Ok);
        assert_eq!(severity(RENEWAL - Duration::from_secs(1)), Severity::Warning);
        assert_eq!(judge(Some(end), end + Duration::from_secs(1)).severity, Severity::Failure);
        assert_eq!(judge(None, end).severity, Severity::Failure);
    }
}
