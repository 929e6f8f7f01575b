//! Lamps of a soak: the device's own programs, again and again from an empty flash to an image. Some hear what the relay sends to a
//! group, one has a session.

use super::shared::{Phase, Shared, Way};
use crate::lamp::{edhoc, edhoc_key, prepare_with, release};
use crate::netns::Netns;
use crate::process::Process;
use crate::workspace;
use anyhow::Result;
use serde_json::Value;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// How many there are.
pub(super) const LAMPS: usize = 3;
const BYTES: usize = 12_345;
const RELAY_KEY: &str = "relay.key";
/// What the relay's configuration has for the one with a session.
pub(super) const SESSIONS: &str = "\
[sessions]
edhoc_key = \"/run/relay.key\"
edhoc_devices = \"/run/lamp.key.ccs\"
store = \"/run/soak-sessions/kept\"
";
/// How `prepare` ends when relay or origin are in trouble; other ends mean that wrong bytes came.
const IN_TROUBLE: [i32; 5] = [3, 4, 5, 6, 30];
/// Between two images, and before what failed is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// One lamp.
pub(super) struct Lamp<'s> {
    /// As `Shared` knows it.
    number: usize,
    netns: &'s Netns,
    shared: &'s Shared,
    image: &'s [u8],
    has_session: bool,
}

/// Makes keys, and an image that stays as it is.
pub(super) fn equip(netns: &Netns) -> Result<Vec<u8>> {
    edhoc_key(netns, RELAY_KEY, "sixfold-relay")?;
    edhoc_key(netns, "lamp.key", "lamp-7")?;
    release(netns, BYTES)
}

/// One for each of these namespaces.
pub(super) fn all<'s>(places: &'s [Netns], shared: &'s Shared, image: &'s [u8]) -> Vec<Lamp<'s>> {
    let first = shared.enrol(places.len());
    let lamp = |(place, netns)| Lamp { number: first + place, netns, shared, image, has_session: place == 0 };
    places.iter().enumerate().map(lamp).collect()
}

impl Lamp<'_> {
    /// Updates until the soak is over.
    pub(super) fn run(&self) -> Result<()> {
        while self.shared.phase() != Phase::Over {
            // Who has what it is to get leaves the link to the others.
            if self.shared.is_waited_for(self.number) {
                self.update()?;
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// An image, from an empty flash. What comes to its end too late is nobody's fault.
    fn update(&self) -> Result<()> {
        let began = Instant::now();
        let (flash, extracted) = (self.file("flash"), self.file("image"));
        if fs::exists(&flash)? {
            fs::remove_file(&flash)?;
        }
        let create = ["flash", "create", &flash, "--slot-size", "65536"].map(str::to_owned);
        let session = edhoc("/run/lamp.key", &format!("/run/{RELAY_KEY}.ccs")) + " --allow-plain";
        let prepare = prepare_with(&flash, if self.has_session { &session } else { "--szx 64" });
        for arguments in [&create[..], &prepare] {
            match self.finish(arguments)? {
                Some((0, _)) => {}
                Some((code, _)) if IN_TROUBLE.contains(&code) => {
                    self.shared.fail(format!("{} ends with {code}", arguments[0]));
                    return Ok(());
                }
                Some((code, said)) => {
                    self.shared
                        .wrong(format!("lamp {}: {} ends with {code}: {said}", self.number, arguments[0]));
                    return Ok(());
                }
                None => return Ok(()),
            }
        }
        let boot = ["boot", "--flash", &flash, "--json", "--extract", &extracted].map(str::to_owned);
        let Some((code, printed)) = self.finish(&boot)? else { return Ok(()) };
        if code != 0 || fs::read(&extracted).ok().as_deref() != Some(self.image) {
            self.shared.wrong(format!("lamp {}: boot ends with {code}: {printed}", self.number));
            return Ok(());
        }
        let result = printed.lines().next().unwrap_or_default();
        let heard = serde_json::from_str::<Value>(result)?["heard"].as_u64();
        let way = match (self.has_session, heard) {
            (true, _) => Way::Session,
            (false, Some(1..)) => Way::Group,
            (false, _) => Way::Alone,
        };
        self.shared.finish(self.number, way, began);
        Ok(())
    }

    fn file(&self, what: &str) -> String {
        format!("/run/{what}-{}", self.number)
    }

    /// The exit code of `sixfold-device`, and what it printed; `None` if the soak was over before.
    fn finish(&self, arguments: &[String]) -> Result<Option<(i32, String)>> {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let command = workspace::program("sixfold-device", &arguments);
        let mut process = Process::start(self.netns, &format!("lamp-{}", self.number), command)?;
        while self.shared.phase() != Phase::Over {
            if let Some(status) = process.status()? {
                return Ok(Some((status.code().unwrap_or(-1), process.output() + &process.log())));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(None)
    }
}
