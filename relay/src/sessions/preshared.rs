//! Contexts that were agreed on elsewhere, in a file (`sessions.contexts`): for devices that are provisioned with one, and for tests.
//!
//! ```toml
//! [[context]]
//! name = "meter-17"
//! recipient_id = "6d3137"      # the device's Sender ID
//! sender_id = ""               # the relay's
//! master_secret = "0102030405060708090a0b0c0d0e0f10"
//! master_salt = "9e7ca92223786340"
//! id_context = "37cbf3210017a2d3"
//! ```
//!
//! All but the name are hexadecimal digits; salt and ID Context may be left out.

use crate::secret;
use anyhow::{Context, anyhow, bail, ensure};
use serde::Deserialize;
use sixfold_engine::{Id, Master, NewSession, ShortBytes};
use std::path::Path;

/// Shorter ones are guessed (RFC 8613 §12.3: at least as strong as the algorithm).
const LEAST_SECRET: usize = 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    context: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    recipient_id: String,
    #[serde(default)]
    sender_id: String,
    master_secret: String,
    #[serde(default)]
    master_salt: String,
    id_context: Option<String>,
}

/// Reads a file.
///
/// # Errors
/// What is wrong with it: the operator's to mend.
pub fn read(file: &Path) -> anyhow::Result<Vec<NewSession>> {
    secret::guarded(file).map_err(|message| anyhow!("operator: {message}"))?;
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("operator: {shown} cannot be read"))?;
    parse(&text).with_context(|| format!("operator: {shown}: not the contexts that it should have"))
}

fn parse(text: &str) -> anyhow::Result<Vec<NewSession>> {
    // The complaint would quote the line, and with it a secret.
    let file: File = toml::from_str(text).map_err(|error| anyhow!("{}", error.message()))?;
    let sessions = file.context.into_iter().map(session).collect::<anyhow::Result<Vec<_>>>()?;
    for (place, session) in sessions.iter().enumerate() {
        for other in sessions.iter().take(place) {
            ensure!(
                !share_a_key(session, other),
                "{} and {} have a key in common: give each context a master_secret of its own",
                other.name.escape_debug(),
                session.name.escape_debug()
            );
        }
    }
    Ok(sessions)
}

/// Keys depend on the secret and on who sends alone (RFC 8613 §3.2.1): of one secret the relay would have one key for all devices,
/// and use each number once for every one of them. What cannot be derived is refused where it is taken into use.
fn share_a_key(one: &NewSession, other: &NewSession) -> bool {
    let (Ok(one), Ok(other)) = (one.keys(), other.keys()) else { return false };
    let keys = [other.sender_key, other.recipient_key];
    keys.contains(&one.sender_key) || keys.contains(&one.recipient_key)
}

fn session(entry: Entry) -> anyhow::Result<NewSession> {
    let name = entry.name.escape_debug().to_string();
    let bytes = |key: &str, digits: &str| hexadecimal(digits).with_context(|| format!("{name}: {key}"));
    let id = |key: &str, digits: &str| -> anyhow::Result<Id> {
        ShortBytes::new(&bytes(key, digits)?).ok_or_else(|| anyhow!("{name}: {key} has more than 7 bytes"))
    };
    let id_context = match &entry.id_context {
        Some(digits) => {
            let short = ShortBytes::new(&bytes("id_context", digits)?);
            Some(short.ok_or_else(|| anyhow!("{name}: id_context has more than 16 bytes"))?)
        }
        None => None,
    };
    let secret = bytes("master_secret", &entry.master_secret)?;
    ensure!(secret.len() >= LEAST_SECRET, "{name}: master_secret is shorter than {LEAST_SECRET} bytes");
    let (recipient_id, sender_id) =
        (id("recipient_id", &entry.recipient_id)?, id("sender_id", &entry.sender_id)?);
    let salt = bytes("master_salt", &entry.master_salt)?;
    let master = Master { secret, salt, id_context };
    Ok(NewSession { name: entry.name.into(), recipient_id, sender_id, master, lifetime: None })
}

fn hexadecimal(digits: &str) -> anyhow::Result<Vec<u8>> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some((digit(high)? << 4 | digit(low)?) as u8),
        _ => None,
    };
    match digits.as_bytes().chunks(2).map(byte).collect() {
        Some(bytes) => Ok(bytes),
        None => bail!("is not hexadecimal: two digits a byte"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = "[[context]]\nname = \"m\"\nrecipient_id = \"6d\"\nmaster_secret = \"0102030405060708090a0b0c0d0e0f10\"\n";

    #[test]
    fn a_file_of_contexts() {
        let text = format!("{ENTRY}master_salt = \"9e7c\"\nid_context = \"37\"\n");
        let [session] = &parse(&text).unwrap()[..] else { panic!() };
        assert_eq!((&*session.name, session.recipient_id.as_slice()), ("m", &b"m"[..]));
        assert_eq!((session.sender_id.as_slice(), session.lifetime), (&[][..], None));
        assert_eq!((session.master.secret.len(), &session.master.salt[..]), (16, &[0x9e, 0x7c][..]));
        assert!(parse("").unwrap().is_empty());
    }

    /// RFC 8613 §3.3: a Sender ID is unique for its Master Secret, Master Salt and ID Context.
    #[test]
    fn contexts_with_a_key_in_common_are_refused() {
        let second = ENTRY.replace("\"m\"", "\"n\"").replace("6d", "6e");
        for second in [second.clone(), format!("{second}sender_id = \"6d\"\n")] {
            let error = format!("{:#}", parse(&format!("{ENTRY}{second}")).unwrap_err());
            assert!(error.contains("m and n have a key in common"), "{error}");
        }
        for own in ["master_salt = \"01\"", "id_context = \"01\"", "sender_id = \"01\""] {
            assert_eq!(parse(&format!("{ENTRY}{second}{own}\n")).unwrap().len(), 2, "{own}");
        }
        assert_eq!(parse(&format!("{ENTRY}{}", second.replace("0f10", "0f11"))).unwrap().len(), 2);
    }

    #[test]
    fn mistakes_are_named_and_secrets_are_not() {
        for (change, complaint) in [
            (ENTRY.replace("6d", "6"), "recipient_id"),
            (ENTRY.replace("6d", "0011223344556677"), "more than 7 bytes"),
            (ENTRY.replace("0f10", ""), "shorter than 16 bytes"),
            (ENTRY.replace("0f10", "0fxy"), "hexadecimal"),
            (ENTRY.replace("name", "nmae"), "nmae"),
            (ENTRY.replace("= \"0102", "\"0102"), ""),
        ] {
            let error = format!("{:#}", parse(&change).unwrap_err());
            assert!(error.contains(complaint) && !error.contains("0304"), "{error}");
        }
    }
}
