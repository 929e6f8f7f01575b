//! What fan-out decides and sends.

use super::Maker;
use prometheus::{Error, IntCounter, IntGauge};
use sixfold_engine::{FanoutEvent, Load, PlanKind};

/// The metrics `sixfold_fanout_…`.
#[derive(Debug)]
pub(super) struct FanoutCounters {
    started: [IntCounter; PlanKind::ALL.len()],
    ended: IntCounter,
    informed: IntCounter,
    alone: IntCounter,
    starting: IntCounter,
    merged: IntCounter,
    ignored: IntCounter,
    silenced: IntCounter,
    blocks: IntCounter,
    parity: IntCounter,
    pub(super) block_bytes: IntCounter,
    disbanded: IntCounter,
    groups: IntGauge,
    members: IntGauge,
}

impl FanoutCounters {
    pub(super) fn new(make: &Maker<'_>) -> Result<Self, Error> {
        let started = make.counters(
            "fanout_streams_started_total",
            "Streams that began, by what they were made of then.",
            "kind",
        )?;
        let requests = make.counters(
            "fanout_requests_total",
            "Requests of members and of those who want to be, by how they were answered.",
            "result",
        )?;
        let sent = make.counters("fanout_datagrams_total", "Datagrams sent to groups.", "kind")?;
        let requests = |result| requests.with_label_values(&[result]);
        Ok(Self {
            started: PlanKind::ALL.map(|kind| started.with_label_values(&[kind.label()])),
            ended: make
                .counter("fanout_streams_ended_total", "Streams that have sent all that was planned.")?,
            informed: requests("informed"),
            alone: requests("alone"),
            starting: requests("started"),
            merged: requests("merged"),
            ignored: requests("ignored"),
            silenced: requests("silenced"),
            blocks: sent.with_label_values(&["block"]),
            parity: sent.with_label_values(&["parity"]),
            block_bytes: make
                .counter("fanout_block_bytes_total", "Payload bytes in blocks sent to groups.")?,
            disbanded: make.counter("fanout_groups_disbanded_total", "Groups that were forgotten.")?,
            groups: make.gauge("fanout_groups", "Groups that images are streamed to.")?,
            members: make.gauge("fanout_members", "Devices that take part in groups.")?,
        })
    }

    pub(super) fn record(&self, event: FanoutEvent) {
        match event {
            FanoutEvent::Informed => self.informed.inc(),
            FanoutEvent::Alone => self.alone.inc(),
            FanoutEvent::Started(kind) => {
                self.starting.inc();
                self.started[kind as usize].inc();
            }
            FanoutEvent::Merged => self.merged.inc(),
            FanoutEvent::Ignored => self.ignored.inc(),
            FanoutEvent::Silenced => self.silenced.inc(),
            FanoutEvent::Block(bytes) => {
                self.blocks.inc();
                self.block_bytes.inc_by(bytes as u64);
            }
            FanoutEvent::Parity => self.parity.inc(),
            FanoutEvent::Ended => self.ended.inc(),
            FanoutEvent::Disbanded => self.disbanded.inc(),
        }
    }

    pub(super) fn set(&self, load: Load) {
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.groups.set(gauge(load.groups));
        self.members.set(gauge(load.members));
    }
}
