//! The kernel's own 6LoWPAN, in a virtual machine: images cross it, and the channel model counts the same frames.

use anyhow::{Result, ensure};
use sixfold_air::loss::Loss;
use sixfold_air::scenario::{Disturbance, Fetch, InterfaceIdentifiers, Network, Origin, Radio, Scenario};
use sixfold_air::sim::{self, Server};
use sixfold_air::topology::{Hearing, Node, NodeId, Topology};
use sixfold_netns_tests::vm::Boot;
use sixfold_netns_tests::vm::sixlowpan::{self, Measurement};
use sixfold_netns_tests::{sandbox, workspace};
use std::time::Duration;

/// How far model and kernel may be apart.
const TOLERANCE: f64 = 0.10;
const SEEDS: u64 = 10;

/// The images are so large that chance alone puts model and kernel apart by less than 3 % (three standard errors). One relay serves
/// them all, so that loss grows: it must not go into a measurement with smaller blocks than the model's, which begins anew.
const MEASUREMENTS: [Measurement; 5] = [
    Measurement { loss_percent: 0, block_bytes: 64, image_bytes: 16_384 },
    Measurement { loss_percent: 0, block_bytes: 256, image_bytes: 32_768 },
    Measurement { loss_percent: 1, block_bytes: 256, image_bytes: 131_072 },
    Measurement { loss_percent: 2, block_bytes: 64, image_bytes: 65_536 },
    Measurement { loss_percent: 20, block_bytes: 64, image_bytes: 65_536 },
];

#[test]
fn images_cross_the_kernels_6lowpan_with_the_frames_of_the_model() -> Result<()> {
    workspace::build_programs()?;
    let console = match sixlowpan::boot(&MEASUREMENTS)? {
        Boot::Console(console) => console,
        Boot::Missing(what) => {
            return sandbox::skip_or_fail(
                "images_cross_the_kernels_6lowpan_with_the_frames_of_the_model",
                &what,
            );
        }
    };
    println!("loss   block    image   kernel    model   frames per image");
    let mut apart = Vec::new();
    for (measurement, measured) in MEASUREMENTS.iter().zip(sixlowpan::results(&console, &MEASUREMENTS)?) {
        ensure!(measured.right == 2, "{measurement:?}: {measured:?}\n{console}");
        let (kernel, model) = (measured.frames as f64 / 2.0, modelled(measurement)?);
        let Measurement { loss_percent, block_bytes, image_bytes } = measurement;
        println!("{loss_percent:>3}% {block_bytes:>7} {image_bytes:>8} {kernel:>8} {model:>8.1}");
        if (kernel / model - 1.0).abs() > TOLERANCE {
            apart.push(measurement);
        }
    }
    ensure!(apart.is_empty(), "model and kernel disagree: {apart:?}");
    Ok(())
}

/// Frames for one image in the model of that link: no carrier sense, no acknowledgements, addresses from EUI-64s.
fn modelled(measurement: &Measurement) -> Result<f64> {
    let scenario = scenario(measurement);
    let mut frames = 0;
    for seed in 0..SEEDS {
        let outcome = sim::run(&scenario, Server::Ours, seed);
        ensure!(outcome.done == 1 && outcome.wrong_bytes == 0, "the model's device: {outcome:?}");
        frames += outcome.frames;
    }
    Ok(frames as f64 / SEEDS as f64)
}

fn scenario(measurement: &Measurement) -> Scenario {
    let loss = Loss::Bernoulli(f64::from(measurement.loss_percent) / 100.0);
    let device = Node::device("d1".to_owned(), NodeId::BORDER_ROUTER, loss);
    let nodes = vec![Node::root("border-router", 0), device];
    Scenario {
        name: "the kernel's 6LoWPAN".to_owned(),
        radio: Radio { acknowledged: false, csma: false, ..Radio::default() },
        network: Network { interface_identifiers: InterfaceIdentifiers::Eui64, ..Network::default() },
        topology: Topology { nodes, hearing: Hearing::All },
        fetch: Fetch {
            image_bytes: measurement.image_bytes,
            block_bytes: measurement.block_bytes,
            restart_after: Some(Duration::from_millis(100)),
            ..Fetch::default()
        },
        origin: Origin::default(),
        disturbance: Disturbance::default(),
    }
}
