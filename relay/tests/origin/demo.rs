//! The origin of the demonstration, with the client that it is made for.

use crate::client::{Client, End, strong};
use crate::support::pattern;
use hyper_util::client::proxy::matcher::Matcher;
use sixfold_relay::demo::origin;
use sixfold_relay::origin::{OriginSettings, Settings};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn it_serves_validates_and_counts() {
    let image = pattern(96 << 10, 1);
    let origin = origin::start(image.clone()).await.unwrap();
    let directory = TempDir::new().unwrap();
    let ca_file = directory.path().join("ca.pem");
    std::fs::write(&ca_file, origin.ca_pem()).unwrap();
    let mut client = Client::new(Settings {
        origins: vec![OriginSettings {
            prefix: origin.url(),
            ca_file: Some(ca_file),
            ..OriginSettings::default()
        }],
        proxy: Arc::new(Matcher::builder().build()),
        ..Settings::default()
    });
    let url = format!("{}fw/image.bin", origin.url());
    let fetched = client.expect(&url, &image, 1).await;
    assert_eq!((origin.requests(), origin.body_bytes()), (1, 96 << 10));
    let validator = fetched.heads[0].validator.clone().unwrap();
    assert!(matches!(client.get_if_changed(&url, validator).await.end, End::NotModified(_)));
    let fetched = client.get_if_changed(&url, strong("\"other\"")).await;
    assert_eq!(fetched.end, End::Complete);
    assert_eq!((origin.requests(), origin.body_bytes()), (3, 2 * (96 << 10)));
}

#[tokio::test]
async fn it_serves_ranges() {
    let origin = origin::start(pattern(1000, 1)).await.unwrap();
    let tag = "\"c0ffee\"";
    for (headers, status, length) in [
        ("range: bytes=900-".to_owned(), "206", 100),
        ("range: bytes=0-9".to_owned(), "206", 10),
        ("range: bytes=990-5000".to_owned(), "206", 10),
        ("range: bytes=1000-".to_owned(), "416", 0),
        ("range: bytes=9-3".to_owned(), "200", 1000),
        ("range: bytes=-5".to_owned(), "200", 1000),
        (format!("range: bytes=900-\r\nif-range: {tag}"), "200", 1000),
    ] {
        let answer = ask(&origin, &headers).await;
        let (header, body) =
            answer.split_at(answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4);
        let header = String::from_utf8_lossy(header);
        assert_eq!((header.split(' ').nth(1), body.len()), (Some(status), length), "{headers}: {header}");
        if status == "206" {
            let start: usize = headers["range: bytes=".len()..].split('-').next().unwrap().parse().unwrap();
            assert_eq!(body, &pattern(1000, 1)[start..start + length]);
            assert!(
                header.contains(&format!("content-range: bytes {start}-{}/1000", start + length - 1)),
                "{header}"
            );
        }
    }
}

/// One request, by hand.
async fn ask(origin: &origin::DemoOrigin, headers: &str) -> Vec<u8> {
    let mut roots = rustls::RootCertStore::empty();
    let certificate = rustls::pki_types::pem::PemObject::from_pem_slice(origin.ca_pem().as_bytes()).unwrap();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let authority = origin.url().trim_start_matches("https://").trim_end_matches('/').to_owned();
    let tcp = tokio::net::TcpStream::connect(authority).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let mut tls = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    let request = format!("GET /a HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n\r\n");
    tls.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tls.read_to_end(&mut answer).await.unwrap();
    answer
}
