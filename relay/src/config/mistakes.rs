//! What is wrong with a configuration: all of it at once, each with its place and a remedy.

use std::fmt;

/// One mistake of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Counted from 1; 0 when it belongs to the file as a whole.
    pub line: usize,
    /// The key, with its section: `cache.memory`.
    pub key: String,
    /// What is wrong, and what to do about it.
    pub message: String,
}

/// All mistakes in a file. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    /// The file.
    pub file: String,
    /// In the order of their lines.
    pub list: Vec<Mistake>,
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Mistake { line, key, message }) in self.list.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:", self.file)?;
            if *line > 0 {
                write!(f, "{line}:")?;
            }
            write!(f, " ")?;
            if !key.is_empty() {
                write!(f, "{key}: ")?;
            }
            write!(f, "{message}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}
