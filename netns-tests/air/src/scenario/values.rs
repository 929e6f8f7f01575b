//! From a TOML value to a type that cannot be wrong. Each function says what is wrong and what would be right.

use crate::loss::Loss;
use sixfold_profile::coap::Szx;
use std::time::Duration;
use toml::de::{DeArray, DeValue};

/// What a reader of a value returns: the value, or what is wrong with it.
pub(super) type Outcome<T> = Result<T, String>;

/// Nothing is counted further: neither nodes nor places in a queue.
pub(super) const MOST: u32 = 1_000_000;

/// No time is longer: a year.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// At most this much of what the operator wrote is shown in a message.
const SHOWN: usize = 60;

/// What the operator wrote, fit for a message of one line.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

pub(super) fn text(value: &DeValue<'_>) -> Outcome<String> {
    match value.as_str() {
        Some("") => Err("this is empty; give a name".into()),
        Some(text) => Ok(text.to_owned()),
        None => Err(wrong(value, "a string in quotes")),
    }
}

pub(super) fn flag(value: &DeValue<'_>) -> Outcome<bool> {
    value.as_bool().ok_or_else(|| wrong(value, "true or false"))
}

/// A whole number from `least` to `most`.
pub(super) fn whole<T: TryFrom<u32>>(least: u32, most: u32) -> impl Fn(&DeValue<'_>) -> Outcome<T> {
    move |value| {
        let number = integer(value)?;
        let in_range = within(number, least, most)?;
        T::try_from(in_range).map_err(|_| out_of_range(number, least, most))
    }
}

/// `number` if it lies from `least` to `most`.
pub(super) fn within(number: i64, least: u32, most: u32) -> Outcome<u32> {
    u32::try_from(number)
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| out_of_range(number, least, most))
}

fn out_of_range(number: i64, least: u32, most: u32) -> String {
    format!("{number} is out of range; give a whole number from {least} to {most}")
}

/// The size of a block (RFC 7959 §2.2) in bytes.
pub(super) fn block(value: &DeValue<'_>) -> Outcome<u16> {
    block_bytes(integer(value)?)
}

/// `bytes` if that is the size of a block.
pub(super) fn block_bytes(bytes: i64) -> Outcome<u16> {
    usize::try_from(bytes)
        .ok()
        .and_then(Szx::from_size)
        .map(|szx| szx.size() as u16)
        .ok_or_else(|| format!("{bytes} is no block size; give 16, 32, 64, 128, 256, 512 or 1024"))
}

/// A number of seconds, or none.
pub(super) fn seconds_or_none(value: &DeValue<'_>) -> Outcome<Duration> {
    if number(value)? == 0.0 { Ok(Duration::ZERO) } else { seconds(value) }
}

/// A number of seconds above zero.
pub(super) fn seconds(value: &DeValue<'_>) -> Outcome<Duration> {
    seconds_up_to(LONGEST)(value)
}

/// A number of seconds above zero, and at most `longest`.
pub(super) fn seconds_up_to(longest: Duration) -> impl Fn(&DeValue<'_>) -> Outcome<Duration> {
    move |value| {
        let seconds = number(value)?;
        Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|time| (Duration::from_nanos(1)..=longest).contains(time))
            .ok_or_else(|| {
                format!(
                    "{seconds:?} s is out of range; give a time above 0 and up to {} s",
                    longest.as_secs()
                )
            })
    }
}

pub(super) fn probability(value: &DeValue<'_>) -> Outcome<f64> {
    in_unit_interval(number(value)?)
}

/// A part of a whole.
pub(super) fn share(value: &DeValue<'_>) -> Outcome<f64> {
    let share = number(value)?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err(format!("{share:?} is no share of the devices; give a number from 0 (none) to 1 (all)"))
    }
}

/// A loss that is the same for each frame, from a number.
pub(super) fn constant_loss(value: &DeValue<'_>) -> Outcome<Loss> {
    match number(value) {
        Ok(loss) => bernoulli(loss),
        Err(_) => Err(wrong(value, "a probability or a table { to_bad, to_good, good, bad }")),
    }
}

/// The loss with this probability, if anything arrives at all.
pub(super) fn bernoulli(loss: f64) -> Outcome<Loss> {
    match in_unit_interval(loss)? {
        1.0 => Err("this link loses everything, so nobody beyond it is reachable; give less than 1".into()),
        loss => Ok(Loss::Bernoulli(loss)),
    }
}

fn in_unit_interval(probability: f64) -> Outcome<f64> {
    if (0.0..=1.0).contains(&probability) {
        Ok(probability)
    } else {
        Err(format!("{probability:?} is no probability; give a number from 0 to 1"))
    }
}

/// A list of at least one entry.
pub(super) fn entries<'v, 't>(value: &'v DeValue<'t>) -> Outcome<&'v DeArray<'t>> {
    let list = value.as_array().ok_or_else(|| wrong(value, "a list in brackets"))?;
    if list.is_empty() { Err("the list is empty; give at least one entry".into()) } else { Ok(list) }
}

pub(super) fn one_of<T: Copy, const N: usize>(
    choices: [(&'static str, T); N],
) -> impl Fn(&DeValue<'_>) -> Outcome<T> {
    move |value| {
        let found = value.as_str().and_then(|text| choices.iter().find(|(name, _)| *name == text));
        found.map(|(_, choice)| *choice).ok_or_else(|| {
            let names = choices.map(|(name, _)| format!("\"{name}\""));
            wrong(value, &names.join(" or "))
        })
    }
}

fn integer(value: &DeValue<'_>) -> Outcome<i64> {
    let integer = value.as_integer().ok_or_else(|| wrong(value, "a whole number"))?;
    i64::from_str_radix(integer.as_str(), integer.radix())
        .map_err(|_| format!("{} is far out of range; give a smaller number", shown(integer.as_str())))
}

/// A number with or without a decimal point.
fn number(value: &DeValue<'_>) -> Outcome<f64> {
    match value.as_float() {
        Some(float) => float.as_str().parse().map_err(|_| wrong(value, "a number")),
        None if value.is_integer() => integer(value).map(|integer| integer as f64),
        None => Err(wrong(value, "a number")),
    }
}

/// Says what stands there and what should.
pub(super) fn wrong(value: &DeValue<'_>, right: &str) -> String {
    match value.as_str() {
        Some(text) => format!("\"{}\" is not {right}", shown(text)),
        None => format!("this is of type {}; give {right}", value.type_str()),
    }
}
