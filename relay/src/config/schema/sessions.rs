//! `[sessions]`: where devices agree on sessions, and how long these last.

use super::Files;
use crate::config::reader::Section;
use crate::config::{EdhocFiles, Port, Sessions, values};
use std::path::{Path, PathBuf};

pub(super) fn read(section: &mut Section<'_, '_>, sessions: &mut Sessions, files: Files) {
    section.read("lifetime", &mut sessions.lifetime, values::positive_duration);
    section.read("limit", &mut sessions.limit, values::positive);
    let store_line = section.read_path("store", &mut sessions.store);
    if sessions.store.as_deref().is_some_and(Path::is_dir) {
        let message = "is a directory; name a file, in a directory of its own";
        section.mistake(store_line, "store", message);
    }
    if let Some(Err(message)) = sessions.store.as_deref().map(files.store) {
        section.mistake(store_line, "store", message);
    }
    let line = section.read_path("contexts", &mut sessions.contexts);
    if sessions.contexts.is_some() && sessions.store.is_none() {
        let message = "needs sessions.store: a restart would use numbers of these contexts twice, and give their secrets away";
        section.mistake(line, "contexts", message);
    }
    if let Some(Err(message)) = sessions.contexts.as_deref().map(files.contexts) {
        section.mistake(line, "contexts", message);
    }
    section.read("allow_plain", &mut sessions.allow_plain, values::flag);
    let handshakes = &mut sessions.handshakes;
    section.read("handshakes", &mut handshakes.total, values::positive);
    section.read("handshakes_per_client", &mut handshakes.per_client, values::positive);
    section.read("handshake_rate", &mut handshakes.rate, values::positive);
    section.read("handshake_timeout", &mut handshakes.timeout, values::positive_duration);
    sessions.port = read_port(section, files);
    sessions.edhoc = read_edhoc(section, files);
}

/// The keys of the port are read also where it is closed, and are only wrong where it is not.
fn read_port(section: &mut Section<'_, '_>, files: Files) -> Option<Port> {
    let mut listen = None;
    let listen_line = section.read("listen", &mut listen, values::optional_address);
    let mut lines = vec![("listen", listen_line)];
    let mut path = |key| {
        let mut path = None;
        lines.push((key, section.read_path(key, &mut path)));
        path
    };
    let paths = ["certificate", "key", "client_ca"].map(|key| (key, path(key)));
    let client_crl = path("client_crl");
    let listen = listen?;
    let mut is_whole = true;
    let [certificate, key, client_ca] = paths.map(|(key, path)| {
        if path.is_none() {
            is_whole = false;
            let message = "is missing; a session port needs certificate, key and client_ca, all PEM files";
            section.mistake(listen_line, key, message);
        }
        path.unwrap_or_else(PathBuf::new)
    });
    let port = Port { listen, certificate, key, client_ca, client_crl };
    if is_whole {
        for (key, message) in (files.port)(&port) {
            let line = lines.iter().find(|(name, _)| *name == key).map_or(listen_line, |(_, line)| *line);
            section.mistake(line, key, message);
        }
    }
    Some(port)
}

fn read_edhoc(section: &mut Section<'_, '_>, files: Files) -> Option<EdhocFiles> {
    let (mut key, mut devices) = (None, None);
    let key_line = section.read_path("edhoc_key", &mut key);
    let devices_line = section.read_path("edhoc_devices", &mut devices);
    let edhoc = match (key, devices) {
        (None, None) => return None,
        (Some(key), Some(devices)) => EdhocFiles { key, devices },
        (Some(_), None) => {
            section.mistake(key_line, "edhoc_key", "has nobody to speak to; add edhoc_devices");
            return None;
        }
        (None, Some(_)) => {
            section.mistake(devices_line, "edhoc_devices", "has no key; add edhoc_key");
            return None;
        }
    };
    for (key, message) in (files.edhoc)(&edhoc) {
        section.mistake(if key == "edhoc_key" { key_line } else { devices_line }, key, message);
    }
    Some(edhoc)
}
