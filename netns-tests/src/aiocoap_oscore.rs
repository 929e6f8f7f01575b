//! aiocoap's OSCORE as the other end of a session, through `peers/aiocoap_oscore.py`: no network, bytes only.

use crate::peer::Peer;
use crate::workspace;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The other end.
#[derive(Debug)]
pub struct End {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// What it makes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The message, protected or not.
    Message(Vec<u8>),
    /// The name of aiocoap's exception, and what it would answer, if it says so.
    Refused(String, Option<Vec<u8>>),
}

/// The inputs of a security context, from aiocoap's side.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The Master Secret.
    pub master_secret: &'a [u8],
    /// The Master Salt.
    pub master_salt: &'a [u8],
    /// The ID Context.
    pub id_context: Option<&'a [u8]>,
    /// aiocoap's Sender ID.
    pub sender_id: &'a [u8],
    /// aiocoap's Recipient ID.
    pub recipient_id: &'a [u8],
    /// aiocoap's next Sender Sequence Number.
    pub number: u64,
}

impl End {
    /// Starts it.
    pub fn start() -> Result<Self> {
        let mut command = Command::new(Peer::Aiocoap.program().with_context(|| Peer::Aiocoap.remedy())?);
        command.arg(workspace::root().join("netns-tests/peers/aiocoap_oscore.py"));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = process.stdin.take().context("no standard input")?;
        let output = BufReader::new(process.stdout.take().context("no standard output")?);
        Ok(Self { process, input, output })
    }

    /// Begins with a new context, and forgets what was before.
    pub fn context(&mut self, inputs: Inputs<'_>) -> Result<()> {
        let Inputs { master_secret, master_salt, id_context, sender_id, recipient_id, number } = inputs;
        self.ask(&json!({
            "do": "new", "secret": hex(master_secret), "salt": hex(master_salt), "id_context": id_context.map(hex),
            "sender_id": hex(sender_id), "recipient_id": hex(recipient_id), "number": number,
        }))
        .map(|_| ())
    }

    /// Loses its replay window, as by a restart.
    pub fn restart(&mut self) -> Result<()> {
        self.ask(&json!({ "do": "restart" })).map(|_| ())
    }

    /// Protects a CoAP message; `request` names a request, or the one that a response belongs to.
    pub fn protect(&mut self, request: &str, message: &[u8]) -> Result<Vec<u8>> {
        match self.outcome("protect", request, message)? {
            Outcome::Message(message) => Ok(message),
            Outcome::Refused(why, _) => bail!("aiocoap does not protect this: {why}"),
        }
    }

    /// Unprotects an OSCORE message.
    pub fn unprotect(&mut self, request: &str, message: &[u8]) -> Result<Outcome> {
        self.outcome("unprotect", request, message)
    }

    fn outcome(&mut self, what: &str, request: &str, message: &[u8]) -> Result<Outcome> {
        let answer = self.ask(&json!({ "do": what, "request": request, "message": hex(message) }))?;
        let message = answer["message"].as_str().map(bytes).transpose()?;
        match answer["refused"].as_str() {
            Some(why) => Ok(Outcome::Refused(why.to_owned(), message)),
            None => message.map(Outcome::Message).context("neither a message nor a refusal"),
        }
    }

    fn ask(&mut self, question: &Value) -> Result<Value> {
        writeln!(self.input, "{question}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("aiocoap's answer to {question}"))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes(hex: &str) -> Result<Vec<u8>> {
    let pair = |at| hex.get(at..at + 2).context("half a byte");
    (0..hex.len()).step_by(2).map(|at| Ok(u8::from_str_radix(pair(at)?, 16)?)).collect()
}
