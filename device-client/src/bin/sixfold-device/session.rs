//! Agreeing on a session with the relay before a ticket is written.

mod edhoc;
mod tls;

use crate::cli::Session;
use crate::failure::Failure;
use edhoc::Edhoc;
use sixfold_device::prepare::Agreed;
use tls::Tls;

/// A session that is to be agreed on. All files are read.
#[derive(Debug)]
pub(crate) struct Wanted {
    way: Way,
    plain_allowed: bool,
}

#[derive(Debug)]
enum Way {
    Tls(Box<Tls>),
    Edhoc(Box<Edhoc>),
}

impl Wanted {
    /// What the command line wants, if it wants a session.
    pub(crate) fn read(arguments: &Session) -> Result<Option<Self>, Failure> {
        let (Some(uri), Some(key)) = (&arguments.session, &arguments.session_key) else { return Ok(None) };
        let way = if uri.starts_with("coap://") {
            Way::Edhoc(Box::new(Edhoc::read(uri, key, arguments)?))
        } else {
            Way::Tls(Box::new(Tls::read(uri, key, arguments)?))
        };
        Ok(Some(Self { way, plain_allowed: arguments.allow_plain }))
    }

    /// Agrees with the relay.
    pub(crate) fn agree(&self) -> Result<Agreed, Failure> {
        let agreed = match &self.way {
            Way::Tls(tls) => tls.agree(),
            Way::Edhoc(edhoc) => edhoc.agree(),
        };
        agreed.map(|agreed| Agreed { plain_allowed: self.plain_allowed, ..agreed })
    }
}
