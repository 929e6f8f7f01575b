//! `sixfold-relay status` as a script meets it.
#![allow(clippy::unwrap_used, reason = "tests")]

use sixfold_relay::ops::status::{Cache, Origin, Status, Totals};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;

/// The admin address of a relay without links, that answers so many requests, and then is gone.
fn relay(answers: usize) -> String {
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let status = Status {
        version: "1.2.3".to_owned(),
        uptime_s: 5,
        listen: Vec::new(),
        cache: Cache { bytes: 0, limit_bytes: 1 },
        origin: Origin { bytes: 0, retries: 0, resumes: 0, requests: Default::default() },
        totals: Totals::default(),
        links: Vec::new(),
        unpaced: Vec::new(),
        absent: Vec::new(),
        images: Vec::new(),
        bans: Vec::new(),
        transfers: Vec::new(),
        sessions: Vec::new(),
    };
    let body = serde_json::to_string(&status).unwrap();
    thread::spawn(move || {
        let answer = |mut stream: TcpStream| {
            let mut request = BufReader::new(stream.try_clone().unwrap()).lines();
            while request.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            stream.write_all((head + &body).as_bytes()).unwrap();
        };
        for _ in 1..answers {
            answer(listener.accept().unwrap().0);
        }
        let (last, _) = listener.accept().unwrap();
        // Whoever has the last answer finds nobody any more.
        drop(listener);
        answer(last);
    });
    url
}

/// Something that is no relay, with this answer.
fn no_relay(answer: &'static str) -> String {
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let mut stream = listener.incoming().next().unwrap().unwrap();
        let mut request = BufReader::new(stream.try_clone().unwrap()).lines();
        while request.next().is_some_and(|line| !line.unwrap().is_empty()) {}
        stream.write_all(answer.as_bytes()).unwrap();
    });
    url
}

#[test]
fn what_is_no_relay_is_called_so_and_its_pages_are_not_printed() {
    for answer in [
        "HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 14\r\n\r\n<html>no</html",
        "HTTP/1.1 503 Busy\r\nContent-Length: 14\r\n\r\n<html>no</html",
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 14\r\n\r\n<html>no</html",
    ] {
        let output = status(&no_relay(answer), &[]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("is not a relay's admin address") && !said.contains("<html"), "{said}");
    }
}

fn status(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sixfold-relay"));
    command.args(["status", "--url", url]).args(arguments).stdin(Stdio::null());
    command
}

#[test]
fn it_is_printed_once_and_plain_into_a_pipe() {
    let output = status(&relay(1), &[]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.starts_with("sixfold-relay 1.2.3, up 5 s") && !text.contains('\x1b'), "{text}");
    assert_eq!(text.matches("sixfold-relay").count(), 1, "{text}");
    let output = status(&relay(1), &["--json"]).output().unwrap();
    let parsed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(parsed["version"], "1.2.3");
}

#[test]
fn it_is_watched_for_as_long_as_somebody_reads() {
    let mut command = status(&relay(100), &["--watch", "--json", "--interval", "100ms"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        let line = lines.next().unwrap().unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap()["uptime_s"], 5);
    }
    drop(lines);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_relay_that_goes_away_ends_the_watch() {
    let command = &mut status(&relay(2), &["--watch", "--interval", "100ms"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stdout).matches("sixfold-relay 1.2.3").count(), 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("is the relay running"));
}
