//! The plots of the proof.

use crate::fleet::markdown::Plot;
use crate::fleet::plots::{Axis, Drawing, Line, completion_steps, use_own_font};
use crate::proof::lab::{Lab, Setup};
use crate::proof::{Row, Scale};
use anyhow::Result;
use sixfold_air::sim::Server;
use std::path::Path;

const LOSS: u32 = 10;
const CURVES: [Server; 4] = [Server::Fanout, Server::Boot, Server::Legacy, Server::Rfc7252];

/// Draws them into a folder.
pub fn write(folder: &Path, lab: &Lab, rows: &[Row]) -> Result<Vec<Plot>> {
    use_own_font()?;
    let drawings = [completion(lab)?, growth(lab.scale, rows)];
    drawings.iter().map(|drawing| drawing.write(folder)).collect()
}

/// The share of a hundred devices that are done, over time; the first seed's run.
fn completion(lab: &Lab) -> Result<Drawing> {
    let devices = lab.scale.devices(100);
    let setups: Vec<Setup> = CURVES.map(|server| Setup::star(server, devices, LOSS)).into();
    let mut lines = Vec::new();
    for setup in setups {
        let first = lab.run_each(std::slice::from_ref(&setup))?;
        let points = first.iter().flat_map(|run| completion_steps(&run.done_s, devices)).collect();
        lines.push(Line { server: setup.server, points, marked: false });
    }
    Ok(Drawing {
        plot: Plot {
            title: format!("{devices} devices, blocks of 64 bytes, {LOSS} % loss: devices done over time"),
            file: "proof-completion".to_owned(),
        },
        x: Axis::LogSeconds,
        y_label: "devices that have the image (%)",
        least_top: 100.0,
        lines,
    })
}

/// When the last device is done, over the size of the fleet.
fn growth(scale: Scale, rows: &[Row]) -> Drawing {
    let cases = rows.iter().filter(|row| row.promise.starts_with("10 to 1000")).flat_map(|row| &row.cases);
    let fleets = [10, 100, 1000].map(|promised| f64::from(scale.devices(promised)));
    let points = fleets.into_iter().zip(cases).map(|(devices, case)| (devices, case.last_s.median));
    Drawing {
        plot: Plot {
            title: format!("Blocks of 64 bytes, {LOSS} % loss: when the last device is done"),
            file: "proof-growth".to_owned(),
        },
        x: Axis::Devices,
        y_label: "seconds",
        least_top: 1.0,
        lines: vec![Line { server: Server::Fanout, points: points.collect(), marked: true }],
    }
}
