//! What a certificate says that TLS does not ask for: a device's name, and until when it is valid.
//!
//! Nothing here is verified: that was done before.

use rustls::pki_types::CertificateDer;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_cert::Certificate;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Tag, Tagged};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// The most bytes of a name: those of a DNS name (RFC 1035 §2.3.4).
pub const MAX_NAME: usize = 255;

/// id-at-commonName (RFC 5280, Appendix A.1).
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// A device's name: its first DNS name (RFC 5280 §4.2.1.6), or else its subject's last common name; `None` when that is
/// empty, too long, or has characters that are not printable.
pub fn name(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let name = dns_name(&certificate)?.or_else(|| common_name(&certificate))?;
    let is_printable = |c: char| !c.is_control() && !is_invisible(c);
    (!name.is_empty() && name.len() <= MAX_NAME && name.chars().all(is_printable)).then_some(name)
}

/// Until when a certificate is valid; `None` when it cannot be read.
pub fn not_after(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let certificate = Certificate::from_der(certificate).ok()?;
    UNIX_EPOCH.checked_add(certificate.tbs_certificate.validity.not_after.to_unix_duration())
}

/// How much of a certificate's time is left.
pub fn time_left(certificate: &CertificateDer<'_>, now: SystemTime) -> Duration {
    not_after(certificate).and_then(|end| end.duration_since(now).ok()).unwrap_or_default()
}

/// `Some(None)` where there is none, `None` where that cannot be read.
fn dns_name(certificate: &Certificate) -> Option<Option<String>> {
    let Some((_, names)) = certificate.tbs_certificate.get::<SubjectAltName>().ok()? else {
        return Some(None);
    };
    Some(names.0.iter().find_map(|name| match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_owned()),
        _ => None,
    }))
}

fn common_name(certificate: &Certificate) -> Option<String> {
    let attributes = certificate.tbs_certificate.subject.0.iter().flat_map(|names| names.0.iter());
    let value = &attributes.rev().find(|attribute| attribute.oid == COMMON_NAME)?.value;
    let is_text = matches!(value.tag(), Tag::Utf8String | Tag::PrintableString | Tag::Ia5String);
    let text = std::str::from_utf8(value.value()).ok()?;
    is_text.then(|| text.to_owned())
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
}
