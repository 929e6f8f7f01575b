//! `make proof`: what Sixfold promises about fleets on one radio link, measured, with a verdict for each promise.
//!
//! Each row of the report is a promise, with as many cases as it needs. A case that has a requirement passes or fails by the
//! median over the seeds; that everybody finishes must hold for every seed. Cases without one stand beside it for comparison.

pub mod lab;
pub mod neighbours;
pub mod plots;
pub mod report;
pub mod stream;
pub mod unicast;

use anyhow::{Context, Result};
use lab::Lab;
use std::fs;
use std::path::Path;

/// How large the runs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// How many seeds: 1, 2, …
    pub seeds: u64,
    /// The size of the image in bytes.
    pub image_bytes: u32,
    /// Fleets are so many times smaller than promised.
    pub fewer: u32,
}

impl Scale {
    /// As promised.
    pub const fn full() -> Self {
        Self { seeds: 5, image_bytes: 96 * 1024, fewer: 1 }
    }

    /// For a first look, and for tests.
    pub const fn small() -> Self {
        Self { seeds: 1, image_bytes: 24 * 1024, fewer: 5 }
    }

    /// How many devices there are where `promised` are promised.
    pub const fn devices(&self, promised: u32) -> u32 {
        let fewer = promised / self.fewer;
        if promised == 1 || fewer < 2 { promised } else { fewer }
    }
}

/// A promise, and what was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What is promised, in words.
    pub promise: &'static str,
    /// What was measured for it.
    pub cases: Vec<Case>,
}

/// One thing that was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Who, how many, and over what link.
    pub name: String,
    /// What the figure is.
    pub figure: &'static str,
    /// What was measured, one value a seed.
    pub measured: Spread,
    /// What is required of the median.
    pub required: Option<Limit>,
    /// Devices that got the image, and devices, over all seeds.
    pub done: (u32, u32),
    /// The same must be true of this case: everybody finishes.
    pub all_must_finish: bool,
    /// When the last device was done, in seconds; over the seeds.
    pub last_s: Spread,
    /// Frames for each byte of the image: the median.
    pub frames_per_image_byte: f64,
    /// Jain's index: the smallest.
    pub jain: f64,
}

/// What is required of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// It is this or more.
    AtLeast(f64),
    /// It is this or less.
    AtMost(f64),
}

/// Values of several seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of these values; zeros of none.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |place: usize| values.get(place).copied().unwrap_or(0.0);
        Self { median: at(values.len() / 2), min: at(0), max: at(values.len().saturating_sub(1)) }
    }
}

impl Limit {
    /// Whether a value is right.
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(limit) => value >= limit,
            Self::AtMost(limit) => value <= limit,
        }
    }
}

impl Case {
    /// What was measured, on one line.
    fn line(&self) -> String {
        let Self { name, figure, measured: Spread { median, min, max }, done: (done, of), .. } = self;
        let verdict = match self.verdict() {
            Some(true) => "PASS",
            Some(false) => "FAIL",
            None => "    ",
        };
        format!("{verdict}  {name}: {figure} {median:.3} ({min:.3} to {max:.3}), {done} of {of} done")
    }

    /// Whether what is required holds; `None` when nothing is.
    pub fn verdict(&self) -> Option<bool> {
        let finished = self.done.0 == self.done.1;
        match self.required {
            Some(limit) => Some(limit.holds(self.measured.median) && (finished || !self.all_must_finish)),
            None => self.all_must_finish.then_some(finished),
        }
    }
}

/// Measures everything. `progress` is told which row is next, and what came of each case.
pub fn measure(scale: Scale, threads: usize, progress: &dyn Fn(&str)) -> Result<Vec<Row>> {
    let lab = Lab::new(scale, threads);
    let rows: [fn(&Lab) -> Result<Row>; 9] = [
        unicast::alone,
        unicast::fleets,
        stream::hundred,
        stream::growth,
        stream::hops,
        stream::disturbed,
        neighbours::hostile,
        neighbours::isolation,
        neighbours::mixed,
    ];
    let measure = |(number, row): (usize, &fn(&Lab) -> Result<Row>)| {
        progress(&format!("row {} of {}", number + 1, rows.len()));
        let row = row(&lab)?;
        row.cases.iter().for_each(|case| progress(&case.line()));
        Ok(row)
    };
    rows.iter().enumerate().map(measure).collect()
}

/// Writes `report.md` and the plots into `folder`.
pub fn write(folder: &Path, scale: Scale, rows: &[Row], threads: usize, command: &str) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let plots = plots::write(folder, &Lab::new(scale, threads), rows)?;
    fs::write(folder.join("report.md"), report::text(scale, rows, &plots, command))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(done: (u32, u32), required: Option<Limit>, all_must_finish: bool) -> Case {
        let spread = Spread::of(vec![3.0, 1.0, 2.0]);
        Case {
            name: String::new(),
            figure: "",
            measured: spread,
            required,
            done,
            all_must_finish,
            last_s: spread,
            frames_per_image_byte: 0.0,
            jain: 1.0,
        }
    }

    #[test]
    fn medians_decide() {
        assert_eq!(Spread::of(vec![3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(case((1, 1), Some(Limit::AtLeast(2.0)), false).verdict(), Some(true));
        assert_eq!(case((1, 1), Some(Limit::AtLeast(2.1)), false).verdict(), Some(false));
        assert_eq!(case((1, 1), Some(Limit::AtMost(1.9)), false).verdict(), Some(false));
        assert_eq!(case((1, 1), None, false).verdict(), None);
    }

    #[test]
    fn who_must_finish_must_finish_with_every_seed() {
        assert_eq!(case((4, 5), Some(Limit::AtLeast(1.0)), true).verdict(), Some(false));
        assert_eq!(case((4, 5), Some(Limit::AtLeast(1.0)), false).verdict(), Some(true));
        assert_eq!(case((5, 5), None, true).verdict(), Some(true));
        assert_eq!(case((4, 5), None, true).verdict(), Some(false));
    }

    #[test]
    fn small_fleets_are_fleets() {
        let small = Scale::small();
        assert_eq!([1, 2, 10, 100, 1000].map(|promised| small.devices(promised)), [1, 2, 2, 20, 200]);
    }
}
