//! The ticket's options, taken apart for requests.

use sixfold_profile::coap::{Opt, Options};

/// How many options a request may have.
pub const MAX_OPTIONS: usize = 12;

/// The options of every request.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    options: [Opt<'a>; MAX_OPTIONS],
    count: usize,
}

impl<'a> Target<'a> {
    /// Takes a ticket's options apart. Nothing when there are more than [`MAX_OPTIONS`].
    pub fn read(encoded: &'a [u8]) -> Option<Self> {
        let mut target = Self { options: [Opt { number: 0, value: &[] }; MAX_OPTIONS], count: 0 };
        for option in Options::new(encoded) {
            *target.options.get_mut(target.count)? = option;
            target.count = target.count.saturating_add(1);
        }
        Some(target)
    }

    /// In the order of the ticket.
    pub fn options(&self) -> &[Opt<'a>] {
        self.options.get(..self.count).unwrap_or_default()
    }
}
