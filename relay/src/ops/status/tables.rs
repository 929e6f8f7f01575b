//! What the status says in words: the tables, cell by cell, for the terminal and the page alike.

use super::{Group, Image, Link, Origin, Session, Status, Totals, Transfer};

/// One field of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Harmless text: see [`printable`].
    Text(String),
    /// How much is done, in bytes, of how much, once that is known.
    Bar {
        /// Bytes.
        done: u64,
        /// Bytes.
        total: Option<u64>,
    },
}

/// What a table is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table<const N: usize> {
    /// Its name on the page.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// What is in it.
    pub caption: &'static str,
    /// The names of its columns.
    pub head: [&'static str; N],
}

/// The paced links.
pub(crate) const LINKS: Table<9> = Table {
    id: "links",
    title: "Links",
    caption: "Interfaces that many devices share. Window: airtime on its way, and how much may be.",
    head: ["Link", "Rate", "Loss", "Round trip", "Window", "Queue", "Devices", "Block", "Busy"],
};

/// What is streamed to groups.
pub(crate) const GROUPS: Table<8> = Table {
    id: "groups",
    title: "Streams",
    caption: "Versions that are sent once to a group of devices. Planned: datagrams that have not left yet.",
    head: ["Group on", "Image", "ETag", "Members", "Planned", "Block", "Blocks", "Parity"],
};

/// The resources.
pub(crate) const IMAGES: Table<7> = Table {
    id: "images",
    title: "Images",
    caption: "What devices asked for lately, the most recently used first.",
    head: ["Image", "ETag", "SHA-256", "State", "Bytes", "Fresh for", "Observers"],
};

/// What is refused.
pub(crate) const BANS: Table<1> = Table {
    id: "bans",
    title: "Bans",
    caption: "What devices are refused, until sixfold-relay unban or a restart.",
    head: ["Banned"],
};

/// The transfers.
pub(crate) const TRANSFERS: Table<8> = Table {
    id: "transfers",
    title: "Devices",
    caption: "All devices heard lately: those that were refused or are missing first, then by address.",
    head: ["Device", "Image", "ETag", "Progress", "Rate", "State", "Time", "Left"],
};

/// The sessions.
pub(crate) const SESSIONS: Table<5> = Table {
    id: "sessions",
    title: "Sessions",
    caption: "Devices that have agreed on keys with this relay: the oldest agreement first.",
    head: ["Session with", "Kid", "Left", "Heard", "From"],
};

/// A part of a sentence about these interfaces; nothing where there are none.
fn named(what: &str, interfaces: &[String]) -> String {
    let names: Vec<_> = interfaces.iter().map(|name| printable(name)).collect();
    if names.is_empty() { String::new() } else { format!("; {what}: {}", names.join(", ")) }
}

impl Status {
    /// The rows of what is refused.
    pub(crate) fn ban_cells(&self) -> impl Iterator<Item = [Cell; 1]> {
        self.bans.iter().map(|url| [Cell::Text(printable(url))])
    }

    fn devices(&self) -> String {
        let Totals { devices, states, transfers_active, .. } = self.totals;
        let states = states.named().into_iter().filter(|(_, count)| *count > 0);
        let states: String = states.map(|(state, count)| format!("; {count} {state}")).collect();
        let unpaced = named("not paced", &self.unpaced);
        format!("{devices} known, {transfers_active} transfers under way{states}{unpaced}")
    }

    /// Four sentences: what it is, its cache, its origins, its devices.
    pub(crate) fn summary(&self) -> [String; 4] {
        let listen: Vec<_> = self.listen.iter().map(|address| format!("coap://{address}")).collect();
        let listen = if listen.is_empty() { "no socket is open".to_owned() } else { listen.join(" ") };
        let (version, uptime) = (printable(&self.version), time(self.uptime_s as f64));
        let Origin { bytes, retries, resumes, requests } = &self.origin;
        let mut origin = format!("{bytes} bytes, {retries} retries, {resumes} resumes; requests:");
        if requests.is_empty() {
            origin += " none";
        }
        for (outcome, count) in requests {
            origin += &format!(" {} {count}", printable(outcome));
        }
        [
            format!("sixfold-relay {version}, up {uptime}, {listen}{}", named("absent", &self.absent)),
            format!("{} of {} bytes", self.cache.bytes, self.cache.limit_bytes),
            origin,
            self.devices(),
        ]
    }
}

impl Link {
    /// Its row.
    pub(crate) fn cells(&self) -> [Cell; 9] {
        let devices = match self.missing {
            0 => self.devices.to_string(),
            missing => format!("{}, {missing} missing", self.devices),
        };
        [
            printable(&self.interface),
            rate(self.rate_bps),
            percent(self.loss),
            self.round_trip_s.map_or_else(|| "-".to_owned(), milliseconds),
            format!("{} of {}", milliseconds(self.in_flight_s), milliseconds(self.window_s)),
            self.queue.to_string(),
            devices,
            self.block_bytes.to_string(),
            format!("{} of {} %", percent(self.busy), self.duty_cycle_percent),
        ]
        .map(Cell::Text)
    }
}

impl Group {
    /// Its row.
    pub(crate) fn cells(&self, link: &Link) -> [Cell; 8] {
        [
            printable(&link.interface),
            printable(&self.url),
            printable(&self.etag),
            self.members.to_string(),
            self.planned.to_string(),
            self.block_bytes.to_string(),
            self.blocks.to_string(),
            self.parity.to_string(),
        ]
        .map(Cell::Text)
    }
}

impl Image {
    /// Its row.
    pub(crate) fn cells(&self) -> [Cell; 7] {
        let digest = self.sha256.as_deref().and_then(|digest| digest.get(..16));
        [
            printable(&self.url),
            self.etag.as_deref().map_or_else(|| "-".to_owned(), printable),
            digest.map_or_else(|| "-".to_owned(), |digest| printable(digest) + "..."),
            match &self.failure {
                Some(failure) => format!("{} ({})", printable(&self.state), printable(failure)),
                None => printable(&self.state),
            },
            progress(self.available_bytes, self.total_bytes),
            time(self.fresh_for_s as f64),
            self.observers.to_string(),
        ]
        .map(Cell::Text)
    }
}

impl Transfer {
    /// Its row.
    pub(crate) fn cells(&self) -> [Cell; 8] {
        let optional = |text: Option<&str>| text.map_or_else(|| "-".to_owned(), printable);
        let (done, total) = (self.sent_bytes, self.total_bytes);
        // Who got no block makes no progress.
        let (progress, rate, time_spent) = match self.etag {
            Some(_) => (Cell::Bar { done, total }, rate(self.rate_bps), time(self.duration_s)),
            None => (Cell::Text("-".to_owned()), "-".to_owned(), time(self.age_s) + " ago"),
        };
        let state = match &self.code {
            Some(code) => format!("{} {}", printable(&self.state), printable(code)),
            None => printable(&self.state),
        };
        [
            Cell::Text(self.peer.to_string()),
            Cell::Text(optional(self.url.as_deref())),
            Cell::Text(optional(self.etag.as_deref())),
            progress,
            Cell::Text(rate),
            Cell::Text(state),
            Cell::Text(time_spent),
            Cell::Text(self.left_s.map_or_else(|| "-".to_owned(), time)),
        ]
    }
}

impl Session {
    /// Its row.
    pub(crate) fn cells(&self) -> [Cell; 5] {
        let kid = match &self.kid_context {
            Some(context) => format!("{} in {}", printable(&self.kid), printable(context)),
            None => printable(&self.kid),
        };
        let nothing = || "-".to_owned();
        [
            printable(&self.name),
            kid,
            self.left_s.map_or_else(nothing, |left| time(left as f64)),
            self.heard_s.map_or_else(nothing, |ago| time(ago) + " ago"),
            self.peer.map_or_else(nothing, |peer| peer.to_string()),
        ]
        .map(Cell::Text)
    }
}

/// `128/200 64 %`.
pub(crate) fn progress(bytes: u64, total: Option<u64>) -> String {
    match total {
        Some(0) => "0/0".to_owned(),
        Some(total) => {
            let percent = u128::from(bytes) * 100 / u128::from(total);
            format!("{bytes}/{total} {percent} %")
        }
        None => format!("{bytes}/?"),
    }
}

/// `640 bit/s`, `25.4 kbit/s`.
fn rate(bits: u64) -> String {
    match bits {
        0..1000 => format!("{bits} bit/s"),
        1000..1_000_000 => format!("{:.1} kbit/s", bits as f64 / 1e3),
        _ => format!("{:.1} Mbit/s", bits as f64 / 1e6),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.0} ms", seconds * 1e3)
}

/// `0.4 s`, `59 s`, `3 min 20 s`, `5 h 1 min`, `2 d 3 h`.
fn time(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..10 if seconds.fract() > 0.0 => format!("{seconds:.1} s"),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {} min", whole / 3600, whole / 60 % 60),
        _ => format!("{} d {} h", whole / 86_400, whole / 3600 % 24),
    }
}

/// Text from elsewhere with everything spelled out that could forge a line or command a terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            ' '..='~' => printable.push(character),
            _ => printable.extend(character.escape_debug()),
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_harmless_is_printed_as_it_is() {
        assert_eq!(printable("https://h/a?b='c'&d=\"ü\""), "https://h/a?b='c'&d=\"ü\"");
        assert_eq!(printable("a\nb\x1b[31m\r\u{202e}\u{7f}"), r"a\nb\u{1b}[31m\r\u{202e}\u{7f}");
    }

    #[test]
    fn times_read_well() {
        let cases = [
            (0.0, "0 s"),
            (0.44, "0.4 s"),
            (59.9, "59 s"),
            (200.0, "3 min 20 s"),
            (18_060.0, "5 h 1 min"),
            (183_600.0, "2 d 3 h"),
        ];
        for (seconds, text) in cases {
            assert_eq!(time(seconds), text);
        }
    }

    #[test]
    fn rates_read_well() {
        assert_eq!([rate(999), rate(25_449), rate(2_000_000)], ["999 bit/s", "25.4 kbit/s", "2.0 Mbit/s"]);
    }
}
