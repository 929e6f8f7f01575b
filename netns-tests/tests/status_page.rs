//! The status page in a real browser. Pictures of it are kept: `target/screenshots`.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sixfold_netns_tests::browser::Browser;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::relay::{CONFIG, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::{device, nginx, sandbox, wait};
use std::time::Duration;

const NEEDS: &[Peer] = &[Peer::Nginx, Peer::Radvd, Peer::Chromium, Peer::Chromedriver];
const PAGE: &str = "http://[::1]:9683/";
const PATIENCE: Duration = Duration::from_secs(120);
/// A link that takes some seconds for the image, so that there is something to see.
const LINK: &str = "max_age = \"1 h\"\n[[link]]\ninterface = \"lowpan0\"\nbit_rate = 250000\n";

/// What tables and sentences say. Times and rates go on while one looks, so they are left out.
const WORDS: &str = "
    const steady = (cell) => !['Time', 'Left', 'Rate', 'Fresh for', 'Busy', 'Round trip'].includes(cell.dataset.name);
    const rows = Array.from(document.querySelectorAll('tbody tr'), (row) =>
        Array.from(row.cells).filter(steady).map((cell) => cell.textContent.trim()).join('|'));
    const sentences = ['devices', 'cache', 'origin'].map((id) => document.getElementById(id).textContent);
    return [...rows, ...sentences].join('\\n');";

/// The worst contrast of text on its background (WCAG 2.2, 1.4.3), and whose it is.
const CONTRAST: &str = "
    const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = (colour) => {
        const [r, g, b] = numbers(colour).map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const back = (element) => {
        for (; element; element = element.parentElement) {
            const colour = getComputedStyle(element).backgroundColor;
            if (numbers(colour)[3] !== 0) return colour;
        }
        return 'rgb(255, 255, 255)';
    };
    // What shines through makes text paler.
    const opacity = (element) => {
        let product = 1;
        for (; element; element = element.parentElement) product *= getComputedStyle(element).opacity;
        return product;
    };
    const over = (own, ground, share) =>
        `rgb(${numbers(own).slice(0, 3).map((c, n) => c * share + numbers(ground)[n] * (1 - share)).join(', ')})`;
    const texts = Array.from(document.querySelectorAll('body *')).filter((element) =>
        Array.from(element.childNodes).some((node) => node.nodeType === 3 && node.data.trim()));
    const ratio = (element) => {
        const style = getComputedStyle(element);
        const own = element instanceof SVGElement ? style.fill : style.color;
        const ground = back(element);
        const [a, b] = [light(over(own, ground, opacity(element))), light(ground)].sort((x, y) => y - x);
        return (a + 0.05) / (b + 0.05);
    };
    const worst = texts.map((element) => [ratio(element), element.outerHTML.slice(0, 80)]).sort((a, b) => a[0] - b[0])[0];
    return { ratio: worst[0], element: worst[1], texts: texts.length };";

/// The first short word that is on two lines: names and URLs may be, states and numbers may not.
const BROKEN: &str = "
    for (const cell of document.querySelectorAll('td:not([data-name=Image])')) {
        for (const node of cell.childNodes) {
            if (node.nodeType !== 3) continue;
            for (const word of node.data.matchAll(/[^ ]+/g)) {
                const range = document.createRange();
                range.setStart(node, word.index);
                range.setEnd(node, word.index + word[0].length);
                if (word[0].length < 20 && range.getClientRects().length > 1) return word[0];
            }
        }
    }
    return '';";

/// What a reader of the page by ear meets: landmarks with names, headings that go down one by one, and a name for every table, row,
/// bar and plot (WCAG 2.2, 1.1.1, 1.3.1, 2.4.1, 2.4.6, 3.1.1, 4.1.2).
const OUTLINE: &str = "
    const levels = Array.from(document.querySelectorAll('h1, h2, h3'), (h) => Number(h.tagName[1]));
    const mistakes = [];
    levels.forEach((level, n) => { if (level > (levels[n - 1] ?? 0) + 1) mistakes.push(`heading ${n}`); });
    if (levels.filter((level) => level === 1).length !== 1) mistakes.push('one h1');
    for (const landmark of ['header', 'main', 'footer'])
        if (document.querySelectorAll(`body > ${landmark}`).length !== 1) mistakes.push(`one ${landmark}`);
    for (const region of document.querySelectorAll('section'))
        if (!document.getElementById(region.getAttribute('aria-labelledby'))?.textContent) mistakes.push('a region without a name');
    for (const element of document.querySelectorAll('main h2'))
        if (!element.closest('section')) mistakes.push(`${element.textContent} is outside of its region`);
    for (const way of document.querySelectorAll('nav'))
        if (!way.getAttribute('aria-label')) mistakes.push('a nav without a name');
    for (const table of document.querySelectorAll('table')) {
        const heads = Array.from(table.tHead.rows[0].cells);
        if (!table.caption?.textContent || !heads.every((head) => head.matches('th[scope=col]'))) mistakes.push(table.id);
        for (const row of table.tBodies[0].rows)
            if (row.cells.length !== heads.length || row.querySelectorAll('th[scope=row]').length !== 1
                || !row.cells[0].matches('th[role=rowheader]') || row.getAttribute('role') !== 'row')
                mistakes.push(`a row of ${table.id}`);
    }
    const bars = Array.from(document.querySelectorAll('progress'), (bar) => bar.getAttribute('aria-label'));
    if (bars.some((name) => !name) || new Set(bars).size !== bars.length) mistakes.push(`bars: ${bars}`);
    for (const link of document.querySelectorAll('a'))
        if (!link.textContent.trim()) mistakes.push('a link without words');
    const ids = Array.from(document.querySelectorAll('[id]'), (element) => element.id);
    if (new Set(ids).size !== ids.length) mistakes.push('an id twice');
    for (const plot of document.querySelectorAll('svg'))
        if (!plot.getAttribute('aria-label') || plot.getAttribute('role') !== 'img') mistakes.push('a plot');
    if (document.getElementById('news').getAttribute('aria-live') !== 'polite') mistakes.push('news');
    if (document.documentElement.lang !== 'en' || !document.title) mistakes.push('language, title');
    return mistakes.join(', ');";

/// The lines of the plot of what went to devices, each as `[first x, last x, its points]`, as shares of the plot's width.
const LINES: &str = "
    const width = document.querySelector('#plot-devices svg').viewBox.baseVal.width;
    return Array.from(document.querySelectorAll('#plot-devices polyline'), (line) => {
        const all = Array.from(line.points, (p) => p.x / width);
        return [all[0], all[all.length - 1], all.length - 1];
    });";

/// Waits until the plot has so many lines, and gives them.
fn lines(browser: &Browser<'_>, count: usize) -> Result<Vec<[f64; 3]>> {
    wait::until(&format!("{count} lines"), PATIENCE, || {
        let lines: Vec<[f64; 3]> = serde_json::from_value(browser.run(LINES).ok()?).ok()?;
        (lines.len() == count).then_some(lines)
    })
}

fn number(value: &Value) -> Result<f64> {
    value.as_f64().with_context(|| format!("no number: {value}"))
}

fn ensure_content(browser: &Browser<'_>) -> Result<()> {
    let complaints = browser.complaints()?;
    ensure!(complaints.is_empty(), "the browser complains: {complaints:#?}");
    Ok(())
}

fn ensure_accessible(browser: &Browser<'_>) -> Result<()> {
    let mistakes = browser.run(OUTLINE)?;
    ensure!(mistakes == "", "{mistakes}");
    Ok(())
}

#[test]
fn the_page_follows_an_update() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::with_devices(2, "")?;
        let image = nginx::publish_image("image.bin", 1, 96 << 10)?;
        let _relay = Relay::start(&scene.net.relay, &format!("{CONFIG}{LINK}"))?;
        let browser = Browser::start(&scene.net.relay)?;
        browser.resize(1280, 900, false)?;
        browser.open(PAGE)?;
        ensure!(browser.run("return document.getElementById('transfers').hidden")? == true, "no device yet");
        let fetch = device::fetch(&scene.net.devices[0], "device", "/fw/image.bin", &[])?;
        // Without loading the page again: its script sees the device, its bar and the plot move.
        browser.run("window.unloaded = false")?;
        let bar = "return document.querySelector('#transfers progress')?.value ?? 0";
        let first = wait::until("a bar that moves", PATIENCE, || {
            browser.run(bar).ok()?.as_f64().filter(|&done| done > 0.0)
        })?;
        wait::until_true("more of it", PATIENCE, || {
            browser.run(bar).is_ok_and(|done| done.as_f64().is_some_and(|done| done > first))
        })?;
        // Who is refused is put above, and what is marked in the other row stays marked.
        browser.run("window.row = document.querySelector('#transfers tbody tr')")?;
        let mut astray = device::fetch(&scene.net.devices[1], "astray", "/elsewhere/image.bin", &[])?;
        ensure!(!astray.wait(PATIENCE)?.success());
        let rows = "return [document.querySelector('#transfers tbody tr').textContent, row.isConnected ? row.rowIndex : 0].join()";
        wait::until_true("the one that was refused", PATIENCE, || {
            browser.run(rows).is_ok_and(|rows| {
                rows.as_str()
                    .is_some_and(|rows| rows.contains("/elsewhere/image.bin") && rows.ends_with(",2"))
            })
        })?;
        let counts = browser.run("return document.getElementById('devices').textContent")?;
        ensure!(counts.as_str().is_some_and(|counts| counts.contains("; 1 refused")), "{counts}");
        let rises =
            "const points = Array.from(document.querySelector('#plot-devices polyline').points, (p) => p.y);
            return Math.max(...points) - Math.min(...points);";
        wait::until_true("a plot that rises", PATIENCE, || {
            browser.run(rises).is_ok_and(|rise| rise.as_f64().is_some_and(|rise| rise > 10.0))
        })?;
        let plots = "return document.querySelectorAll('#plots figure').length";
        ensure!(browser.run(plots)? == 3, "to devices, from origins, and the link");
        ensure_accessible(&browser)?;
        browser.keep_picture("status-wide")?;
        ensure!(fetch.image(PATIENCE)? == image);
        wait::until_true("its end", PATIENCE, || {
            browser.run("return document.querySelector('#transfers tbody').textContent").is_ok_and(|text| {
                text.as_str().is_some_and(|text| text.contains("finished") && text.contains("100 %"))
            })
        })?;
        ensure!(browser.run("return window.unloaded")? == false, "the page was loaded again");
        ensure_content(&browser)
    })
}

#[test]
fn plots_have_gaps_where_nobody_looked_or_the_relay_was_away() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let relay = Relay::start(&scene.net.relay, &format!("{CONFIG}{LINK}"))?;
        let browser = Browser::start(&scene.net.relay)?;
        browser.open(PAGE)?;
        let one = lines(&browser, 1)?;
        ensure!((one[0][1] - 1.0).abs() < 0.01, "the latest is now: {one:?}");
        // A tab that was hidden for a minute: its script did not run.
        browser
            .run("const real = performance.now.bind(performance); performance.now = () => real() + 60000;")?;
        let two = lines(&browser, 2)?;
        let gap = two[1][0] - two[0][1];
        ensure!((0.2..0.4).contains(&gap), "a minute of five: {two:?}");
        relay.stop()?;
        let _again = Relay::start(&scene.net.relay, &format!("{CONFIG}{LINK}"))?;
        let three = lines(&browser, 3)?;
        ensure!(three[2][0] > three[1][1] + 1.5 / 300.0, "no gap: {three:?}");
        ensure!(three.iter().all(|line| line[2] >= 1.0), "{three:?}");
        Ok(())
    })
}

#[test]
fn a_list_that_outgrows_the_page_gets_a_way_to_the_rest() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::with_devices(2, "")?;
        let image = nginx::publish_image("image.bin", 1, 5_000)?;
        let _relay = Relay::start(&scene.net.relay, &format!("{CONFIG}{LINK}"))?;
        let browser = Browser::start(&scene.net.relay)?;
        browser.open(&format!("{PAGE}?limit=1"))?;
        let way = "const pages = document.getElementById('devices-pages');
            return pages.hidden ? 'none' : Array.from(pages.children, (a) => `${a.textContent} ${a.getAttribute('href')}`).join()";
        ensure!(browser.run(way)? == "none");
        browser.run("window.unloaded = false")?;
        for (n, device) in scene.net.devices.iter().enumerate() {
            let fetch = device::fetch(device, &format!("device{n}"), "/fw/image.bin", &[])?;
            ensure!(fetch.image(PATIENCE)? == image);
        }
        wait::until_true("a way to the second device", PATIENCE, || {
            browser.run(way).is_ok_and(|way| way == "1 more devices ?limit=1&skip=1")
        })?;
        ensure!(browser.run("return window.unloaded")? == false, "the page was loaded again");
        ensure_accessible(&browser)?;
        browser.open(&format!("{PAGE}?limit=1&skip=1"))?;
        wait::until_true("the way back", PATIENCE, || {
            browser.run(way).is_ok_and(|way| way == "Previous devices ?limit=1&skip=0")
        })?;
        let images = "return document.querySelectorAll('#images tbody tr').length";
        ensure!(browser.run(images)? == 1, "the second page of devices has the images of the first");
        ensure!(browser.run("return document.getElementById('sessions-pages').hidden")? == true);
        ensure_content(&browser)
    })
}

#[test]
fn the_page_fits_phones_and_is_legible_in_light_and_dark() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let image = nginx::publish_image("firmware-with-a-long-name-1.4.2.bin", 1, 30_000)?;
        let relay = Relay::start(&scene.net.relay, &format!("{CONFIG}{LINK}"))?;
        let path = "/fw/firmware-with-a-long-name-1.4.2.bin";
        ensure!(device::fetch(&scene.net.devices[0], "device", path, &[])?.image(PATIENCE)? == image);
        let browser = Browser::start(&scene.net.relay)?;
        for (width, phone) in [(320, true), (360, true), (1000, false), (1280, false)] {
            for scheme in ["light", "dark"] {
                browser.resize(width, 800, phone)?;
                browser.prefer(scheme)?;
                browser.open(PAGE)?;
                wait::until_true("the plots", PATIENCE, || {
                    browser
                        .run("return !document.getElementById('goodput').hidden")
                        .is_ok_and(|shown| shown == true)
                })?;
                let wide = browser.run("return document.documentElement.scrollWidth - innerWidth")?;
                ensure!(number(&wide)? <= 0.0, "{width} pixels: {wide} too many");
                let contrast = browser.run(CONTRAST)?;
                ensure!(
                    number(&contrast["ratio"])? >= 4.5 && number(&contrast["texts"])? > 30.0,
                    "{scheme}: {contrast}"
                );
                let back = browser.run("return getComputedStyle(document.body).backgroundColor")?;
                ensure!((back == "rgb(18, 24, 29)") == (scheme == "dark"), "{scheme}: {back}");
                ensure_accessible(&browser)?;
                ensure!(browser.run(BROKEN)? == "", "{width} pixels: a word is broken");
                browser.keep_picture(&format!("status-{width}-{scheme}"))?;
            }
        }
        ensure_content(&browser)?;
        relay.stop()?;
        wait::until_true("the page to say that nobody answers", PATIENCE, || {
            browser.run("return document.body.classList.contains('old')").is_ok_and(|is_old| is_old == true)
        })?;
        for scheme in ["light", "dark"] {
            browser.prefer(scheme)?;
            let contrast = browser.run(CONTRAST)?;
            ensure!(number(&contrast["ratio"])? >= 4.5, "{scheme}, without answers: {contrast}");
        }
        Ok(())
    })
}

#[test]
fn without_scripts_the_page_says_the_same() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::create("")?;
        let image = nginx::publish_image("image.bin", 1, 30_000)?;
        let relay = Relay::start(&scene.net.relay, &format!("{CONFIG}{LINK}"))?;
        ensure!(
            device::fetch(&scene.net.devices[0], "device", "/fw/image.bin", &[])?.image(PATIENCE)? == image
        );
        let browser = Browser::start(&scene.net.relay)?;
        browser.resize(390, 800, true)?;
        browser.open(PAGE)?;
        // It has written every cell at least once when it says so.
        wait::until_true("the script's words", PATIENCE, || {
            browser
                .run("return document.getElementById('news').textContent")
                .is_ok_and(|news| news == "No devices are fetching.")
        })?;
        let with_script = browser.run(WORDS)?;
        browser.allow_scripts(false)?;
        browser.open(PAGE)?;
        let without = browser.run(WORDS)?;
        ensure_accessible(&browser)?;
        ensure!(browser.run("return document.getElementById('goodput').hidden")? == true, "the script ran");
        ensure!(without == with_script, "without: {without}\nwith: {with_script}");
        let words = without.as_str().context("no text")?;
        for word in [
            "https://origin.test/image.bin",
            "100 %",
            "finished",
            "fresh",
            "lowpan0",
            "1 known, 0 transfers under way",
        ] {
            ensure!(words.contains(word), "no {word:?} in {words}");
        }
        browser.keep_picture("status-without-script")?;
        let (status, page) = relay.ask("/")?;
        ensure!(status == 200 && page.contains("http-equiv=\"refresh\""), "it comes again by itself");
        ensure_content(&browser)
    })
}
