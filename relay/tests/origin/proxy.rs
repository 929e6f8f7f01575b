//! HTTP proxies between the client and the origin.

use crate::client::{Client, World, settings};
use crate::support::{Resource, TestOrigin, pattern};
use hyper_util::client::proxy::matcher::Matcher;
use sixfold_engine::Failure;
use sixfold_relay::origin::{OriginClient, OriginSettings};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

fn image() -> Resource {
    Resource::new(pattern(100_000, 1), "\"1\"")
}

/// A proxy that opens tunnels to localhost, and the headers that it was sent.
async fn start_proxy(answer: &'static str) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let mut header = String::new();
                while !header.ends_with("\r\n\r\n") {
                    header.push(client.read_u8().await.unwrap().into());
                }
                let authority = header.split(' ').nth(1).unwrap().to_owned();
                log.lock().unwrap().push(header);
                client.write_all(answer.as_bytes()).await.unwrap();
                if let Ok(mut origin) = TcpStream::connect(authority).await {
                    let _ = copy_bidirectional(&mut client, &mut origin).await;
                }
            });
        }
    });
    (address, asked)
}

#[tokio::test]
async fn https_goes_through_a_tunnel() {
    let (proxy, asked) = start_proxy("HTTP/1.1 200 Connection established\r\n\r\n").await;
    let world = World::new().await;
    world.origin.serve("/a", image());
    let mut settings = settings(&world.authority, &world.origin);
    settings.proxy = Arc::new(Matcher::builder().https(format!("http://ann:secret@{proxy}")).build());
    Client::new(settings.clone()).expect(&world.origin.url("/a"), &image().body, 1).await;
    let headers = asked.lock().unwrap().remove(0);
    let port = world.origin.address.port();
    assert!(headers.starts_with(&format!("CONNECT localhost:{port} HTTP/1.1\r\n")), "{headers}");
    assert!(headers.contains("Proxy-Authorization: Basic YW5uOnNlY3JldA=="), "{headers}");
    assert_eq!(world.origin.seen()[0].header("proxy-authorization"), None);

    settings.proxy = Arc::new(Matcher::builder().https(format!("http://{proxy}")).no("localhost").build());
    Client::new(settings).expect(&world.origin.url("/a"), &image().body, 1).await;
    assert!(asked.lock().unwrap().is_empty(), "localhost is excepted");
}

#[tokio::test]
async fn a_proxy_that_refuses() {
    let (proxy, asked) = start_proxy("HTTP/1.1 403 Forbidden\r\n\r\n").await;
    let world = World::new().await;
    let mut settings = settings(&world.authority, &world.origin);
    settings.proxy = Arc::new(Matcher::builder().https(format!("http://{proxy}")).build());
    assert_eq!(Client::new(settings).refused(&world.origin.url("/a")).await, Failure::Connect);
    assert_eq!((asked.lock().unwrap().len(), world.origin.seen().len()), (4, 0));
}

/// For plain HTTP the proxy is asked for the whole URL, so that it can answer from its cache.
#[tokio::test]
async fn http_is_asked_for_in_absolute_form() {
    let world = World::new().await;
    let proxy = TestOrigin::start_plain().await;
    proxy.serve("/a", image());
    let mut settings = settings(&world.authority, &world.origin);
    let prefix = "http://origin.example/".to_owned();
    settings.origins = vec![OriginSettings { prefix, allow_http: true, ..OriginSettings::default() }];
    settings.proxy =
        Arc::new(Matcher::builder().http(format!("http://ann:secret@{}", proxy.address)).build());
    Client::new(settings).expect("http://origin.example/a", &image().body, 1).await;
    let seen = proxy.seen().remove(0);
    assert_eq!(seen.target, "http://origin.example/a");
    assert_eq!(seen.header("proxy-authorization"), Some("Basic YW5uOnNlY3JldA=="));
    assert_eq!(seen.header("host"), Some("origin.example"));
}

#[tokio::test]
async fn a_proxy_that_speaks_no_plain_http_is_refused_at_once() {
    let world = World::new().await;
    let mut settings = settings(&world.authority, &world.origin);
    settings.proxy = Arc::new(Matcher::builder().https("https://proxy.example:3129").build());
    let error = OriginClient::new(settings, tokio::sync::mpsc::channel(1).0).expect_err("not supported");
    let words = ["https://proxy.example:3129", "HTTPS_PROXY", "NO_PROXY"];
    assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
}
