//! What came out of a run, in figures.

use serde::Serialize;

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
    /// Milliseconds of transmission, for a device on average.
    pub tx_ms_per_device: f64,
    /// Milliseconds with the receiver on, until the device is done, on average.
    pub rx_ms_per_device: f64,
    /// When each device was done, in ascending order, in seconds.
    #[serde(skip)]
    pub done_s: Vec<f64>,
}
