//! What OSCORE adds to a block on the relay's side: a GET is unprotected, and the block is protected.

use super::report::median;
use anyhow::{Context, Result, ensure};
use nix::time::{ClockId, clock_gettime};
use sixfold_oscore::{Derived, Plain, Received, Repetition, ReplayWindow, Secret, SenderSequence};
use sixfold_profile::coap::{Block, Code, Message, Szx, Type, Writer, option};
use std::fmt;
use std::hint::black_box;

const ROUNDS: usize = 7;
const CALLS: u64 = 5_000;
const ROOM: usize = 1200;

/// Nanoseconds of CPU per message, by block size: the request, then the response.
#[derive(Clone, Debug)]
pub struct Protection(Vec<(usize, f64, f64)>);

/// Lets a device ask for block after block, and the relay answer.
///
/// # Errors
/// When a message cannot be read at the other end.
pub fn measure() -> Result<Protection> {
    let rows = [Szx::B64, Szx::MAX].map(|szx| {
        let runs = (0..ROUNDS).map(|_| blocks(szx)).collect::<Result<Vec<_>>>()?;
        let of = |values: Vec<f64>| median(values.into_iter()).unwrap_or(f64::NAN);
        let (requests, responses) = runs.into_iter().unzip();
        Ok((szx.size(), of(requests), of(responses)))
    });
    Ok(Protection(rows.into_iter().collect::<Result<_>>()?))
}

impl Protection {
    /// Everything as JSON.
    pub fn json(&self) -> serde_json::Value {
        let one = |&(block_bytes, request, response): &(usize, f64, f64)| serde_json::json!({"block_bytes": block_bytes, "unprotect_get_ns": request, "protect_block_ns": response});
        self.0.iter().map(one).collect()
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>6} {:>14} {:>14} {:>9}  OSCORE, ns of CPU",
            "block", "unprotect GET", "protect block", "together"
        )?;
        self.0.iter().try_for_each(|(block, request, response)| {
            writeln!(f, "{block:>6} {request:>14.0} {response:>14.0} {:>9.0}", request + response)
        })
    }
}

/// The time of one request and of one response, in the mean.
fn blocks(szx: Szx) -> Result<(f64, f64)> {
    let secret = Secret { master_secret: &[7; 16], master_salt: &[8; 8], id_context: None };
    let device = Derived::new(secret, b"dev", b"rel")?;
    let (get, content) = (get(szx)?, content(szx)?);
    let requests = requests(&device, &get)?;

    let (relay, mut window, mut buffer) = (device.peer(), ReplayWindow::new(), [0; ROOM]);
    let start = cpu_ns()?;
    let received = requests.iter().map(|request| {
        let message = Message::parse(black_box(request))?;
        let request =
            relay.unprotect_request(&mut window, Repetition::Refused, &message, black_box(&mut buffer))?;
        Ok(request.received)
    });
    let mut received = received.collect::<Result<Vec<Received>>>()?;
    let per_request = (cpu_ns()? - start) / CALLS as f64;

    let (message, mut length) = (Message::parse(&content)?, 0);
    let start = cpu_ns()?;
    for received in &mut received {
        let response = Plain::from(black_box(&message));
        length = relay.protect_response(received, None, &response, black_box(&mut buffer))?;
    }
    let per_response = (cpu_ns()? - start) / CALLS as f64;
    let response = device.context().unprotect_response(CALLS - 1, &mut buffer[..length])?;
    ensure!(buffer[..response.length] == content, "the device reads another block");
    Ok((per_request, per_response))
}

/// What this thread has computed, in nanoseconds: others do not count.
fn cpu_ns() -> Result<f64> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    Ok(time.tv_sec() as f64 * 1e9 + time.tv_nsec() as f64)
}

fn requests(device: &Derived, get: &[u8]) -> Result<Vec<Vec<u8>>> {
    let (message, mut numbers, mut buffer) = (Message::parse(get)?, SenderSequence::new(0..CALLS), [0; ROOM]);
    let one = |_| {
        let number = numbers.take().context("no number is left")?;
        let length = device.context().protect_request(&number, &Plain::from(&message), &mut buffer)?;
        Ok(buffer[..length].to_vec())
    };
    (0..CALLS).map(one).collect()
}

fn get(szx: Szx) -> Result<Vec<u8>> {
    let mut buffer = vec![0; ROOM];
    let mut writer = Writer::new(&mut buffer, Type::Confirmable, Code::GET, 0x1234, &[1, 2, 3, 4])?;
    writer.option(option::URI_PATH, b"fw")?;
    writer.option(option::URI_PATH, b"image-1.2.3.bin")?;
    writer.uint_option(option::BLOCK2, Block::new(77, false, szx).context("a block")?.encode())?;
    let length = writer.finish();
    buffer.truncate(length);
    Ok(buffer)
}

fn content(szx: Szx) -> Result<Vec<u8>> {
    let mut buffer = vec![0; ROOM];
    let mut writer = Writer::new(&mut buffer, Type::Acknowledgement, Code::CONTENT, 0x1234, &[1, 2, 3, 4])?;
    writer.option(option::ETAG, &[7; 8])?;
    writer.uint_option(option::MAX_AGE, 300)?;
    writer.uint_option(option::BLOCK2, Block::new(77, true, szx).context("a block")?.encode())?;
    let length = writer.payload(&vec![0x5a; szx.size()])?;
    buffer.truncate(length);
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    #[test]
    fn blocks_are_protected() {
        let table = super::measure().unwrap().to_string();
        assert_eq!(table.lines().count(), 3, "{table}");
    }
}
