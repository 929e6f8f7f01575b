//! The pictures of the status page and the recordings of the terminal in `docs/pictures/`: two tests make them of updates, in
//! target/screenshots, from where `make pictures` takes them; the last one looks at what is there.

use anyhow::{Context, Result, ensure};
use sixfold_netns_tests::browser::{self, Browser};
use sixfold_netns_tests::netns::Netns;
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::relay::{CONFIG, Relay};
use sixfold_netns_tests::scene::Scene;
use sixfold_netns_tests::{device, image, nginx, sandbox, wait, workspace};
use std::fs;
use std::process::Command;
use std::time::Duration;

const NEEDS: &[Peer] = &[Peer::Nginx, Peer::Radvd, Peer::Chromium, Peer::Chromedriver];
const PAGE: &str = "http://[::1]:9683/";
const PATIENCE: Duration = Duration::from_secs(120);
/// Slow enough for half a minute of update.
const LINK: &str = "max_age = \"1 h\"\n[[link]]\ninterface = \"lowpan0\"\nbit_rate = 250000\n";
/// A picture that is larger does not belong into a repository.
const MOST_BYTES: u64 = 150_000;
const NAMES: [&str; 3] = ["status-light", "status-dark", "status-phone"];

#[test]
fn an_update_can_be_pictured() -> Result<()> {
    sandbox::run(NEEDS, || {
        let scene = Scene::with_devices(3, "")?;
        nginx::publish_image("lamp-1.4.bin", 1, 100_000)?;
        nginx::publish_image("meter-2.0.bin", 2, 80_000)?;
        let relay = Relay::start(&scene.net.relay, &format!("{CONFIG}{LINK}"))?;
        let browser = Browser::start(&scene.net.relay)?;
        browser.resize(1024, 800, false)?;
        browser.prefer("light")?;
        browser.open(PAGE)?;
        let fetches: Vec<_> = ["/fw/lamp-1.4.bin", "/fw/lamp-1.4.bin", "/fw/meter-2.0.bin"]
            .into_iter()
            .enumerate()
            .map(|(n, path)| device::fetch(&scene.net.devices[n], &format!("device{n}"), path, &[]))
            .collect::<Result<_>>()?;
        let least = "return Math.min(...Array.from(document.querySelectorAll('#transfers progress'), (bar) => bar.value / bar.max))";
        wait::until_true("every device to be half way", PATIENCE, || {
            browser.run(least).is_ok_and(|share| share.as_f64().is_some_and(|share| share > 0.5))
        })?;
        // The page stays as it is, so that its plots are in each picture.
        for (name, width, scheme, phone) in [
            (NAMES[0], 1024, "light", false),
            (NAMES[1], 1024, "dark", false),
            (NAMES[2], 390, "light", true),
        ] {
            browser.resize(width, 800, phone)?;
            browser.prefer(scheme)?;
            wait::until_true("the plots to have the width of the window", PATIENCE, || {
                let fits = "const svg = document.querySelector('#plot-devices svg');
                    return Math.abs(svg.viewBox.baseVal.width - svg.getBoundingClientRect().width) < 1;";
                browser.run(fits).is_ok_and(|fits| fits == true)
            })?;
            browser.keep_view(name)?;
            let picture = fs::metadata(browser::pictures().join(format!("{name}.png")))?;
            ensure!(picture.len() < MOST_BYTES, "{name}: {} bytes", picture.len());
        }
        let (code, status) = relay.command(&["status"])?;
        ensure!(code == 0 && status.contains("lamp-1.4.bin"), "{status}");
        fs::write(browser::pictures().join("status.txt"), format!("$ sixfold-relay status\n{status}"))?;
        for fetch in fetches {
            fetch.image(PATIENCE)?;
        }
        Ok(())
    })
}

/// What a terminal shows of commands that are typed there, and that must not fail.
fn typed(netns: &Netns, folder: &str, commands: &str) -> Result<String> {
    let mut text = String::new();
    for line in commands.replace("\\\n", "\0").lines() {
        let line = line.replace('\0', "\\\n");
        let mut shell = Command::new("sh");
        let path = format!("PATH={}:$PATH; exec 2>&1\n", workspace::program_dir().display());
        shell.current_dir(folder).args(["-euc", &(path + &line)]);
        let output = netns.enter(|| shell.output())??;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{line}: {said}");
        text += &format!("$ {line}\n{said}");
    }
    Ok(text)
}

const PUBLISHER: &str = "\
sixfold-publish sign lamp-1.4.bin --key publisher.key --vendor example.com --class lamp --sequence 14 --output www
";

const DEVICE: &str = "\
sixfold-device flash create flash.bin --slot-size 131072
sixfold-device prepare --flash flash.bin --discover wpan0 --manifest /fw/lamp-1.4.bin.suit \\
    --key publisher.key.pub --vendor example.com --class lamp --secret secret.bin
sixfold-device boot --flash flash.bin --interface wpan0
";

/// Whether a status shows that all devices have what they asked for.
fn is_at_rest(status: &str) -> bool {
    status.contains(" known, 0 transfers under way") && !status.contains("missing")
}

#[test]
fn an_update_can_be_recorded() -> Result<()> {
    sandbox::run(&[Peer::Nginx, Peer::Radvd], || {
        let scene = Scene::create("")?;
        let folder = "/run/recording";
        fs::create_dir(folder)?;
        fs::write(format!("{folder}/lamp-1.4.bin"), image::image(1, 40_000))?;
        fs::write(format!("{folder}/secret.bin"), image::image(2, 32))?;
        typed(&scene.net.origin, folder, "sixfold-publish keygen publisher.key\n")?;
        let mut recording = typed(&scene.net.origin, folder, PUBLISHER)?;
        for entry in fs::read_dir(format!("{folder}/www"))? {
            let entry = entry?;
            nginx::publish(entry.file_name().to_str().context("a name")?, &fs::read(entry.path())?)?;
        }
        let _relay = Relay::start(&scene.net.relay, &format!("{CONFIG}{LINK}"))?;
        recording += &typed(&scene.net.devices[0], folder, DEVICE)?;
        let status = wait::until("the update to be over in the status", PATIENCE, || {
            typed(&scene.net.relay, folder, "sixfold-relay status\n").ok().filter(|status| is_at_rest(status))
        })?;
        recording += &status;
        ensure!(recording.contains("the relay sends it to the group"), "{recording}");
        // Columns are filled up with spaces.
        let lines: Vec<&str> = recording.lines().map(str::trim_end).collect();
        fs::create_dir_all(browser::pictures())?;
        fs::write(browser::pictures().join("update.txt"), lines.join("\n") + "\n")?;
        Ok(())
    })
}

#[test]
fn the_documents_have_their_pictures() -> Result<()> {
    let folder = workspace::root().join("docs/pictures");
    let readme = fs::read_to_string(workspace::root().join("README.md"))?;
    for name in NAMES {
        let file = folder.join(format!("{name}.png"));
        let picture = fs::read(&file).with_context(|| file.display().to_string())?;
        ensure!(picture.starts_with(b"\x89PNG\r\n\x1a\n"), "{name} is no PNG");
        ensure!(picture.len() as u64 <= MOST_BYTES, "{name}: {} bytes", picture.len());
        ensure!(readme.contains(&format!("(docs/pictures/{name}.png)")), "the readme does not show {name}");
    }
    for (name, command, words) in [
        ("status.txt", "sixfold-relay status", ["lamp-1.4.bin", "lowpan0"]),
        ("demo.txt", "make demo", ["devices", "image.bin"]),
        ("update.txt", PUBLISHER, ["the group [ff02::fd]", "slot B"]),
    ] {
        let text = fs::read_to_string(folder.join(name)).with_context(|| name.to_owned())?;
        let typed = text.strip_prefix("$ ").is_some_and(|text| text.starts_with(command));
        ensure!(typed, "{name} does not begin with what was typed");
        ensure!(words.iter().all(|word| text.contains(word)), "{name}: {text}");
        ensure!(!text.contains('\x1b'), "{name} is plain text");
    }
    let recording = fs::read_to_string(folder.join("update.txt"))?;
    for typed in DEVICE.lines().chain(["sixfold-relay status"]) {
        ensure!(recording.contains(typed), "update.txt is older than the test: {typed}");
    }
    ensure!(is_at_rest(&recording), "update.txt shows an update that is not over: make pictures");
    let shown =
        format!("<!-- recording: make pictures -->\n```text\n{recording}```\n<!-- end of recording -->");
    ensure!(readme.contains(&shown), "the readme shows another update than update.txt: make pictures");
    Ok(())
}
