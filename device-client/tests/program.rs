//! The program as scripts and people use it, against the model server on a loopback socket.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A panic is how a test fails.

mod model;

use coap_lite::{CoapOption, MessageType, Packet};
use hmac_sha256::Hash;
use model::{Server, block2, image};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use sixfold_manifest::keys::{Algorithm, SigningKey};
use sixfold_profile::coap::{Code, Szx};
use sixfold_profile::{Hex, Instant};
use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tempfile::TempDir;

/// How long any condition may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A model server on a socket of its own; stops when dropped.
struct Served {
    server: Arc<Mutex<Server>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    port: u16,
}

impl Served {
    fn new(server: Server) -> Self {
        let socket = UdpSocket::bind("[::]:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let server = Arc::new(Mutex::new(server));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped) = (server.clone(), stop.clone());
        let thread = thread::spawn(move || serve(&socket, &shared, &stopped));
        Self { server, stop, thread: Some(thread), port }
    }

    fn uri(&self, rest: &str) -> String {
        format!("coap://[::1]:{}{rest}", self.port)
    }

    fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap()
    }

    fn requests(&self) -> Vec<Packet> {
        self.server().requests.iter().map(|(_, request)| request.clone()).collect()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking(), "the model server panicked");
    }
}

fn serve(socket: &UdpSocket, server: &Mutex<Server>, stop: &AtomicBool) {
    let epoch = std::time::Instant::now();
    let now = || Instant::ZERO + epoch.elapsed();
    let mut buffer = [0; 2048];
    while !stop.load(Ordering::Relaxed) {
        let due = server.lock().unwrap().poll_timeout();
        let wait = due.map_or(Duration::from_millis(20), |due| due.since(now()));
        let wait = wait.clamp(Duration::from_micros(10), Duration::from_millis(20));
        socket.set_read_timeout(Some(wait)).unwrap();
        let received = socket.recv_from(&mut buffer);
        let mut server = server.lock().unwrap();
        if let Ok((length, peer)) = received {
            server.handle_datagram(now(), peer, &buffer[..length]);
        }
        for (peer, datagram) in server.poll_transmit(now()) {
            // The device may be gone.
            let _ = socket.send_to(&datagram, peer);
        }
    }
}

/// A directory with one file to be fetched.
struct Place {
    directory: TempDir,
    output: PathBuf,
}

impl Place {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let output = directory.path().join("image.bin");
        Self { directory, output }
    }

    fn command(&self, uri: &str, arguments: &[&str]) -> Command {
        // A shell that runs the tests in the background has them ignore SIGINT, and programs inherit that.
        let mut command = Command::new("env");
        command.args(["--default-signal=INT", env!("CARGO_BIN_EXE_sixfold-device")]);
        command.arg("fetch").arg(uri).arg("-o").arg(&self.output).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn fetch(&self, uri: &str, arguments: &[&str]) -> Ended {
        Ended(self.command(uri, arguments).output().unwrap())
    }

    fn start(&self, uri: &str) -> Child {
        self.command(uri, &[]).spawn().unwrap()
    }

    fn state(&self) -> Option<String> {
        fs::read_to_string(self.output.with_extension("bin.part.state")).ok()
    }

    /// The file is there, is the image, and is all that is there.
    fn assert_complete(&self, image: &[u8]) {
        assert!(fs::read(&self.output).unwrap() == image, "other bytes");
        assert_eq!(self.files(), ["image.bin"]);
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// A program that ended.
struct Ended(Output);

impl Ended {
    fn expect(self, status: i32) -> Self {
        assert_eq!(self.0.status.code(), Some(status), "{}", self.stderr());
        self
    }

    fn stdout(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    fn stderr(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }

    /// What it printed for people has these words.
    fn says(self, words: &str) -> Self {
        assert!(self.stderr().contains(words), "{words:?} is not in {:?}", self.stderr());
        self
    }
}

fn sum(image: &[u8], path: &Path) -> String {
    let digest = Hex(&Hash::hash(image)).to_string();
    format!("{digest}  {}\n", path.display())
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn whole_images() {
    for (length, szx) in
        [(0, "6"), (1, "0"), (1024, "6"), (1025, "6"), (98_304, "1024"), (5000, "64"), (4999, "0")]
    {
        let body = image(length, 1);
        let served = Served::new(Server::new(body.clone()));
        let place = Place::new();
        let ended = place.fetch(&served.uri("/fw/image.bin?board=7"), &["--szx", szx]).expect(0);
        assert_eq!(ended.stdout(), sum(&body, &place.output));
        ended.says(&format!("{length} bytes in")).says("retransmissions");
        place.assert_complete(&body);
        let first = &served.requests()[0];
        let values = |option| first.get_option(option).unwrap().iter().cloned().collect::<Vec<_>>();
        assert_eq!(values(CoapOption::UriPath), [b"fw".to_vec(), b"image.bin".to_vec()]);
        assert_eq!(values(CoapOption::UriQuery), [b"board=7"]);
        assert!(first.get_option(CoapOption::UriHost).is_none());
    }
}

#[test]
fn the_server_has_the_last_word_on_block_size() {
    let body = image(10_000, 2);
    let mut server = Server::new(body.clone());
    server.szx = Szx::B64;
    let served = Served::new(server);
    let place = Place::new();
    place.fetch(&served.uri("/fw"), &[]).expect(0);
    place.assert_complete(&body);
    let asked: Vec<_> = served.requests().iter().map(|request| block2(request).unwrap().szx).collect();
    assert_eq!(asked[0], Szx::MAX);
    assert!(asked[1..].iter().all(|szx| *szx == Szx::B64) && asked.len() == 157, "{asked:?}");
}

#[test]
fn hosts_by_name_and_zone() {
    let body = image(100, 3);
    let served = Served::new(Server::new(body.clone()));
    for host in ["localhost", "127.0.0.1", "[::1%25lo]", "[::1%lo]"] {
        let place = Place::new();
        place.fetch(&format!("coap://{host}:{}/fw", served.port), &[]).expect(0);
        place.assert_complete(&body);
    }
    let hosts: Vec<_> = served
        .requests()
        .iter()
        .map(|request| request.get_first_option(CoapOption::UriHost).cloned())
        .collect();
    assert_eq!(hosts, [Some(b"localhost".to_vec()), None, None, None]);
}

#[test]
fn through_a_forward_proxy() {
    let body = image(3000, 4);
    let served = Served::new(Server::new(body.clone()));
    let place = Place::new();
    let url = "https://updates.example/image.bin?x=%20y";
    place.fetch(url, &["--proxy", &served.uri("")]).expect(0);
    place.assert_complete(&body);
    for request in served.requests() {
        assert_eq!(request.get_first_option(CoapOption::ProxyUri).unwrap(), url.as_bytes());
        assert!(request.get_option(CoapOption::UriPath).is_none());
    }
}

#[test]
fn separate_responses() {
    let body = image(5000, 5);
    for message_type in [MessageType::Confirmable, MessageType::NonConfirmable] {
        let mut server = Server::new(body.clone());
        server.separate = Some((message_type, Duration::from_millis(2)));
        let served = Served::new(server);
        let place = Place::new();
        place.fetch(&served.uri("/fw"), &[]).expect(0);
        place.assert_complete(&body);
        if message_type == MessageType::Confirmable {
            wait_until("all five are acknowledged, also the last", || served.server().acknowledged == 5);
        }
    }
}

/// 16-byte blocks of a megabyte are more requests than there are Message IDs; the server remembers all answers.
#[test]
fn more_blocks_than_message_ids() {
    let body = image(70_000 * 16, 6);
    let served = Served::new(Server::new(body.clone()));
    let place = Place::new();
    place.fetch(&served.uri("/fw"), &["--szx", "0"]).expect(0);
    place.assert_complete(&body);
    assert_eq!(served.requests().len(), 70_000);
}

#[test]
fn killed_at_any_moment_it_goes_on() {
    // Ten seconds, so that none of the three kills comes after the end.
    let body = image(1 << 20, 7);
    let mut server = Server::new(body.clone());
    server.separate = Some((MessageType::NonConfirmable, Duration::from_millis(10)));
    let served = Served::new(server);
    let place = Place::new();
    let uri = served.uri("/fw");
    for signal in [Signal::SIGKILL, Signal::SIGINT, Signal::SIGKILL] {
        let before = place.state();
        let mut child = place.start(&uri);
        wait_until("a state with more bytes", || place.state() != before);
        signal::kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        child.wait().unwrap();
        assert!(!place.output.exists(), "the file appears only when it is complete");
    }
    let ended = place.fetch(&uri, &[]).expect(0).says("going on at");
    assert_eq!(ended.stdout(), sum(&body, &place.output));
    place.assert_complete(&body);
    // What a killed one sent may be read by the server after its end.
    let server = served.server();
    let (last, _) = server.requests.last().unwrap();
    let of_the_last = server.requests.iter().filter(|(peer, _)| peer == last);
    let nums: Vec<_> = of_the_last.map(|(_, request)| block2(request).unwrap().num()).collect();
    assert!(nums[0] >= 2, "it went on at block {}", nums[0]);
    assert!(nums.iter().copied().eq(nums[0]..1024), "in sequence to the end: {nums:?}");
}

#[test]
fn after_a_time_out_the_same_command_goes_on() {
    let body = image(20_000, 8);
    let served = Served::new(Server::new(body.clone()).script(|number, server| server.silent = number >= 7));
    let place = Place::new();
    let ended = place.fetch(&served.uri("/fw"), &["--timeout", "2"]).expect(4);
    assert_eq!(ended.stdout(), "");
    ended.says("--timeout is over").says("the same command goes on");
    assert_eq!(place.files(), ["image.bin.part", "image.bin.part.state"]);
    let asked = served.requests().len();
    served.server().remove_script();
    place.fetch(&served.uri("/fw"), &[]).expect(0).says("going on at 6.00 KiB");
    place.assert_complete(&body);
    assert_eq!(block2(&served.requests()[asked]).unwrap().num(), 6);
}

#[test]
fn told_not_to_resume() {
    let body = image(20_000, 9);
    let served = Served::new(Server::new(body.clone()).script(|number, server| server.silent = number == 7));
    let place = Place::new();
    place.fetch(&served.uri("/fw"), &["--timeout", "2"]).expect(4);
    place.fetch(&served.uri("/fw"), &["--no-resume"]).expect(0);
    place.assert_complete(&body);
    assert_eq!(block2(&served.requests()[8]).unwrap().num(), 0);
}

#[test]
fn a_changed_image_starts_over_and_says_so() {
    let (old, new) = (image(20_000, 10), image(9_000, 11));
    let change = |server: &mut Server, image: &[u8]| {
        server.image = image.to_vec();
        server.etag = b"two".to_vec();
    };
    // Within a run, and between two runs.
    let swapped = new.clone();
    let within = Served::new(Server::new(old.clone()).script(move |number, server| {
        if number == 5 {
            change(server, &swapped);
        }
    }));
    let place = Place::new();
    place.fetch(&within.uri("/fw"), &[]).expect(0).says("starting over: the server has another version now");
    place.assert_complete(&new);

    let between = Served::new(Server::new(old).script(|number, server| server.silent = number == 15));
    let place = Place::new();
    place.fetch(&between.uri("/fw"), &["--timeout", "2"]).expect(4);
    change(&mut between.server(), &new);
    place.fetch(&between.uri("/fw"), &[]).expect(0).says("going on at").says("starting over");
    place.assert_complete(&new);
}

#[test]
fn an_image_that_never_rests_is_given_up() {
    let restless =
        Server::new(image(20_000, 12)).script(|number, server| server.etag = number.to_be_bytes().to_vec());
    let served = Served::new(restless);
    let place = Place::new();
    place.fetch(&served.uri("/fw"), &[]).expect(5).says("changed too often");
    assert_eq!(served.requests().len(), 8, "three times over: each a first block and a second");
    assert!(!place.output.exists());
}

#[test]
fn refusals() {
    let cases = [
        (Code::NOT_FOUND, 3, "4.04 Not Found (no such luck)"),
        (Code::FORBIDDEN, 6, "4.03 Forbidden (no such luck)"),
        (Code::PROXYING_NOT_SUPPORTED, 6, "5.05"),
        (Code::VALID, 6, "2.03"),
    ];
    for (code, status, words) in cases {
        let mut server = Server::new(image(100, 13));
        server.error = Some((code, 60));
        let served = Served::new(server);
        let place = Place::new();
        place.fetch(&served.uri("/fw"), &[]).expect(status).says(words);
        assert!(place.files().is_empty(), "{:?}", place.files());
    }
}

#[test]
fn a_busy_server_is_asked_again_later() {
    let body = image(5000, 14);
    let served = Served::new(Server::new(body.clone()).script(|number, server| {
        server.error = (number == 2).then_some((Code::SERVICE_UNAVAILABLE, 1));
    }));
    let place = Place::new();
    place.fetch(&served.uri("/fw"), &[]).expect(0).says("busy and asks to wait 1 s");
    place.assert_complete(&body);
    assert_eq!(served.requests().len(), 6);

    let mut server = Server::new(body);
    server.error = Some((Code::TOO_MANY_REQUESTS, 3600));
    let served = Served::new(server);
    let place = Place::new();
    place.fetch(&served.uri("/fw"), &["--timeout", "30"]).expect(4).says("3600 s, which is longer than");
}

#[test]
fn nobody_there() {
    let port = UdpSocket::bind("[::1]:0").unwrap().local_addr().unwrap().port();
    let place = Place::new();
    let ended = place.fetch(&format!("coap://[::1]:{port}/fw"), &["--timeout", "2"]).expect(4);
    ended.says("Connection refused");
    assert!(place.files().is_empty());
}

#[test]
fn quiet_and_json() {
    let body = image(5000, 15);
    let served = Served::new(Server::new(body.clone()));
    let place = Place::new();
    let uri = served.uri("/fw");
    let ended = place.fetch(&uri, &["--quiet", "--json"]).expect(0);
    assert_eq!(ended.stderr(), "");
    let result: serde_json::Value = serde_json::from_str(&ended.stdout()).unwrap();
    assert_eq!(result["sha256"], sum(&body, &place.output)[..64]);
    assert_eq!(
        (&result["bytes"], &result["requests"], &result["retransmissions"]),
        (&5000.into(), &5.into(), &0.into())
    );
    assert_eq!(result["uri"], uri);
}

#[test]
fn nobody_reads_what_it_says() {
    let body = image(5000, 15);
    let mut server = Server::new(body.clone());
    let place = Place::new();
    let fetch = |served: &Served| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        place.command(&served.uri("/fw"), &[]).stderr(writer).status().unwrap().code()
    };
    assert_eq!(fetch(&Served::new(server)), Some(0));
    place.assert_complete(&body);
    server = Server::new(body);
    server.error = Some((Code::NOT_FOUND, 0));
    assert_eq!(fetch(&Served::new(server)), Some(3));
}

#[test]
fn command_lines_that_are_wrong() {
    let place = Place::new();
    let cases: [(&str, &[&str], &str); 10] = [
        ("image.bin", &[], "not a coap:// URI"),
        ("coaps://[::1]/fw", &[], "DTLS"),
        ("https://h/fw", &[], "--proxy"),
        ("coap://[fe80::1]/fw", &[], "name the interface"),
        ("coap://[fe80::1%nowhere0]/fw", &[], "no interface nowhere0"),
        ("coap://[ff02::fd%lo]/fw", &[], "multicast"),
        ("coap://[::1]/fw", &["--szx", "7"], "block size"),
        ("coap://[::1]/fw", &["--timeout", "0"], "more than 0"),
        ("coap://[::1]/fw", &["--proxy", "coap://[::1]/x"], "without path"),
        ("coap://[::1]/fw", &["--verbose"], "--verbose"),
    ];
    for (uri, arguments, words) in cases {
        place.fetch(uri, arguments).expect(2).says(words);
    }
    let long = format!("coap://[::1]/{}", ["x".repeat(200).as_str(); 6].join("/"));
    place.fetch(&long, &[]).expect(2).says("too long");
    assert!(place.files().is_empty());
}

#[test]
fn local_trouble() {
    let body = image(20_000, 16);
    let served = Served::new(Server::new(body));
    let nowhere = Place::new();
    fs::create_dir(&nowhere.output).unwrap();
    nowhere.fetch(&served.uri("/fw"), &[]).expect(7).says("cannot write");
    assert!(served.requests().is_empty(), "found before anything is asked");

    served.server().silent = true;
    let place = Place::new();
    let mut first = place.start(&served.uri("/fw"));
    wait_until("the first process asks", || !served.requests().is_empty());
    place.fetch(&served.uri("/fw"), &[]).expect(7).says("another process");
    first.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn it_explains_itself() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_sixfold-device")).args(arguments).output().unwrap();
        Ended(output).expect(0).stdout()
    };
    assert_eq!(run(&["--version"]), format!("sixfold-device {}\n", env!("CARGO_PKG_VERSION")));
    let help = run(&["fetch", "--help"]);
    for words in ["Examples:", "Exit status:", "--szx", "coap://[fe80::1%lowpan0]"] {
        assert!(help.contains(words), "{help}");
    }
}

/// The program in a shell that may write files of so many blocks of 512 bytes at most, as on a disk that is full.
fn with_little_room(folder: &Path, blocks: u32, arguments: &[&str]) -> Output {
    let script = format!("ulimit -f {blocks}; trap '' XFSZ; exec \"$0\" \"$@\"");
    let program = env!("CARGO_BIN_EXE_sixfold-device");
    Command::new("sh").args(["-c", &script, program]).args(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn flash_that_cannot_be_made_leaves_no_file_in_the_way() {
    let folder = TempDir::new().unwrap();
    let create = ["flash", "create", "flash.bin", "--slot-size", "131072"];
    let full = with_little_room(folder.path(), 16, &create);
    assert_eq!(full.status.code(), Some(7), "{full:?}");
    assert!(String::from_utf8_lossy(&full.stderr).contains("cannot create flash.bin"), "{full:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let again = with_little_room(folder.path(), 1 << 20, &create);
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["flash.bin"]);
}

#[test]
fn a_private_key_is_nothing_to_trust() {
    let folder = TempDir::new().unwrap();
    let room = |arguments: &[&str]| with_little_room(folder.path(), 1 << 20, arguments);
    assert!(room(&["flash", "create", "flash.bin", "--slot-size", "4096"]).status.success());
    let key = SigningKey::from_seed(Algorithm::Ed25519, &[7; 32]).unwrap();
    fs::write(folder.path().join("publisher.key"), key.to_pem().unwrap()).unwrap();
    let prepare = room(
        &"prepare --flash flash.bin --relay coap://[::1] --manifest /m --key publisher.key --vendor v --class c --secret s"
            .split(' ')
            .collect::<Vec<_>>(),
    );
    assert_eq!(prepare.status.code(), Some(2), "{prepare:?}");
    let said = String::from_utf8_lossy(&prepare.stderr);
    assert!(said.contains("publisher.key: this is the private half of a key"), "{said}");
}
