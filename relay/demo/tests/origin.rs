//! The origin of the demonstration, asked by hand; the relay's own client fetches from it whenever the demonstration runs.
#![allow(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use sixfold_demo::origin::{self, DemoOrigin};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn pattern(length: usize) -> Bytes {
    (0..length).map(|at| ((at * 31) >> 3) as u8).collect()
}

#[tokio::test]
async fn it_validates_and_counts() {
    let image = pattern(96 << 10);
    let origin = origin::start(image.clone()).await.unwrap();
    let (header, body) = ask(&origin, "accept: */*").await;
    assert!(header.starts_with("HTTP/1.1 200 ") && body == image, "{header}");
    assert_eq!((origin.requests(), origin.body_bytes()), (1, 96 << 10));
    let tag = header.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let (header, body) = ask(&origin, &format!("if-none-match: {tag}")).await;
    assert!(header.starts_with("HTTP/1.1 304 ") && body.is_empty(), "{header}");
    let (header, body) = ask(&origin, "if-none-match: \"other\"").await;
    assert!(header.starts_with("HTTP/1.1 200 ") && body == image, "{header}");
    assert_eq!((origin.requests(), origin.body_bytes()), (3, 2 * (96 << 10)));
}

#[tokio::test]
async fn it_serves_ranges() {
    let origin = origin::start(pattern(1000)).await.unwrap();
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
        let (header, body) = ask(&origin, &headers).await;
        assert_eq!((header.split(' ').nth(1), body.len()), (Some(status), length), "{headers}: {header}");
        if status == "206" {
            let start: usize = headers["range: bytes=".len()..].split('-').next().unwrap().parse().unwrap();
            assert_eq!(body, &pattern(1000)[start..start + length]);
            assert!(
                header.contains(&format!("content-range: bytes {start}-{}/1000", start + length - 1)),
                "{header}"
            );
        }
    }
}

/// One request: header and body of its answer.
async fn ask(origin: &DemoOrigin, headers: &str) -> (String, Vec<u8>) {
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
    let end = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    let body = answer.split_off(end);
    (String::from_utf8(answer).unwrap(), body)
}
