//! What the pacer costs: time for each answer and memory for each device that waits, on one link with many devices.
//!
//! Each answer takes a look into hash tables and the ends of two queues (`pacing/fair.rs`), which is constant in the number of
//! devices: what grows are misses of the processor's caches. Time-outs are in an ordered set of as many entries as answers are on
//! their way.

use super::engine::engine_with;
use super::exchange::{MAX_MESSAGE, Resource};
use super::report::median;
use anyhow::{Context, Result, ensure};
use sixfold_engine::{Engine, Instant as EngineTime, LinkConfig, Path, Radio, UnboundedStore};
use sixfold_profile::coap::Szx;
use std::collections::VecDeque;
use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
const ANSWERS: usize = 20_000;
const SZX: Szx = Szx::B64;
/// So fast that ten thousand devices are admitted.
const RADIO: Radio = Radio { bit_rate: 200_000_000, frame: 127, min_be: 3 };
/// Longer than an answer and all that it is charged take on it.
const PER_ANSWER_US: u64 = 20;
/// By then all answers have left, many times over.
const END: EngineTime = EngineTime::from_micros(60_000_000);
const INTERFACE: u32 = 1;

/// Nanoseconds per answer and bytes per waiting device, by number of devices.
#[derive(Clone, Debug)]
pub struct PerAnswer(Vec<(u16, f64, usize)>);

/// Lets devices that wait for one link fetch an image in turns.
///
/// # Errors
/// When the engine does not answer as it must.
pub fn measure() -> Result<PerAnswer> {
    let one = |devices| {
        let samples = (0..ROUNDS).map(|_| per_answer(devices)).collect::<Result<Vec<_>>>()?;
        let nanos = median(samples.iter().map(|sample| sample.0)).unwrap_or(f64::NAN);
        let bytes = samples.iter().map(|sample| sample.1).max().unwrap_or_default();
        Ok((devices, nanos, bytes))
    };
    [10, 1000, 10_000].into_iter().map(one).collect::<Result<_>>().map(PerAnswer)
}

impl PerAnswer {
    /// Everything as JSON.
    pub fn json(&self) -> serde_json::Value {
        let one = |&(devices, ns, bytes): &(u16, f64, usize)| serde_json::json!({"devices": devices, "ns": ns, "bytes_per_device": bytes});
        self.0.iter().map(one).collect()
    }
}

impl fmt::Display for PerAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>7}  paced link, ns per answer; memory per waiting device", "devices")?;
        writeln!(
            f,
            "{:>7}  (constant in devices; logarithmic in answers on their way and devices missed)",
            ""
        )?;
        self.0.iter().try_for_each(|(devices, ns, bytes)| writeln!(f, "{devices:>7}  {ns:.0}; {bytes} bytes"))
    }
}

fn per_answer(devices: u16) -> Result<(f64, usize)> {
    let body = vec![7; (1 + ANSWERS / usize::from(devices)).max(16) * 8 * SZX.size()];
    let resource = Resource { path: vec!["image".into()], body, lengths_only: false };
    let mut engine = engine_with(&resource, SZX)?;
    let link = LinkConfig { radio: RADIO, ..LinkConfig::default() };
    engine.set_link(EngineTime::ZERO, INTERFACE, Some(link));
    let mut blocks = vec![0; usize::from(devices)];
    let before = resident()?;
    let mut answered = VecDeque::new();
    for device in 0..devices {
        ask(&mut engine, &resource, EngineTime::ZERO, device, 0, &mut answered)?;
    }
    let bytes = resident()?.saturating_sub(before) / usize::from(devices);
    let mut now = EngineTime::ZERO;
    let start = Instant::now();
    for _ in 0..ANSWERS {
        now += Duration::from_micros(PER_ANSWER_US);
        // Now and then the link is kept quiet, so that devices can be heard.
        while answered.is_empty() {
            now = engine.poll_timeout().filter(|_| now < END).context("the link stands still")?.max(now);
            engine.handle_timeout(now);
            send(&mut engine, &mut answered);
        }
        let device = answered.pop_front().context("the link stands still")?;
        let block = &mut blocks[usize::from(device)];
        *block += 1;
        ask(&mut engine, &resource, now, device, *block, &mut answered)?;
    }
    let nanos = start.elapsed().as_nanos() as f64 / ANSWERS as f64;
    ensure!(engine.load().exchanges >= usize::from(devices) / 2, "most of them wait");
    Ok((nanos, bytes))
}

/// Asks for a block.
fn ask(
    engine: &mut Engine<UnboundedStore>,
    resource: &Resource,
    now: EngineTime,
    device: u16,
    block: u32,
    answered: &mut VecDeque<u16>,
) -> Result<()> {
    let mut buffer = [0; MAX_MESSAGE];
    let length = resource.request(block as u16, block, SZX, &mut buffer)?;
    let peer = SocketAddr::from((Ipv6Addr::LOCALHOST, device));
    let path = Path {
        peer,
        local: Some(Ipv6Addr::LOCALHOST.into()),
        socket: 0,
        interface: INTERFACE,
        multicast: false,
    };
    engine.handle_datagram(now, path, &buffer[..length]);
    send(engine, answered);
    Ok(())
}

/// Sends what is due, and notes whose answers leave.
fn send(engine: &mut Engine<UnboundedStore>, answered: &mut VecDeque<u16>) {
    while let Some(transmit) = engine.poll_transmit() {
        answered.extend((transmit.bytes.len() > SZX.size()).then(|| transmit.path.peer.port()));
    }
    while engine.poll_event().is_some() {}
}

/// Resident memory of this program, in bytes.
fn resident() -> Result<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").context("/proc/self/statm")?;
    let pages: usize = statm.split(' ').nth(1).context("/proc/self/statm has no second number")?.parse()?;
    Ok(pages * 4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_gets_its_turn() {
        per_answer(300).unwrap();
    }
}
