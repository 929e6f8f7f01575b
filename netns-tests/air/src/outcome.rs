//! What came out of a run, in figures.

use crate::counters::Counters;
use crate::frame::{self, Destination};
use crate::host::{Progress, State, Stream};
use crate::scenario::Scenario;
use crate::topology::NodeId;
use crate::{mac, phy};
use serde::Serialize;
use sixfold_profile::Instant;
use std::time::Duration;

/// The figures of one run. The names and order of those down to `seed` are stable: scripts read them as JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// How many devices were to fetch the image.
    pub devices: u32,
    /// How many got the whole image.
    pub done: u32,
    /// How many ended without it.
    pub gave_up: u32,
    /// When the first device was done, in seconds after the first power-on; as all times here.
    pub first_done_s: Option<f64>,
    /// When half of those that got done were.
    pub median_done_s: Option<f64>,
    /// When 95 % of those that got done were.
    pub p95_done_s: Option<f64>,
    /// When the last one was.
    pub last_done_s: Option<f64>,
    /// How long one lossless back-to-back broadcast of the image takes, in maximal frames.
    pub bound_s: f64,
    /// Bits of image that reached devices a second, over all devices that got done.
    pub goodput_bps: f64,
    /// Data frames on the air, link-layer retries included, acknowledgement frames not.
    pub frames: u64,
    /// `frames` for each byte of the image (not of all its copies).
    pub frames_per_image_byte: f64,
    /// Frames that were lost at a receiver because another transmission overlapped.
    pub collisions: u64,
    /// Messages that servers and clients sent once more because no answer came.
    pub retransmissions: u64,
    /// Jain's index of the rates at which the devices received: 1 is equal, 1/devices is one device alone.
    pub jain: f64,
    /// Received bytes that differ from the image. Anything but 0 is a defect.
    pub wrong_bytes: u64,
    /// The seed of the run.
    pub seed: u64,

    /// Who served: `ours`, `rfc7252`, `tftp` or `tftp-options`.
    pub server: String,
    /// The size of the image in bytes.
    pub image_bytes: u32,
    /// The size of a block in bytes.
    pub block_bytes: u16,
    /// The mean loss of frames on a link.
    pub loss: f64,
    /// Frames that the MAC sublayers sent once more.
    pub mac_retries: u64,
    /// Frames that were given up by the MAC sublayers: no acknowledgement, or the channel was never idle.
    pub mac_failures: u64,
    /// Datagrams that were dropped because a queue was full.
    pub queue_drops: u64,
    /// Datagrams whose fragments did not all arrive in time, or for which there was no buffer.
    pub reassembly_failures: u64,
    /// Bytes that the relay fetched from the origin.
    pub origin_bytes: u64,
    /// Messages with blocks that the relay sent to groups.
    pub group_blocks: u64,
    /// Messages with parity symbols that the relay sent to groups.
    pub group_parity: u64,
    /// How often the relay began a stream.
    pub group_starts: u64,
    /// When the first message to a group left.
    pub group_began_s: Option<f64>,
    /// When the first stream had ended.
    pub group_first_ended_s: Option<f64>,
    /// How long its streams were silent between the first message and the last, in seconds.
    pub group_silence_s: f64,
    /// Bytes of the image that devices had and threw away, to fetch them again.
    pub discarded_bytes: u64,
    /// Milliseconds of transmission, for a device on average.
    pub tx_ms_per_device: f64,
    /// Milliseconds with the receiver on, until the device is done, on average.
    pub rx_ms_per_device: f64,
    /// When each device was done, in ascending order, in seconds.
    #[serde(skip)]
    pub done_s: Vec<f64>,
    /// The figures of each node, the border router's first.
    #[serde(skip)]
    pub nodes: Vec<NodeFigures>,
}

/// The figures of one node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeFigures {
    /// Its name.
    pub name: String,
    /// What it does.
    pub role: &'static str,
    /// When it was done, in seconds after the first power-on; none if it fetched nothing, or gave up.
    pub done_s: Option<f64>,
    /// Data frames sent, retries included.
    pub frames: u64,
    /// Of them, those that were sent once more.
    pub mac_retries: u64,
    /// Frames for it that collided.
    pub collisions: u64,
    /// Frames for it that its links lost.
    pub losses: u64,
    /// Datagrams that it dropped because its queue was full.
    pub queue_drops: u64,
    /// Datagrams that it could not put together.
    pub reassembly_failures: u64,
    /// Acknowledgement frames sent.
    pub acknowledgements: u64,
    /// Frames that it gave up: never acknowledged.
    pub unacknowledged: u64,
    /// Frames that it gave up: the channel was never idle.
    pub channel_access_failures: u64,
    /// Packets and frames that it could not understand, carry or route.
    pub undeliverable: u64,
    /// Milliseconds of transmission, until the end of the run.
    pub tx_ms: f64,
    /// Milliseconds with the receiver on: from power-on to the end of the run.
    pub rx_ms: f64,
}

/// What became of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Which one.
    pub node: NodeId,
    /// When it powered on.
    pub power_on: Instant,
    /// When it was done, gave up, or the run ended.
    pub end: Instant,
    /// How far it got.
    pub progress: Progress,
    /// How long it had transmitted by then.
    pub transmitting: Duration,
}

/// What a run counted besides its devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The counters of each node, in their order.
    pub counters: Vec<Counters>,
    /// When the run ended.
    pub end: Instant,
    /// Messages sent once more by servers and clients.
    pub retransmissions: u64,
    /// Bytes that the relay fetched from the origin.
    pub origin_bytes: u64,
    /// What the relay sent to groups.
    pub stream: Stream,
}

impl Outcome {
    /// The figures of a run of `scenario`.
    pub fn new(scenario: &Scenario, server: &str, seed: u64, devices: &[Device], totals: &Totals) -> Self {
        let start = devices.iter().map(|device| device.power_on).min().unwrap_or_default();
        let mut done_s: Vec<f64> = devices
            .iter()
            .filter(|device| device.is_done())
            .map(|device| seconds(start, device.end))
            .collect();
        done_s.sort_by(f64::total_cmp);
        let image_bytes = scenario.fetch.image_bytes;
        let counters: Counters = totals.counters.iter().copied().sum();
        let last_done_s = done_s.last().copied();
        let delivered_bits = 8.0 * f64::from(image_bytes) * done_s.len() as f64;
        Self {
            devices: devices.len() as u32,
            done: done_s.len() as u32,
            gave_up: (devices.len() - done_s.len()) as u32,
            first_done_s: done_s.first().copied(),
            median_done_s: quantile(&done_s, 0.5),
            p95_done_s: quantile(&done_s, 0.95),
            last_done_s,
            bound_s: bound(image_bytes, scenario.radio.security).as_secs_f64(),
            goodput_bps: last_done_s.map_or(0.0, |last| delivered_bits / last),
            frames: counters.frames,
            frames_per_image_byte: counters.frames as f64 / f64::from(image_bytes),
            collisions: counters.collisions,
            retransmissions: totals.retransmissions,
            jain: jain(devices),
            wrong_bytes: devices.iter().map(|device| device.progress.wrong).sum(),
            seed,
            server: server.to_owned(),
            image_bytes,
            block_bytes: scenario.fetch.block_bytes,
            loss: scenario.mean_loss(),
            mac_retries: counters.retries,
            mac_failures: counters.unacknowledged + counters.channel_access_failures,
            queue_drops: counters.queue_drops,
            reassembly_failures: counters.reassembly_failures,
            origin_bytes: totals.origin_bytes,
            group_blocks: totals.stream.blocks,
            group_parity: totals.stream.parity,
            group_starts: totals.stream.starts,
            group_began_s: totals.stream.began.map(|began| seconds(start, began)),
            group_first_ended_s: totals.stream.first_ended.map(|ended| seconds(start, ended)),
            group_silence_s: totals.stream.silence.as_secs_f64(),
            discarded_bytes: devices.iter().map(|device| device.progress.discarded).sum(),
            tx_ms_per_device: mean_ms(devices, |device| device.transmitting),
            rx_ms_per_device: mean_ms(devices, |device| {
                device.end.since(device.power_on).saturating_sub(device.transmitting)
            }),
            done_s,
            nodes: nodes(scenario, start, devices, totals),
        }
    }
}

fn nodes(scenario: &Scenario, start: Instant, devices: &[Device], totals: &Totals) -> Vec<NodeFigures> {
    let mut fetched: Vec<Option<&Device>> = vec![None; totals.counters.len()];
    devices.iter().for_each(|device| fetched[device.node.index()] = Some(device));
    let figures = |(id, counters): (NodeId, &Counters)| {
        let device = fetched[id.index()];
        let on = totals.end.since(device.map_or(start, |device| device.power_on));
        NodeFigures {
            name: scenario.topology.node(id).name.clone(),
            role: scenario.topology.node(id).role.label(),
            done_s: device.filter(|device| device.is_done()).map(|device| seconds(start, device.end)),
            frames: counters.frames,
            mac_retries: counters.retries,
            collisions: counters.collisions,
            losses: counters.losses,
            queue_drops: counters.queue_drops,
            reassembly_failures: counters.reassembly_failures,
            acknowledgements: counters.acknowledgements,
            unacknowledged: counters.unacknowledged,
            channel_access_failures: counters.channel_access_failures,
            undeliverable: counters.undeliverable,
            tx_ms: counters.transmitting.as_secs_f64() * 1000.0,
            rx_ms: on.saturating_sub(counters.transmitting).as_secs_f64() * 1000.0,
        }
    };
    scenario.topology.ids().zip(&totals.counters).map(figures).collect()
}

impl Device {
    fn is_done(&self) -> bool {
        self.progress.state == State::Done
    }

    /// Bytes a second, over the time that it took.
    fn rate(&self) -> f64 {
        let time = self.end.since(self.power_on).as_secs_f64();
        if time > 0.0 { self.progress.received as f64 / time } else { 0.0 }
    }
}

fn seconds(from: Instant, to: Instant) -> f64 {
    to.since(from).as_secs_f64()
}

/// How long one broadcast of an image takes when nothing is lost and nobody waits: maximal frames back to back, with
/// only the interframe space between them and no header above the MAC sublayer. No transfer over this link is faster.
pub fn bound(image_bytes: u32, secured: bool) -> Duration {
    let payload = frame::max_payload(Destination::Broadcast, secured) as u32;
    let overhead = phy::MAX_PSDU - payload as usize;
    let Some(before_last) = image_bytes.checked_sub(1) else { return Duration::ZERO };
    (phy::airtime(phy::MAX_PSDU) + mac::LIFS) * (before_last / payload)
        + phy::airtime(overhead + (before_last % payload) as usize + 1)
}

/// The smallest value that at least this share of all does not exceed.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// Jain, Chiu and Hawe (1984): (Σx)² / (n·Σx²), where x is each device's rate.
fn jain(devices: &[Device]) -> f64 {
    let rates = devices.iter().map(Device::rate);
    let (sum, squares) = rates.fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
    if squares > 0.0 { sum * sum / (devices.len() as f64 * squares) } else { 0.0 }
}

fn mean_ms(devices: &[Device], time: impl Fn(&Device) -> Duration) -> f64 {
    let total: Duration = devices.iter().map(time).sum();
    total.as_secs_f64() * 1000.0 / devices.len().max(1) as f64
}
