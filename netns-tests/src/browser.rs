//! Chromium without a screen, told what to do through chromedriver (W3C WebDriver over plain HTTP).

use crate::netns::Netns;
use crate::peer::Peer;
use crate::process::Process;
use crate::{wait, workspace};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const DRIVER: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 9515);

/// A browser needs a while to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running browser with one window.
#[derive(Debug)]
pub struct Browser<'a> {
    netns: &'a Netns,
    session: String,
    _driver: Process,
}

impl<'a> Browser<'a> {
    /// Starts it in a namespace.
    pub fn start(netns: &'a Netns) -> Result<Self> {
        let mut command =
            Command::new(Peer::Chromedriver.program().with_context(|| Peer::Chromedriver.remedy())?);
        command.arg(format!("--port={}", DRIVER.1)).env("HOME", "/run");
        let driver = Process::start(netns, "chromedriver", command)?;
        let mut browser = Self { netns, session: String::new(), _driver: driver };
        wait::until_true("chromedriver to be ready", wait::SOON, || {
            browser.call("GET", "/status", None).is_ok_and(|status| status["ready"] == true)
        })?;
        // Without these it looks for its maker's services.
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--disable-quic",
            "--no-first-run",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--user-data-dir=/run/chromium",
        ];
        let program = Peer::Chromium.program().with_context(|| Peer::Chromium.remedy())?;
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": program, "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let session = browser.call("POST", "/session", Some(&capabilities))?;
        let id = session["sessionId"].as_str().with_context(|| format!("no session: {session}"))?;
        browser.session = format!("/session/{id}");
        Ok(browser)
    }

    /// Loads a page, and waits until it has.
    pub fn open(&self, url: &str) -> Result<()> {
        self.post("/url", &json!({ "url": url })).map(|_| ())
    }

    /// What a script's body returns in the page.
    pub fn run(&self, script: &str) -> Result<Value> {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// What has been complained about in the page's console since this was asked last: errors of scripts, files that are
    /// not there, violations of the page's policy.
    pub fn complaints(&self) -> Result<Vec<Value>> {
        let log = self.post("/se/log", &json!({"type": "browser"}))?;
        let entries = log.as_array().context("no log")?.iter();
        Ok(entries
            .filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING")
            .cloned()
            .collect())
    }

    /// A window of this size in CSS pixels, on a screen as phones have it or not.
    pub fn resize(&self, width: u32, height: u32, phone: bool) -> Result<()> {
        let scale = if phone { 2 } else { 1 };
        self.developer(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone}),
        )
    }

    /// Light or dark, as the user prefers.
    pub fn prefer(&self, scheme: &str) -> Result<()> {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.developer("Emulation.setEmulatedMedia", &json!({ "features": features }))
    }

    /// Whether pages loaded from now on may run scripts.
    pub fn allow_scripts(&self, allow: bool) -> Result<()> {
        self.developer("Emulation.setScriptExecutionDisabled", &json!({"value": !allow}))
    }

    /// Keeps a picture of the whole page for people: `target/screenshots/NAME.png`.
    pub fn keep_picture(&self, name: &str) -> Result<()> {
        self.capture(name, &json!({"captureBeyondViewport": true}))
    }

    /// The same of what is in the window.
    pub fn keep_view(&self, name: &str) -> Result<()> {
        self.capture(name, &json!({"captureBeyondViewport": false}))
    }

    fn capture(&self, name: &str, arguments: &Value) -> Result<()> {
        let command = json!({"cmd": "Page.captureScreenshot", "params": arguments});
        let answer = self.post("/goog/cdp/execute", &command)?;
        let picture = decode(answer["data"].as_str().context("no picture")?)?;
        let path = pictures().join(format!("{name}.png"));
        fs::create_dir_all(pictures())?;
        fs::write(&path, picture).with_context(|| path.display().to_string())
    }

    fn developer(&self, command: &str, arguments: &Value) -> Result<()> {
        self.post("/goog/cdp/execute", &json!({"cmd": command, "params": arguments})).map(|_| ())
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.call("POST", &format!("{}{path}", self.session), Some(body))
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let answer = self.netns.enter(|| exchange(method, path, &body))??;
        let answer: Value = serde_json::from_str(&answer).with_context(|| answer.clone())?;
        if let Some(error) = answer["value"]["error"].as_str() {
            bail!("{method} {path}: {error}: {}", answer["value"]["message"]);
        }
        Ok(answer["value"].clone())
    }
}

impl Drop for Browser<'_> {
    fn drop(&mut self) {
        let _ = self.call("DELETE", &self.session, None);
    }
}

/// Where pictures are kept.
pub fn pictures() -> PathBuf {
    workspace::target_dir().join("screenshots")
}

/// One request, one connection.
fn exchange(method: &str, path: &str, body: &str) -> Result<String> {
    let mut connection = TcpStream::connect(DRIVER)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        connection,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )?;
    // The driver does not close the connection.
    let mut answer = BufReader::new(connection);
    let mut length = None;
    loop {
        let mut line = String::new();
        ensure!(answer.read_line(&mut line)? > 0, "no HTTP answer");
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = Some(value.trim().parse()?);
            }
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length.context("an answer without length")?];
    answer.read_exact(&mut body)?;
    Ok(String::from_utf8(body)?)
}

/// Base64 (RFC 4648 section 4).
fn decode(text: &str) -> Result<Vec<u8>> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (Vec::with_capacity(text.len() / 4 * 3), 0u32, 0);
    for character in text.bytes().filter(|&character| character != b'=') {
        let value = ALPHABET.iter().position(|&letter| letter == character);
        bits = bits << 6 | u32::try_from(value.context("not Base64")?)?;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    ensure!(count < 6, "Base64 that breaks off");
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_rfc() {
        let vectors = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (bytes, text) in vectors {
            assert_eq!(decode(text).unwrap(), bytes.as_bytes());
        }
        assert!(decode("Zg==!").is_err());
    }
}
