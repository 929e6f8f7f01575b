//! libcoap's `coap-client-notls`.

use crate::netns::Netns;
use crate::peer::Peer;
use crate::process::Process;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What the client made of an exchange: the body, or the error response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A success with a body.
    Body(Vec<u8>),
    /// The code in dotted form and the diagnostic payload, as the client prints them.
    Error(String),
}

/// Runs the client once, with its own options before the URI, and waits for its end.
pub fn request(netns: &Netns, uri: &str, options: &[&str]) -> Result<Outcome> {
    let mut process = start(netns, "coap-client", uri, options)?;
    let status = process.wait(Duration::from_secs(120))?;
    ensure!(status.success(), "coap-client-notls: {status}\n{}", process.log());
    match fs::read(output_file("coap-client")) {
        Ok(body) => Ok(Outcome::Body(body)),
        Err(_) => Ok(Outcome::Error(process.log().trim().to_owned())),
    }
}

/// Starts the client; its output goes to [`output_file`].
pub fn start(netns: &Netns, name: &str, uri: &str, options: &[&str]) -> Result<Process> {
    let _ = fs::remove_file(output_file(name));
    let mut command = Command::new(Peer::CoapClient.program().with_context(|| Peer::CoapClient.remedy())?);
    command.args(["-B", "50", "-o"]).arg(output_file(name)).args(options).arg(uri);
    Process::start(netns, name, command)
}

/// Where a client writes what it receives.
pub fn output_file(name: &str) -> std::path::PathBuf {
    Path::new("/run").join(format!("{name}.received"))
}
