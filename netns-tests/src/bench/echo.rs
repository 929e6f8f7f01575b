//! The bound: a server that answers every datagram with one of the right size and looks at nothing but what a
//! client needs to recognise its answer. Same sockets, same runtime, same system calls as the relay.

use anyhow::{Context, Result};
use sixfold_engine::Transmit;
use sixfold_profile::coap::Szx;
use sixfold_relay::udp::{BatchSocket, RecvBatch};
use std::net::SocketAddr;

/// What the relay puts beside the payload: ETag, Max-Age, Block2 and the payload marker.
const OPTION_BYTES: [u8; 15] = [0x48, 1, 2, 3, 4, 5, 6, 7, 8, 0xa1, 60, 0x91, 0x0a, 0xff, 0];
const MARKED: usize = OPTION_BYTES.len() - 1;

/// Answers on `address` with payloads of `szx` until the process is ended.
///
/// # Errors
/// When the socket cannot be opened or fails.
pub fn serve(address: SocketAddr, szx: Szx) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let mut socket = BatchSocket::bind(address, None, 0).context("echo")?;
        let mut batch = RecvBatch::new();
        let mut answers: Vec<Transmit> = Vec::new();
        loop {
            socket.readable().await?;
            while socket.recv(&mut batch)? > 0 {
                answers.clear();
                answers.extend(batch.iter().filter_map(|received| {
                    Some(Transmit {
                        path: received.path,
                        bytes: answer(received.bytes, szx)?,
                        hop_limit: None,
                    })
                }));
                send_all(&mut socket, &answers).await?;
            }
        }
    })
}

async fn send_all(socket: &mut BatchSocket, answers: &[Transmit]) -> Result<()> {
    let mut sent = 0;
    while let Some(rest) = answers.get(sent..).filter(|rest| !rest.is_empty()) {
        sent += socket.send(rest, |_, _| {});
        if sent < answers.len() {
            socket.writable().await?;
        }
    }
    Ok(())
}

/// A piggybacked 2.05 with the Message ID and Token of the request.
fn answer(request: &[u8], szx: Szx) -> Option<Vec<u8>> {
    let token_length = usize::from(request.first()? & 0xf);
    let id_and_token = request.get(2..4 + token_length)?;
    let mut bytes = Vec::with_capacity(2 + id_and_token.len() + MARKED + szx.size());
    bytes.extend([0x60 | token_length as u8, 0x45]);
    bytes.extend(id_and_token);
    bytes.extend(&OPTION_BYTES[..MARKED]);
    bytes.resize(bytes.len() + szx.size(), 0);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::exchange::{Answer, Resource};
    use super::*;

    #[test]
    fn the_load_takes_it_for_an_answer() {
        let resource = Resource { path: vec!["image".into()], body: vec![0; 128], lengths_only: true };
        let mut buffer = [0; 64];
        let length = resource.request(513, 0, Szx::B64, &mut buffer).unwrap();
        let answer = answer(&buffer[..length], Szx::B64).unwrap();
        let checked = resource.check(&answer, 513, 0, Szx::B64).unwrap();
        assert_eq!(checked, Answer::Block { acknowledge: None });
        assert_eq!(super::answer(&[0x42, 1, 0], Szx::B64), None);
    }
}
