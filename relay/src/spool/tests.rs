use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use tempfile::TempDir;

const URL: &str = "https://origin.example/fw/a.bin";

fn head(tag: &str) -> Head {
    Head {
        validator: Some(Validator::Strong(format!("\"{tag}\""))),
        length: None,
        media_type: Some("application/octet-stream".into()),
        freshness: Freshness { max_age: Duration::from_secs(60), stale_if_error: Duration::from_secs(600) },
    }
}

fn store(spool: &Arc<Spool>, url: &str, tag: &str, body: &[u8]) -> bool {
    let draft = body.chunks(7).try_fold(spool.begin(url, &head(tag)).unwrap(), Draft::append);
    draft.is_some_and(Draft::commit)
}

fn body(mut stored: Stored) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        match stored.read().unwrap() {
            chunk if chunk.is_empty() => return all,
            chunk => all.extend_from_slice(&chunk),
        }
    }
}

fn open(directory: &TempDir, limit: u64) -> Arc<Spool> {
    Arc::new(Spool::open(directory.path(), limit).unwrap())
}

fn files(directory: &TempDir) -> Vec<(String, u64)> {
    let entries = fs::read_dir(directory.path()).unwrap().map(Result::unwrap);
    entries.map(|e| (e.file_name().into_string().unwrap(), e.metadata().unwrap().len())).collect()
}

#[test]
fn what_was_stored_outlives_the_process() {
    let directory = TempDir::new().unwrap();
    let long: Vec<u8> = (0..200_000u32).map(|i| (i * 7) as u8).collect();
    assert!(store(&open(&directory, 1 << 20), URL, "1", &long));
    let spool = open(&directory, 1 << 20);
    assert_eq!(spool.bytes(), files(&directory)[0].1);
    let stored = spool.load(URL).unwrap();
    assert_eq!(stored.head(), &Head { length: Some(200_000), ..head("1") });
    assert!(stored.age() < Duration::from_secs(60));
    assert_eq!(body(stored), long);
    assert!(spool.load("https://origin.example/fw/b.bin").is_none());
}

#[test]
fn every_validator_comes_back() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory, 1 << 20);
    let date = "Sun, 06 Nov 1994 08:49:37 GMT".to_owned();
    for validator in
        [Validator::Strong("\"s\"".into()), Validator::Weak("\"w\"".into()), Validator::LastModified(date)]
    {
        let head = Head { validator: Some(validator), media_type: None, ..head("") };
        assert!(spool.begin(URL, &head).unwrap().commit());
        assert_eq!(spool.load(URL).unwrap().head(), &Head { length: Some(0), ..head });
    }
    assert!(spool.begin(URL, &Head { validator: None, ..head("") }).is_none(), "could never be validated");
}

/// Whatever prefix of the file's bytes a crash leaves, under whichever name, is noticed; the spool then works on.
#[test]
fn a_crash_at_any_byte_leaves_a_usable_spool() {
    let directory = TempDir::new().unwrap();
    assert!(store(&open(&directory, 1 << 20), URL, "1", b"firmware"));
    let (name, _) = files(&directory).remove(0);
    let path = directory.path().join(&name);
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        fs::write(directory.path().join(".tmpXYZ.part"), &whole[..length]).unwrap();
        let spool = open(&directory, 1 << 20);
        assert_eq!(files(&directory).len(), 1, "the temporary file is removed");
        assert!(spool.load(URL).is_none(), "{length} of {} bytes pass as whole", whole.len());
        assert!(files(&directory).is_empty() && spool.bytes() == 0, "the damaged file is deleted");
        assert!(store(&spool, URL, "1", b"firmware"));
        assert_eq!(body(spool.load(URL).unwrap()), b"firmware");
    }
    assert_eq!(fs::read(&path).unwrap(), whole);
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let directory = TempDir::new().unwrap();
    assert!(store(&open(&directory, 1 << 20), URL, "1", b"firmware"));
    let path = directory.path().join(&files(&directory)[0].0);
    let whole = fs::read(&path).unwrap();
    for position in 0..whole.len() {
        let mut bad = whole.clone();
        bad[position] ^= 0x10;
        fs::write(&path, bad).unwrap();
        assert!(open(&directory, 1 << 20).load(URL).is_none(), "byte {position}");
    }
}

#[test]
fn a_file_under_the_name_of_another_url_is_refused() {
    let directory = TempDir::new().unwrap();
    assert!(store(&open(&directory, 1 << 20), URL, "1", b"firmware"));
    let other = "https://origin.example/fw/other.bin";
    fs::rename(directory.path().join(file_name(URL)), directory.path().join(file_name(other))).unwrap();
    assert!(open(&directory, 1 << 20).load(other).is_none());
}

#[test]
fn an_abandoned_draft_leaves_nothing() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory, 1 << 20);
    assert!(store(&spool, URL, "1", b"old"));
    let used = spool.bytes();
    let draft = spool.begin(URL, &head("2")).unwrap().append(b"half of the n").unwrap();
    assert_eq!((spool.bytes(), files(&directory).len()), (used + 13, 2));
    drop(draft);
    assert_eq!((spool.bytes(), files(&directory).len()), (used, 1));
    assert_eq!(body(spool.load(URL).unwrap()), b"old");
}

#[test]
fn a_purge_is_not_undone_by_what_was_being_written() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory, 1 << 20);
    let begin = |url| spool.begin(url, &head("1")).unwrap().append(b"firmware").unwrap();
    let (purged, other, later) = (begin(URL), begin("b"), begin(URL));
    assert_eq!(spool.purge(Some(URL)), 0, "it is not there yet");
    assert!(!purged.commit() && other.commit() && spool.load(URL).is_none());
    assert!(begin(URL).commit(), "what begins afterwards is kept");
    let last = begin("c");
    assert_eq!(spool.purge(None), 2);
    assert!(!last.commit() && !later.commit());
    assert_eq!((spool.bytes(), files(&directory).len()), (0, 0));
}

#[test]
fn a_copy_that_is_being_read_survives_its_replacement() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory, 1 << 20);
    assert!(store(&spool, URL, "1", b"old"));
    let old = spool.load(URL).unwrap();
    assert!(store(&spool, URL, "2", b"new"));
    spool.remove(URL);
    assert_eq!(body(old), b"old");
    assert!(spool.load(URL).is_none() && files(&directory).is_empty());
}

#[test]
fn the_least_recently_used_goes_first_also_after_a_restart() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory, 1 << 20);
    for (age, url) in [(3, "a"), (2, "b"), (1, "c")] {
        assert!(store(&spool, url, "1", &[0; 1000]));
        let file = File::options().write(true).open(directory.path().join(file_name(url))).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age * 3600)).unwrap();
    }
    let size = spool.bytes() / 3;
    drop(spool);
    let spool = open(&directory, size * 2 + size / 2);
    assert!(spool.load("a").is_none(), "over the limit at the start");
    assert!(spool.load("b").is_some());
    assert!(store(&spool, "d", "1", &[0; 1000]));
    assert!(spool.load("c").is_none() && spool.load("b").is_some() && spool.load("d").is_some());
}

#[test]
fn confirming_renews_the_age_but_not_too_often() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory, 1 << 20);
    assert!(store(&spool, URL, "1", b"x"));
    let file = File::options().write(true).open(directory.path().join(file_name(URL))).unwrap();
    let at = |seconds| SystemTime::now() - Duration::from_secs(seconds);
    file.set_modified(at(100)).unwrap();
    spool.confirm(URL);
    assert!(spool.load(URL).unwrap().age() >= Duration::from_secs(100), "each renewal wears the flash");
    file.set_modified(at(10_000)).unwrap();
    assert!(spool.load(URL).unwrap().age() >= Duration::from_secs(10_000));
    spool.confirm(URL);
    assert!(spool.load(URL).unwrap().age() < Duration::from_secs(100));
    file.set_modified(SystemTime::now() + Duration::from_secs(10_000)).unwrap();
    spool.confirm(URL);
    assert_eq!(spool.load(URL).unwrap().age(), Duration::ZERO, "the clock is behind");
}

#[test]
fn what_cannot_fit_is_not_kept() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory, 1000);
    assert!(spool.begin(URL, &Head { length: Some(1001), ..head("1") }).is_none());
    assert!(spool.begin(URL, &head("1")).unwrap().append(&[0; 1001]).is_none());
    assert!(
        !spool.begin(URL, &head("1")).unwrap().append(&[0; 1000]).unwrap().commit(),
        "no room for the rest"
    );
    assert_eq!((spool.bytes(), files(&directory).len()), (0, 0));
}

#[test]
fn a_directory_is_for_one_relay_whose_limit_may_change() {
    let directory = TempDir::new().unwrap();
    let spool = open(&directory, 1 << 20);
    let draft = spool.begin(URL, &head("1")).unwrap();
    let refused = Spool::open(directory.path(), 1 << 20).unwrap_err();
    assert!(crate::refused::Refused::is_behind(&refused), "{refused:#}");
    assert!(draft.append(b"firmware").is_some_and(Draft::commit), "its unfinished file stayed");
    assert!(spool.is_at(&directory.path().join(".")) && !spool.is_at(Path::new("/")));
    spool.resize(1);
    assert_eq!((spool.bytes(), files(&directory).len()), (0, 0));
    drop(spool);
    open(&directory, 1);
}

#[test]
fn a_disk_that_refuses_is_no_reason_to_stop() {
    let directory = TempDir::new().unwrap();
    let inner = directory.path().join("spool");
    let spool = Arc::new(Spool::open(&inner, 1 << 20).unwrap());
    assert!(store(&spool, URL, "1", b"x"));
    let draft = spool.begin(URL, &head("2")).unwrap();
    fs::remove_dir_all(&inner).unwrap();
    assert!(!draft.commit());
    assert!(spool.begin(URL, &head("2")).is_none());
    assert!(spool.complained.load(Ordering::Relaxed));
    assert!(spool.load(URL).is_none());
    assert_eq!(spool.bytes(), 0);
    fs::create_dir(&inner).unwrap();
    assert!(store(&spool, URL, "2", b"x"));
    assert!(!spool.complained.load(Ordering::Relaxed), "the next trouble is worth a warning again");
}

#[derive(Clone, Debug)]
enum Step {
    Store(u8, Vec<u8>),
    Abandon(u8, Vec<u8>),
    Load(u8),
    Remove(u8),
    Damage(u8),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let body = || proptest::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        4 => (0u8..5, body()).prop_map(|(url, body)| Step::Store(url, body)),
        1 => (0u8..5, body()).prop_map(|(url, body)| Step::Abandon(url, body)),
        3 => (0u8..5).prop_map(Step::Load),
        1 => (0u8..5).prop_map(Step::Remove),
        1 => (0u8..5).prop_map(Step::Damage),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// A load gives the bytes stored last or nothing; the directory never exceeds its limit; what the spool
    /// believes to use is what it uses.
    #[test]
    fn any_history_keeps_the_promises(steps in proptest::collection::vec(step(), 1..40)) {
        const LIMIT: u64 = 1500;
        let directory = TempDir::new().unwrap();
        let mut spool = open(&directory, LIMIT);
        let mut model: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Store(url, body) => {
                    prop_assert!(store(&spool, &url.to_string(), "1", &body), "600 bytes always fit");
                    model.insert(url, body);
                }
                Step::Abandon(url, body) => drop(spool.begin(&url.to_string(), &head("1")).unwrap().append(&body)),
                Step::Load(url) => if let Some(stored) = spool.load(&url.to_string()) {
                    prop_assert_eq!(Some(&body(stored)), model.get(&url));
                },
                Step::Remove(url) => {
                    spool.remove(&url.to_string());
                    model.remove(&url);
                }
                Step::Damage(url) => {
                    let path = directory.path().join(file_name(&url.to_string()));
                    if let Ok(mut bytes) = fs::read(&path) {
                        *bytes.last_mut().unwrap() = 0;
                        fs::write(&path, bytes).unwrap();
                        model.remove(&url);
                    }
                }
                Step::Restart => {
                    drop(spool);
                    spool = open(&directory, LIMIT);
                }
            }
            let on_disk: u64 = files(&directory).iter().map(|(_, size)| size).sum();
            prop_assert!(on_disk <= LIMIT);
            prop_assert_eq!(spool.bytes(), on_disk);
        }
    }
}

/// No URL, whoever thought of it, names a file outside of the directory, or another file in it.
#[test]
fn names_of_files_are_digests() {
    let directory = tempfile::tempdir().unwrap();
    let spool = open(&directory, 1 << 20);
    let urls = ["https://h/../../etc/passwd", "https://h/a/b", "../x", "/etc/passwd", "a\0b", "a\nb", ""];
    for url in urls {
        assert!(store(&spool, url, "v", b"bytes"), "{url:?}");
    }
    let names: Vec<_> = files(&directory).into_iter().map(|(name, _)| name).collect();
    let is_digest = |name: &String| {
        let digits = name.strip_suffix(FINAL_SUFFIX).unwrap_or_default();
        digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    };
    assert!(names.len() == urls.len() && names.iter().all(is_digest), "{names:?}");
}
