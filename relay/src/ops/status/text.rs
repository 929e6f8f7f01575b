//! The status as plain text.

use super::tables::{BANS, Cell, GROUPS, IMAGES, LINKS, SESSIONS, TRANSFERS, Table, printable, progress};
use super::{Image, Link, Session, Status, Transfer};
use std::fmt;

/// How wide a progress bar is, in characters.
const BAR: u64 = 20;

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [about, cache, origin, devices] = self.summary();
        writeln!(f, "{about}\ncache   {cache}\norigin  {origin}\ndevices {devices}\n")?;
        if !self.links.is_empty() {
            table(f, &LINKS, self.links.iter().map(Link::cells))?;
            writeln!(f)?;
        }
        let groups = || self.links.iter().flat_map(|link| link.groups.iter().map(move |group| (link, group)));
        if groups().next().is_some() {
            table(f, &GROUPS, groups().map(|(link, group)| group.cells(link)))?;
            writeln!(f)?;
        }
        if !self.bans.is_empty() {
            table(f, &BANS, self.ban_cells())?;
            writeln!(f)?;
        }
        table(f, &IMAGES, self.images.iter().map(Image::cells))?;
        left_out(f, self.totals.images, self.images.len())?;
        writeln!(f)?;
        table(f, &TRANSFERS, self.transfers.iter().map(Transfer::cells))?;
        left_out(f, self.totals.states.sum(), self.transfers.len())?;
        if !self.sessions.is_empty() {
            write!(f, "\n{}", SessionList(self))?;
        }
        Ok(())
    }
}

/// The sessions of a status alone.
#[derive(Debug)]
pub struct SessionList<'s>(pub &'s Status);

impl fmt::Display for SessionList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        table(f, &SESSIONS, self.0.sessions.iter().map(Session::cells))?;
        left_out(f, self.0.totals.sessions, self.0.sessions.len())
    }
}

impl fmt::Display for Image {
    /// One line: where from, how much, which bytes, how it stands.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = progress(self.available_bytes, self.total_bytes);
        write!(f, "{}  {bytes}  {}", printable(&self.url), printable(&self.state))?;
        self.sha256.as_deref().map_or(Ok(()), |digest| write!(f, "  SHA-256 {}", printable(digest)))
    }
}

/// Says that there is more than what is shown.
fn left_out(f: &mut fmt::Formatter<'_>, total: u64, shown: usize) -> fmt::Result {
    match total.saturating_sub(shown as u64) {
        0 => Ok(()),
        more => writeln!(f, "and {more} more"),
    }
}

/// `[########............]  40 %`, or bytes while the length is not known.
fn bar(bytes: u64, total: Option<u64>) -> String {
    let Some(total) = total.filter(|&total| total > 0) else { return progress(bytes, total) };
    let part = |whole: u64| (u128::from(bytes.min(total)) * u128::from(whole) / u128::from(total)) as usize;
    let done = part(BAR);
    format!("[{}{}] {:3} %", "#".repeat(done), ".".repeat(BAR as usize - done), part(100))
}

/// Columns as wide as their widest cell.
fn table<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    Table { head, .. }: &Table<N>,
    rows: impl Iterator<Item = [Cell; N]>,
) -> fmt::Result {
    let plain = |cell| match cell {
        Cell::Text(text) => text,
        Cell::Bar { done, total } => bar(done, total),
    };
    let rows: Vec<_> =
        std::iter::once(head.map(str::to_uppercase)).chain(rows.map(|row| row.map(plain))).collect();
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
    use super::super::{Group, Page, half_way};
    use super::*;

    #[test]
    fn people_get_a_table() {
        let mut status = half_way(Page::default());
        let etag = status.transfers[0].etag.clone().unwrap();
        let refused = Transfer {
            peer: "[::2]:5683".parse().unwrap(),
            url: Some("/fx/a\n".to_owned()),
            etag: None,
            state: "refused".to_owned(),
            code: Some("4.04".to_owned()),
            ..status.transfers[0].clone()
        };
        let refused = Transfer { age_s: 3.0, left_s: None, ..refused };
        status.transfers.insert(0, refused);
        status.totals.states.refused = 3;
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
sixfold-relay 1.2.3, up 3 min 20 s, coap://[::1]:5683; absent: wpan8
cache   0 of 1000 bytes
origin  0 bytes, 0 retries, 0 resumes; requests: complete 2 connect 1
devices 3 known, 1 transfers under way; 3 refused; 1 fetching; not paced: eth0

LINK   RATE         LOSS   ROUND TRIP  WINDOW        QUEUE  DEVICES  BLOCK  BUSY
wpan7  25.4 kbit/s  0.0 %  25 ms       0 ms of 0 ms  0      0        1024   0.0 % of 100 %

GROUP ON  IMAGE        ETAG              MEMBERS  PLANNED  BLOCK  BLOCKS  PARITY
wpan7     https://h/a  {etag}  40       100      64     1436    70

IMAGE                  ETAG              SHA-256              STATE     BYTES         FRESH FOR  OBSERVERS
https://h/\\u{{1b}}[2Jaa  {etag}  0123456789abcdef...  fetching  128/200 64 %  0 s        0

DEVICE      IMAGE        ETAG              PROGRESS                      RATE       STATE         TIME     LEFT
[::2]:5683  /fx/a\\n      -                 -                             -          refused 4.04  3 s ago  -
[::1]:5683  https://h/a  {etag}  [############........]  64 %  512 bit/s  fetching      2 s      1.1 s
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
    }
}
