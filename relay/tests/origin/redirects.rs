//! Redirects lead only to where the configuration allows, and carry no certificate there.

use crate::client::{Client, World, origin_settings, settings, strong};
use crate::support::{Authority, Fault, Resource, Setup, TestOrigin, pattern};
use sixfold_engine::{Failure, OriginEvent};
use sixfold_relay::origin::OriginSettings;

fn image() -> Resource {
    Resource::new(pattern(1000, 1), "\"1\"")
}

#[tokio::test]
async fn every_kind_of_redirect_is_followed() {
    let mut world = World::new().await;
    world.origin.serve("/x/new", image());
    for status in [301, 302, 303, 307, 308] {
        for location in
            [world.origin.url("/x/new"), "/x/new".to_owned(), "new".to_owned(), "../x/./new#part".to_owned()]
        {
            world.origin.fail("/x/old", [Fault::redirect(status, location)]);
            world.client.expect(&world.origin.url("/x/old"), &image().body, 1).await;
        }
    }
    assert_eq!((world.client.outcome("redirected"), world.client.outcome("redirect")), (20, 0));
}

#[tokio::test]
async fn conditions_and_ranges_are_kept_on_the_way() {
    let mut world = World::new().await;
    world.origin.serve("/new", image());
    world.origin.fail("/old", vec![Fault::redirect(302, "/new"); 3]);
    world.client.start(&world.origin.url("/old"), Some(strong("\"1\"")));
    assert!(matches!(world.client.event().await, OriginEvent::NotModified(_)));
    world.origin.fail("/new", [Fault::Truncate(500)]);
    world.client.expect(&world.origin.url("/old"), &image().body, 1).await;
    let last = world.origin.seen().pop().unwrap();
    assert_eq!((last.target.as_str(), last.header("range")), ("/new", Some("bytes=500-")));
}

#[tokio::test]
async fn five_are_followed_and_a_sixth_is_not() {
    let mut world = World::new().await;
    world.origin.serve("/a", image());
    world.origin.fail("/a", vec![Fault::redirect(302, "/a"); 5]);
    world.client.expect(&world.origin.url("/a"), &image().body, 1).await;
    world.origin.fail("/a", vec![Fault::redirect(302, "/a"); 6]);
    assert_eq!(world.client.refused(&world.origin.url("/a")).await, Failure::Redirect);
    assert_eq!(world.origin.seen().len(), 6 + 6);
}

#[tokio::test]
async fn nothing_outside_of_the_configuration_is_asked() {
    let foreign = TestOrigin::start_plain().await;
    foreign.serve("/fw/a", image());
    let mut world = World::with(|settings| settings.origins[0].prefix += "fw/").await;
    let port = world.origin.address.port();
    for location in [
        foreign.url("/fw/a"),
        world.origin.url("/outside"),
        "../outside".to_owned(),
        "%2e%2e/outside".to_owned(),
        format!("https://user@localhost:{port}/fw/a"),
        format!("http://localhost:{port}/fw/a"),
        "file:///etc/passwd".to_owned(),
        "https://".to_owned(),
    ] {
        world.origin.fail("/fw/a", [Fault::redirect(302, location.clone())]);
        assert_eq!(world.client.refused(&world.origin.url("/fw/a")).await, Failure::Redirect, "{location}");
    }
    world.origin.fail("/fw/a", [Fault::status(302)]);
    assert_eq!(world.client.refused(&world.origin.url("/fw/a")).await, Failure::Redirect, "no Location");
    assert!(foreign.seen().is_empty());
    assert!(world.origin.seen().iter().all(|seen| seen.target == "/fw/a"));
}

#[tokio::test]
async fn http_is_a_target_only_where_it_is_allowed() {
    let plain = TestOrigin::start_plain().await;
    plain.serve("/a", image());
    let mut world = World::with(|settings| {
        let prefix = plain.url("/");
        settings.origins.push(OriginSettings { prefix, allow_http: true, ..OriginSettings::default() });
    })
    .await;
    world.origin.fail("/a", [Fault::redirect(302, plain.url("/a"))]);
    world.client.expect(&world.origin.url("/a"), &image().body, 1).await;
}

#[tokio::test]
async fn the_certificate_stays_at_home() {
    let (home, abroad) = (Authority::new(), Authority::new());
    let with_clients =
        |authority: &Authority| Setup { client_ca: Some(home.ca_file()), ..Setup::new(authority) };
    let (origin, other) =
        (TestOrigin::start(&with_clients(&home)).await, TestOrigin::start(&with_clients(&abroad)).await);
    other.serve("/a", image());
    origin.fail("/a", [Fault::redirect(302, other.url("/a"))]);
    let (certificate, key) = home.issue(|_| {});
    let mut settings = settings(&home, &origin);
    settings.origins[0].client_cert_file = Some(certificate);
    settings.origins[0].client_key_file = Some(key);
    settings.origins.push(origin_settings(&abroad, &other));
    Client::new(settings).expect(&origin.url("/a"), &image().body, 1).await;
    assert!(origin.seen()[0].client_certificate && !other.seen()[0].client_certificate);
}
