//! Echo (RFC 9175 §2): a server that wants to know whether a request is fresh, or its sender really there, answers 4.01 with a value
//! that the request is to be repeated with.

use super::copy;
use sixfold_profile::coap::{Code, Full, Message, Options, Writer, option};

/// The longest value (§2.2.1).
const LONGEST: usize = 40;

/// The value that the server asked for; empty where it asked for none.
#[derive(Clone, Debug)]
pub(crate) struct Echo {
    value: [u8; LONGEST],
    length: usize,
}

impl Echo {
    pub(crate) const fn none() -> Self {
        Self { value: [0; LONGEST], length: 0 }
    }

    /// Forgets the value: it is for one request.
    pub(super) const fn forget(&mut self) {
        self.length = 0;
    }

    /// Takes the value of a 4.01. False when there is none, or the request had one already: then it was refused.
    pub(crate) fn take(&mut self, response: &Message<'_>) -> bool {
        let value = response.option(option::ECHO).filter(|_| response.code == Code::UNAUTHORIZED);
        let Some(value) = value.filter(|value| self.length == 0 && value.len() <= LONGEST) else {
            return false;
        };
        self.value.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
        self.length = value.len();
        self.length > 0
    }

    /// What the option says, if it is to be there.
    pub(crate) fn value(&self) -> Option<&[u8]> {
        self.value.get(..self.length).filter(|value| !value.is_empty())
    }

    /// Adds the option, and those of the ticket up to it.
    pub(crate) fn write(&self, options: &mut Options<'_>, writer: &mut Writer<'_>) -> Result<(), Full> {
        match self.value() {
            None => Ok(()),
            Some(value) => {
                copy(options, option::ECHO, writer)?;
                writer.option(option::ECHO, value)
            }
        }
    }
}
