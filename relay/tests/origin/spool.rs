//! The copy on disk: when it is used, renewed, and forgotten.

use crate::client::{Client, End, World, eventually, seconds, settings, strong};
use crate::support::{Fault, Resource, pattern};
use sixfold_engine::{Failure, Freshness};
use sixfold_relay::spool::Spool;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;
use tempfile::TempDir;

fn image(tag: &str, seed: u8) -> Resource {
    Resource::new(pattern(150_000, seed), tag)
        .with("cache-control", "max-age=300, stale-if-error=600")
        .with("content-type", "application/octet-stream")
}

struct Disk {
    world: World,
    directory: TempDir,
    url: String,
}

impl Disk {
    /// An origin whose image `"1"` is on disk.
    async fn new() -> Self {
        let mut disk = Self::empty().await;
        disk.world.origin.serve("/a", image("\"1\"", 1));
        let url = disk.url.clone();
        disk.world.client.expect(&url, &image("\"1\"", 1).body, 1).await;
        eventually("the image is on disk", || disk.files().len() == 1).await;
        disk.restart();
        disk
    }

    async fn empty() -> Self {
        let world = World::new().await;
        let url = world.origin.url("/a");
        let mut disk = Self { world, directory: TempDir::new().unwrap(), url };
        disk.restart();
        disk
    }

    /// A new client with a new view of the same files. The old one keeps its directory to itself until its last fetch has ended.
    fn restart(&mut self) {
        let directory = TempDir::new().unwrap();
        for entry in fs::read_dir(&self.directory).unwrap().map(Result::unwrap) {
            fs::rename(entry.path(), directory.path().join(entry.file_name())).unwrap();
        }
        self.directory = directory;
        let mut settings = settings(&self.world.authority, &self.world.origin);
        settings.retries.attempts = 1;
        settings.spool = Some(Arc::new(Spool::open(self.directory.path(), 1 << 20).unwrap()));
        self.world.client = Client::new(settings);
    }

    /// Finished files.
    fn files(&self) -> Vec<PathBuf> {
        let paths = fs::read_dir(&self.directory).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "image")).collect()
    }

    fn age(&self, by: u64) {
        let file = File::options().write(true).open(&self.files()[0]).unwrap();
        file.set_modified(SystemTime::now() - seconds(by)).unwrap();
    }

    fn asked_if_changed(&self) -> Option<String> {
        self.world.origin.seen().last().unwrap().header("if-none-match").map(str::to_owned)
    }
}

#[tokio::test]
async fn after_a_restart_the_origin_is_only_asked_whether_it_changed() {
    let mut disk = Disk::new().await;
    disk.world.origin.serve("/a", image("\"1\"", 1).with("cache-control", "max-age=40"));
    let sent = disk.world.origin.sent();
    let fetched = disk.world.client.expect(&disk.url, &image("\"1\"", 1).body, 1).await;
    assert_eq!(disk.asked_if_changed().as_deref(), Some("\"1\""));
    assert_eq!(disk.world.origin.sent(), sent, "no body was sent again");
    let head = &fetched.heads[0];
    assert_eq!((head.validator.clone(), head.length), (Some(strong("\"1\"")), Some(150_000)));
    assert_eq!(head.media_type.as_deref(), Some("application/octet-stream"));
    assert_eq!(head.freshness, Freshness { max_age: seconds(40), ..Freshness::default() }, "that of the 304");
    eventually("it is counted", || disk.world.client.outcome("not_modified") == 1).await;
}

#[tokio::test]
async fn a_version_in_memory_is_validated_without_the_disk() {
    let mut disk = Disk::new().await;
    disk.age(10_000);
    let fetched = disk.world.client.get_if_changed(&disk.url, strong("\"1\"")).await;
    assert!(matches!(fetched.end, End::NotModified(_)));
    let modified = fs::metadata(&disk.files()[0]).unwrap().modified().unwrap();
    assert!(modified.elapsed().unwrap() < seconds(1000), "the origin vouched for the copy as well");
}

#[tokio::test]
async fn a_new_version_replaces_the_copy() {
    let mut disk = Disk::new().await;
    disk.world.origin.serve("/a", image("\"2\"", 2));
    disk.world.client.expect(&disk.url, &image("\"2\"", 2).body, 1).await;
    eventually("the new version is on disk", || {
        let content = disk.files().first().map(fs::read);
        content
            .is_some_and(|content| content.is_ok_and(|content| content.starts_with(&image("\"2\"", 2).body)))
    })
    .await;
    disk.restart();
    disk.world.client.expect(&disk.url, &image("\"2\"", 2).body, 1).await;
    assert_eq!(disk.asked_if_changed().as_deref(), Some("\"2\""));
}

#[tokio::test]
async fn a_transfer_that_broke_and_went_on_is_whole_on_disk() {
    let mut disk = Disk::empty().await;
    disk.world.origin.serve("/a", image("\"1\"", 1));
    disk.world.origin.fail("/a", [Fault::Truncate(40_000)]);
    disk.world.client.expect(&disk.url, &image("\"1\"", 1).body, 1).await;
    eventually("the image is on disk", || disk.files().len() == 1).await;
    disk.restart();
    disk.world.client.expect(&disk.url, &image("\"1\"", 1).body, 1).await;
    assert_eq!(disk.asked_if_changed().as_deref(), Some("\"1\""));
}

#[tokio::test]
async fn a_damaged_copy_is_fetched_anew() {
    let mut disk = Disk::new().await;
    let path = disk.files().remove(0);
    let mut content = fs::read(&path).unwrap();
    content[100_000] ^= 1;
    fs::write(&path, content).unwrap();
    disk.world.client.expect(&disk.url, &image("\"1\"", 1).body, 1).await;
    assert_eq!(disk.asked_if_changed(), None);
    eventually("the image is on disk again", || disk.files().len() == 1).await;
}

#[tokio::test]
async fn the_copy_stands_in_for_an_origin_in_trouble() {
    let mut disk = Disk::new().await;
    disk.age(700);
    disk.world.origin.fail("/a", [Fault::status(503), Fault::status(503)]);
    let fetched = disk.world.client.expect(&disk.url, &image("\"1\"", 1).body, 1).await;
    let Freshness { max_age, stale_if_error } = fetched.heads[0].freshness;
    assert_eq!(max_age, seconds(0));
    assert!(
        stale_if_error <= seconds(200) && stale_if_error > seconds(100),
        "{stale_if_error:?} of 900 s are left"
    );

    disk.age(1000);
    disk.world.origin.fail("/a", [Fault::status(503), Fault::status(503)]);
    assert_eq!(disk.world.client.refused(&disk.url).await, Failure::Status(503), "its time is over");
    assert_eq!(disk.files().len(), 1, "but the origin may vouch for it later");
    disk.world.client.expect(&disk.url, &image("\"1\"", 1).body, 1).await;
    assert_eq!(disk.asked_if_changed().as_deref(), Some("\"1\""));
}

#[tokio::test]
async fn a_clock_that_is_behind_does_not_void_the_copy() {
    let mut disk = Disk::new().await;
    let file = File::options().write(true).open(&disk.files()[0]).unwrap();
    file.set_modified(SystemTime::now() + seconds(1_000_000)).unwrap();
    disk.world.origin.fail("/a", [Fault::status(503), Fault::status(503)]);
    let fetched = disk.world.client.expect(&disk.url, &image("\"1\"", 1).body, 1).await;
    assert_eq!(fetched.heads[0].freshness, Freshness { max_age: seconds(0), stale_if_error: seconds(900) });
}

#[tokio::test]
async fn the_copy_does_not_follow_a_newer_version_that_broke_off() {
    let mut disk = Disk::new().await;
    disk.world.origin.serve("/a", image("\"2\"", 2));
    disk.world.origin.fail("/a", [Fault::Truncate(10), Fault::Truncate(10)]);
    let fetched = disk.world.client.get(&disk.url).await;
    assert_eq!((fetched.heads.len(), fetched.end), (1, End::Failed(Failure::Interrupted)));
}

#[tokio::test]
async fn what_the_origin_no_longer_has_is_deleted() {
    for (status, kept) in [(404, 0), (410, 0), (403, 0), (429, 1), (500, 1)] {
        let mut disk = Disk::new().await;
        disk.age(2000);
        disk.world.origin.fail("/a", [Fault::status(status), Fault::status(status)]);
        assert_eq!(disk.world.client.refused(&disk.url).await, Failure::Status(status));
        assert_eq!(disk.files().len(), kept, "{status}");
    }
}

#[tokio::test]
async fn what_must_not_be_stored_is_not() {
    let mut disk = Disk::new().await;
    disk.world.origin.serve("/a", image("\"2\"", 2).with("cache-control", "no-store"));
    disk.world.client.expect(&disk.url, &image("\"2\"", 2).body, 1).await;
    eventually("the old version is deleted", || disk.files().is_empty()).await;
    disk.restart();
    disk.world.client.expect(&disk.url, &image("\"2\"", 2).body, 1).await;
    assert_eq!(disk.asked_if_changed(), None);
}
