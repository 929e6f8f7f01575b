//! What a soak came to: figures over time, and verdicts.

use super::shared::Way;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// Rows of the table over time.
const ROWS: usize = 15;
/// The relay's memory may grow by so much from the first third of a soak, or of one of its lives, to the last: what allocators and the
/// first use of everything need.
const GROWTH_BYTES: u64 = 3 << 20;
/// A life of fewer looks is too short for what grows to be told from what starts.
const LONG_LIFE: usize = 60;
/// Descriptors at the end, beyond those of an idle relay: what waits to be closed. Half of it between the thirds of a life.
const SPARE_DESCRIPTORS: u64 = 24;
/// Trouble makes fetches fail, which go on later; a relay that is no use lets more of them fail.
const LEAST_IMAGES_PER_FAILURE: u64 = 2;

/// The longest that a device may be without another image. One whose question was acknowledged by a relay that was killed then waits
/// for 93 s (`sixfold_device::exchange::RESPONSE_WAIT`) before it asks again, and may meet that twice; and each time others have the link.
const LONGEST: Duration = Duration::from_secs(240);

/// One look at the relay.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Since the start.
    pub at: Duration,
    /// Which of the relay's lives this is, from 1.
    pub life: u32,
    /// Memory held.
    pub rss_bytes: u64,
    /// File descriptors open.
    pub descriptors: u64,
    /// Images that devices have got so far.
    pub images: u64,
}

/// Everything.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Looks at the relay, in order.
    pub samples: Vec<Sample>,
    /// How often there was which trouble.
    pub troubles: BTreeMap<&'static str, u64>,
    /// Which of them showed in the relay's log.
    pub met: BTreeSet<&'static str>,
    /// Whole images that devices got, each compared.
    pub images: BTreeMap<Way, u64>,
    /// How often a device began anew because the version had changed.
    pub started_over: u64,
    /// Fetches that failed, and went on later, by reason.
    pub failures: BTreeMap<String, u64>,
    /// Wrong bytes, lost bytes, wrong messages.
    pub wrong: Vec<String>,
    /// Devices that did not get the newest image any more when all was well again.
    pub stranded: usize,
    /// From the last trouble until the last device had the newest image.
    pub recovery: Duration,
    /// The longest that a device was without another image.
    pub longest: Duration,
    /// What else the relay did wrong.
    pub faults: Vec<String>,
    /// The log of its last life.
    pub relay_log: String,
}

impl Ledger {
    pub(super) fn trouble(&mut self, label: &'static str) {
        *self.troubles.entry(label).or_default() += 1;
    }

    /// What is not as it must be; empty if all is well.
    pub fn verdict(&self) -> Vec<String> {
        let mut found = self.faults.clone();
        if !self.wrong.is_empty() {
            found.push(format!("{} times wrong or lost bytes, first: {}", self.wrong.len(), self.wrong[0]));
        }
        if self.stranded > 0 {
            found.push(format!(
                "{} devices did not get the newest image when all was well again",
                self.stranded
            ));
        }
        if self.longest > LONGEST {
            found.push(format!("a device was without another image for {} s", self.longest.as_secs()));
        }
        for way in [Way::Alone, Way::Session, Way::Group] {
            // Whether lamps meet in a group is left to chance.
            let is_expected = way != Way::Group || self.samples.len() >= LONG_LIFE * 5;
            if is_expected && !self.images.contains_key(&way) {
                found.push(format!("no device got an image {way}"));
            }
        }
        let (images, failures) = (self.images.values().sum::<u64>(), self.failures.values().sum::<u64>());
        if failures * LEAST_IMAGES_PER_FAILURE > images {
            found.push(format!("{failures} fetches failed, and only {images} came to their end"));
        }
        let memory = |sample: &Sample| sample.rss_bytes;
        if let Some((early, late)) = growth(&self.samples, memory, GROWTH_BYTES) {
            found.push(format!("memory grew from {early} to {late} bytes"));
        }
        let lives = self.samples.chunk_by(|one, next| one.life == next.life);
        for life in lives.filter(|life| life.len() >= LONG_LIFE) {
            let number = life[0].life;
            if let Some((early, late)) = growth(life, memory, GROWTH_BYTES) {
                found.push(format!("memory grew from {early} to {late} bytes in life {number}"));
            }
            if let Some((early, late)) = growth(life, |sample| sample.descriptors, SPARE_DESCRIPTORS / 2) {
                found.push(format!("file descriptors grew from {early} to {late} in life {number}"));
            }
        }
        let least = self.samples.iter().map(|sample| sample.descriptors).min().unwrap_or_default();
        let last = self.samples.last().map_or(0, |sample| sample.descriptors);
        if last > least + SPARE_DESCRIPTORS {
            found.push(format!("file descriptors grew from {least} to {last}"));
        }
        found
    }
}

/// The medians of the first third and the last, if a figure grew by more than `spare` between them.
fn growth(samples: &[Sample], figure: impl Fn(&Sample) -> u64, spare: u64) -> Option<(u64, u64)> {
    let third = samples.len() / 3;
    let median = |samples: &[Sample]| {
        let mut figures: Vec<_> = samples.iter().map(&figure).collect();
        figures.sort_unstable();
        figures.get(figures.len() / 2).copied().unwrap_or_default()
    };
    let (early, late) = (median(&samples[..third]), median(&samples[samples.len() - third..]));
    (late > early + spare).then_some((early, late))
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>8} {:>6} {:>12} {:>12} {:>10}",
            "seconds", "life", "RSS, KiB", "descriptors", "images"
        )?;
        let step = self.samples.len().div_ceil(ROWS).max(1);
        for sample in self.samples.iter().step_by(step).chain(self.samples.last()) {
            let Sample { at, life, rss_bytes, descriptors, images } = sample;
            let (seconds, kibibytes) = (at.as_secs(), rss_bytes / 1024);
            writeln!(f, "{seconds:>8} {life:>6} {kibibytes:>12} {descriptors:>12} {images:>10}")?;
        }
        writeln!(f, "\ntroubles:")?;
        self.troubles.iter().try_for_each(|(label, count)| writeln!(f, "{count:>8}  {label}"))?;
        writeln!(f, "devices:")?;
        for (way, images) in &self.images {
            writeln!(f, "{images:>8}  whole images {way}, every byte compared")?;
        }
        writeln!(f, "{:>8}  began anew with another version", self.started_over)?;
        for (why, count) in &self.failures {
            writeln!(f, "{count:>8}  failed, and went on: {why}")?;
        }
        writeln!(f, "{:>8}  s at most without another image", self.longest.as_secs())?;
        writeln!(
            f,
            "{:>8}  s from the last trouble until all had the newest image",
            self.recovery.as_secs()
        )?;
        match self.verdict() {
            found if found.is_empty() => {
                writeln!(f, "verdict: nothing lost, nothing wrong, nobody stranded, nothing kept")
            }
            found => found.iter().try_for_each(|found| writeln!(f, "WRONG: {found}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said, and what is done to a good ledger for it.
    type Case = (&'static str, fn(&mut Ledger));

    fn good() -> Ledger {
        let sample = |n: u64| Sample {
            at: Duration::from_secs(n),
            life: 1 + u32::from(n >= 70),
            rss_bytes: 10 << 20,
            descriptors: 12,
            images: n,
        };
        let images = [(Way::Alone, 80), (Way::Group, 6), (Way::Session, 4)].into();
        Ledger { samples: (0..210).map(sample).collect(), images, ..Ledger::default() }
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(good().verdict(), Vec::<String>::new());
        let cases: [Case; 10] = [
            ("lost bytes", |ledger| ledger.wrong.push("device 1".to_owned())),
            ("3 devices", |ledger| ledger.stranded = 3),
            ("for 241 s", |ledger| ledger.longest = LONGEST + Duration::from_secs(1)),
            ("no device got an image in a session", |ledger| {
                ledger.images.remove(&Way::Session);
            }),
            ("50 fetches failed, and only 90", |ledger| {
                ledger.failures.insert("reset".to_owned(), 50);
            }),
            // The first life is short of memory, and the second has its own.
            ("memory grew from 10485760 to 31457280 bytes", |ledger| {
                ledger.samples[70..].iter_mut().for_each(|sample| sample.rss_bytes = 30 << 20);
            }),
            // As much at the end as at the beginning, and yet it grew before the restart.
            ("in life 1", |ledger| {
                ledger.samples[47..70].iter_mut().for_each(|sample| sample.rss_bytes = 30 << 20);
            }),
            ("descriptors grew from 12 to 100", |ledger| ledger.samples[209].descriptors = 100),
            ("descriptors grew from 12 to 25 in life 1", |ledger| {
                ledger.samples[47..70].iter_mut().for_each(|sample| sample.descriptors = 25);
            }),
            ("by itself", |ledger| ledger.faults.push("the relay ended by itself".to_owned())),
        ];
        for (word, spoil) in cases {
            let mut ledger = good();
            spoil(&mut ledger);
            let verdict = ledger.verdict();
            assert!(verdict.len() == 1 && verdict[0].contains(word), "{word}: {verdict:?}");
            assert!(ledger.to_string().contains("WRONG"), "{ledger}");
        }
    }

    #[test]
    fn the_table_has_few_rows() {
        let text = good().to_string();
        assert!(text.lines().count() < 30 && text.contains("nothing lost"), "{text}");
    }
}
