//! Which bytes of a body are a block, and whether they are here (RFC 7959 §2).

use sixfold_profile::coap::{Block, MAX_NUM, Szx};

/// A body, whole or still growing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Body<'a> {
    pub(crate) available: &'a [u8],
    /// The length, once known.
    pub(crate) total: Option<usize>,
}

/// What can be said of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut<'a> {
    /// Its bytes. The block option is `None` when body and question are both free of blocks.
    Ready(&'a [u8], Option<Block>),
    /// Its bytes, or the knowledge whether more follow, are still to come.
    NotYet,
    /// The body ends before it.
    BeyondEnd,
    /// The body has more blocks of this size than a NUM of 20 bits can count.
    TooManyBlocks,
}

impl<'a> Body<'a> {
    pub(crate) fn whole(body: &'a [u8]) -> Self {
        Self { available: body, total: Some(body.len()) }
    }

    /// Cuts the block asked for; without a question, the first one of `preferred` size, or everything if it
    /// fits one block.
    pub(crate) fn cut(&self, asked: Option<Block>, preferred: Szx) -> Cut<'a> {
        let Some(block) = asked.unwrap_or(Block::first(preferred)).at_most(preferred) else {
            return Cut::TooManyBlocks;
        };
        let (start, size) = (block.offset(), block.szx.size());
        let end = start + size;
        let Some(total) = self.total.or((self.available.len() > end).then_some(usize::MAX)) else {
            return Cut::NotYet;
        };
        if total != usize::MAX && total.div_ceil(size) > MAX_NUM as usize + 1 {
            return Cut::TooManyBlocks;
        }
        if start >= total && start > 0 {
            return Cut::BeyondEnd;
        }
        let more = end < total;
        let Some(bytes) = self.available.get(start..end.min(total)) else {
            return Cut::NotYet;
        };
        let option = block.with_more(more);
        Cut::Ready(bytes, (asked.is_some() || more).then_some(option))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(num: u32, szx: Szx) -> Option<Block> {
        Block::new(num, false, szx)
    }

    fn ready(cut: Cut<'_>) -> (usize, u32, bool) {
        match cut {
            Cut::Ready(bytes, Some(block)) => (bytes.len(), block.num(), block.more),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn cuts_a_whole_body() {
        let bytes = [1; 150];
        let body = Body::whole(&bytes);
        assert_eq!(ready(body.cut(block(0, Szx::B64), Szx::MAX)), (64, 0, true));
        assert_eq!(ready(body.cut(block(2, Szx::B64), Szx::MAX)), (22, 2, false));
        assert_eq!(body.cut(block(3, Szx::B64), Szx::MAX), Cut::BeyondEnd);
        assert_eq!(body.cut(None, Szx::MAX), Cut::Ready(&bytes, None));
        assert_eq!(ready(body.cut(None, Szx::B64)), (64, 0, true));
        assert_eq!(ready(body.cut(block(1, Szx::B64), Szx::MIN)), (16, 4, true), "down, same offset");
    }

    #[test]
    fn an_exact_multiple_has_no_empty_last_block() {
        let body = Body::whole(&[1; 128]);
        assert_eq!(ready(body.cut(block(1, Szx::B64), Szx::MAX)), (64, 1, false));
        assert_eq!(body.cut(block(2, Szx::B64), Szx::MAX), Cut::BeyondEnd);
    }

    #[test]
    fn an_empty_body_is_one_empty_block() {
        assert_eq!(ready(Body::whole(&[]).cut(block(0, Szx::B64), Szx::MAX)), (0, 0, false));
        assert_eq!(Body::whole(&[]).cut(block(1, Szx::B64), Szx::MAX), Cut::BeyondEnd);
    }

    #[test]
    fn waits_for_bytes_and_for_what_follows() {
        let growing = |length: usize, total| Body { available: &[1; 300][..length], total };
        assert_eq!(growing(63, Some(300)).cut(block(0, Szx::B64), Szx::MAX), Cut::NotYet);
        assert_eq!(ready(growing(64, Some(300)).cut(block(0, Szx::B64), Szx::MAX)), (64, 0, true));
        assert_eq!(growing(64, None).cut(block(0, Szx::B64), Szx::MAX), Cut::NotYet, "is it the last?");
        assert_eq!(ready(growing(65, None).cut(block(0, Szx::B64), Szx::MAX)), (64, 0, true));
        assert_eq!(growing(0, None).cut(None, Szx::MAX), Cut::NotYet);
    }

    #[test]
    fn num_has_20_bits() {
        let large = Body { available: &[], total: Some((MAX_NUM as usize + 1) * 16 + 1) };
        assert_eq!(large.cut(block(0, Szx::MIN), Szx::MAX), Cut::TooManyBlocks);
        assert_eq!(large.cut(block(0, Szx::B64), Szx::MAX), Cut::NotYet);
        assert_eq!(large.cut(block(MAX_NUM, Szx::B64), Szx::MIN), Cut::TooManyBlocks);
    }
}
