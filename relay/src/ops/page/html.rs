//! The page as it is sent: complete, so that it is of use without a script.
//!
//! The cells are those of the plain text (`status/text.rs`), and `status.js` writes the same into the same places.

use super::super::Status;
use super::super::status::{
    BANS, Cell, GROUPS, IMAGES, LINKS, Page, SESSIONS, TRANSFERS, Table, Totals, progress,
};
use std::fmt::{self, Display, Formatter, Write};

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Sixfold relay</title>
<link rel="icon" href="icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="status.css">
<script src="status.js" defer></script>
<noscript><meta http-equiv="refresh" content="5"></noscript>
</head>
<body>
<header>
<h1>Sixfold relay</h1>
"#;

/// What only a script can fill stays hidden until it does.
const PLOTS: &str = r#"<section id="goodput" aria-labelledby="goodput-title" hidden>
<h2 id="goodput-title">Goodput</h2>
<div id="plots"></div>
</section>
"#;

const FOOT: &str = r#"</main>
<footer>
<p><a href="api/status">JSON</a> · <a href="metrics">Prometheus metrics</a> · <a href="readyz">readiness</a></p>
</footer>
</body>
</html>
"#;

/// The page that shows a status, of which `part` was asked for.
pub(crate) fn page(status: &Status, part: Page) -> String {
    let mut page = String::with_capacity(16 << 10);
    // Writing to a string cannot fail.
    let _ = write(&mut page, status, part);
    page
}

fn write(page: &mut String, status: &Status, part: Page) -> fmt::Result {
    let [about, cache, origin, devices] = status.summary();
    page.push_str(HEAD);
    writeln!(page, "<p id=\"about\">{}</p>\n</header>\n<main>", Escaped(&about))?;
    writeln!(page, "<p id=\"news\" role=\"status\" aria-live=\"polite\"></p>")?;
    writeln!(page, "<section aria-labelledby=\"now\">\n<h2 id=\"now\">Now</h2>\n<dl>")?;
    for (id, name, value) in
        [("devices", "Devices", &devices), ("cache", "Cache", &cache), ("origin", "Origins", &origin)]
    {
        writeln!(page, "<div><dt>{name}</dt><dd id=\"{id}\">{}</dd></div>", Escaped(value))?;
    }
    writeln!(page, "</dl>\n</section>")?;
    page.push_str(PLOTS);
    let Totals { states, sessions, images, .. } = status.totals;
    let limit = part.limit;
    let shown = Shown { limit, skip: part.skip, rows: status.transfers.len(), total: states.sum() };
    table(page, &TRANSFERS, status.transfers.iter().map(|transfer| transfer.cells()), shown.is_none())?;
    pages(page, "devices", "skip", shown)?;
    let shown = Shown { limit, skip: part.skip_sessions, rows: status.sessions.len(), total: sessions };
    table(page, &SESSIONS, status.sessions.iter().map(|session| session.cells()), shown.is_none())?;
    pages(page, "sessions", "skip_sessions", shown)?;
    table(page, &LINKS, status.links.iter().map(|link| link.cells()), status.links.is_empty())?;
    let groups = || status.links.iter().flat_map(|link| link.groups.iter().map(|group| group.cells(link)));
    table(page, &GROUPS, groups(), groups().next().is_none())?;
    let shown = Shown { limit, skip: part.skip_images, rows: status.images.len(), total: images };
    table(page, &IMAGES, status.images.iter().map(|image| image.cells()), shown.is_none())?;
    pages(page, "images", "skip_images", shown)?;
    table(page, &BANS, status.ban_cells(), status.bans.is_empty())?;
    page.push_str(FOOT);
    Ok(())
}

/// Which part of a table is shown.
#[derive(Clone, Copy)]
struct Shown {
    /// How many rows may be.
    limit: usize,
    /// How many are left out before them.
    skip: usize,
    /// How many are shown.
    rows: usize,
    /// How many there are.
    total: u64,
}

impl Shown {
    const fn is_none(self) -> bool {
        self.total == 0 && self.rows == 0
    }
}

/// Roles are spelled out because the style gives rows another shape on narrow screens, where browsers would forget that
/// they are rows.
fn table<const N: usize>(
    page: &mut String,
    Table { id, title, caption, head }: &Table<N>,
    rows: impl Iterator<Item = [Cell; N]>,
    is_none: bool,
) -> fmt::Result {
    let hidden = if is_none { " hidden" } else { "" };
    writeln!(page, "<section aria-labelledby=\"{id}-title\">\n<h2 id=\"{id}-title\">{title}</h2>")?;
    let none = if hidden.is_empty() { " hidden" } else { "" };
    writeln!(page, "<p id=\"{id}-none\"{none}>None.</p>")?;
    writeln!(page, "<table id=\"{id}\" role=\"table\"{hidden}>\n<caption>{caption}</caption>")?;
    write!(page, "<thead role=\"rowgroup\"><tr role=\"row\">")?;
    for name in head {
        write!(page, "<th role=\"columnheader\" scope=\"col\">{name}</th>")?;
    }
    writeln!(page, "</tr></thead>\n<tbody role=\"rowgroup\">")?;
    for cells in rows {
        write!(page, "<tr role=\"row\">")?;
        let whose = match &cells[0] {
            Cell::Text(text) => text.clone(),
            Cell::Bar { .. } => String::new(),
        };
        for (n, (name, cell)) in head.iter().zip(cells).enumerate() {
            // What a row is about is its header, so that each cell is read with it.
            let (element, role) = if n == 0 { ("th", "rowheader\" scope=\"row") } else { ("td", "cell") };
            write!(page, "<{element} role=\"{role}\" data-name=\"{name}\">")?;
            match cell {
                Cell::Text(text) => write!(page, "{}", Escaped(&text))?,
                Cell::Bar { done, total: Some(total) } if total > 0 => {
                    let value = done.min(total);
                    write!(
                        page,
                        "<progress max=\"{total}\" value=\"{value}\" aria-label=\"{name} of {}\"></progress> ",
                        Escaped(&whose)
                    )?;
                    write!(page, "{} %", u128::from(value) * 100 / u128::from(total))?;
                }
                Cell::Bar { done, total } => write!(page, "{}", progress(done, total))?,
            }
            write!(page, "</{element}>")?;
        }
        writeln!(page, "</tr>")?;
    }
    writeln!(page, "</tbody>\n</table>\n</section>")
}

/// The way to the rows that are not shown; there, and hidden, where all are, for the script to fill when there are more.
fn pages(page: &mut String, what: &str, parameter: &str, shown: Shown) -> fmt::Result {
    let Shown { limit, skip, rows, total } = shown;
    let end = skip.saturating_add(rows);
    let more = total.saturating_sub(end as u64);
    let has_previous = skip > 0 && total > 0;
    let hidden = if has_previous || more > 0 { "" } else { " hidden" };
    write!(
        page,
        "<nav class=\"pages\" id=\"{what}-pages\" aria-label=\"More {what}\" data-limit=\"{limit}\" \
         data-parameter=\"{parameter}\" data-skip=\"{skip}\"{hidden}>"
    )?;
    if has_previous {
        let before = skip.min(usize::try_from(total).unwrap_or(skip)).saturating_sub(limit);
        write!(page, "<a href=\"?limit={limit}&amp;{parameter}={before}\">Previous {what}</a> ")?;
    }
    if more > 0 {
        write!(page, "<a href=\"?limit={limit}&amp;{parameter}={end}\">{more} more {what}</a>")?;
    }
    writeln!(page, "</nav>")
}

/// Text that is no markup.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            _ => f.write_char(character),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::status::half_way;
    use super::*;

    #[test]
    fn what_others_chose_is_no_markup() {
        let mut status = half_way(Page::default());
        status.images[0].url = "https://h/<script>alert('1')</script>".to_owned();
        status.transfers[0].url = Some("https://h/\"onload=&x".to_owned());
        status.links[0].interface = "<b>".to_owned();
        let page = page(&status, Page::default());
        assert!(page.contains(
            "<th role=\"rowheader\" scope=\"row\" data-name=\"Image\">https://h/&lt;script&gt;alert(&#39;1&#39;)&lt;"
        ));
        assert!(page.contains("https://h/&quot;onload=&amp;x") && page.contains("&lt;b&gt;"), "{page}");
        assert_eq!(page.matches("<script").count(), 1, "{page}");
    }

    #[test]
    fn bars_show_how_far_a_device_is() {
        let page = page(&half_way(Page::default()), Page::default());
        assert!(
            page.contains(
                "<progress max=\"200\" value=\"128\" aria-label=\"Progress of [::1]:5683\"></progress> 64 %"
            ),
            "{page}"
        );
        assert!(page.contains("<table id=\"groups\" role=\"table\" hidden>"), "{page}");
        assert!(page.contains("<table id=\"transfers\" role=\"table\">"), "{page}");
    }

    #[test]
    fn what_is_not_shown_has_a_link() {
        let mut status = half_way(Page::default());
        status.totals.states.finished = 2;
        let of = |skip| Page { limit: 1, skip, ..Page::default() };
        let first = page(&status, of(0));
        assert!(first.contains("<a href=\"?limit=1&amp;skip=1\">2 more devices</a>"), "{first}");
        assert!(!first.contains("Previous"), "{first}");
        let second = page(&status, of(1));
        assert!(second.contains("<a href=\"?limit=1&amp;skip=0\">Previous devices</a>"), "{second}");
        assert!(second.contains("<a href=\"?limit=1&amp;skip=2\">1 more devices</a>"), "{second}");
        assert_eq!(second.matches("Previous").count(), 1, "the other tables have their own: {second}");
        status.transfers.clear();
        let behind = page(&status, of(500));
        assert!(behind.contains("<a href=\"?limit=1&amp;skip=2\">Previous devices</a>"), "{behind}");
        assert!(behind.contains("<p id=\"transfers-none\" hidden>"), "there are some: {behind}");
        let all = page(&half_way(Page::default()), Page::default());
        let hidden = "data-limit=\"100\" data-parameter=\"skip\" data-skip=\"0\" hidden></nav>";
        assert!(all.contains(hidden), "{all}");
        let nothing = page(&half_way(Page::default()), Page { skip_sessions: 1, ..of(0) });
        assert!(!nothing.contains("Previous sessions"), "there are none: {nothing}");
    }
}
