//! The status again and again: on a terminal in place, as a screen would show it, otherwise one after another.

use super::{Page, Status, client};
use crate::output;
use std::io::{self, IsTerminal};
use std::time::Duration;
use terminal_size::{Height, Width, terminal_size_of};
use tokio::time::{MissedTickBehavior, interval};

/// Lines that a screen needs beside the rows of its tables.
const AROUND_ROWS: usize = 12;

/// How a status is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Tables, for people.
    Text,
    /// One object a line, for programs.
    Json,
}

/// Shows the status of the relay at `url` every `period`, for as long as somebody reads.
///
/// # Errors
/// When the relay does not answer; on a terminal only the first time: after that it is waited for.
pub async fn watch(url: &str, page: Page, form: Form, period: Duration) -> anyhow::Result<()> {
    let is_screen = form == Form::Text && io::stdout().is_terminal();
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last: Option<Status> = None;
    loop {
        ticks.tick().await;
        let size = is_screen.then(size);
        let rows = size.map_or(page.limit, |(height, _)| usize::from(height).saturating_sub(AROUND_ROWS) / 2);
        let answer = client::fetch(url, Page { limit: page.limit.min(rows.max(1)), ..page }).await;
        let goes_on = match (answer, &last, size) {
            (Ok(status), _, size) => {
                let text = match (form, size) {
                    (Form::Json, _) => serde_json::to_string(&status)? + "\n",
                    (Form::Text, None) => format!("{status}\n"),
                    (Form::Text, Some(size)) => screen(&status.to_string(), size),
                };
                last = Some(status);
                output::write(&text)?
            }
            (Err(error), Some(last), Some(size)) => {
                output::write(&screen(&format!("no answer, this is old: {error:#}\n{last}"), size))?
            }
            (Err(error), ..) => return Err(error),
        };
        if !goes_on {
            return Ok(());
        }
    }
}

/// Height and width of the terminal, or those of old ones where it does not say.
fn size() -> (u16, u16) {
    terminal_size_of(io::stdout()).map_or((24, 80), |(Width(width), Height(height))| (height, width))
}

/// The text from the upper left corner, each line cut off at the edge and followed by nothing old (ECMA-48: CUP, EL, ED).
fn screen(text: &str, (height, width): (u16, u16)) -> String {
    let lines = text.lines().take(usize::from(height).saturating_sub(1));
    let lines = lines.map(|line| line.chars().take(usize::from(width)).collect::<String>() + "\x1b[K\n");
    format!("\x1b[H{}\x1b[J", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_never_scrolls() {
        let shown = screen("first line\nsecond\nthird\nfourth\n", (4, 6));
        assert_eq!(shown, "\x1b[Hfirst \x1b[K\nsecond\x1b[K\nthird\x1b[K\n\x1b[J");
    }
}
