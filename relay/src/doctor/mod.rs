//! `sixfold-relay doctor`: what keeps a relay with this configuration from serving on this machine, and what to do.
//!
//! It looks and changes nothing, whether a relay runs or not. What is wrong in the file itself says the configuration
//! before it comes here.

mod machine;
mod network;
mod origins;
mod owner;
mod privilege;
mod sessions;

use crate::config::Config;
use std::fmt;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// As it should be.
    Ok,
    /// It works, and not as well as it could; or it works later.
    Warning,
    /// Devices are not served, or not with new images.
    Failure,
}

impl Severity {
    /// As it is printed.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failure => "FAILURE",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was looked at: `clock`, `interface`, ...
    pub subject: &'static str,
    /// What was found.
    pub what: String,
    /// What to do about it; empty if it is as it should be.
    pub remedy: String,
}

impl Finding {
    fn ok(subject: &'static str, what: impl Into<String>) -> Self {
        Self { severity: Severity::Ok, subject, what: what.into(), remedy: String::new() }
    }

    fn warning(subject: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, subject, what: what.into(), remedy: remedy.into() }
    }

    fn failure(subject: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Failure, subject, what: what.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<8} {:<10} {}", self.severity.label(), self.subject, self.what)?;
        if self.remedy.is_empty() { Ok(()) } else { writeln!(f, "{:<19} {}", "", self.remedy) }
    }
}

/// Looks at everything, and says each thing as it is found. A silent origin takes ten seconds, and eight at a time are asked.
pub async fn examine(config: &Config, mut say: impl FnMut(Finding)) {
    say(machine::clock());
    network::interfaces(config).into_iter().for_each(&mut say);
    network::pacing(config).into_iter().for_each(&mut say);
    let running = network::running(config).await;
    network::ports(config, running).into_iter().for_each(&mut say);
    network::admin(config, running).into_iter().for_each(&mut say);
    sessions::examine(config, running).into_iter().for_each(&mut say);
    network::groups(config, running).into_iter().for_each(&mut say);
    origins::examine(config, &mut say).await;
    machine::disk(config).into_iter().for_each(&mut say);
    machine::memory(config).into_iter().for_each(&mut say);
    machine::buffers().into_iter().for_each(&mut say);
    privilege::all(config).into_iter().for_each(&mut say);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_as_it_should_be_is_told_with_its_remedy() {
        let warning = Finding::warning("memory", "little", "lower cache.memory");
        assert_eq!(Finding::ok("clock", "right").to_string(), "ok       clock      right\n");
        assert_eq!(
            warning.to_string(),
            "warning  memory     little\n                    lower cache.memory\n"
        );
    }
}
