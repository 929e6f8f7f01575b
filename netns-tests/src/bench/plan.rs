//! Which runs there are, in which order, and what each yields.

use super::exchange::Resource;
use super::idle;
use super::load::Load;
use super::origin;
use super::report::{Cached, Idle, Report, Sample};
use super::server::{Kind, LOAD_CORE, Programs, pin};
use anyhow::{Context, Result};
use nix::sys::resource::{Resource as Limit, getrlimit, setrlimit};
use sixfold_profile::coap::Szx;
use std::path::PathBuf;
use std::time::Duration;

const KINDS: [Kind; 4] = [Kind::Echo, Kind::Relay, Kind::Protected, Kind::Libcoap];
const IMAGE_BYTES: usize = 96 << 10;
const LARGE_IMAGE_BYTES: usize = 4 << 20;
const LARGE_IMAGES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// sixfold-relay.
    pub relay: PathBuf,
    /// How long each run lasts.
    pub duration: Duration,
    /// Runs per figure, of which the median is reported.
    pub runs: usize,
    /// Numbers of clients at the same time.
    pub clients: Vec<usize>,
    /// Block sizes.
    pub sizes: Vec<Szx>,
    /// Clients that fetch one block each before the memory per idle client is read.
    pub idle_clients: usize,
}

/// Runs everything; `progress` is told what is being done.
///
/// # Errors
/// When a server that is installed does not start, or answers with wrong bytes.
pub fn run(plan: &Plan, mut progress: impl FnMut(&str)) -> Result<Report> {
    allow_many_sockets()?;
    pin(LOAD_CORE)?;
    let image = resource("image", IMAGE_BYTES);
    let large = LARGE_IMAGES.map(|name| resource(name, LARGE_IMAGE_BYTES));
    let files =
        large.iter().chain([&image]).map(|file| (format!("/{}", file.path.join("/")), file.body.clone()));
    let files = files.collect();
    let programs = Programs {
        bench: std::env::current_exe()?,
        relay: plan.relay.clone(),
        origin: origin::serve(files)?,
        sessions: plan.clients.iter().copied().max().unwrap_or_default(),
    };
    let skipped: Vec<_> = KINDS.iter().filter_map(|kind| programs.missing(*kind)).collect();
    skipped.iter().for_each(|reason| progress(&format!("SKIPPED: {reason}")));
    let mut report = Report { skipped, ..Report::default() };
    let kinds: Vec<_> = KINDS.into_iter().filter(|kind| programs.missing(*kind).is_none()).collect();
    for round in 1..=plan.runs {
        for (&szx, &clients) in plan.sizes.iter().flat_map(|szx| plan.clients.iter().map(move |n| (szx, n))) {
            progress(&format!("run {round}/{}: {} B, {clients} clients", plan.runs, szx.size()));
            for &kind in &kinds {
                report.samples.push(sample(&programs, kind, &image, szx, clients, plan.duration)?);
            }
        }
        for &kind in kinds.iter().filter(|kind| **kind != Kind::Protected) {
            progress(&format!("run {round}/{}: memory, {}", plan.runs, kind.name()));
            report.idle.push(idle(&programs, kind, &image, plan.idle_clients)?);
            if kind == Kind::Relay {
                report.cached.push(cached(&programs, &large)?);
            }
        }
    }
    Ok(report)
}

fn sample(
    programs: &Programs,
    kind: Kind,
    image: &Resource,
    szx: Szx,
    clients: usize,
    duration: Duration,
) -> Result<Sample> {
    let image = as_served_by(kind, image);
    let server = programs.start(kind, &image, szx)?;
    let mut load = Load::new(server.address, &image, szx, clients)?;
    if kind == Kind::Protected {
        load.protect()?;
    }
    let context = || format!("{} with {clients} clients", kind.name());
    let started = load.start().with_context(context)?;
    let before = server.cpu()?;
    let tally = load.run(duration).with_context(context)?;
    Ok(Sample {
        kind,
        szx,
        clients,
        blocks: tally.blocks,
        retries: started.retries + tally.retries,
        all_served_after: started.after,
        wall: duration,
        cpu: server.cpu()?.saturating_sub(before),
        rss_bytes: server.rss()?,
    })
}

fn idle(programs: &Programs, kind: Kind, image: &Resource, clients: usize) -> Result<Idle> {
    let image = as_served_by(kind, image);
    let server = programs.start(kind, &image, Szx::B64)?;
    let before = server.rss()?;
    idle::visit(server.address, &image, Szx::B64, clients)?;
    Ok(Idle { kind, clients, grown_bytes: server.rss()?.saturating_sub(before) })
}

/// What large images cost a relay that has fetched one before, and with it grown the buffers that it needs
/// while fetching.
fn cached(programs: &Programs, images: &[Resource]) -> Result<Cached> {
    let (first, others) = images.split_first().context("no large images")?;
    let server = programs.start(Kind::Relay, first, Szx::MAX)?;
    let before = server.rss()?;
    for image in others {
        Load::new(server.address, image, Szx::MAX, 1)?.fetch_once()?;
    }
    let image_bytes = others.iter().map(|image| image.body.len() as u64).sum();
    Ok(Cached { image_bytes, grown_bytes: server.rss()?.saturating_sub(before) })
}

fn as_served_by(kind: Kind, resource: &Resource) -> Resource {
    Resource { lengths_only: kind == Kind::Echo, ..resource.clone() }
}

/// A body in which no two blocks are alike.
fn resource(name: &str, bytes: usize) -> Resource {
    let body = (0..bytes as u32 / 4).flat_map(|word| word.wrapping_mul(0x9e37_79b9).to_be_bytes()).collect();
    Resource { path: vec![name.to_owned()], body, lengths_only: false }
}

fn allow_many_sockets() -> Result<()> {
    let (_, hard) = getrlimit(Limit::RLIMIT_NOFILE)?;
    setrlimit(Limit::RLIMIT_NOFILE, hard, hard).context("raise the limit of open files")
}
