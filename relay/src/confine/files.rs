//! Landlock: the file system without what the relay has no business with.

use super::{Places, Reach};
use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus,
};
use std::path::PathBuf;

/// The newest kind that the rules below were thought through for. What an older kernel lacks of it is left out.
const KNOWN: ABI = ABI::V5;

/// Reads only below `places.read`, writes only below `places.written`, and executes nothing.
pub(super) fn restrict(places: &Places) -> Reach {
    match apply(places) {
        Ok(RulesetStatus::FullyEnforced) => Reach::Full,
        Ok(RulesetStatus::PartiallyEnforced) => Reach::Partial,
        Ok(RulesetStatus::NotEnforced) => {
            Reach::None("the kernel has none, it is off, or a service manager refuses it".to_owned())
        }
        Err(error) => Reach::None(error.to_string()),
    }
}

fn apply(places: &Places) -> Result<RulesetStatus, RulesetError> {
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    let writing = AccessFs::from_all(KNOWN) & !BitFlags::from(AccessFs::Execute);
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(KNOWN))?.create()?;
    for (list, access) in [(&places.read, reading), (&places.written, writing)] {
        ruleset = ruleset.add_rules(rules(list, access))?;
    }
    Ok(ruleset.restrict_self()?.ruleset)
}

/// What is not there is not reached: no rule for it.
fn rules(
    places: &[PathBuf],
    access: BitFlags<AccessFs>,
) -> impl Iterator<Item = Result<PathBeneath<PathFd>, RulesetError>> {
    places.iter().filter_map(move |place| Some(Ok(PathBeneath::new(PathFd::new(place).ok()?, access))))
}

/// Whether this kernel has Landlock; nothing is restricted.
pub fn landlock() -> bool {
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    ruleset.handle_access(AccessFs::from_all(ABI::V1)).and_then(Ruleset::create).is_ok()
}
