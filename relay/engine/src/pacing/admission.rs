//! Who may begin: as many devices as the link can serve without making any of them wait longer than a client has
//! patience for. The others are told when to come back, one after another.

use sixfold_profile::Instant;
use std::time::Duration;

/// How long a device waits for its next turn, if all turns are half as long as they should be. Clients wait 93 s, and the
/// estimate may be wrong.
const LONGEST_ROUND: Duration = Duration::from_secs(60);
/// Nobody is sent away for longer: a device that is silent for longer than EXCHANGE_LIFETIME (247 s) is forgotten, and its
/// appointment with it.
const LONGEST_ABSENCE: Duration = Duration::from_secs(200);
const SHORTEST_ABSENCE: Duration = Duration::from_secs(1);

/// The places of one link.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admission {
    members: usize,
    /// When the last of those that were sent away is to come back.
    promised: Option<Instant>,
}

/// What a newcomer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is a member from now on.
    Admitted,
    /// It is to come back then.
    ComeBack(Instant),
}

impl Admission {
    /// Judges a newcomer. `appointment` is what it was told before, `turn` the time of one turn, `transfer` for all it came for.
    pub(crate) fn judge(
        &mut self,
        now: Instant,
        appointment: Option<Instant>,
        turn: Duration,
        transfer: Duration,
    ) -> Verdict {
        let full = turn * u32::try_from(self.members + 1).unwrap_or(u32::MAX) > LONGEST_ROUND;
        match appointment {
            Some(at) if now < at => return Verdict::ComeBack(at),
            Some(_) if !full => {}
            None if !full && self.promised.is_none_or(|last| last <= now) => {}
            _ => return Verdict::ComeBack(self.next(now, transfer)),
        }
        self.members += 1;
        Verdict::Admitted
    }

    /// Devices that are served.
    pub(crate) const fn members(&self) -> usize {
        self.members
    }

    /// A member has all, or is forgotten.
    pub(crate) const fn left(&mut self) {
        self.members = self.members.saturating_sub(1);
    }

    /// Places become free one by one, each after the time of a transfer: so do appointments come.
    fn next(&mut self, now: Instant, transfer: Duration) -> Instant {
        let last = self.promised.map_or(now, |last| last.max(now));
        let mut at = (last + transfer).max(now + SHORTEST_ABSENCE);
        if at > now + LONGEST_ABSENCE {
            // Full for as long as that: the next ones come between those who have an appointment already.
            at = now + LONGEST_ABSENCE / 2;
        }
        self.promised = Some(at);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);
    const NOW: Instant = Instant::from_micros(5_000_000);

    #[test]
    fn those_beyond_the_capacity_come_back_one_by_one() {
        let mut admission = Admission::default();
        let mut ask = |now, appointment| admission.judge(now, appointment, S * 6, S * 20);
        let verdicts: Vec<_> = (0..12).map(|_| ask(NOW, None)).collect();
        assert!(verdicts[..10].iter().all(|&verdict| verdict == Verdict::Admitted));
        assert_eq!(verdicts[10..], [Verdict::ComeBack(NOW + S * 20), Verdict::ComeBack(NOW + S * 40)]);
        assert_eq!(
            ask(NOW + S, Some(NOW + S * 20)),
            Verdict::ComeBack(NOW + S * 20),
            "asking early is no use"
        );
        admission.left();
        assert_eq!(
            admission.judge(NOW + S, None, S * 6, S),
            Verdict::ComeBack(NOW + S * 41),
            "places are promised"
        );
        assert_eq!(admission.judge(NOW + S * 20, Some(NOW + S * 20), S * 6, S), Verdict::Admitted);
        assert_eq!(admission.members, 10);
    }

    #[test]
    fn nobody_is_sent_away_for_ever() {
        let mut admission = Admission::default();
        admission.judge(NOW, None, S, S);
        for _ in 0..10_000 {
            let Verdict::ComeBack(at) = admission.judge(NOW, None, S * 60, S * 3000) else { panic!("full") };
            assert!(at <= NOW + LONGEST_ABSENCE && at > NOW);
        }
    }
}
