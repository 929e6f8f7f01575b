//! The main job on one machine, with nothing to configure: an HTTPS origin with a fresh certificate, the relay,
//! and devices that all fetch the same image at the same time.
//!
//! The devices are `sixfold-device` processes, because that is what they are in the field. The demo is a crate and a program
//! of its own, so that what is installed on routers carries nothing of it.

mod options;
pub mod origin;
mod report;

pub use options::Options;

use anyhow::{Context, bail};
use bytes::Bytes;
use indicatif::{ProgressBar, ProgressStyle};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use report::{Device, Report};
use sha2::{Digest, Sha256};
use sixfold_relay::app::{self, Handle};
use sixfold_relay::config::Config;
use sixfold_relay::output;
use std::convert::Infallible;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// Generous: on an idle machine the default scene takes less than a second.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs the scene, prints the table, and says whether every device has the right bytes.
///
/// # Errors
/// When the scene cannot be set up: the device program is missing, no port is free.
pub async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let device_program = device_program()?;
    let mut image = vec![0; options.size];
    ChaCha12Rng::from_seed([6; 32]).fill_bytes(&mut image);
    let image = Bytes::from(image);
    let scratch = tempfile::tempdir().context("operator: no temporary directory; is TMPDIR writable?")?;
    let origin =
        origin::start(image.clone()).await.context("relay: the demo's HTTPS origin does not start")?;
    let ca_file = scratch.path().join("ca.pem");
    std::fs::write(&ca_file, origin.ca_pem()).context("operator: cannot write to the temporary directory")?;
    let (mut driver, handle) = app::build(config(&origin.url(), &ca_file)?)?;
    let address = app::first_address(&mut driver)?;
    output::tell(&format!("origin  {}image.bin, {} bytes", origin.url(), options.size));
    output::tell(&format!("relay   coap://{address}/fw/image.bin"));
    let (devices, block) = (options.devices, options.szx.size());
    output::tell(&format!("devices {devices} × sixfold-device, blocks of {block} bytes"));
    let started = Instant::now();
    let scene = scene(&device_program, address, options, scratch.path(), &handle, &image);
    let devices = tokio::select! {
        devices = scene => devices?,
        () = driver.run() => bail!("relay: stopped in the middle of the demo"),
    };
    let report = Report {
        image: &image,
        origin_requests: origin.requests(),
        origin_bytes: origin.body_bytes(),
        blocks: handle.metrics.blocks_sent(),
        elapsed: started.elapsed(),
        devices,
    };
    output::write(&report.to_string())?;
    Ok(if report.is_right() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The device program is installed, or built, next to this one.
fn device_program() -> anyhow::Result<PathBuf> {
    let program =
        std::env::current_exe().context("relay: does not know where it is")?.with_file_name("sixfold-device");
    if !program.exists() {
        bail!(
            "operator: {} is missing; the demo runs it as its devices. Build it with `cargo build --bins`, or use `make demo`",
            program.display()
        );
    }
    Ok(program)
}

/// A configuration as an operator would write it, but for the rate limit: all devices share one address here.
fn config(origin: &str, ca_file: &Path) -> anyhow::Result<Config> {
    let text = format!(
        "[listen]\ncoap = [\"[::1]:0\"]\n\n[[route]]\npath = \"/fw\"\norigin = \"{origin}\"\nca_file = \"{}\"\n\n[limits]\nclient_rate = 0\n\n[admin]\nlisten = \"\"\n",
        ca_file.display()
    );
    Config::parse(&text, Path::new("demo")).map_err(|mistakes| anyhow::anyhow!("{mistakes}"))
}

async fn scene(
    program: &Path,
    relay: SocketAddr,
    options: &Options,
    scratch: &Path,
    handle: &Handle,
    image: &[u8],
) -> anyhow::Result<Vec<Device>> {
    let expected: [u8; 32] = Sha256::digest(image).into();
    let spawn = |number: usize| {
        let file = scratch.join(format!("device-{number}.bin"));
        let child = Command::new(program)
            .args(["fetch", &format!("coap://{relay}/fw/image.bin"), "--quiet", "-o"])
            .arg(&file)
            .args(["--szx", &options.szx.exponent().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("operator: cannot run {}", program.display()))?;
        Ok((child, file))
    };
    let children = (1..=options.devices).map(spawn).collect::<anyhow::Result<Vec<_>>>()?;
    let progress = Progress::new(options.devices, image.len());
    let all = async {
        let mut waiting = tokio::task::JoinSet::new();
        for (number, (child, file)) in (1..).zip(children) {
            waiting.spawn(wait(number, child, file, expected));
        }
        let mut devices = waiting.join_all().await;
        devices.sort_by_key(|device| device.number);
        devices
    };
    tokio::select! {
        devices = tokio::time::timeout(PATIENCE, all) => {
            progress.finish();
            devices.context("relay: the devices did not finish within five minutes")
        }
        never = progress.follow(handle) => match never {},
    }
}

async fn wait(number: usize, mut child: Child, file: PathBuf, expected: [u8; 32]) -> Device {
    let started = Instant::now();
    let exit = child.wait().await.ok().and_then(|status| status.code());
    let bytes = tokio::fs::read(&file).await.ok();
    let right = bytes.is_some_and(|bytes| <[u8; 32]>::from(Sha256::digest(bytes)) == expected);
    Device { number, exit, right, elapsed: started.elapsed() }
}

/// A bar on a terminal, plain lines otherwise.
struct Progress {
    bar: Option<ProgressBar>,
    total: u64,
}

impl Progress {
    fn new(devices: usize, size: usize) -> Self {
        let total = devices as u64 * size as u64;
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {msg}");
            ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, total }
    }

    /// Shows how far the devices are, as the relay sees it, for ever.
    async fn follow(&self, handle: &Handle) -> Infallible {
        let mut said = 0;
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        loop {
            ticks.tick().await;
            let (sent, done) = (handle.metrics.block_bytes_sent(), handle.metrics.transfers_finished());
            match &self.bar {
                Some(bar) => {
                    bar.set_position(sent.min(self.total));
                    bar.set_message(format!("{done} devices done"));
                }
                None => {
                    let percent = sent * 100 / self.total.max(1);
                    if percent >= said + 25 {
                        said = percent;
                        output::tell(&format!("{percent:3} % sent, {done} devices done"));
                    }
                }
            }
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
