//! The status as plain text.

use super::{Group, Image, Link, Origin, Status, Transfer};
use std::fmt;

/// How wide a progress bar is, in characters.
const BAR: u64 = 20;

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listen: Vec<_> = self.listen.iter().map(|address| format!("coap://{address}")).collect();
        let listen = if listen.is_empty() { "no socket is open".to_owned() } else { listen.join(" ") };
        let (version, uptime) = (printable(&self.version), time(self.uptime_s as f64));
        writeln!(f, "sixfold-relay {version}, up {uptime}, {listen}")?;
        writeln!(f, "cache   {} of {} bytes", self.cache.bytes, self.cache.limit_bytes)?;
        let Origin { bytes, retries, resumes, requests } = &self.origin;
        write!(f, "origin  {bytes} bytes, {retries} retries, {resumes} resumes; requests:")?;
        if requests.is_empty() {
            write!(f, " none")?;
        }
        requests.iter().try_for_each(|(outcome, count)| write!(f, " {} {count}", printable(outcome)))?;
        let (known, active) = (self.totals.devices, self.totals.transfers_active);
        writeln!(f, "\ndevices {known} known, {active} transfers under way\n")?;
        if !self.links.is_empty() {
            let head = ["LINK", "RATE", "LOSS", "ROUND TRIP", "WINDOW", "QUEUE", "DEVICES", "BLOCK", "BUSY"];
            table(f, head, self.links.iter().map(Link::row))?;
            writeln!(f)?;
        }
        let groups = || self.links.iter().flat_map(|link| link.groups.iter().map(move |group| (link, group)));
        if groups().next().is_some() {
            let head = ["GROUP ON", "IMAGE", "ETAG", "MEMBERS", "PLANNED", "BLOCK", "BLOCKS", "PARITY"];
            table(f, head, groups().map(|(link, group)| group.row(link)))?;
            writeln!(f)?;
        }
        let head = ["IMAGE", "ETAG", "SHA-256", "STATE", "BYTES", "FRESH FOR", "OBSERVERS"];
        table(f, head, self.images.iter().map(Image::row))?;
        left_out(f, self.totals.images, self.images.len())?;
        writeln!(f)?;
        let head = ["DEVICE", "IMAGE", "ETAG", "PROGRESS", "RATE", "STATE", "TIME", "LEFT"];
        table(f, head, self.transfers.iter().map(Transfer::row))?;
        left_out(f, self.totals.devices, self.transfers.len())
    }
}

impl Link {
    fn row(&self) -> [String; 9] {
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
    }
}

impl Group {
    fn row(&self, link: &Link) -> [String; 8] {
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
    }
}

impl Image {
    fn row(&self) -> [String; 7] {
        let digest = self.sha256.as_deref().and_then(|digest| digest.get(..16));
        [
            printable(&self.url),
            self.etag.as_deref().map_or_else(|| "-".to_owned(), printable),
            digest.map_or_else(|| "-".to_owned(), |digest| printable(digest) + "..."),
            printable(&self.state),
            progress(self.available_bytes, self.total_bytes),
            time(self.fresh_for_s as f64),
            self.observers.to_string(),
        ]
    }
}

impl Transfer {
    fn row(&self) -> [String; 8] {
        [
            self.peer.to_string(),
            printable(&self.url),
            printable(&self.etag),
            bar(self.sent_bytes, self.total_bytes),
            rate(self.rate_bps),
            printable(&self.state),
            time(self.duration_s),
            self.left_s.map_or_else(|| "-".to_owned(), time),
        ]
    }
}

/// Says that there is more than what is shown.
fn left_out(f: &mut fmt::Formatter<'_>, total: u64, shown: usize) -> fmt::Result {
    match total.saturating_sub(shown as u64) {
        0 => Ok(()),
        more => writeln!(f, "and {more} more"),
    }
}

fn progress(bytes: u64, total: Option<u64>) -> String {
    match total {
        Some(0) => "0/0".to_owned(),
        Some(total) => {
            let percent = u128::from(bytes) * 100 / u128::from(total);
            format!("{bytes}/{total} {percent} %")
        }
        None => format!("{bytes}/?"),
    }
}

/// `[########............]  40 %`, or bytes while the length is not known.
fn bar(bytes: u64, total: Option<u64>) -> String {
    let Some(total) = total.filter(|&total| total > 0) else { return progress(bytes, total) };
    let part = |whole: u64| (u128::from(bytes.min(total)) * u128::from(whole) / u128::from(total)) as usize;
    let done = part(BAR);
    format!("[{}{}] {:3} %", "#".repeat(done), ".".repeat(BAR as usize - done), part(100))
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
pub(super) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            ' '..='~' => printable.push(character),
            _ => printable.extend(character.escape_debug()),
        }
    }
    printable
}

/// Columns as wide as their widest cell.
fn table<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> fmt::Result {
    let rows: Vec<_> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Page, tests::half_way};
    use super::*;

    #[test]
    fn people_get_a_table() {
        let mut status = half_way(Page::default());
        let etag = status.transfers[0].etag.clone();
        status.version = "1.2.3".to_owned();
        status.origin.requests = [("complete".to_owned(), 2), ("connect".to_owned(), 1)].into();
        status.images[0].url = "https://h/\x1b[2Jaa".to_owned();
        status.images[0].sha256 = Some("0123456789abcdef".repeat(4));
        status.totals.devices = 3;
        status.links[0].rate_bps = 25_400;
        status.links[0].round_trip_s = Some(0.0254);
        let url = "https://h/a".to_owned();
        let (members, planned, block_bytes, blocks, parity) = (40, 100, 64, 1436, 70);
        let group = Group { url, etag: etag.clone(), members, planned, block_bytes, blocks, parity };
        status.links[0].groups.push(group);
        let expected = format!(
            "\
sixfold-relay 1.2.3, up 3 min 20 s, coap://[::1]:5683
cache   0 of 1000 bytes
origin  0 bytes, 0 retries, 0 resumes; requests: complete 2 connect 1
devices 3 known, 1 transfers under way

LINK   RATE         LOSS   ROUND TRIP  WINDOW        QUEUE  DEVICES  BLOCK  BUSY
wpan7  25.4 kbit/s  0.0 %  25 ms       0 ms of 0 ms  0      0        1024   0.0 % of 100 %

GROUP ON  IMAGE        ETAG              MEMBERS  PLANNED  BLOCK  BLOCKS  PARITY
wpan7     https://h/a  {etag}  40       100      64     1436    70

IMAGE                  ETAG              SHA-256              STATE     BYTES         FRESH FOR  OBSERVERS
https://h/\\u{{1b}}[2Jaa  {etag}  0123456789abcdef...  fetching  128/200 64 %  0 s        0

DEVICE      IMAGE        ETAG              PROGRESS                      RATE       STATE     TIME  LEFT
[::1]:5683  https://h/a  {etag}  [############........]  64 %  512 bit/s  fetching  2 s   1.1 s
and 2 more
"
        );
        assert_eq!(status.to_string(), expected);
    }

    #[test]
    fn bars_are_never_longer_than_full() {
        assert_eq!(bar(0, Some(7)), "[....................]   0 %");
        assert_eq!(bar(9, Some(7)), "[####################] 100 %");
        assert_eq!((bar(5, None), bar(0, Some(0))), ("5/?".to_owned(), "0/0".to_owned()));
        assert_eq!([rate(999), rate(25_449), rate(2_000_000)], ["999 bit/s", "25.4 kbit/s", "2.0 Mbit/s"]);
    }

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
}
