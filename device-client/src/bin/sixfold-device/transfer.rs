//! `sixfold-device fetch`: drives the state machine over a socket, into a file, and decides what it leaves to its
//! caller: how often to start over, how long to wait, when to give up.

use crate::cli;
use crate::failure::Failure;
use crate::partial::Partial;
use crate::progress::{Progress, print_line};
use crate::request::Request;
use crate::wire::Wire;
use indicatif::BinaryBytes;
use serde_json::json;
use sixfold_device::fetch::{Change, Event, Fetch, Received};
use sixfold_device::uri::encode;
use sixfold_profile::coap::{Full, Options, Szx};
use sixfold_profile::{Hex, Instant};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// How often a changed resource is fetched from the start again.
const MAX_CHANGES: u32 = 3;
/// Fetches what the command line says and prints what came of it.
pub(crate) fn run(arguments: &cli::Fetch) -> Result<(), Failure> {
    let request = Request::new(&arguments.uri, arguments.proxy.as_deref())?;
    let wire = Wire::open(&request.host, request.port)?;
    let partial = Partial::open(&arguments.output, &arguments.uri, !arguments.no_resume)?;
    let progress = Progress::new(arguments.quiet);
    let deadline = arguments.timeout.map(|timeout| wire.now() + timeout);
    let mut transfer = Transfer { wire, partial, progress, deadline, changes: 0, first: None, length: 0 };

    let options = encode(&request.options)
        .map_err(|Full| Failure::Usage("the URI is too long for a request".to_owned()))?;
    let mut fetch = transfer.begin(Options::new(&options), arguments.szx);
    let done = transfer.drive(&mut fetch);
    transfer.progress.end();
    if let Err(failure) = done {
        return transfer.partial.leave().and(Err(failure));
    }
    transfer.finish(&fetch, arguments)
}

struct Transfer {
    wire: Wire,
    partial: Partial,
    progress: Progress,
    deadline: Option<Instant>,
    /// How often the resource changed.
    changes: u32,
    /// Where the first block of this run started; `None` before it.
    first: Option<u32>,
    /// The end of the last block.
    length: u64,
}

impl Transfer {
    fn begin<'t>(&self, target: Options<'t>, szx: Szx) -> Fetch<'t> {
        let seed = RandomState::new().hash_one(std::process::id()) as u32;
        match self.partial.held().and_then(|held| held.resume(szx)) {
            Some((block, etag)) => {
                self.progress.say(&format!("going on at {}", BinaryBytes(block.offset() as u64)));
                Fetch::resume(target, block, etag, seed)
            }
            None => Fetch::new(target, szx, seed),
        }
    }

    /// Runs until the body is complete.
    fn drive(&mut self, fetch: &mut Fetch<'_>) -> Result<(), Failure> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            if let Some(event) = self.wire.step(fetch, self.deadline, &mut buffer)?
                && self.event(event)?
            {
                return self.wire.send_due(fetch);
            }
            if self.deadline.is_some_and(|deadline| self.wire.now() >= deadline) {
                return Err(self.timed_out("the time given by --timeout is over"));
            }
        }
    }

    /// True when the body is complete.
    fn event(&mut self, event: Event<'_>) -> Result<bool, Failure> {
        match event {
            Event::Block(block) => return self.block(&block),
            Event::StartOver(change) => self.start_over(change)?,
            Event::Wait(wait) => self.wait(wait)?,
            Event::Refused { code, diagnostic } => return Err(Failure::refused(code, diagnostic)),
            Event::TimedOut => return Err(self.timed_out("no answer")),
            Event::Reset => return Err(Failure::Reset),
            Event::Violation(violation) => return Err(Failure::Violation(violation)),
        }
        Ok(false)
    }

    fn block(&mut self, block: &Received<'_>) -> Result<bool, Failure> {
        self.partial.write(block)?;
        self.first.get_or_insert(block.offset);
        self.length = u64::from(block.offset) + block.payload.len() as u64;
        self.progress.at(self.length, block.size);
        Ok(!block.more)
    }

    fn start_over(&mut self, change: Change) -> Result<(), Failure> {
        if self.changes >= MAX_CHANGES {
            return Err(Failure::Unstable(change));
        }
        self.changes += 1;
        self.first = None;
        self.progress.say(&format!("starting over: {change}"));
        self.partial.start_over()
    }

    fn wait(&mut self, wait: Duration) -> Result<(), Failure> {
        let busy = format!("the server is busy and asks to wait {} s", wait.as_secs());
        if self.deadline.is_some_and(|deadline| self.wire.now() + wait > deadline) {
            return Err(self.timed_out(&format!("{busy}, which is longer than --timeout allows")));
        }
        self.progress.say(&busy);
        self.partial.save()
    }

    fn timed_out(&self, why: &str) -> Failure {
        let trouble = self.wire.trouble().map(|trouble| format!("; {trouble}")).unwrap_or_default();
        let mut text = format!("{why} (server {}{trouble})", self.wire.peer());
        if self.partial.held().is_some() {
            text.push_str("; the same command goes on from here");
        }
        Failure::TimedOut(text)
    }

    fn finish(self, fetch: &Fetch<'_>, arguments: &cli::Fetch) -> Result<(), Failure> {
        let seconds = self.wire.now().since(Instant::ZERO).as_secs_f64();
        let received = self.length.saturating_sub(u64::from(self.first.unwrap_or(0)));
        let rate = received as f64 / seconds.max(1e-6);
        let retransmissions = fetch.exchange().retransmissions();
        let digest = Hex(&self.partial.finish(self.length)?).to_string();
        if !arguments.quiet {
            let rate = BinaryBytes(rate as u64);
            print_line(&format!(
                "{received} bytes in {seconds:.1} s, {rate}/s, {retransmissions} retransmissions"
            ));
        }
        let output = &arguments.output;
        let line = if arguments.json {
            let result = json!({
                "file": output.to_string_lossy(), "uri": arguments.uri, "sha256": digest, "bytes": self.length,
                "received": received, "seconds": seconds, "requests": fetch.exchange().requests(),
                "retransmissions": retransmissions, "changes": self.changes,
            });
            format!("{result}\n").into_bytes()
        } else {
            [digest.as_bytes(), b"  ", output.as_os_str().as_bytes(), b"\n"].concat()
        };
        io::stdout().write_all(&line).map_err(Failure::Stdout)
    }
}
