//! A name server that knows one name, for programs that do not read `/etc/hosts`.
//!
//! It has no other records than AAAA, and no TCP.

use crate::netns::Netns;
use anyhow::Result;
use std::net::{Ipv6Addr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// `origin.test`, as questions have it.
const NAME: &[u8] = b"\x06origin\x04test\0";
const HEADER: usize = 12;
const AAAA: [u8; 2] = [0, 28];

/// A name server at `[::1]:53` of a namespace, until this program ends.
#[derive(Clone, Debug)]
pub struct NameServer(Arc<Mutex<Option<Ipv6Addr>>>);

impl NameServer {
    /// Starts one that says that `origin.test` is there.
    pub fn start(netns: &Netns, address: Ipv6Addr) -> Result<Self> {
        let socket = netns.enter(|| UdpSocket::bind((Ipv6Addr::LOCALHOST, 53)))??;
        let server = Self(Arc::new(Mutex::new(Some(address))));
        let known = server.clone();
        thread::spawn(move || known.serve(&socket));
        Ok(server)
    }

    /// What it says from now on; with `None` it does not answer.
    pub fn set(&self, address: Option<Ipv6Addr>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    fn serve(&self, socket: &UdpSocket) {
        let mut buffer = [0; 512];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let address = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let answer = address.and_then(|address| answer(&buffer[..length], address));
            if let Some(answer) = answer {
                // Whoever asked asks again.
                let _ = socket.send_to(&answer, peer);
            }
        }
    }
}

/// RFC 1035 section 4.1. No such name, or no such record, is an answer too.
fn answer(query: &[u8], address: Ipv6Addr) -> Option<Vec<u8>> {
    let (header, question) = query.split_at_checked(HEADER)?;
    let end = question.iter().position(|&byte| byte == 0)? + 1;
    let (name, kind) = (question.get(..end)?, question.get(end..end + 2)?);
    let is_known = name.eq_ignore_ascii_case(NAME);
    let has_record = is_known && kind == AAAA;
    let mut answer = header[..2].to_vec();
    // An answer, with recursion as it was wanted; 3 is "no such name".
    answer.extend([0x81, if is_known { 0x80 } else { 0x83 }]);
    answer.extend([0, 1, 0, has_record.into(), 0, 0, 0, 0]);
    answer.extend(question.get(..end + 4)?);
    if has_record {
        // The name of the question, AAAA, IN, for a second, 16 bytes.
        answer.extend([0xc0, 0x0c, 0, 28, 0, 1, 0, 0, 0, 1, 0, 16]);
        answer.extend(address.octets());
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_has_one_record() {
        let ask = |name: &[u8], kind: u8| {
            let query = [b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0", name, &[0, kind, 0, 1]].concat();
            answer(&query, Ipv6Addr::LOCALHOST).unwrap()
        };
        let found = ask(NAME, 28);
        assert_eq!((&found[..4], found[7]), (&b"\x12\x34\x81\x80"[..], 1));
        assert!(found.ends_with(&Ipv6Addr::LOCALHOST.octets()));
        assert_eq!((ask(NAME, 1)[3], ask(NAME, 1)[7]), (0x80, 0), "no A");
        assert_eq!(ask(b"\x05other\0", 28)[3], 0x83);
        assert_eq!(answer(b"short", Ipv6Addr::LOCALHOST), None);
    }
}
