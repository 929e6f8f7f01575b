//! Varnish between relays and the origin, with the sample of `config/scale-out/`: whose image a relay gets while files change and the
//! origin fails.

use anyhow::{Context, Result, anyhow, ensure};
use sixfold_netns_tests::ca::Ca;
use sixfold_netns_tests::image::sha256;
use sixfold_netns_tests::nginx::{self, Access, Nginx};
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::relay::Relay;
use sixfold_netns_tests::site::{CONFIG, Site};
use sixfold_netns_tests::{sandbox, wait};
use std::fs;
use std::thread;
use std::time::Duration;

const LEN: usize = 300_000;
const PATIENCE: Duration = Duration::from_secs(120);
/// While this file is there, the origin answers 500 for images.
const FAILING: &str = "/run/failing";
/// While this one is, it answers nothing at all.
const AWAY: &str = "/run/away";
/// While this one is, images take a second.
const SLOW: &str = "/run/slow";
/// An origin that changes whatever may be changed: it compresses for whoever wants that.
const ORIGIN: &str = "
    add_header Cache-Control max-age=0;
    gzip on; gzip_types application/octet-stream; gzip_proxied any;
    if (-f /run/away) { return 444; }
    location ~ bin$ {
        if (-f /run/failing) { return 500; }
        if (-f /run/slow) { set $limit_rate 200k; }
    }
";

/// What a relay gets that has nothing yet: the digest.
fn fetch_anew(relay: &Relay<'_>) -> Result<String> {
    relay.command(&["purge", "/fw/image.bin"])?;
    let (code, said) = relay.command(&["prefetch", "/fw/image.bin"])?;
    ensure!(code == 0, "{said}");
    Ok(said)
}

fn asked() -> Result<Vec<Access>> {
    nginx::accesses("GET /image.bin")
}

/// Fetches, and gets `image` each time, until the origin was asked for it once more and gave this status.
fn fetch_until_asked(relay: &Relay<'_>, image: &str, status: u16) -> Result<()> {
    let count = || Ok::<_, anyhow::Error>(asked()?.iter().filter(|access| access.status == status).count());
    let before = count()?;
    wait::until(&format!("the origin to answer {status}"), PATIENCE, || {
        let fetched = fetch_anew(relay).and_then(|said| {
            ensure!(said.contains(image), "another image: {said}");
            Ok(count()? > before)
        });
        fetched.map(|is_over| is_over.then_some(())).transpose()
    })?
}

#[test]
fn varnish_gives_old_images_where_the_origin_fails_and_only_there() -> Result<()> {
    sandbox::run(&[Peer::Nginx, Peer::Varnish], || {
        let site = Site::create(2)?;
        let ca = Ca::create("ca")?;
        let identity = ca.issue(&["origin.test"])?;
        let _origin = Nginx::start(
            &site.origin,
            &[nginx::Site { port: 443, identity: &identity, directives: ORIGIN }],
        )?;
        nginx::publish("alive.txt", b"yes")?;
        let _cache = site.start_varnish(&ca.issue(&["cache.test"])?, "/run/ca/ca.pem".as_ref())?;
        let relays = site.start_relays(CONFIG)?;

        let first = sha256(&nginx::publish_image("image.bin", 1, LEN)?);
        // Two at once cost one fetch.
        fs::write(SLOW, "")?;
        thread::scope(|scope| {
            let both: Vec<_> = relays.iter().map(|relay| scope.spawn(|| fetch_anew(relay))).collect();
            both.into_iter().try_for_each(|one| {
                let said = one.join().map_err(|_| anyhow!("a panic"))??;
                ensure!(said.contains(&first), "{said}");
                Ok(())
            })
        })?;
        nginx::wait_for_body_bytes("GET /image.bin", LEN)?;

        fs::remove_file(SLOW)?;

        fs::write(FAILING, "")?;
        fetch_until_asked(&relays[0], &first, 500)?;
        fetch_until_asked(&relays[0], &first, 500).context("the failure took the image's place")?;
        fs::remove_file(FAILING)?;
        fetch_until_asked(&relays[0], &first, 304)?;

        // Whoever makes Varnish ask gets what the origin has then.
        let second = sha256(&nginx::publish_image("image.bin", 2, LEN)?);
        wait::until("the second version", PATIENCE, || {
            let before = asked().map(|log| log.len());
            let compared = fetch_anew(&relays[0]).and_then(|said| {
                let before = before?;
                let is_new = said.contains(&second);
                if is_new {
                    // nginx writes the line after the last bytes.
                    let was_asked = || asked().is_ok_and(|log| log.len() > before);
                    wait::until_true("the question in the access log", wait::SOON, was_asked)?;
                } else {
                    ensure!(
                        asked()?.len() == before,
                        "the origin was asked, and this is not its image: {said}"
                    );
                }
                Ok(is_new)
            });
            compared.map(|is_new| is_new.then_some(())).transpose()
        })??;

        fs::write(AWAY, "")?;
        wait::until_true("Varnish to see that the origin is away", PATIENCE, || {
            let unanswered = |log: &Vec<Access>| log.iter().filter(|access| access.status == 444).count();
            nginx::accesses("GET /alive.txt").is_ok_and(|log| unanswered(&log) >= 4)
        })?;
        ensure!(fetch_anew(&relays[0])?.contains(&second));

        let log = asked()?;
        ensure!(log.iter().all(|access| access.accept_encoding.is_empty()), "{log:#?}");
        Ok(())
    })
}
