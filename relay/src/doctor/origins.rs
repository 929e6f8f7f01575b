//! Origins: their names, the way to them, TLS, certificates of both sides, and whether their clock and ours agree.
//!
//! Its prefix is seldom a page, so an origin that has none there, or does not list it, can be asked; one that lets nobody in, or
//! leads elsewhere, is told.

use super::Finding;
use crate::config::Config;
use crate::ops::status::printable;
use crate::origin::{self, Answer, Probe, REDIRECT_ADVICE, RESOLVE_ADVICE};
use crate::pem;
use crate::sessions::certificate;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Origins renew theirs by themselves, mostly, and some every week. Who has less left than this has forgotten it.
const RENEWAL: Duration = Duration::from_secs(3 * 24 * 3600);

/// Clocks that differ by less are as good as equal: an answer takes some seconds, and certificates end at midnight.
const AGREEMENT: Duration = Duration::from_secs(120);

/// Says what it finds as soon as it does: a silent origin takes its time.
pub(super) async fn examine(config: &Config, say: &mut impl FnMut(Finding)) {
    if config.routes.is_empty() && config.proxy.forward.is_empty() {
        let remedy = "add a [[route]]: until then every request is answered with an error";
        return say(Finding::failure("origin", "none is configured", remedy));
    }
    let settings = config.origin_settings(None);
    let mut own: Vec<PathBuf> =
        settings.origins.iter().filter_map(|origin| origin.client_cert_file.clone()).collect();
    own.sort_unstable();
    own.dedup();
    let with_certificate = settings.origins.iter().filter(|origin| origin.client_cert_file.is_some());
    let introduced: BTreeSet<String> = with_certificate.map(|origin| origin.prefix.clone()).collect();
    let now = SystemTime::now();
    own.iter().filter_map(|file| client_certificate(file, now)).for_each(&mut *say);
    let mut differences = Vec::new();
    let outcome = origin::probe(settings, |probe| {
        let now = SystemTime::now();
        judge(&probe, introduced.contains(&probe.origin), now).into_iter().for_each(&mut *say);
        differences.extend(difference(&probe, now));
    });
    if let Err(error) = outcome.await {
        say(Finding::failure("origin", error.to_string(), "correct the route that names it"));
    }
    clock(differences).into_iter().for_each(say);
}

/// `is_introduced`: the relay shows a certificate of its own there.
fn judge(probe: &Probe, is_introduced: bool, now: SystemTime) -> Vec<Finding> {
    let name = &probe.origin;
    let mut findings = Vec::new();
    match &probe.addresses {
        Some(Ok(addresses)) => {
            let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            findings.push(Finding::ok("dns", format!("{name} is at {}", shown.join(", "))));
        }
        // Nothing else can be said of it.
        Some(Err(what)) => return vec![Finding::failure("dns", format!("{name}: {what}"), RESOLVE_ADVICE)],
        None => {}
    }
    match &probe.outcome {
        Ok(answer) => {
            findings.extend(answer.certificate_end.map(|end| origin_certificate(name, end, now)));
            findings.push(connection(name, answer, is_introduced));
        }
        Err((what, advice)) => findings.push(Finding::failure("origin", format!("{name}: {what}"), *advice)),
    }
    findings
}

fn connection(name: &str, answer: &Answer, is_introduced: bool) -> Finding {
    let status = answer.status;
    if let Some(elsewhere) = &answer.leads_astray {
        let what = format!("{name} redirects to {}", printable(elsewhere));
        return Finding::warning("origin", what, REDIRECT_ADVICE);
    }
    let what = format!("{name} answers {status}");
    match status.as_u16() {
        403 if is_introduced => {
            let remedy = "it does not list the files there, which does no harm, or it lets the holder of client_cert_file in nowhere: \
                          sixfold-relay prefetch of a file tells which";
            Finding::warning("origin", what, remedy)
        }
        // No page there, none that is listed, or none for HEAD.
        403 | 404 | 405 | 410 => Finding::ok("origin", format!("{name} answers ({status})")),
        400..=599 => Finding::warning("origin", what, answer.advice()),
        _ => Finding::ok("origin", format!("{name} answers ({status})")),
    }
}

fn origin_certificate(name: &str, end: SystemTime, now: SystemTime) -> Finding {
    let what = format!("{name} has a certificate until {}", humantime::format_rfc3339_seconds(end));
    if end.duration_since(now).is_ok_and(|left| left >= RENEWAL) {
        return Finding::ok("tls", what);
    }
    let remedy = "whoever runs it has to renew it, or devices get no new images from then on";
    Finding::warning("tls", what, remedy)
}

/// Whether the relay's own certificate is one that an origin still accepts.
fn client_certificate(file: &Path, now: SystemTime) -> Option<Finding> {
    let chain = pem::certificates("client_cert_file", file).ok()?;
    let end = certificate::not_after(chain.first()?)?;
    let what = format!(
        "client certificate {} is valid until {}",
        file.display(),
        humantime::format_rfc3339_seconds(end)
    );
    let remedy = "get another one of who runs the origin, put it in place, and reload";
    Some(match end.duration_since(now) {
        Ok(left) if left >= RENEWAL => Finding::ok("tls", what),
        Ok(_) => Finding::warning("tls", what, remedy),
        Err(_) => Finding::failure("tls", what, remedy),
    })
}

/// How far this clock is from that of an origin which answers, in which direction, and whose that is.
fn difference(probe: &Probe, now: SystemTime) -> Option<(Duration, &'static str, String)> {
    let date = probe.outcome.as_ref().ok()?.date?;
    let (difference, direction) = match now.duration_since(date) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    Some((difference, direction, probe.origin.clone()))
}

/// What the clocks of origins say of ours: nothing, unless one differs.
fn clock(differences: Vec<(Duration, &'static str, String)>) -> Option<Finding> {
    let (difference, direction, name) = differences.into_iter().max()?;
    if difference < AGREEMENT {
        return None;
    }
    let shown = humantime::format_duration(Duration::from_secs(difference.as_secs()));
    let remedy = "one of both is wrong. If it is this one: set it, or see that NTP reaches a server";
    Some(Finding::warning("clock", format!("it is {shown} {direction} that of {name}"), remedy))
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;
    use http::StatusCode;
    use std::time::UNIX_EPOCH;

    const NOW: Duration = Duration::from_secs(1_800_000_000);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn now() -> SystemTime {
        UNIX_EPOCH + NOW
    }

    fn answer(status: StatusCode) -> Answer {
        Answer { status, date: None, certificate_end: None, leads_astray: None }
    }

    fn probe(outcome: Result<Answer, (String, &'static str)>) -> Probe {
        Probe { origin: "https://h/".to_owned(), addresses: None, outcome }
    }

    #[test]
    fn an_origin_that_answers_anything_but_trouble_can_be_asked() {
        let severity = |outcome| judge(&probe(outcome), false, now())[0].severity;
        assert_eq!(severity(Ok(answer(StatusCode::FORBIDDEN))), Severity::Ok);
        assert_eq!(severity(Ok(answer(StatusCode::BAD_GATEWAY))), Severity::Warning);
        assert_eq!(severity(Err(("refused".into(), "start it"))), Severity::Failure);
    }

    #[test]
    fn an_origin_that_gives_no_file_to_anybody_is_told_with_a_remedy() {
        let found = |answer, is_introduced| judge(&probe(Ok(answer)), is_introduced, now()).remove(0);
        let astray =
            Answer { leads_astray: Some("https://cdn/".to_owned()), ..answer(StatusCode::MOVED_PERMANENTLY) };
        for (answer, is_introduced, words) in [
            (answer(StatusCode::UNAUTHORIZED), false, "client_cert_file"),
            (answer(StatusCode::PROXY_AUTHENTICATION_REQUIRED), false, "HTTPS_PROXY"),
            (answer(StatusCode::BAD_REQUEST), false, "the origin's log"),
            (answer(StatusCode::FORBIDDEN), true, "client_cert_file"),
            (astray, false, "add that one"),
        ] {
            let finding = found(answer, is_introduced);
            assert_eq!(finding.severity, Severity::Warning, "{finding}");
            assert!(finding.remedy.contains(words), "{finding}");
        }
        for status in [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND, StatusCode::FOUND, StatusCode::OK] {
            assert_eq!(found(answer(status), false).severity, Severity::Ok, "{status}");
        }
    }

    #[test]
    fn a_name_without_an_address_is_all_that_is_said_of_an_origin() {
        let missing = Probe {
            addresses: Some(Err("unknown".to_owned())),
            ..probe(Err(("unknown".into(), "look at the name server")))
        };
        let findings = judge(&missing, false, now());
        assert_eq!(
            (findings.len(), findings[0].subject, findings[0].severity),
            (1, "dns", Severity::Failure)
        );
        let found = Probe {
            addresses: Some(Ok(vec!["2001:db8::1".parse().unwrap(), "192.0.2.1".parse().unwrap()])),
            ..probe(Ok(answer(StatusCode::OK)))
        };
        assert_eq!(judge(&found, false, now())[0].what, "https://h/ is at 2001:db8::1, 192.0.2.1");
    }

    #[test]
    fn certificates_of_origins_that_end_soon_are_told() {
        let severity = |left: Duration| origin_certificate("https://h/", now() + left, now()).severity;
        assert_eq!(severity(4 * DAY), Severity::Ok);
        assert_eq!(severity(2 * DAY), Severity::Warning);
    }

    #[test]
    fn the_relays_own_certificate_is_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("client.pem");
        let mut params = rcgen::CertificateParams::default();
        params.not_after = rcgen::date_time_ymd(2050, 1, 1);
        let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        std::fs::write(&file, certificate.pem()).unwrap();
        let end = UNIX_EPOCH + Duration::from_secs(2_524_608_000);
        let severity = |now| client_certificate(&file, now).unwrap().severity;
        assert_eq!(severity(end - 4 * DAY), Severity::Ok);
        assert_eq!(severity(end - DAY), Severity::Warning);
        assert_eq!(severity(end + DAY), Severity::Failure);
        assert_eq!(client_certificate(&folder.path().join("absent"), end), None, "the configuration says so");
    }

    #[test]
    fn clocks_that_differ_are_told_with_the_worst_of_them() {
        let at = |date: SystemTime| probe(Ok(Answer { date: Some(date), ..answer(StatusCode::OK) }));
        let clock =
            |probes: &[Probe]| clock(probes.iter().filter_map(|probe| difference(probe, now())).collect());
        assert_eq!(clock(&[at(now() - AGREEMENT / 2), probe(Err((String::new(), "")))]), None);
        let found = clock(&[at(now() - 5 * AGREEMENT), at(now() + DAY)]).unwrap();
        assert_eq!(found.severity, Severity::Warning);
        assert_eq!(found.what, "it is 1day behind that of https://h/");
        assert!(clock(&[at(now() - 5 * AGREEMENT)]).unwrap().what.contains("10m ahead of"));
    }
}
