//! What a certificate says that TLS does not ask for: a device's name, and until when it is valid.
//!
//! Nothing here is verified: that was done before.

use der::asn1::{AnyRef, GeneralizedTime, ObjectIdentifier, UtcTime};
use der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};
use rustls::pki_types::CertificateDer;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The most bytes of a name: those of a DNS name (RFC 1035 §2.3.4).
pub const MAX_NAME: usize = 255;

/// id-at-commonName (RFC 5280, Appendix A.1).
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// id-ce-subjectAltName (RFC 5280 §4.2.1.6).
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");

/// A device's name: its first DNS name (RFC 5280 §4.2.1.6), or else its subject's last common name; `None` when that is
/// empty, too long, or has characters that are not printable.
pub fn name(certificate: &CertificateDer<'_>) -> Option<String> {
    let fields = Fields::of(certificate)?;
    let name = fields.dns_name()?.or_else(|| fields.common_name())?;
    let is_printable = |c: char| !c.is_control() && !is_invisible(c);
    (!name.is_empty() && name.len() <= MAX_NAME && name.chars().all(is_printable)).then(|| name.to_owned())
}

/// Until when a certificate is valid; `None` when it cannot be read.
pub fn not_after(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Fields::of(certificate)?.not_after()?)
}

/// How much of a certificate's time is left.
pub fn time_left(certificate: &CertificateDer<'_>, now: SystemTime) -> Duration {
    not_after(certificate).and_then(|end| end.duration_since(now).ok()).unwrap_or_default()
}

/// A TBSCertificate (RFC 5280 §4.1) without its version. Only what is asked for is decoded: a tenth of the code that decodes all.
struct Fields<'a>(Vec<AnyRef<'a>>);

impl<'a> Fields<'a> {
    fn of(certificate: &'a CertificateDer<'_>) -> Option<Self> {
        let certificate = AnyRef::from_der(certificate).ok()?;
        let mut fields = elements(*elements(certificate)?.first()?)?;
        if is_explicit(fields.first()?, TagNumber::N0) {
            fields.remove(0);
        }
        Some(Self(fields))
    }

    /// Since 1970 (§4.1.2.5).
    fn not_after(&self) -> Option<Duration> {
        let validity = elements(*self.0.get(3)?)?;
        let end = validity.get(1)?;
        match end.tag() {
            Tag::UtcTime => end.decode_as::<UtcTime>().ok().map(|time| time.to_unix_duration()),
            _ => end.decode_as::<GeneralizedTime>().ok().map(|time| time.to_unix_duration()),
        }
    }

    /// `Some(None)` where there is none, `None` where that cannot be read.
    fn dns_name(&self) -> Option<Option<&'a str>> {
        let Some(extensions) = self.0.iter().find(|field| is_explicit(field, TagNumber::N3)) else {
            return Some(None);
        };
        for extension in elements(*elements(*extensions)?.first()?)? {
            let parts = elements(extension)?;
            if parts.first()?.decode_as::<ObjectIdentifier>().ok()? == SUBJECT_ALT_NAME {
                // What is within the OCTET STRING, behind whether it is critical.
                let names = elements(AnyRef::from_der(parts.last()?.value()).ok()?)?;
                let is_dns_name = |name: &&AnyRef<'_>| {
                    matches!(name.tag(), Tag::ContextSpecific { number: TagNumber::N2, .. })
                };
                let Some(name) = names.iter().find(is_dns_name) else { return Some(None) };
                return Some(Some(str::from_utf8(name.value()).ok().filter(|name| name.is_ascii())?));
            }
        }
        Some(None)
    }

    fn common_name(&self) -> Option<&'a str> {
        let mut found = None;
        for names in elements(*self.0.get(4)?)? {
            for attribute in elements(names)? {
                let parts = elements(attribute)?;
                if parts.first()?.decode_as::<ObjectIdentifier>().ok()? == COMMON_NAME {
                    found = Some(*parts.get(1)?);
                }
            }
        }
        let value = found?;
        let is_text = matches!(value.tag(), Tag::Utf8String | Tag::PrintableString | Tag::Ia5String);
        str::from_utf8(value.value()).ok().filter(|_| is_text)
    }
}

/// What a SEQUENCE or SET consists of.
fn elements(value: AnyRef<'_>) -> Option<Vec<AnyRef<'_>>> {
    let mut reader = SliceReader::new(value.value()).ok()?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        found.push(AnyRef::decode(&mut reader).ok()?);
    }
    Some(found)
}

fn is_explicit(value: &AnyRef<'_>, number: TagNumber) -> bool {
    value.tag() == Tag::ContextSpecific { constructed: true, number }
}

/// Characters that change how those around them look: what is shown would not be what is there (Unicode UAX 9, line ends).
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn certificate(common_name: Option<&str>, names: &[&str]) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(name) = common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.subject_alt_names =
            names.iter().map(|name| SanType::DnsName((*name).try_into().unwrap())).collect();
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn a_dns_name_comes_before_the_common_name() {
        assert_eq!(name(&certificate(Some("cn"), &["a.example", "b.example"])).as_deref(), Some("a.example"));
        assert_eq!(
            name(&certificate(Some("lamp 7, \u{e9}tage 2"), &[])).as_deref(),
            Some("lamp 7, \u{e9}tage 2")
        );
        assert_eq!(name(&certificate(None, &[])), None);
    }

    #[test]
    fn what_could_upset_a_log_is_no_name() {
        let long = "x".repeat(MAX_NAME + 1);
        for bad in ["", "a\nb", "a\x1b[2J", "a\u{202e}b", "a\u{2028}b", &long] {
            assert_eq!(name(&certificate(Some(bad), &[])), None, "{bad:?}");
        }
        assert!(name(&certificate(Some(&long[1..]), &[])).is_some());
        assert_eq!(name(&b"no certificate"[..].into()), None);
    }

    #[test]
    fn the_time_left_ends_with_the_certificate() {
        let certificate = certificate(Some("cn"), &[]);
        let end = not_after(&certificate).unwrap();
        assert_eq!(time_left(&certificate, end - Duration::from_secs(5)), Duration::from_secs(5));
        assert_eq!(time_left(&certificate, end + Duration::from_secs(5)), Duration::ZERO);
    }

    #[test]
    fn both_forms_of_time_are_read() {
        for (year, seconds) in [(2049, 2_493_072_000), (2050, 2_524_608_000), (9999, 253_370_764_800)] {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            assert_eq!(
                not_after(certificate.der()),
                Some(UNIX_EPOCH + Duration::from_secs(seconds)),
                "{year}"
            );
        }
    }

    #[test]
    fn whatever_is_cut_or_changed_is_read_or_refused() {
        let whole = certificate(Some("lamp"), &["a.example"]);
        for length in 0..whole.len() {
            assert_eq!(not_after(&whole[..length].into()), None, "{length} bytes");
        }
        for at in 0..whole.len() {
            let mut changed = whole.to_vec();
            changed[at] ^= 0xff;
            let changed = changed.into();
            let (_, _) = (name(&changed), not_after(&changed));
        }
    }
}
