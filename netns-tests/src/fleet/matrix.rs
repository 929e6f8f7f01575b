//! What is run.

use sixfold_air::loss::Loss;
use sixfold_air::scenario::{Disturbance, Fetch, Network, Origin, Radio, Scenario};
use sixfold_air::sim::Server;
use sixfold_air::topology::{Hearing, Node, NodeId, Topology};

/// TFTP without options knows one size only (RFC 1350).
const TFTP_BLOCK: u16 = 512;

/// Every combination of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// Who serves.
    pub servers: Vec<Server>,
    /// How many devices.
    pub devices: Vec<u32>,
    /// Lost frames on every link, in percent.
    pub loss_percent: Vec<u32>,
    /// Sizes of a block in bytes.
    pub block_bytes: Vec<u16>,
    /// How many seeds: 1, 2, …
    pub seeds: u64,
    /// The size of the image in bytes.
    pub image_bytes: u32,
}

/// One run of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cell {
    /// Who serves.
    pub server: Server,
    /// How many devices.
    pub devices: u32,
    /// Lost frames, in percent.
    pub loss_percent: u32,
    /// The size of a block in bytes.
    pub block_bytes: u16,
    /// Decides all chance.
    pub seed: u64,
}

impl Matrix {
    /// The matrix of `make fleet`.
    pub fn full() -> Self {
        Self {
            servers: Server::ALL.to_vec(),
            devices: vec![1, 10, 50, 100, 1000],
            loss_percent: vec![0, 5, 10, 20],
            block_bytes: vec![64, 128, 256, 512, 1024],
            seeds: 3,
            image_bytes: 96 * 1024,
        }
    }

    /// The matrix whose table is kept with the tests.
    pub fn small() -> Self {
        Self {
            devices: vec![1, 10],
            loss_percent: vec![0, 10],
            block_bytes: vec![64, 1024],
            image_bytes: 8 * 1024,
            ..Self::full()
        }
    }

    /// All runs, in the order of the report: by loss, devices, block and server, then by seed.
    pub fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for &loss_percent in &self.loss_percent {
            for &devices in &self.devices {
                for (server, block_bytes) in self.contenders() {
                    let seeds = 1..=self.seeds;
                    cells.extend(seeds.map(|seed| Cell { server, devices, loss_percent, block_bytes, seed }));
                }
            }
        }
        cells
    }

    /// Servers and the block sizes that they are run with.
    pub fn contenders(&self) -> Vec<(Server, u16)> {
        let mut contenders = Vec::new();
        if self.servers.contains(&Server::Tftp) {
            contenders.push((Server::Tftp, TFTP_BLOCK));
        }
        for &block in &self.block_bytes {
            let servers = self.servers.iter().filter(|server| **server != Server::Tftp);
            contenders.extend(servers.map(|server| (*server, block)));
        }
        contenders
    }

    /// A star in which everybody hears everybody.
    pub fn scenario(&self, cell: &Cell) -> Scenario {
        let loss = Loss::Bernoulli(f64::from(cell.loss_percent) / 100.0);
        let device = |n| Node::device(format!("d{n}"), NodeId::BORDER_ROUTER, loss);
        let nodes =
            [Node::root("border-router", 0)].into_iter().chain((1..=cell.devices).map(device)).collect();
        Scenario {
            name: "star".to_owned(),
            radio: Radio::default(),
            network: Network::default(),
            topology: Topology { nodes, hearing: Hearing::All },
            fetch: Fetch { image_bytes: self.image_bytes, block_bytes: cell.block_bytes, ..Fetch::default() },
            origin: Origin::default(),
            disturbance: Disturbance::default(),
        }
    }
}
