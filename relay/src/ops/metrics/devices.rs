//! Sessions by the names of their devices. They are asked for apart from the other metrics, of which no device can add a time series:
//! whoever has room for a few series a device scrapes them too.

use crate::ops::status::Session;
use prometheus::proto::MetricFamily;
use prometheus::{Error, GaugeVec, IntGaugeVec, Opts, Registry, TextEncoder};
use std::collections::BTreeMap;

/// Where the admin address has them.
pub(in crate::ops) const PATH: &str = "/metrics/devices";

/// In the Prometheus text format, what is known of the devices that these sessions are with.
///
/// # Errors
/// None that is known: names of metrics are valid and different.
pub(in crate::ops) fn text(sessions: &[Session]) -> Result<String, Error> {
    TextEncoder::new().encode_to_string(&families(sessions)?)
}

pub(super) fn families(sessions: &[Session]) -> Result<Vec<MetricFamily>, Error> {
    let registry = Registry::new();
    let options = |name: &str, help: &str| Opts::new(format!("sixfold_device_{name}"), help);
    let count =
        IntGaugeVec::new(options("sessions", "Sessions of a device that are in force."), &["device"])?;
    let heard = "Time since the latest request in any session of a device.";
    let heard = GaugeVec::new(options("heard_seconds", heard), &["device"])?;
    let left = "For how long the session of a device that expires last may still be used.";
    let left = GaugeVec::new(options("session_left_seconds", left), &["device"])?;
    registry.register(Box::new(count.clone()))?;
    registry.register(Box::new(heard.clone()))?;
    registry.register(Box::new(left.clone()))?;
    for (device, known) in known(sessions) {
        let device = [device];
        count.with_label_values(&device).set(known.sessions);
        if known.left_s.is_finite() {
            left.with_label_values(&device).set(known.left_s);
        }
        if let Some(seconds) = known.heard_s {
            heard.with_label_values(&device).set(seconds);
        }
    }
    Ok(registry.gather())
}

/// What the sessions of one device come to, in seconds where it is a time; the infinite is that of a session that does not expire.
struct Known {
    sessions: i64,
    heard_s: Option<f64>,
    left_s: f64,
}

fn known(sessions: &[Session]) -> BTreeMap<&str, Known> {
    let mut devices = BTreeMap::new();
    for session in sessions {
        let nothing = Known { sessions: 0, heard_s: None, left_s: 0.0 };
        let known = devices.entry(session.name.as_str()).or_insert(nothing);
        known.sessions += 1;
        known.heard_s = [known.heard_s, session.heard_s].into_iter().flatten().reduce(f64::min);
        known.left_s = known.left_s.max(session.left_s.map_or(f64::INFINITY, |seconds| seconds as f64));
    }
    devices
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(name: &str, left_s: Option<u64>, heard_s: Option<f64>) -> Session {
        Session {
            name: name.to_owned(),
            kid: "01".to_owned(),
            kid_context: None,
            left_s,
            heard_s,
            peer: None,
        }
    }

    #[test]
    fn a_device_is_shown_by_its_name_and_once() {
        let sessions = [
            session("lamp-7", Some(60), Some(9.5)),
            session("lamp-7", Some(600), Some(2.5)),
            session("lamp-7", Some(30), Some(4.0)),
            session("meter \"1\"\n", None, None),
        ];
        let text = text(&sessions).unwrap();
        for line in [
            "sixfold_device_sessions{device=\"lamp-7\"} 3",
            "sixfold_device_heard_seconds{device=\"lamp-7\"} 2.5",
            "sixfold_device_session_left_seconds{device=\"lamp-7\"} 600",
            "sixfold_device_sessions{device=\"meter \\\"1\\\"\\n\"} 1",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
        }
        let of_meter = text.lines().filter(|line| line.contains("meter"));
        assert_eq!(of_meter.count(), 1, "it was not heard, and its session does not expire: {text}");
    }

    #[test]
    fn nobody_is_no_series() {
        assert_eq!(text(&[]).unwrap(), "");
    }
}
