//! Certificates: whom the client trusts, how it says why not, and what it says about unusable files.

use crate::client::{Client, World, settings};
use crate::support::{Authority, Resource, Setup, TestOrigin, pattern, write_secret};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use sixfold_engine::Failure;
use sixfold_relay::origin::{OriginClient, OriginSettings, Settings};
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;

fn image() -> Resource {
    Resource::new(pattern(1000, 1), "\"1\"")
}

#[tokio::test]
async fn both_versions_of_tls() {
    for versions in [vec![&rustls::version::TLS12], vec![&rustls::version::TLS13]] {
        let authority = Authority::new();
        let origin = TestOrigin::start(&Setup { versions, ..Setup::new(&authority) }).await;
        origin.serve("/a", image());
        Client::new(settings(&authority, &origin)).expect(&origin.url("/a"), &image().body, 1).await;
    }
}

#[tokio::test]
async fn certificates_that_are_not_trusted() {
    type Adjust = fn(&mut CertificateParams);
    let tests: [(Adjust, Failure, [&str; 2]); 3] = [
        (
            |params| params.not_after = date_time_ymd(2020, 1, 1),
            Failure::Certificate,
            ["valid until 2020-01-01T00:00:00Z, and this machine's clock says 2", "clock is ahead"],
        ),
        (
            |params| params.not_before = date_time_ymd(3000, 1, 1),
            Failure::ClockBehind,
            ["valid from 3000-01-01T00:00:00Z on, and this machine's clock says 2", "clock is behind"],
        ),
        (|params| params.subject_alt_names.clear(), Failure::Certificate, ["localhost", "with a name that"]),
    ];
    for (adjust, failure, words) in tests {
        let authority = Authority::new();
        let origin =
            TestOrigin::start(&Setup { certificate: authority.issue(adjust), ..Setup::new(&authority) })
                .await;
        let mut client = Client::new(settings(&authority, &origin));
        assert_eq!(client.refused(&origin.url("/a")).await, failure);
        assert_eq!((client.outcome(failure.label()), client.inner.traffic().retries()), (1, 0));
        let complaint = client.inner.traffic().complaints().about(&origin.url("/a")).unwrap();
        assert!(words.iter().all(|word| complaint.contains(word)), "{complaint}");
    }
}

#[tokio::test]
async fn the_end_of_an_origins_certificate_is_known_from_its_handshake() {
    let authority = Authority::new();
    let certificate = authority.issue(|params| params.not_after = date_time_ymd(2150, 1, 1));
    let origin = TestOrigin::start(&Setup { certificate, ..Setup::new(&authority) }).await;
    origin.serve("/a", image());
    let settings = settings(&authority, &origin);
    let mut client = Client::new(settings.clone());
    let traffic = client.inner.traffic();
    assert!(traffic.certificates().all().is_empty());
    client.expect(&origin.url("/a"), &image().body, 1).await;
    let name = format!("localhost:{}", origin.address.port());
    let end = UNIX_EPOCH + Duration::from_secs(5_680_281_600);
    assert_eq!(traffic.certificates().all(), [(name.clone(), end)]);
    client.inner.reconfigure(settings.clone()).unwrap();
    assert_eq!(traffic.certificates().of(&name), Some(end), "still configured");
    let elsewhere = OriginSettings { prefix: "https://elsewhere/".to_owned(), ..settings.origins[0].clone() };
    client.inner.reconfigure(Settings { origins: vec![elsewhere], ..settings }).unwrap();
    assert!(traffic.certificates().all().is_empty(), "not configured any more");
}

#[tokio::test]
async fn an_authority_that_is_not_ours() {
    let world = World::new().await;
    let foreign = Authority::new();
    let mut settings = settings(&foreign, &world.origin);
    assert_eq!(Client::new(settings.clone()).refused(&world.origin.url("/a")).await, Failure::Certificate);
    // The system's roots do not know it either.
    settings.origins[0].ca_file = None;
    match OriginClient::new(settings.clone(), tokio::sync::mpsc::channel(1).0) {
        Ok(_) => {
            assert_eq!(Client::new(settings).refused(&world.origin.url("/a")).await, Failure::Certificate);
        }
        Err(error) => assert!(error.to_string().contains("ca-certificates"), "{error}"),
    }
    assert!(world.origin.seen().is_empty());
}

#[tokio::test]
async fn a_port_without_tls() {
    let world = World::new().await;
    let plain = TestOrigin::start_plain().await;
    let mut settings = settings(&world.authority, &world.origin);
    let url = format!("https://localhost:{}/", plain.address.port());
    settings.origins[0].prefix = url.clone();
    let failure = Client::new(settings).refused(&url).await;
    assert!(matches!(failure, Failure::Tls | Failure::Connect), "{failure:?}");
}

#[tokio::test]
async fn an_origin_that_knows_its_clients() {
    let authority = Authority::new();
    let origin =
        TestOrigin::start(&Setup { client_ca: Some(authority.ca_file()), ..Setup::new(&authority) }).await;
    origin.serve("/a", image());
    let mut settings = settings(&authority, &origin);
    let (certificate, key) = authority.issue(|_| {});
    settings.origins[0].client_cert_file = Some(certificate);
    settings.origins[0].client_key_file = Some(key);
    Client::new(settings.clone()).expect(&origin.url("/a"), &image().body, 1).await;
    assert!(origin.seen()[0].client_certificate);

    let foreign = Authority::new();
    let (certificate, key) = foreign.issue(|_| {});
    settings.origins[0].client_cert_file = Some(certificate);
    settings.origins[0].client_key_file = Some(key);
    let failure = Client::new(settings).refused(&origin.url("/a")).await;
    assert_eq!(failure, Failure::Tls, "the origin does not trust this one");
}

fn setup_error(adjust: impl FnOnce(&mut OriginSettings)) -> String {
    let mut origin = OriginSettings { prefix: "https://h/fw/".to_owned(), ..OriginSettings::default() };
    adjust(&mut origin);
    let settings = Settings { origins: vec![origin.clone()], ..Settings::default() };
    let error =
        OriginClient::new(settings, tokio::sync::mpsc::channel(1).0).expect_err("these settings do not work");
    assert_eq!(error.origin(), origin.prefix);
    error.to_string()
}

#[test]
fn unusable_settings_name_the_file_and_the_remedy() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue(|_| {});
    let directory = TempDir::new().unwrap();
    let file = |content: &str| {
        let path = directory.path().join("file.pem");
        // One of them is a key.
        write_secret(&path, content);
        Some(path)
    };
    let broken = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
    let other_key = KeyPair::generate().unwrap().serialize_pem();
    let ours = |origin: &mut OriginSettings| {
        origin.ca_file = Some(authority.ca_file());
        origin.client_cert_file = Some(certificate.clone());
        origin.client_key_file = Some(key.clone());
    };
    for (message, words) in [
        (setup_error(|o| o.ca_file = Some("/nowhere/ca.pem".into())), ["/nowhere/ca.pem", "check the path"]),
        (setup_error(|o| o.ca_file = file("")), ["file.pem holds no certificate", "PEM file"]),
        (setup_error(|o| o.ca_file = file(broken)), ["file.pem is not a valid PEM", "export"]),
        (
            setup_error(|o| {
                ours(o);
                o.client_key_file = None;
            }),
            ["client_key_file", "both or neither"],
        ),
        (
            setup_error(|o| {
                ours(o);
                o.client_key_file = file("");
            }),
            ["file.pem holds no private key", "PEM file"],
        ),
        (
            setup_error(|o| {
                ours(o);
                o.client_key_file = file(&other_key);
            }),
            ["does not fit", "give the key"],
        ),
        (setup_error(|o| o.prefix = "http://h/".to_owned()), ["not encrypted", "allow_http"]),
        (setup_error(|o| o.prefix = "https://h/fw".to_owned()), ["https://h/fw", "must end in /"]),
    ] {
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    }
}
