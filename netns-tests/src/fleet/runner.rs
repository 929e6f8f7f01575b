//! Runs cells on all cores.

use crate::fleet::matrix::Cell;
use sixfold_air::outcome::Outcome;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A cell and what came out of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// What was run.
    pub cell: Cell,
    /// What came out.
    pub outcome: Outcome,
}

/// Runs all cells with `run`, on `threads` threads. The result is in the order of the cells. `progress` is told how many
/// are done.
pub fn run(
    cells: &[Cell],
    threads: usize,
    run: &(dyn Fn(&Cell) -> Outcome + Sync),
    progress: &(dyn Fn(usize) + Sync),
) -> Vec<Run> {
    // The longest first, so that no thread is left with one at the end.
    let mut order: Vec<usize> = (0..cells.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(messages(&cells[index])));
    let next = AtomicUsize::new(0);
    let runs = Mutex::new(Vec::with_capacity(cells.len()));
    let work = || {
        while let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            let cell = cells[index];
            let outcome = run(&cell);
            let mut runs = runs.lock().unwrap_or_else(|broken| broken.into_inner());
            runs.push((index, Run { cell, outcome }));
            // While nobody else can get between: lines of progress come in order.
            progress(runs.len());
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(work);
        }
    });
    let mut runs = runs.into_inner().unwrap_or_else(|broken| broken.into_inner());
    runs.sort_by_key(|(index, _)| *index);
    runs.into_iter().map(|(_, run)| run).collect()
}

/// In proportion to the messages that a run takes, roughly.
fn messages(cell: &Cell) -> u32 {
    cell.devices * (1024 / u32::from(cell.block_bytes) + 8)
}
