//! Medians over the seeds.

use crate::fleet::matrix::Cell;
use crate::fleet::runner::Run;
use sixfold_air::outcome::Outcome;

/// What the seeds of one combination have in common. Figures are medians, but for the sums that say so.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The combination; its seed means nothing.
    pub cell: Cell,
    /// How many runs this is made of.
    pub runs: usize,
    /// How many devices got the image, over all runs.
    pub done: u32,
    /// How many devices there were, over all runs.
    pub devices: u32,
    /// When half of the devices were done, in seconds.
    pub median_done_s: Option<f64>,
    /// When the last device was done, in seconds.
    pub last_done_s: Option<f64>,
    /// Bits of image that reached devices a second.
    pub goodput_bps: f64,
    /// The same, over that of one lossless broadcast.
    pub share_of_bound: f64,
    /// Frames for each byte of the image.
    pub frames_per_image_byte: f64,
    /// Frames lost to collisions.
    pub collisions: f64,
    /// Messages sent again.
    pub retransmissions: f64,
    /// Fairness.
    pub jain: f64,
    /// Transmission and reception of a device, in milliseconds.
    pub energy_ms: (f64, f64),
    /// Wrong bytes, over all runs.
    pub wrong_bytes: u64,
}

/// One summary for each combination, in the order of the runs.
pub fn of(runs: &[Run]) -> Vec<Summary> {
    runs.chunk_by(|a, b| Cell { seed: b.cell.seed, ..a.cell } == b.cell).filter_map(summary).collect()
}

fn summary(runs: &[Run]) -> Option<Summary> {
    let cell = runs.first()?.cell;
    let all = |figure: fn(&Outcome) -> f64| median(runs.iter().map(|run| figure(&run.outcome)).collect());
    let known = |figure: fn(&Outcome) -> Option<f64>| {
        let times: Vec<f64> = runs.iter().filter_map(|run| figure(&run.outcome)).collect();
        (!times.is_empty()).then(|| median(times))
    };
    Some(Summary {
        cell,
        runs: runs.len(),
        done: runs.iter().map(|run| run.outcome.done).sum(),
        devices: runs.iter().map(|run| run.outcome.devices).sum(),
        median_done_s: known(|outcome| outcome.median_done_s),
        last_done_s: known(|outcome| outcome.last_done_s),
        goodput_bps: all(|outcome| outcome.goodput_bps),
        share_of_bound: all(|outcome| {
            outcome.goodput_bps * outcome.bound_s / (8.0 * f64::from(outcome.image_bytes))
        }),
        frames_per_image_byte: all(|outcome| outcome.frames_per_image_byte),
        collisions: all(|outcome| outcome.collisions as f64),
        retransmissions: all(|outcome| outcome.retransmissions as f64),
        jain: all(|outcome| outcome.jain),
        energy_ms: (all(|outcome| outcome.tx_ms_per_device), all(|outcome| outcome.rx_ms_per_device)),
        wrong_bytes: runs.iter().map(|run| run.outcome.wrong_bytes).sum(),
    })
}

/// The middle one; of an even number the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(vec![]), 0.0);
    }
}
