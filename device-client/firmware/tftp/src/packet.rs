//! Packets (RFC 1350 §5, RFC 2347, RFC 2348).

use crate::BLOCK;

#[derive(Clone, Copy)]
enum Opcode {
    ReadRequest = 1,
    Data = 3,
    Acknowledgement = 4,
    Error = 5,
    OptionAcknowledgement = 6,
}

/// What a server says.
pub(crate) enum Received<'d> {
    /// A block.
    Data(u16, &'d [u8]),
    /// The size of blocks.
    Options(u16),
    /// It will not go on.
    Error,
}

const MODE: &[u8] = b"\0octet\0";
const OPTION: &[u8] = b"blksize\0";
/// [`BLOCK`], as the option's value is written.
const VALUE: &[u8] = b"1024\0";
const _: () = assert!(BLOCK == 1024);

/// Writes a read request; gives its length, if the buffer is long enough.
pub(crate) fn request(buffer: &mut [u8], name: &[u8]) -> Option<usize> {
    let length = put(buffer, 0, &[0, Opcode::ReadRequest as u8])?;
    let length = put(buffer, length, name)?;
    let length = put(buffer, length, MODE)?;
    let length = put(buffer, length, OPTION)?;
    put(buffer, length, VALUE)
}

/// Writes an acknowledgement.
pub(crate) fn acknowledgement(buffer: &mut [u8], block: u16) -> Option<usize> {
    let [high, low] = block.to_be_bytes();
    put(buffer, 0, &[0, Opcode::Acknowledgement as u8, high, low])
}

fn put(buffer: &mut [u8], at: usize, bytes: &[u8]) -> Option<usize> {
    let end = at.checked_add(bytes.len())?;
    buffer.get_mut(at..end)?.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    Some(end)
}

/// Reads what a server may send; anything else is `None`.
pub(crate) fn read(datagram: &[u8]) -> Option<Received<'_>> {
    let ([0, opcode], rest) = datagram.split_first_chunk()? else { return None };
    if *opcode == Opcode::Data as u8 {
        let (block, bytes) = rest.split_first_chunk()?;
        Some(Received::Data(u16::from_be_bytes(*block), bytes))
    } else if *opcode == Opcode::OptionAcknowledgement as u8 {
        Some(Received::Options(block_size(rest)?))
    } else {
        (*opcode == Opcode::Error as u8).then_some(Received::Error)
    }
}

/// The one option that was asked for. Its name may come in other letters (RFC 2347).
fn block_size(options: &[u8]) -> Option<u16> {
    let (name, value) = options.split_at_checked(OPTION.len())?;
    let digits = value.strip_suffix(&[0]).filter(|_| name.eq_ignore_ascii_case(OPTION))?;
    digits.iter().try_fold(0_u16, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}
