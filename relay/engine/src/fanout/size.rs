//! The block size of a stream: large blocks have less around them, but all fragments of a datagram must arrive.

use super::stream::AROUND_BLOCK;
use crate::pacing::Radio;
use sixfold_profile::coap::Szx;
use sixfold_profile::parity::SMALLEST;

/// The size with which most bytes arrive for each second of airtime, `limit` at most and 64 bytes at least. `lost` is the
/// share of datagrams with blocks of `szx` that is lost; `headers` is how many bytes the compressed headers of each have.
pub(crate) fn best(radio: Radio, headers: usize, limit: Szx, szx: Szx, lost: f64) -> Szx {
    let frames = |szx: Szx| radio.frames_to_group(headers, szx.size() + AROUND_BLOCK) as f64;
    let arrives = (1.0 - lost).max(0.01).powf(1.0 / frames(szx));
    let goodput = |szx: Szx| {
        let airtime = radio.airtime_to_group(headers, szx.size() + AROUND_BLOCK);
        szx.size() as f64 * arrives.powf(frames(szx)) / airtime.as_secs_f64()
    };
    let sizes = (SMALLEST.exponent()..=limit.exponent()).filter_map(Szx::new);
    sizes.max_by(|a, b| goodput(*a).total_cmp(&goodput(*b))).unwrap_or(SMALLEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_blocks_where_little_is_lost_and_small_ones_where_much_is() {
        let size = |lost| best(Radio::default(), 17, Szx::MAX, Szx::B64, lost).size();
        assert_eq!((size(0.0), size(0.3), size(0.9)), (1024, 64, 64));
        assert_eq!(best(Radio::default(), 17, Szx::B64, Szx::B64, 0.0), Szx::B64, "never above the limit");
        let sizes: Vec<_> = (0..10).map(|tenth| size(f64::from(tenth) / 10.0)).collect();
        assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
    }
}
