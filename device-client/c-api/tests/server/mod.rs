//! A CoAP server in a thread: GET with Block2 for what was put there, a list of routes for who asks for a relay, and a group for who
//! asks for one, to which it sends nothing: members are answered as everybody.

use sixfold_profile::coap::{Block, Code, Message, Szx, Type, Writer, content_format, option};
use std::collections::HashMap;
use std::net::{Ipv6Addr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// Where it sends nothing.
pub(crate) const GROUP: Ipv6Addr = Ipv6Addr::new(0xff12, 0, 0, 0, 0, 0, 0, 0x6f);

#[derive(Default)]
struct Shared {
    bodies: Mutex<HashMap<String, Vec<u8>>>,
    requests: AtomicUsize,
    /// So many more requests are answered; `usize::MAX`: all.
    patience: AtomicUsize,
}

pub(crate) struct Server {
    shared: Arc<Shared>,
    port: u16,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let socket = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        let shared = Arc::new(Shared { patience: AtomicUsize::new(usize::MAX), ..Shared::default() });
        let served = shared.clone();
        let thread = Some(thread::spawn(move || serve(&socket, &served)));
        Self { shared, port, thread }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn put(&self, path: &str, body: Vec<u8>) {
        self.shared.bodies.lock().unwrap().insert(path.to_owned(), body);
    }

    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn silent_after(&self, requests: Option<usize>) {
        self.shared.patience.store(requests.unwrap_or(usize::MAX), Ordering::SeqCst);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An empty datagram ends it.
        let socket = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        socket.send_to(&[], (Ipv6Addr::LOCALHOST, self.port)).unwrap();
        self.thread.take().into_iter().for_each(|thread| thread.join().unwrap());
    }
}

fn serve(socket: &UdpSocket, shared: &Shared) {
    let mut buffer = [0; 2048];
    loop {
        // An ICMP error of a client that is gone is no end.
        let Ok((length, peer)) = socket.recv_from(&mut buffer) else { continue };
        if length == 0 {
            return;
        }
        let Ok(request) = Message::parse(&buffer[..length]) else { continue };
        if !request.code.is_request() {
            continue;
        }
        shared.requests.fetch_add(1, Ordering::SeqCst);
        let patience = shared.patience.load(Ordering::SeqCst);
        if patience == 0 {
            continue;
        }
        if patience != usize::MAX {
            shared.patience.store(patience - 1, Ordering::SeqCst);
        }
        let mut response = [0; 1152];
        let port = socket.local_addr().unwrap().port();
        let length = answer(&request, port, &shared.bodies.lock().unwrap(), &mut response);
        let _ = socket.send_to(&response[..length], peer);
    }
}

fn answer(request: &Message<'_>, port: u16, bodies: &HashMap<String, Vec<u8>>, buffer: &mut [u8]) -> usize {
    let segments = request.options().filter(|option| option.number == option::URI_PATH);
    let path: String = segments.map(|option| format!("/{}", String::from_utf8_lossy(option.value))).collect();
    if path == "/.well-known/core" {
        let (kind, id) = (request.message_type, request.message_id.wrapping_add(1));
        assert_eq!(kind, Type::NonConfirmable, "a question may go to a group");
        let writer = Writer::new(buffer, kind, Code::CONTENT, id, request.token).unwrap();
        return writer.payload(b"</fw>;rt=\"sixfold.route\"").unwrap();
    }
    let number = if request.option(option::Q_BLOCK2).is_some() { option::Q_BLOCK2 } else { option::BLOCK2 };
    let block = request.option(number).map_or(Block::first(Szx::MAX), |value| Block::decode(value).unwrap());
    let body = bodies.get(&path);
    if request.uint_option(option::ACCEPT) == Some(content_format::INFORMATIVE_RESPONSE.into()) {
        assert_eq!(request.uint_option(option::OBSERVE), Some(0));
        let (kind, code) = (Type::Acknowledgement, Code::SERVICE_UNAVAILABLE);
        let mut writer = Writer::new(buffer, kind, code, request.message_id, request.token).unwrap();
        writer.uint_option(option::CONTENT_FORMAT, content_format::INFORMATIVE_RESPONSE.into()).unwrap();
        return writer.payload(&informative(port)).unwrap();
    }
    let code = if body.is_some() { Code::CONTENT } else { Code::NOT_FOUND };
    let mut writer =
        Writer::new(buffer, Type::Acknowledgement, code, request.message_id, request.token).unwrap();
    let Some(rest) = body.and_then(|body| body.get(block.offset()..)) else { return writer.finish() };
    let size = block.szx.size();
    writer.uint_option(number, block.with_more(rest.len() > size).encode()).unwrap();
    writer.payload(&rest[..rest.len().min(size)]).unwrap()
}

/// `{0: [[-1, ::1, port], [-1, GROUP], 'on']}`, byte by byte.
fn informative(port: u16) -> Vec<u8> {
    let ([high, low], own) = (port.to_be_bytes(), Ipv6Addr::LOCALHOST.octets());
    let server = [&[0x83, 0x20, 0x50][..], &own, &[0x19, high, low]].concat();
    let group = [&[0x82, 0x20, 0x50][..], &GROUP.octets()].concat();
    [&[0xa1, 0x00, 0x83][..], &server, &group, &[0x42, b'o', b'n']].concat()
}
