//! The plots: each as SVG, and as PNG for where that cannot be shown.
//!
//! Colours are those of Okabe and Ito, which people with any kind of colour vision can tell apart; markers differ too.

use crate::fleet::markdown::Plot;
use crate::fleet::matrix::Matrix;
use crate::fleet::runner::Run;
use crate::fleet::summary::Summary;
use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use sixfold_air::sim::Server;
use std::path::Path;
use std::sync::Once;

const SIZE: (u32, u32) = (960, 600);
const FONT: &str = "sans-serif";
/// The size of fleet whose completion is drawn, if the matrix has one as large.
const CURVE_DEVICES: u32 = 100;
const ROOM_FOR_LEGEND: f64 = 1.22;

/// One line of a plot.
pub(crate) struct Line {
    pub(crate) server: Server,
    pub(crate) points: Vec<(f64, f64)>,
    /// Points stand for themselves, and get markers.
    pub(crate) marked: bool,
}

/// A plot before it is drawn.
pub(crate) struct Drawing {
    pub(crate) plot: Plot,
    pub(crate) x: Axis,
    pub(crate) y_label: &'static str,
    /// The vertical axis goes as far at least.
    pub(crate) least_top: f64,
    pub(crate) lines: Vec<Line>,
}

pub(crate) enum Axis {
    Seconds,
    /// The same, for what differs by magnitudes.
    LogSeconds,
    Devices,
}

/// Draws all plots of these runs into a folder.
pub fn write(folder: &Path, matrix: &Matrix, runs: &[Run], summaries: &[Summary]) -> Result<Vec<Plot>> {
    use_own_font()?;
    let mut drawings = Vec::new();
    for &loss in &matrix.loss_percent {
        for block in extremes(&matrix.block_bytes) {
            drawings.push(completion(matrix, runs, loss, block));
            drawings.push(goodput(summaries, loss, block));
            drawings.push(collapse(summaries, loss, block));
        }
    }
    drawings.iter().map(|drawing| drawing.write(folder)).collect()
}

/// The smallest and the largest, once if they are the same.
fn extremes(blocks: &[u16]) -> impl Iterator<Item = u16> {
    let (smallest, largest) = (blocks.iter().min(), blocks.iter().max());
    smallest.into_iter().chain(largest.filter(|_| smallest != largest)).copied()
}

/// The share of devices that are done, over time; the first seed's run.
fn completion(matrix: &Matrix, runs: &[Run], loss: u32, block: u16) -> Drawing {
    let fitting = matrix.devices.iter().filter(|devices| **devices <= CURVE_DEVICES);
    let devices = fitting.max().or(matrix.devices.first()).copied().unwrap_or(0);
    let run_of = |server: Server| {
        runs.iter().find(|run| {
            let cell = run.cell;
            (cell.server, cell.devices, cell.loss_percent, cell.seed) == (server, devices, loss, 1)
                && is_shown(server, cell.block_bytes, block)
        })
    };
    let lines = Server::ALL.into_iter().filter_map(run_of).map(|run| {
        let steps = completion_steps(&run.outcome.done_s, devices);
        Line {
            server: run.cell.server,
            points: [(0.0, 0.0)].into_iter().chain(steps).collect(),
            marked: false,
        }
    });
    Drawing {
        plot: Plot {
            title: format!(
                "{devices} devices, blocks of {block} bytes, {loss} % loss: devices done over time"
            ),
            file: format!("completion-{loss}-{block}"),
        },
        x: Axis::Seconds,
        y_label: "devices that have the image (%)",
        least_top: 100.0,
        lines: lines.collect(),
    }
}

/// The share of so many devices, in percent, that is done at each moment.
pub(crate) fn completion_steps(done_s: &[f64], devices: u32) -> impl Iterator<Item = (f64, f64)> + '_ {
    let share = move |count: usize| 100.0 * count as f64 / f64::from(devices);
    done_s.iter().enumerate().flat_map(move |(n, at)| [(*at, share(n)), (*at, share(n + 1))])
}

fn goodput(summaries: &[Summary], loss: u32, block: u16) -> Drawing {
    Drawing {
        plot: Plot {
            title: format!(
                "Goodput, blocks of {block} bytes, {loss} % loss: 100 % is one lossless broadcast"
            ),
            file: format!("goodput-{loss}-{block}"),
        },
        x: Axis::Devices,
        y_label: "goodput of the whole fleet (% of the bound)",
        least_top: 100.0,
        lines: by_devices(summaries, loss, block, |summary| 100.0 * summary.share_of_bound),
    }
}

fn collapse(summaries: &[Summary], loss: u32, block: u16) -> Drawing {
    Drawing {
        plot: Plot {
            title: format!("Who gets the image, blocks of {block} bytes, {loss} % loss"),
            file: format!("done-{loss}-{block}"),
        },
        x: Axis::Devices,
        y_label: "devices that got the image (%)",
        least_top: 100.0,
        lines: by_devices(summaries, loss, block, |summary| {
            100.0 * f64::from(summary.done) / f64::from(summary.devices)
        }),
    }
}

/// TFTP without options is shown beside every block size.
fn is_shown(server: Server, server_block: u16, block: u16) -> bool {
    server == Server::Tftp || server_block == block
}

fn by_devices(summaries: &[Summary], loss: u32, block: u16, figure: impl Fn(&Summary) -> f64) -> Vec<Line> {
    let line = |server: Server| {
        let of_server = summaries.iter().filter(|summary| {
            let cell = summary.cell;
            cell.server == server && cell.loss_percent == loss && is_shown(server, cell.block_bytes, block)
        });
        let points = of_server.map(|summary| (f64::from(summary.cell.devices), figure(summary)));
        Line { server, points: points.collect(), marked: true }
    };
    Server::ALL.into_iter().map(line).filter(|line| !line.points.is_empty()).collect()
}

impl Drawing {
    pub(crate) fn write(&self, folder: &Path) -> Result<Plot> {
        let file = |kind: &str| folder.join(format!("{}.{kind}", self.plot.file));
        self.draw(&SVGBackend::new(&file("svg"), SIZE).into_drawing_area())?;
        self.draw(&BitMapBackend::new(&file("png"), SIZE).into_drawing_area())?;
        Ok(self.plot.clone())
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<()> {
        let broken = |error: DrawingAreaErrorKind<B::ErrorType>| anyhow!("{}: {error}", self.plot.file);
        area.fill(&WHITE).map_err(broken)?;
        let mut builder = ChartBuilder::on(area);
        builder.caption(&self.plot.title, (FONT, 22)).margin(16).x_label_area_size(48).y_label_area_size(64);
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let top = points().map(|point| point.1).fold(self.least_top, f64::max) * 1.04;
        let right = points().map(|point| point.0).fold(1.0, f64::max);
        match self.x {
            Axis::Seconds => {
                let mut chart =
                    builder.build_cartesian_2d(0.0..right * ROOM_FOR_LEGEND, 0.0..top).map_err(broken)?;
                self.fill(&mut chart, "seconds after the first power-on").map_err(broken)
            }
            Axis::LogSeconds => {
                let range = (1.0..right.powf(ROOM_FOR_LEGEND).max(2.0)).log_scale();
                let mut chart = builder.build_cartesian_2d(range, 0.0..top).map_err(broken)?;
                self.fill(&mut chart, "seconds after the first power-on").map_err(broken)
            }
            Axis::Devices => {
                let range = (0.9..right.powf(ROOM_FOR_LEGEND).max(2.0)).log_scale();
                let mut chart = builder.build_cartesian_2d(range, 0.0..top).map_err(broken)?;
                self.fill(&mut chart, "devices").map_err(broken)
            }
        }
    }

    fn fill<'a, B: DrawingBackend + 'a, X: Ranged<ValueType = f64> + ValueFormatter<f64>>(
        &self,
        chart: &mut ChartContext<'a, B, Cartesian2d<X, RangedCoordf64>>,
        x_label: &str,
    ) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        chart
            .configure_mesh()
            .x_desc(x_label)
            .y_desc(self.y_label)
            .x_label_formatter(&|value| format!("{value:.0}"))
            .y_label_formatter(&|value| format!("{value:.0}"))
            .label_style((FONT, 16))
            .axis_desc_style((FONT, 18))
            .light_line_style(WHITE)
            .draw()?;
        for line in &self.lines {
            let (server, style) = (line.server, colour(line.server).stroke_width(3));
            let points = || line.points.iter().copied();
            let series = chart.draw_series(LineSeries::new(points(), style))?.label(name(server));
            if line.marked {
                let line = move |corners| PathElement::new(corners, style);
                series.legend(move |at| {
                    EmptyElement::at(at) + line(vec![(0, 0), (24, 0)]) + line(marker(server, 12))
                });
                chart.draw_series(points().map(|at| EmptyElement::at(at) + line(marker(server, 0))))?;
            } else {
                series.legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], style));
            }
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::MiddleRight)
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.3))
            .label_font((FONT, 16))
            .draw()
    }
}

fn colour(server: Server) -> RGBColor {
    match server {
        Server::Ours => RGBColor(0, 114, 178),
        Server::Boot => RGBColor(86, 180, 233),
        Server::Fanout => RGBColor(0, 0, 0),
        Server::Legacy => RGBColor(230, 159, 0),
        Server::Rfc7252 => RGBColor(213, 94, 0),
        Server::Tftp => RGBColor(0, 158, 115),
        Server::TftpOptions => RGBColor(204, 121, 167),
    }
}

/// A server's marker: corners of a closed line, in pixels around `centre`.
fn marker(server: Server, centre: i32) -> Vec<(i32, i32)> {
    let corners: &[(i32, i32)] = match server {
        Server::Ours => &[(-5, -5), (5, -5), (5, 5), (-5, 5), (-5, -5)],
        Server::Fanout => &[(-6, 6), (-6, -6), (6, -6), (-6, 6)],
        Server::Legacy => &[(-5, 0), (5, 0), (0, 5), (-5, 0)],
        Server::Boot => &[(-6, 0), (6, 0), (0, -6), (0, 6), (0, 0), (-6, 0)],
        Server::Rfc7252 => &[(-7, 6), (0, -7), (7, 6), (-7, 6)],
        Server::Tftp => &[(-6, -6), (6, 6), (0, 0), (-6, 6), (6, -6)],
        Server::TftpOptions => &[(-7, 0), (0, -7), (7, 0), (0, 7), (-7, 0)],
    };
    corners.iter().map(|(x, y)| (x + centre, *y)).collect()
}

/// The only block size that does not stand in the title is that of TFTP without options.
fn name(server: Server) -> String {
    match server {
        Server::Tftp => format!("{} (512 bytes)", server.label()),
        _ => server.label().to_owned(),
    }
}

/// A machine that makes reports need not have any font.
pub(crate) fn use_own_font() -> Result<()> {
    static ONCE: Once = Once::new();
    let mut registered = Ok(());
    ONCE.call_once(|| {
        let font = epaint_default_fonts::UBUNTU_LIGHT;
        registered = plotters::style::register_font(FONT, FontStyle::Normal, font);
    });
    registered.map_err(|_| anyhow!("the font in this program is broken"))
}
