//! What the operator has to mend before a relay can serve: starting it again does not help.
//!
//! Programs end with the exit status of a wrong configuration then, and service managers leave it at that.

use std::fmt;

/// Why, and what to do. It begins with `operator: `.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl Refused {
    /// Whether it is, or is the cause of, this error.
    pub fn is_behind(error: &anyhow::Error) -> bool {
        error.chain().any(|cause| cause.is::<Self>())
    }
}
