//! aiocoap as a client, through `peers/aiocoap_client.py`.

use crate::netns::Netns;
use crate::peer::Peer;
use crate::process::Process;
use crate::{wait, workspace};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A response or notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The code in dotted form: `2.05`.
    pub code: String,
    /// The ETag in hexadecimal.
    pub etag: Option<String>,
    /// Max-Age in seconds.
    pub max_age: Option<u64>,
    /// Content-Format.
    pub content_format: Option<u64>,
    /// The whole body, or the diagnostic payload.
    pub body: Vec<u8>,
}

/// A running client.
#[derive(Debug)]
pub struct Aiocoap {
    process: Process,
}

/// Sends a request and waits for the whole response. `arguments` are the script's.
pub fn request(netns: &Netns, uri: &str, arguments: &[&str]) -> Result<Response> {
    start(netns, "aiocoap", uri, arguments)?.response(Duration::from_secs(120))
}

/// Starts a client; `name` tells several of them apart.
pub fn start(netns: &Netns, name: &str, uri: &str, arguments: &[&str]) -> Result<Aiocoap> {
    let folder = Path::new("/run").join(name);
    fs::create_dir_all(&folder)?;
    let mut command = Command::new(Peer::Aiocoap.program().with_context(|| Peer::Aiocoap.remedy())?);
    command
        .arg(workspace::root().join("netns-tests/peers/aiocoap_client.py"))
        .arg(uri)
        .arg(folder)
        .args(arguments);
    Ok(Aiocoap { process: Process::start(netns, name, command)? })
}

impl Aiocoap {
    /// The only response, when the client has ended.
    pub fn response(mut self, limit: Duration) -> Result<Response> {
        let status = self.process.wait(limit)?;
        ensure!(status.success(), "{}", self.process.log());
        self.seen(0)?.context("aiocoap printed no response")
    }

    /// The response (0) or a notification (1 and up), as soon as it is there.
    pub fn wait_for(&mut self, number: usize, limit: Duration) -> Result<Response> {
        wait::until(&format!("notification {number}"), limit, || self.seen(number).transpose())?
    }

    fn seen(&self, number: usize) -> Result<Option<Response>> {
        let output = self.process.output();
        let complete = output.rsplit_once('\n').map_or("", |(lines, _)| lines);
        complete.lines().nth(number).map(parse).transpose()
    }
}

fn parse(line: &str) -> Result<Response> {
    let line: Value = serde_json::from_str(line)?;
    let text = |key: &str| line[key].as_str().map(str::to_owned);
    Ok(Response {
        code: text("code").context("no code")?,
        etag: text("etag"),
        max_age: line["max_age"].as_u64(),
        content_format: line["content_format"].as_u64(),
        body: fs::read(text("body").context("no body")?)?,
    })
}
