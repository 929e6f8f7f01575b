//! Why the certificate of an origin is not trusted, for whoever has to mend it: each reason is somebody else's.

use rustls::CertificateError;
use rustls::pki_types::UnixTime;
use std::time::{Duration, UNIX_EPOCH};

/// What happened, if the error says less by itself, and what to do.
pub(super) type Explanation = (Option<String>, &'static str);

const EXPIRED: &str = "compare the two times: if this machine's clock is ahead, set it, or see that NTP reaches a server; if it is \
                       right, whoever runs the origin has to renew the certificate";
const NOT_YET: &str =
    "compare the two times: most likely this machine's clock is behind; set it, or wait for NTP";
const OTHER_NAME: &str = "operator, write the origin's URL with a name that its certificate has, or have a certificate made for the \
                          name that is asked";
const UNKNOWN_ISSUER: &str = "operator, set ca_file to the certificate of the authority that issued it, if you trust it; the origin \
                              has to send the intermediate certificates too. If it should be known, somebody may be in between";
const REVOKED: &str = "whoever runs the origin has to replace it";

/// Of reasons that have advice of their own.
pub(super) fn explain(error: &CertificateError) -> Option<Explanation> {
    Some(match error {
        CertificateError::ExpiredContext { time, not_after } => {
            let ends = format!("its certificate was valid until {}, and {}", shown(*not_after), clock(*time));
            (Some(ends), EXPIRED)
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            let begins =
                format!("its certificate is valid from {} on, and {}", shown(*not_before), clock(*time));
            (Some(begins), NOT_YET)
        }
        CertificateError::Expired => (None, EXPIRED),
        CertificateError::NotValidYet => (None, NOT_YET),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            (None, OTHER_NAME)
        }
        CertificateError::UnknownIssuer => {
            (Some("nobody whom this relay trusts issued its certificate".to_owned()), UNKNOWN_ISSUER)
        }
        CertificateError::Revoked => (None, REVOKED),
        _ => return None,
    })
}

fn clock(time: UnixTime) -> String {
    format!("this machine's clock says {}", shown(time))
}

fn shown(time: UnixTime) -> String {
    // The last second that can be written, in the year 9999.
    let seconds = time.as_secs().min(253_402_300_799);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn times_name_both_clocks() {
        let over = CertificateError::ExpiredContext { time: at(1_900_000_000), not_after: at(1_800_000_000) };
        let (what, advice) = explain(&over).unwrap();
        assert_eq!(
            what.as_deref(),
            Some(
                "its certificate was valid until 2027-01-15T08:00:00Z, and this machine's clock says 2030-03-17T17:46:40Z"
            )
        );
        assert!(advice.contains("clock is ahead") && advice.contains("renew"), "{advice}");
        let early = CertificateError::NotValidYetContext { time: at(0), not_before: at(u64::MAX) };
        let (what, advice) = explain(&early).unwrap();
        assert!(what.unwrap().contains("says 1970-01-01T00:00:00Z") && advice.contains("clock is behind"));
    }

    #[test]
    fn every_reason_has_its_own_advice() {
        let reasons = [
            CertificateError::Expired,
            CertificateError::NotValidYet,
            CertificateError::NotValidForName,
            CertificateError::UnknownIssuer,
            CertificateError::Revoked,
        ];
        let mut advices: Vec<_> = reasons.iter().map(|reason| explain(reason).unwrap().1).collect();
        advices.sort_unstable();
        advices.dedup();
        assert_eq!(advices.len(), reasons.len());
        assert_eq!(explain(&CertificateError::BadEncoding), None);
    }
}
