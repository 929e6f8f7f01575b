use super::*;
use crate::ops::status::Session;
use crate::origin::{OriginClient, OriginSettings, Retries, Settings};
use hyper_util::client::proxy::matcher::Matcher;
use prometheus::proto::{MetricFamily, MetricType};
use sixfold_engine::{ETag, FanoutEvent, FetchCommand, FetchId, LinkConfig, PlanKind};
use sixfold_profile::coap::Szx;
use std::collections::BTreeSet;
use std::io::Write;
use std::net::{Ipv6Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

const PAGE: &str = include_str!("../../../../docs/metrics.md");

/// The value of one series.
fn value(metrics: &Metrics, series: &str) -> f64 {
    let text = metrics.gather();
    let sample = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    sample.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
}

/// The sum of all series with this prefix.
fn sum(metrics: &Metrics, prefix: &str) -> f64 {
    let text = metrics.gather();
    text.lines()
        .filter(|l| l.starts_with(prefix))
        .map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

#[test]
fn every_event_counts_where_it_belongs_and_nowhere_else() {
    let peer = SocketAddr::from((Ipv6Addr::LOCALHOST, 5683));
    let ended = |finished| Event::TransferEnded { peer, finished, duration: Duration::from_millis(2500) };
    let url = || "https://h/a".to_owned();
    let etag = ETag([0; 8]);
    let events = [
        (Event::Request(Code::GET), "sixfold_requests_total{method=\"GET\"}"),
        (Event::Request(Code::IPATCH), "sixfold_requests_total{method=\"iPATCH\"}"),
        (Event::Response(Code::CONTENT), "sixfold_responses_total{code=\"2.05\"}"),
        (Event::Response(Code::HOP_LIMIT_REACHED), "sixfold_responses_total{code=\"5.08\"}"),
        (Event::RetransmittedRequest, "sixfold_retransmitted_requests_total"),
        (Event::RetransmittedResponse, "sixfold_retransmitted_responses_total"),
        (Event::BlockSent(64), "sixfold_blocks_sent_total"),
        (Event::TransferStarted, "sixfold_transfers_active"),
        (Event::ObserverAdded, "sixfold_observers"),
        (ended(true), "sixfold_transfers_total{outcome=\"finished\"}"),
        (ended(false), "sixfold_transfers_total{outcome=\"abandoned\"}"),
        (
            Event::ImageFetched { url: url(), etag, bytes: 5, duration: Duration::ZERO },
            "sixfold_images_fetched_total",
        ),
        (Event::ImageChanged { url: url(), from: etag, to: etag }, "sixfold_images_changed_total"),
    ];
    for (event, series) in events {
        let metrics = Metrics::new().unwrap();
        metrics.record(&event);
        assert_eq!(value(&metrics, series), 1.0, "{event:?}");
        let family = series.split('{').next().unwrap();
        assert_eq!(sum(&metrics, family), 1.0, "{event:?}");
    }
}

#[test]
fn each_result_and_reason_has_its_own_counter() {
    for result in CacheResult::ALL {
        let metrics = Metrics::new().unwrap();
        metrics.record(&Event::Cache(result));
        let series = format!("sixfold_cache_requests_total{{result=\"{}\"}}", result.label());
        assert_eq!(value(&metrics, &series), 1.0);
    }
    for event in LinkEvent::ALL {
        let metrics = Metrics::new().unwrap();
        metrics.record(&Event::Link(event));
        let series = format!("sixfold_link_answers_total{{event=\"{}\"}}", event.label());
        assert_eq!(value(&metrics, &series), 1.0);
    }
    for decision in LinkDecision::ALL {
        let metrics = Metrics::new().unwrap();
        metrics.record(&Event::Decided(decision));
        let series = format!("sixfold_link_decisions_total{{decision=\"{}\"}}", decision.label());
        assert_eq!(value(&metrics, &series), 1.0);
    }
    for reason in DropReason::ALL {
        let metrics = Metrics::new().unwrap();
        metrics.record(&Event::Dropped(reason));
        let series = format!("sixfold_dropped_total{{reason=\"{}\"}}", reason.label());
        assert_eq!(value(&metrics, &series), 1.0);
    }
}

#[test]
fn what_fan_out_does_has_its_own_counters() {
    let requests = |result: &str| format!("sixfold_fanout_requests_total{{result=\"{result}\"}}");
    let datagrams = |kind: &str| format!("sixfold_fanout_datagrams_total{{kind=\"{kind}\"}}");
    let events = [
        (FanoutEvent::Informed, requests("informed")),
        (FanoutEvent::Alone, requests("alone")),
        (FanoutEvent::Started(PlanKind::Pass), requests("started")),
        (FanoutEvent::Merged, requests("merged")),
        (FanoutEvent::Ignored, requests("ignored")),
        (FanoutEvent::Silenced, requests("silenced")),
        (FanoutEvent::Block(1), datagrams("block")),
        (FanoutEvent::Block(1), "sixfold_fanout_block_bytes_total".to_owned()),
        (FanoutEvent::Parity, datagrams("parity")),
        (FanoutEvent::Ended, "sixfold_fanout_streams_ended_total".to_owned()),
        (FanoutEvent::Disbanded, "sixfold_fanout_groups_disbanded_total".to_owned()),
    ];
    for (event, series) in events {
        let metrics = Metrics::new().unwrap();
        metrics.record(&Event::Fanout(event));
        assert_eq!(value(&metrics, &series), 1.0, "{event:?}");
    }
    for kind in PlanKind::ALL {
        let metrics = Metrics::new().unwrap();
        metrics.record(&Event::Fanout(FanoutEvent::Started(kind)));
        let series = format!("sixfold_fanout_streams_started_total{{kind=\"{}\"}}", kind.label());
        assert_eq!(value(&metrics, &series), 1.0);
    }
    let metrics = Metrics::new().unwrap();
    metrics.set_fanout(Load { groups: 2, members: 7, ..Load::default() });
    assert_eq!(value(&metrics, "sixfold_fanout_groups"), 2.0);
    assert_eq!(value(&metrics, "sixfold_fanout_members"), 7.0);
}

#[test]
fn no_code_makes_a_new_series() {
    let metrics = Metrics::new().unwrap();
    let before = metrics.gather().lines().filter(|line| line.starts_with("sixfold_")).count();
    for code in (0..=255).map(Code) {
        metrics.record(&Event::Request(code));
        metrics.record(&Event::Response(code));
    }
    let after = metrics.gather().lines().filter(|line| line.starts_with("sixfold_")).count();
    assert_eq!(before, after);
    assert_eq!(value(&metrics, "sixfold_requests_total{method=\"other\"}"), 256.0 - 7.0);
    assert_eq!(value(&metrics, "sixfold_requests_total{method=\"GET\"}"), 1.0);
    assert_eq!(sum(&metrics, "sixfold_responses_total"), 256.0);
    assert_eq!(value(&metrics, "sixfold_responses_total{code=\"4.04\"}"), 1.0);
}

#[test]
fn transfers_and_observers_go_up_and_down() {
    let metrics = Metrics::new().unwrap();
    let peer = SocketAddr::from((Ipv6Addr::LOCALHOST, 5683));
    let ended = |finished| Event::TransferEnded { peer, finished, duration: Duration::from_millis(2500) };
    for event in [Event::TransferStarted, Event::TransferStarted, ended(true), Event::ObserverAdded] {
        metrics.record(&event);
    }
    assert_eq!(value(&metrics, "sixfold_transfers_active"), 1.0);
    assert_eq!(value(&metrics, "sixfold_observers"), 1.0);
    metrics.record(&ended(false));
    metrics.record(&Event::ObserverRemoved);
    assert_eq!(value(&metrics, "sixfold_transfers_active"), 0.0);
    assert_eq!(value(&metrics, "sixfold_observers"), 0.0);
    let duration = "sixfold_transfer_duration_seconds";
    assert_eq!(value(&metrics, &format!("{duration}_count")), 1.0, "abandoned ones are left out");
    assert_eq!(value(&metrics, &format!("{duration}_sum")), 2.5);
    assert_eq!(value(&metrics, &format!("{duration}_bucket{{le=\"1\"}}")), 0.0);
    assert_eq!(value(&metrics, &format!("{duration}_bucket{{le=\"3\"}}")), 1.0);
}

#[test]
fn what_is_set_or_counted_otherwise() {
    let metrics = Metrics::new().unwrap();
    metrics.set_cache(5000, 9000);
    metrics.set_images([0, 1, 2, 3, 4, 5]);
    let mut longest = [None; LONGEST];
    longest[0] = Some((Duration::from_millis(1500), 0.25));
    metrics.set_longest_transfers(longest);
    metrics.record(&Event::BlockSent(64));
    metrics.record(&Event::BlockSent(36));
    metrics.config_reload(true);
    metrics.config_reload(false);
    metrics.config_reload(false);
    assert_eq!(metrics.blocks_sent(), 2);
    assert_eq!(value(&metrics, "sixfold_block_bytes_sent_total"), 100.0);
    assert_eq!(value(&metrics, "sixfold_cache_bytes"), 5000.0);
    assert_eq!(value(&metrics, "sixfold_cache_limit_bytes"), 9000.0);
    assert_eq!(value(&metrics, "sixfold_images{state=\"fetching\"}"), 0.0);
    assert_eq!(value(&metrics, "sixfold_images{state=\"failed\"}"), 5.0);
    assert_eq!(value(&metrics, "sixfold_longest_transfer_seconds{rank=\"1\"}"), 1.5);
    assert_eq!(value(&metrics, "sixfold_longest_transfer_progress_ratio{rank=\"1\"}"), 0.25);
    assert_eq!(value(&metrics, "sixfold_longest_transfer_seconds{rank=\"10\"}"), 0.0);
    assert_eq!(value(&metrics, "sixfold_config_reloads_total{outcome=\"ok\"}"), 1.0);
    assert_eq!(value(&metrics, "sixfold_config_reloads_total{outcome=\"refused\"}"), 2.0);
    let build = concat!("sixfold_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}");
    assert_eq!(value(&metrics, build), 1.0);
}

/// With every series that there can be.
fn with_a_link() -> Metrics {
    let metrics = Metrics::new().unwrap();
    metrics.set_links([("wpan0".to_owned(), &link())].into_iter());
    metrics.set_interfaces([("wpan0", true)].into_iter());
    let traffic = Arc::<Traffic>::default();
    let end = UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    traffic.certificates().note("h:8443".to_owned(), end);
    traffic.streaks().failed("h:8443");
    metrics.watch_origin(traffic);
    // The origin's are brought up to date when they are looked at.
    metrics.gather();
    metrics
}

fn link() -> LinkStatus {
    LinkStatus {
        interface: 7,
        config: LinkConfig::default(),
        rate_bytes: 3000.0,
        loss: 0.25,
        round_trip: Some(Duration::from_millis(500)),
        timeout: Duration::from_secs(2),
        window: Duration::from_millis(250),
        in_flight: Duration::from_millis(125),
        busy: 0.75,
        block_size: Szx::B64,
        waiting: 3,
        members: 5,
        missing: 2,
        groups: Vec::new(),
    }
}

#[test]
fn certificates_of_origins_have_their_end() {
    let metrics = with_a_link();
    let series = "sixfold_origin_certificate_not_after_seconds{origin=\"h:8443\"}";
    assert_eq!(value(&metrics, series), 2e9);
    metrics.watch_origin(Arc::default());
    assert!(!metrics.gather().contains("h:8443"), "it is not configured any more");
}

#[test]
fn failures_in_a_row_are_counted_by_origin() {
    let metrics = with_a_link();
    assert_eq!(value(&metrics, "sixfold_origin_failed_fetches{origin=\"h:8443\"}"), 1.0);
}

#[test]
fn of_named_interfaces_it_is_said_that_they_are_absent() {
    let metrics = Metrics::new().unwrap();
    metrics.set_interfaces([("wpan0", true), ("wpan1", false)].into_iter());
    assert_eq!(value(&metrics, "sixfold_interface_up{interface=\"wpan0\"}"), 1.0);
    assert_eq!(value(&metrics, "sixfold_interface_up{interface=\"wpan1\"}"), 0.0);
    metrics.set_interfaces([("wpan0", true)].into_iter());
    assert!(!metrics.gather().contains("wpan1"), "it is not named any more");
}

#[test]
fn links_come_and_go() {
    let metrics = with_a_link();
    let expected = [
        ("rate_bytes_per_second", 3000.0),
        ("loss_ratio", 0.25),
        ("round_trip_seconds", 0.5),
        ("window_seconds", 0.25),
        ("in_flight_seconds", 0.125),
        ("busy_ratio", 0.75),
        ("block_bytes", 64.0),
        ("queue", 3.0),
        ("devices", 5.0),
        ("missing_devices", 2.0),
    ];
    for (name, expected) in expected {
        assert_eq!(
            value(&metrics, &format!("sixfold_link_{name}{{interface=\"wpan0\"}}")),
            expected,
            "{name}"
        );
    }
    metrics.set_links(std::iter::empty());
    metrics.set_interfaces(std::iter::empty());
    assert!(!metrics.gather().contains("wpan0"), "it is gone");
}

/// One metric as `docs/metrics.md` has it: name, type, label.
fn described(row: &str) -> Option<[String; 3]> {
    let mut cells = row.strip_prefix("| `")?.split(" |").map(|cell| cell.trim_matches([' ', '`']));
    Some([cells.next()?.to_owned(), cells.next()?.to_owned(), cells.next()?.to_owned()])
}

fn exported(family: &MetricFamily) -> [String; 3] {
    let kind = match family.get_field_type() {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::HISTOGRAM => "histogram",
        other => panic!("{other:?}"),
    };
    let labels = family.get_metric()[0].get_label().iter().map(|label| label.name());
    [family.name().to_owned(), kind.to_owned(), labels.collect::<Vec<_>>().join(" ")]
}

#[test]
fn the_page_describes_exactly_what_is_exported() {
    let described: Vec<_> = PAGE.lines().filter_map(described).collect();
    let metrics = with_a_link();
    let (name, kid) = ("lamp-7".to_owned(), "01".to_owned());
    let session = Session { name, kid, kid_context: None, left_s: Some(60), heard_s: Some(1.0), peer: None };
    let named = devices::families(&[session]).unwrap();
    let exported: BTreeSet<_> = metrics.registry.gather().iter().chain(&named).map(exported).collect();
    assert_eq!(described.len(), exported.len(), "described twice, or not at all");
    assert_eq!(described.into_iter().collect::<BTreeSet<_>>(), exported);
}

#[test]
fn the_page_names_the_values_of_the_relays_own_labels() {
    let text = Metrics::new().unwrap().gather();
    for line in text.lines().filter(|line| line.starts_with("sixfold_") && line.contains('"')) {
        let name = line.split('{').next().unwrap();
        let value = line.split('"').nth(1).unwrap();
        let Some(row) = PAGE.lines().find(|row| row.starts_with(&format!("| `{name}`"))) else {
            continue;
        };
        // The RFCs list methods and codes; the version and bucket limits go without saying.
        if ["`method`", "`code`", "`version`", "`rank`", "histogram"].iter().any(|cell| row.contains(cell)) {
            continue;
        }
        assert!(row.contains(&format!("`{value}`")), "{name}: {value} is not described");
    }
}

#[test]
fn promtool_has_no_complaint() {
    if Command::new("promtool").arg("--version").output().is_err() {
        let remedy = "promtool is missing: install the Debian package prometheus";
        assert_ne!(std::env::var("SIXFOLD_REQUIRE_PEERS").as_deref(), Ok("1"), "{remedy}");
        // Past the capture of the test harness.
        writeln!(std::io::stderr(), "SKIPPED promtool_has_no_complaint: {remedy}").unwrap();
        return;
    }
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = with_a_link().gather();
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let findings = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && findings.is_empty(), "{findings}");
}

/// An origin that answers one request per connection, in this order.
async fn origin(answers: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn the_origins_counters_are_shown_as_they_stand_and_never_go_back() {
    let address = origin(&[
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: \"1\"\r\n\r\n01234",
        "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nContent-Range: bytes 5-9/10\r\nETag: \"1\"\r\n\r\n56789",
    ])
    .await;
    let origin =
        OriginSettings { prefix: format!("http://{address}/"), allow_http: true, ..Default::default() };
    let delay = Duration::from_millis(1);
    let retries = Retries { attempts: 4, first_delay: delay, max_delay: delay };
    let settings = Settings {
        origins: vec![origin],
        retries,
        proxy: Arc::new(Matcher::builder().build()),
        ..Settings::default()
    };
    let (sender, _events) = mpsc::channel(16);
    let mut client = OriginClient::new(settings, sender).unwrap();
    let metrics = Metrics::new().unwrap();
    assert_eq!(sum(&metrics, "sixfold_origin_"), 0.0, "before there is an origin client");
    metrics.watch_origin(client.traffic());
    client.execute(FetchCommand::Start { id: FetchId(1), url: format!("http://{address}/a"), have: None });
    let complete = "sixfold_origin_requests_total{outcome=\"complete\"}";
    timeout(Duration::from_secs(20), async {
        while value(&metrics, complete) == 0.0 {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .unwrap();
    let expected = [
        ("sixfold_origin_requests_total{outcome=\"server_error\"}", 1.0),
        ("sixfold_origin_requests_total{outcome=\"interrupted\"}", 1.0),
        (complete, 1.0),
        ("sixfold_origin_bytes_total", 10.0),
        ("sixfold_origin_retries_total", 2.0),
        ("sixfold_origin_resumes_total", 1.0),
    ];
    for (series, expected) in expected.into_iter().chain(expected) {
        assert_eq!(value(&metrics, series), expected, "{series}");
    }
    metrics.watch_origin(Arc::default());
    assert_eq!(value(&metrics, "sixfold_origin_bytes_total"), 10.0, "a counter never goes back");
}
