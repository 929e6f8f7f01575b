//! What a block costs in the engine alone, plain and in a session (OSCORE, RFC 8613): no sockets, no system calls.

use super::device::{Device, secret};
use super::exchange::{MAX_MESSAGE, Resource};
use super::report::median;
use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use sixfold_engine::{
    Config, Engine, FetchCommand, Freshness, Head, Id, Instant as EngineTime, Limits, Master, NewSession,
    OriginEvent, Path, Route, UnboundedStore, Validator,
};
use sixfold_profile::coap::Szx;
use std::fmt;
use std::hint::black_box;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
const DAY: Duration = Duration::from_secs(86_400);

/// What blocks cost, by block size and number of clients.
#[derive(Clone, Debug)]
pub struct PerBlock(Vec<Row>);

#[derive(Clone, Copy, Debug)]
struct Row {
    block: usize,
    clients: usize,
    /// Nanoseconds per block.
    plain: f64,
    /// The same where each client has a session.
    protected: f64,
}

/// Lets clients fetch a cached image in turns, block after block.
///
/// # Errors
/// When the engine does not answer as it must.
pub fn measure() -> Result<PerBlock> {
    let mut rows = Vec::new();
    for szx in [Szx::B64, Szx::MAX] {
        for clients in [1, 64, 1000_u16] {
            let measured = |is_protected| -> Result<f64> {
                let values =
                    (0..ROUNDS).map(|_| per_block(szx, clients, is_protected)).collect::<Result<Vec<_>>>()?;
                Ok(median(values.into_iter()).unwrap_or(f64::NAN))
            };
            let (plain, protected) = (measured(false)?, measured(true)?);
            rows.push(Row { block: szx.size(), clients: clients.into(), plain, protected });
        }
    }
    Ok(PerBlock(rows))
}

impl PerBlock {
    /// Everything as JSON.
    pub fn json(&self) -> serde_json::Value {
        let one = |&Row { block, clients, plain, protected }: &Row| serde_json::json!({"block_bytes": block, "clients": clients, "ns": plain, "protected_ns": protected});
        self.0.iter().map(one).collect()
    }
}

impl fmt::Display for PerBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>6} {:>7} {:>7} {:>12} {:>6}  engine alone, ns per block",
            "block", "clients", "plain", "in a session", "ratio"
        )?;
        self.0.iter().try_for_each(|Row { block, clients, plain, protected }| {
            let ratio = protected / plain;
            writeln!(f, "{block:>6} {clients:>7} {plain:>7.0} {protected:>12.0} {ratio:>6.2}")
        })
    }
}

fn per_block(szx: Szx, clients: u16, is_protected: bool) -> Result<f64> {
    let body = (0..96 << 10).map(|at: u32| at as u8).collect();
    let resource = Resource { path: vec!["image".into()], body, lengths_only: false };
    let mut engine = engine_with(&resource, szx)?;
    let mut devices = (0..clients)
        .map(|client| if is_protected { agree(&mut engine, client).map(Some) } else { Ok(None) })
        .collect::<Result<Vec<_>>>()?;
    let requests = (0..resource.blocks(szx) as u16)
        .map(|num| {
            let mut buffer = [0; MAX_MESSAGE];
            let length = resource.request(num, num.into(), szx, &mut buffer)?;
            Ok(buffer[..length].to_vec())
        })
        .collect::<Result<Vec<_>>>()?;
    let (mut blocks, mut spent) = (0, Duration::ZERO);
    for (number, request) in requests.iter().enumerate() {
        let protect = |device: &mut Option<Device>| match device {
            Some(device) => device.protect(request),
            None => Ok(request.clone()),
        };
        let datagrams = devices.iter_mut().map(protect).collect::<Result<Vec<_>>>()?;
        let start = Instant::now();
        for (client, datagram) in (0..clients).zip(&datagrams) {
            let now = EngineTime::from_micros(number as u64);
            engine.handle_datagram(now, path(client), black_box(datagram));
            while let Some(transmit) = engine.poll_transmit() {
                blocks += usize::from(black_box(transmit).bytes.len() > szx.size());
            }
            while engine.poll_event().is_some() {}
        }
        spent += start.elapsed();
    }
    let nanos = spent.as_nanos() as f64;
    ensure!(blocks == requests.len() * usize::from(clients), "{blocks} blocks");
    Ok(nanos / blocks as f64)
}

/// A client with a session that the engine knows.
fn agree(engine: &mut Engine<UnboundedStore>, client: u16) -> Result<Device> {
    let short = |bytes| Id::new(bytes).context("an identifier is too long");
    let master = Master { secret: secret(client).to_vec(), salt: Vec::new(), id_context: None };
    let session = NewSession {
        name: format!("client-{client}").into(),
        recipient_id: short(&client.to_be_bytes())?,
        sender_id: short(&[])?,
        master,
        lifetime: None,
    };
    engine.add_session(EngineTime::ZERO, session)?;
    Device::new(client)
}

/// An engine that has the image already.
pub(super) fn engine_with(resource: &Resource, szx: Szx) -> Result<Engine<UnboundedStore>> {
    let routes = vec![Route { path: Vec::new(), origin: "https://origin/".into(), require_session: None }];
    // Everybody in the larger benchmarks at once.
    let limits = Limits { exchanges: 20_000, ..Limits::default() };
    let config = Config { routes, limits, ..Config::default() };
    let mut engine = Engine::new(config, UnboundedStore::default(), [1; 32]);
    let mut buffer = [0; MAX_MESSAGE];
    let length = resource.request(0, 0, szx, &mut buffer)?;
    engine.handle_datagram(EngineTime::ZERO, path(u16::MAX), &buffer[..length]);
    let Some(FetchCommand::Start { id, .. }) = engine.poll_fetch() else { anyhow::bail!("no fetch") };
    let head = Head {
        validator: Some(Validator::Strong("\"1\"".into())),
        length: Some(resource.body.len() as u64),
        media_type: None,
        freshness: Freshness { max_age: DAY, stale_if_error: DAY },
    };
    for event in [
        OriginEvent::Head(head),
        OriginEvent::Data(Bytes::from(resource.body.clone())),
        OriginEvent::Complete,
    ] {
        engine.handle_origin(EngineTime::ZERO, id, event);
    }
    while engine.poll_transmit().is_some() {}
    Ok(engine)
}

fn path(client: u16) -> Path {
    let peer = SocketAddr::from((Ipv6Addr::LOCALHOST, client));
    Path { peer, local: Some(Ipv6Addr::LOCALHOST.into()), socket: 0, interface: 0, multicast: false }
}
