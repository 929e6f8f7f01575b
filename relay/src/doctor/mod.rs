//! `sixfold-relay doctor`: what keeps a relay with this configuration from serving on this machine, and what to do.
//!
//! It looks and changes nothing, whether a relay runs or not. What is wrong in the file itself says the configuration
//! before it comes here.

mod machine;
mod network;
mod origins;
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

/// All that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    /// Whether there is a [`Severity::Failure`] among them.
    pub fn is_serving_prevented(&self) -> bool {
        self.0.iter().any(|finding| finding.severity == Severity::Failure)
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|finding| write!(f, "{finding}"))
    }
}

/// Looks at everything. Takes as long as the slowest origin may take to answer.
pub async fn examine(config: &Config) -> Findings {
    let mut findings = vec![machine::clock()];
    findings.extend(network::interfaces(config));
    findings.extend(network::pacing(config));
    let running = network::is_running(config).await;
    findings.extend(network::ports(config, running));
    findings.extend(network::admin(config, running));
    findings.extend(sessions::examine(config, running));
    findings.extend(network::groups(config, running));
    findings.extend(origins::examine(config).await);
    findings.extend(machine::disk(config));
    findings.extend(machine::memory(config));
    findings.extend(machine::buffers());
    findings.extend(privilege::all(config));
    Findings(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_with_its_remedy_and_prevents_serving() {
        let warning = Finding::warning("memory", "little", "lower cache.memory");
        let failure = Finding::failure("ports", "taken", "stop the other program");
        let mild = Findings(vec![Finding::ok("clock", "right"), warning.clone()]);
        assert!(!mild.is_serving_prevented());
        assert_eq!(
            mild.to_string(),
            "ok       clock      right\nwarning  memory     little\n                    lower cache.memory\n"
        );
        assert!(Findings(vec![warning, failure]).is_serving_prevented());
    }
}
