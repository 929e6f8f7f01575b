//! Which parts of the file system a configuration needs.

use crate::config::Config;
use crate::sessions::store::key_file;
use std::env;
use std::path::{Path, PathBuf};

/// What resolvers, trust stores, `/proc` readers and time zones of any system read.
const SYSTEM: &[&str] =
    &["/etc", "/usr", "/lib", "/lib64", "/proc", "/sys", "/run", "/var/etc", "/tmp/resolv.conf.d"];
/// What may lead elsewhere.
const LINKS: &[&str] = &["/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs", "/etc/ssl/cert.pem"];
/// Where rustls-native-certs looks first, as OpenSSL does.
const TRUST: &[&str] = &["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Directories, in their real spelling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Whose files are read.
    pub read: Vec<PathBuf>,
    /// Whose files are read, written, made and removed.
    pub written: Vec<PathBuf>,
    /// Files of these that the relay writes itself, beside those of the spool.
    pub kept: Vec<PathBuf>,
    /// Its own directory, for the spool.
    pub spool: Option<PathBuf>,
}

impl Places {
    /// What a configuration needs that was read from `file`.
    pub fn of(config: &Config, file: &Path) -> Self {
        let origins = config.routes.iter().map(|route| &route.origin);
        let named =
            origins.flat_map(|origin| [&origin.ca_file, &origin.client_cert_file, &origin.client_key_file]);
        let port = config.sessions.port.iter();
        let of_port = port.flat_map(|port| {
            [Some(&port.certificate), Some(&port.key), Some(&port.client_ca), port.client_crl.as_ref()]
        });
        let of_edhoc = config.sessions.edhoc.iter().flat_map(|files| [&files.key, &files.devices]);
        let named = named
            .flatten()
            .chain(of_port.flatten())
            .chain(of_edhoc)
            .chain(&config.sessions.contexts)
            .map(PathBuf::as_path)
            .chain([file]);
        let mut read: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
        read.extend(named.filter_map(directory));
        // Also where the name of a file leads, which may be elsewhere.
        let links =
            LINKS.iter().map(PathBuf::from).chain(TRUST.iter().filter_map(env::var_os).map(PathBuf::from));
        read.extend(links.filter_map(|link| directory(&real(&link))));
        // The store is replaced by a file beside it.
        let store = config.sessions.store.as_deref().and_then(directory_of);
        let written = config.cache.disk.iter().map(|disk| disk.path.clone()).chain(store);
        let kept = config.sessions.store.iter().flat_map(|store| [store.clone(), key_file(store)]);
        let spool = config.cache.disk.as_ref().map(|disk| real(&disk.path));
        let mut places = Self { read, written: written.collect(), kept: kept.collect(), spool };
        for file in &mut places.kept {
            // Not where the name of the file leads: who may write there could choose it.
            if let (Some(place), Some(name)) = (directory_of(file), file.file_name()) {
                *file = real(&place).join(name);
            }
        }
        for list in [&mut places.read, &mut places.written] {
            list.iter_mut().for_each(|place| *place = real(place));
            list.sort();
            list.dedup();
        }
        places
    }

    /// Makes the directories that are written to: afterwards it may not be possible any more. What fails is said when the
    /// spool is opened.
    pub fn make(&self) {
        for place in &self.written {
            let _ = std::fs::create_dir_all(place);
        }
    }

    /// A place that `others` do not have.
    pub fn beyond(&self, others: &Self) -> Option<&Path> {
        let within = |place: &PathBuf, list: &[PathBuf]| list.iter().any(|other| place.starts_with(other));
        let written = self.written.iter().find(|place| !within(place, &others.written));
        let everything: Vec<_> = [&others.read[..], &others.written].concat();
        let read = self.read.iter().find(|place| place.exists() && !within(place, &everything));
        written.or(read).map(PathBuf::as_path)
    }
}

/// Where a file is, or the directory itself.
fn directory(file: &Path) -> Option<PathBuf> {
    if file.is_dir() { Some(file.to_owned()) } else { directory_of(file) }
}

fn directory_of(file: &Path) -> Option<PathBuf> {
    let directory = file.parent()?;
    Some(if directory.as_os_str().is_empty() { PathBuf::from(".") } else { directory.to_owned() })
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "these are tests")]

    use super::*;

    fn config(text: &str, file: &Path) -> Places {
        Places::of(&Config::parse(text, file).unwrap(), file)
    }

    #[test]
    fn directories_of_what_is_named_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        for name in ["etc", "certs", "spool"] {
            std::fs::create_dir(folder.join(name)).unwrap();
        }
        let file = folder.join("etc/relay.toml");
        let plain = config("", &file);
        assert!(plain.read.contains(&folder.join("etc")) && plain.written.is_empty());
        assert!(!plain.read.iter().any(|place| place == Path::new("/")));
        let more = config(
            "[[route]]\npath = \"/fw\"\norigin = \"https://h/\"\nca_file = \"../certs/ca.pem\"\n\
             [cache]\ndisk = { path = \"../spool\", limit = \"1 MiB\" }",
            &file,
        );
        assert!(more.read.contains(&folder.join("certs")));
        assert_eq!(more.written, [folder.join("spool")]);
        let sessions = config("[sessions]\nstore = \"../kept/sessions\"", &file);
        assert_eq!(sessions.written, [folder.join("etc/../kept")], "it is not there yet");
        let edhoc =
            config("[sessions]\nedhoc_key = \"../certs/key\"\nedhoc_devices = \"../spool/devices\"", &file);
        assert!(edhoc.read.contains(&folder.join("certs")) && edhoc.read.contains(&folder.join("spool")));
        assert_eq!(plain.beyond(&more), None);
        assert_eq!(more.beyond(&more), None);
        assert_eq!(more.beyond(&plain), Some(folder.join("spool").as_path()));
        let certificates = Places { written: Vec::new(), ..more };
        assert_eq!(certificates.beyond(&plain), Some(folder.join("certs").as_path()));
        assert_eq!(certificates.beyond(&Places { written: vec![folder], ..plain }), None);
    }
}
