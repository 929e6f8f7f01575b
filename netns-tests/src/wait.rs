//! Waiting for a condition, up to a deadline that only a failure meets. Whoever sleeps elsewhere paces work (a load, a
//! slow client, trouble) and concludes nothing from the time.

use anyhow::{Result, bail};
use std::thread;
use std::time::{Duration, Instant};

/// Enough for anything that should happen at once, also on a busy machine.
pub const SOON: Duration = Duration::from_secs(90);

/// Asks `condition` until it gives a value, at most for `limit`; the error names `what` was waited for.
pub fn until<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("waited {limit:?} in vain for {what}");
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Like [`until`], for a condition that is only true or false.
pub fn until_true(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> Result<()> {
    until(what, limit, || condition().then_some(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_value_once_it_is_there() {
        let mut asked = 0;
        let value = until("the third time", SOON, || {
            asked += 1;
            (asked == 3).then_some("here")
        });
        assert_eq!(value.unwrap(), "here");
    }

    #[test]
    fn names_what_never_came() {
        let error = until_true("snow in July", Duration::from_millis(1), || false).unwrap_err();
        assert!(error.to_string().contains("snow in July"), "{error}");
    }
}
