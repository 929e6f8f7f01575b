//! When devices have power.

use crate::random::Random;
use crate::scenario::{Disturbance, Scenario};
use sixfold_profile::Instant;
use std::time::Duration;

/// The stream of a run's randomness that decides whom disturbances hit; of its own, so that a scenario without them is
/// the same run as ever.
const STREAM: u64 = 4;

/// When a device powers on, and when its power fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Power {
    pub(super) on: Instant,
    pub(super) fails: Option<Instant>,
}

/// The power of all that fetch, in their order. `on` is when each would power on were it not late.
pub(super) fn plan(scenario: &Scenario, seed: u64, on: &[Instant]) -> Vec<Power> {
    let disturbance = &scenario.disturbance;
    let mut random = Random::new(seed, STREAM);
    let mut plan: Vec<Power> = on.iter().map(|&on| Power { on, fails: None }).collect();
    for place in some(plan.len(), disturbance.late, &mut random) {
        plan[place].on = moment(disturbance.late_after, disturbance.late_within, &mut random);
    }
    for place in some(plan.len(), disturbance.reboots, &mut random) {
        let Disturbance { reboots_after, reboots_within, .. } = *disturbance;
        let fails = moment(reboots_after, reboots_within, &mut random);
        // Who is not there yet loses nothing: its power fails as soon as it is on.
        plan[place].fails = Some(fails.max(plan[place].on));
    }
    plan
}

/// So large a share of the places up to `all`, each at most once.
fn some(all: usize, share: f64, random: &mut Random) -> Vec<usize> {
    let mut places: Vec<usize> = (0..all).collect();
    let count = (all as f64 * share).round() as usize;
    for place in 0..count.min(all) {
        let other = place + random.below((all - place) as u32) as usize;
        places.swap(place, other);
    }
    places.truncate(count);
    places
}

fn moment(after: Duration, within: Duration, random: &mut Random) -> Instant {
    Instant::ZERO + after + share_of(within, random)
}

/// A random part of a time.
pub(super) fn share_of(time: Duration, random: &mut Random) -> Duration {
    time.mul_f64(f64::from(random.bits()) / 4_294_967_296.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Overrides;

    fn plan_of(disturbance: &str) -> Vec<Power> {
        let text = format!(
            "name = \"p\"\ntopology = {{ shape = \"star\", devices = 40 }}\n[disturbance]\n{disturbance}"
        );
        let scenario = Scenario::read(&text, &Overrides::default()).unwrap();
        plan(&scenario, 1, &[Instant::from_micros(7); 40])
    }

    #[test]
    fn nothing_goes_wrong_unless_the_scenario_says_so() {
        assert_eq!(plan_of(""), [Power { on: Instant::from_micros(7), fails: None }; 40]);
    }

    #[test]
    fn as_many_are_hit_as_it_says() {
        let plan =
            plan_of("late = 0.5\nlate_after_s = 8\nlate_within_s = 2\nreboots = 0.25\nreboots_after_s = 3");
        let (eight, ten) = (Instant::from_micros(8_000_000), Instant::from_micros(10_000_000));
        let late = |power: &&Power| (eight..ten).contains(&power.on);
        assert_eq!(plan.iter().filter(late).count(), 20);
        assert_eq!(plan.iter().filter(|power| power.fails.is_some()).count(), 10);
        assert!(plan.iter().all(|power| power.fails.is_none_or(|fails| fails >= power.on)));
        assert!(plan.iter().any(|power| late(&power) && power.fails.is_some()));
        let all = plan_of("late = 1.0\nlate_after_s = 8\nreboots = 1\nreboots_within_s = 0");
        assert_eq!(all, [Power { on: eight, fails: Some(eight) }; 40]);
    }
}
