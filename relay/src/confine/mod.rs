//! What the relay gives up before it serves: another user than root, capabilities, new privileges, most of the file system, and
//! system calls that it has no use for.
//!
//! It happens once, before there is a second thread, because most of it holds for one thread and those that it starts. What a
//! kernel does not have is named in the log, and the relay serves without it. Service managers do much of this too
//! (`config/systemd`, `config/openwrt`); then little is left to be given up.
//!
//! It does not keep an origin, a device or a port from being reached: what is spoken to is a matter of the configuration.

mod files;
mod places;
mod syscalls;
mod user;

pub use files::landlock;
pub use places::Places;
pub use syscalls::is_supported as has_seccomp;
pub use user::{Identity, identity, successor, with_access_of};

use crate::config::Config;
use anyhow::{Context, bail};
use std::fmt;
use std::path::Path;

/// How far a kind of confinement reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All that was asked for.
    Full,
    /// What this kernel has of it.
    Partial,
    /// Nothing; why.
    None(String),
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("in force"),
            Self::Partial => f.write_str("in force as far as this kernel has it"),
            Self::None(why) => write!(f, "none ({why})"),
        }
    }
}

/// What was given up.
#[derive(Clone, Debug)]
pub struct Confinement {
    places: Places,
    files: Reach,
}

impl Confinement {
    /// Gives up what is not needed to serve with `config`, which was read from `file`. The calling thread must be the only one.
    ///
    /// # Errors
    /// When the user of the configuration cannot be had: the operator is to blame, and serving as root instead would be worse.
    pub fn enter(config: &Config, file: &Path) -> anyhow::Result<Self> {
        Places::of(config, file).make();
        // Once more: now all of them are there, and have a real spelling.
        let places = Places::of(config, file);
        let ports = user::privileged_ports(config);
        let identity = user::become_nobody_special(config.process.user.as_deref(), &places, ports)?;
        nix::sys::prctl::set_no_new_privs().context("relay: cannot give up new privileges")?;
        let (files, calls) = if config.process.sandbox {
            (files::restrict(&places), syscalls::restrict())
        } else {
            let off = || Reach::None("process.sandbox is off".to_owned());
            (off(), off())
        };
        tracing::info!("confined: {identity}; landlock {files}; seccomp {calls}");
        if identity.is_root {
            tracing::warn!(
                "operator: the relay runs as root, without capabilities; name a user in process.user"
            );
        }
        Ok(Self { places, files })
    }

    /// Whether what another configuration needs of the file system can be had without a restart.
    ///
    /// # Errors
    /// What it cannot reach.
    pub fn permits(&self, config: &Config, file: &Path) -> anyhow::Result<()> {
        if matches!(self.files, Reach::None(_)) {
            return Ok(());
        }
        if let Some(place) = Places::of(config, file).beyond(&self.places) {
            bail!(
                "operator: {} was not in the configuration when the relay started, and it gave up all else: restart it",
                place.display()
            );
        }
        Ok(())
    }
}
