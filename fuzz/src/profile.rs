//! The ticket in flash.

use sixfold_profile::coap::Options;
use sixfold_profile::crc32;
use sixfold_profile::ticket::{Fields, MAX_TICKET};

/// Bytes as they are, and once more with length and CRC mended, so that the fields behind them are reached. A ticket that
/// is read is written and read again as the same one.
pub fn ticket(data: &[u8]) {
    read(data);
    let mut mended = data.to_vec();
    let Some(body) = mended.len().checked_sub(4).filter(|body| (8..=MAX_TICKET).contains(body)) else {
        return;
    };
    let length = mended.len() as u16;
    mended[..5].copy_from_slice(b"S6TK\x01");
    mended[6..8].copy_from_slice(&length.to_be_bytes());
    let crc = crc32(&mended[..body]);
    mended[body..].copy_from_slice(&crc.to_be_bytes());
    read(&mended);
}

fn read(bytes: &[u8]) {
    let Ok(ticket) = Fields::read(bytes) else { return };
    let options = Options::new(ticket.options).map(|option| option.value.len()).sum::<usize>();
    assert!(options <= ticket.options.len());
    let mut buffer = [0; MAX_TICKET];
    let length = ticket.write(&mut buffer).expect("what was read can be written");
    assert_eq!(Fields::read(&buffer[..length]), Ok(ticket));
}
