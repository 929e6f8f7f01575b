//! Whether the relay met the troubles of a soak: what its log has of each.

use super::ledger::Ledger;
use super::trouble::Trouble;

/// So many of a kind that the relay met one of them.
const MANY: u64 = 10;
/// Evidence that is no text.
const CLOCK_WENT_BACK: &str = "";

impl Trouble {
    /// What the relay's log has of it, and how many of the kind are enough to expect that: an order is always carried out, but whether
    /// a short trouble is met depends on what the relay does at that moment.
    const fn evidence(self) -> Option<(&'static str, u64)> {
        Some(match self {
            Self::Reload | Self::LittleMemory => ("configuration reloaded", 1),
            Self::BadReload => ("configuration not reloaded", 1),
            Self::Purge => ("operator: purge", 1),
            Self::OriginDies => ("does not accept connections", MANY),
            Self::OriginFails => ("the answer is 503", MANY),
            Self::NewVersion => ("image changed at the origin", MANY),
            Self::DiskFull => ("the disk cache cannot be written", MANY),
            Self::DiskRots => ("is damaged", MANY),
            Self::InterfaceFlaps => ("is not there; waiting for it", MANY),
            Self::ClockSteps => (CLOCK_WENT_BACK, MANY),
            Self::OriginIsSlow | Self::Restart | Self::Kill => return None,
        })
    }
}

/// Which troubles the relay met in a life, by its log.
pub(super) fn met(log: &str) -> Vec<&'static str> {
    // A line begins with the time, to the hour in 13 characters.
    let hours = log.lines().filter_map(|line| line.get(..13).filter(|hour| hour.as_bytes()[10] == b'T'));
    let went_back = !hours.is_sorted();
    let shows = |phrase| if phrase == CLOCK_WENT_BACK { went_back } else { log.contains(phrase) };
    let met = |trouble: &Trouble| trouble.evidence().is_some_and(|(phrase, _)| shows(phrase));
    Trouble::LASTING_LIFE.into_iter().filter(met).map(Trouble::label).collect()
}

/// Troubles that should have shown in the relay's log, and did not.
pub(super) fn unmet(ledger: &Ledger) -> Vec<&'static str> {
    let expected = |trouble: &Trouble| {
        let count = ledger.troubles.get(trouble.label()).copied().unwrap_or_default();
        trouble.evidence().is_some_and(|(_, enough)| count >= enough)
    };
    let labels = Trouble::LASTING_LIFE.into_iter().filter(expected).map(Trouble::label);
    labels.filter(|label| !ledger.met.contains(label)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_log_has_was_met() {
        let at = |time: &str, what: &str| format!("2026-11-28T{time}:00.5Z  INFO sixfold_relay: {what}\n");
        let log = at("12:10", "configuration reloaded from /run/relay.toml")
            + &at("12:11", "ready")
            + "  more of it\n";
        assert_eq!(met(&log), ["reload", "little memory for images"]);
        assert_eq!(met(&(log + &at("11:11", "operator: purge --all"))).last(), Some(&"purge"));
    }

    #[test]
    fn a_relay_that_did_not_hear_an_order_is_found_out() {
        let mut ledger = Ledger::default();
        ledger.trouble("reload");
        (0..MANY - 1).for_each(|_| ledger.trouble("the disk is full"));
        assert_eq!(unmet(&ledger), ["reload"]);
        ledger.met.insert("reload");
        ledger.trouble("the disk is full");
        assert_eq!(unmet(&ledger), ["the disk is full"]);
    }
}
