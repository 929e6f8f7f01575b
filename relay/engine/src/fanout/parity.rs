//! Making parity symbols (`sixfold_profile::parity` says what is in them).

use sixfold_profile::coap::Szx;
use sixfold_profile::parity::{HEADER, Parity, SYMBOLS, word};

/// Where a segment of a body begins and ends, in bytes.
pub(crate) const fn bounds(segment: u8, szx: Szx, total: usize) -> (usize, usize) {
    let length = SYMBOLS as usize * szx.size();
    let start = segment as usize * length;
    (start, if start + length < total { start + length } else { total })
}

/// The payload of a parity symbol's message; `None` when not all of its segment is in `body`.
pub(crate) fn symbol(body: &[u8], total: usize, segment: u8, szx: Szx, seed: u16) -> Option<Vec<u8>> {
    let (start, end) = bounds(segment, szx, total);
    let bytes = body.get(start..end).filter(|bytes| !bytes.is_empty())?;
    let mut sum = vec![0_u8; szx.size()];
    for (index, symbols) in (0..).zip(bytes.chunks(32 * szx.size())) {
        let chosen = word(seed, index);
        let chosen = (0..32).map(|bit| chosen >> bit & 1 == 1);
        for (symbol, _) in symbols.chunks(szx.size()).zip(chosen).filter(|(_, chosen)| *chosen) {
            sum.iter_mut().zip(symbol).for_each(|(sum, byte)| *sum ^= byte);
        }
    }
    let mut payload = Vec::with_capacity(HEADER + sum.len());
    payload.extend(Parity::header(segment, seed));
    payload.extend(sum);
    Some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the words of the profile: XOR of the symbols whose bit is set, the last one filled up with zeros.
    #[test]
    fn a_symbol_is_the_sum_of_the_chosen_blocks() {
        let body: Vec<u8> = (0..100_000_u32).map(|byte| ((byte * 7919) >> 5) as u8).collect();
        for (szx, segment, seed) in [(2, 0, 0), (2, 0, 9), (3, 0, 65_535), (2, 0, 300)] {
            let szx = Szx::new(szx).unwrap();
            let mut sum = vec![0; szx.size()];
            for (number, block) in body.chunks(szx.size()).enumerate() {
                if word(seed, (number / 32) as u8) >> (number % 32) & 1 == 1 {
                    for place in 0..block.len() {
                        sum[place] ^= block[place];
                    }
                }
            }
            let payload = symbol(&body, body.len(), segment, szx, seed).unwrap();
            let parity = Parity::read(&payload).unwrap();
            assert_eq!((parity.segment, parity.seed, parity.symbol), (segment, seed, &sum[..]));
        }
    }

    #[test]
    fn segments_are_apart_and_must_be_here() {
        let body = vec![1; 2048 * 64 + 10];
        let last = symbol(&body, body.len(), 1, Szx::B64, 1).unwrap();
        assert!(last[3..13].iter().all(|byte| *byte == last[3]) && last[13..].iter().all(|byte| *byte == 0));
        assert_eq!(symbol(&body, body.len(), 2, Szx::B64, 1), None, "beyond the end");
        assert_eq!(symbol(&body[..2048 * 64], body.len(), 1, Szx::B64, 1), None, "to come");
        assert!(symbol(&body[..2048 * 64], body.len(), 0, Szx::B64, 1).is_some());
    }
}
