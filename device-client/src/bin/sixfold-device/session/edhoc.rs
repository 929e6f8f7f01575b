//! Agreeing by EDHOC, at the relay's CoAP port.

use crate::cli::Session;
use crate::failure::Failure;
use crate::relay::seed;
use crate::wire::{MAX_REQUEST, Wire};
use sixfold_device::agree::{self, AgreeError};
use sixfold_device::prepare::Agreed;
use sixfold_device::uri::{CoapUri, Host};
use sixfold_edhoc::{Credential, Identity};
use std::fmt;
use std::fs;
use std::path::Path;

/// With whom, and as whom. All files are read.
#[derive(Debug)]
pub(crate) struct Edhoc {
    place: (Host, u16),
    identity: Identity,
    relay: Credential,
}

impl Edhoc {
    /// What the command line wants of the relay `coap://...`.
    pub(crate) fn read(uri: &str, key: &Path, arguments: &Session) -> Result<Self, Failure> {
        let (Some(own), Some(relay)) = (&arguments.session_credential, &arguments.session_relay) else {
            return Err(Failure::Usage(
                "--session coap://... needs --session-credential and --session-relay".to_owned(),
            ));
        };
        if arguments.session_lifetime.is_some() {
            return Err(Failure::Usage(
                "--session-lifetime needs --session tls://...: in EDHOC the relay alone decides".to_owned(),
            ));
        }
        let parsed = CoapUri::parse(uri)?;
        if !parsed.path.is_empty() || !parsed.query.is_empty() {
            return Err(Failure::Usage(
                "--session takes tls://HOST:PORT or coap://HOST[:PORT], without path or query".to_owned(),
            ));
        }
        let pem = fs::read_to_string(key).map_err(Failure::file(key, "read"))?;
        let identity = Identity::new(&pem, credential(own)?).map_err(|error| unusable(key, &error))?;
        Ok(Self { place: (parsed.host, parsed.port), identity, relay: credential(relay)? })
    }

    /// Sends and receives until it is over.
    pub(crate) fn agree(&self) -> Result<Agreed, Failure> {
        let (host, port) = &self.place;
        let mut wire = Wire::open(host, *port)?;
        let mut secret_seed = [0; sixfold_edhoc::SEED];
        getrandom::fill(&mut secret_seed)
            .map_err(|error| Failure::Usage(format!("the system gives no random bytes: {error}")))?;
        let mut edhoc = agree::Edhoc::new(&self.identity, &self.relay, wire.now(), secret_seed, seed())
            .map_err(Failure::Session)?;
        let mut request = [0; MAX_REQUEST];
        let mut buffer = vec![0; 1 << 16];
        let mut outcome: Option<Result<Agreed, AgreeError>> = None;
        loop {
            let now = wire.now();
            // What is asked is short: it fits.
            while let Ok(Some(length)) = edhoc.poll_transmit(now, &mut request) {
                wire.send(&request[..length]);
            }
            if let Some(outcome) = outcome {
                return outcome.map_err(Failure::Session);
            }
            let datagram = wire.receive(edhoc.poll_timeout(), &mut buffer);
            let now = wire.now();
            outcome = match datagram {
                Some(datagram) => edhoc.handle_datagram(now, datagram),
                None => edhoc.handle_timeout(now),
            };
        }
    }
}

/// The credential in a file, in hexadecimal.
fn credential(path: &Path) -> Result<Credential, Failure> {
    let text = fs::read_to_string(path).map_err(Failure::file(path, "read"))?;
    Credential::from_text(&text).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &dyn fmt::Display) -> Failure {
    Failure::Usage(format!("{}: {error}", path.display()))
}
