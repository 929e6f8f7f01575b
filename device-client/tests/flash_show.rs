//! What `sixfold-device flash show` and `prepare` say of the session that the boot program left in flash.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod model;

use embedded_storage::nor_flash::NorFlash;
use model::device::Release;
use model::image;
use model::session::Agreement;
use sixfold_device::boot::{Which, install, record};
use sixfold_device::flash_file::{FlashFile, Geometry, PAGE};
use sixfold_profile::index::ChunkSize;
use sixfold_profile::record::RecordLayout;
use sixfold_profile::ticket::{Fields, MAX_TICKET};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Entries of the count that are written: the first says that the session was lost, and each further one stands for 256 numbers.
type Entries = std::ops::Range<u32>;

/// Flash whose ticket has a session with 512 numbers, or none.
fn flash(folder: &TempDir, plain_allowed: Option<bool>, entries: Entries) -> PathBuf {
    let path = folder.path().join("flash.bin");
    let geometry = Geometry { slot_bytes: 4 * PAGE, two_slots: false, sessions: true };
    let mut flash = FlashFile::create(&path, geometry, |_| Ok(())).unwrap();
    let release = Release::new(image(3 * PAGE as usize, 1), ChunkSize::from_bytes(PAGE).unwrap(), 8);
    let agreement = Agreement::new(b"a master secret!");
    let session = plain_allowed.map(|plain_allowed| agreement.session(9, plain_allowed));
    let fields = Fields { session, ..release.ticket() };
    let layout = flash.layout().clone();
    let which = install(&mut flash, &layout, &fields, &release.index).unwrap();
    let place = layout.record(which);
    let mut buffer = [0; MAX_TICKET];
    let ticket = record::read_ticket(&mut flash, place, &mut buffer).unwrap();
    let write_unit = FlashFile::WRITE_SIZE as u32;
    let count = RecordLayout::of(&ticket, place.start, PAGE, write_unit).unwrap().count.start;
    for entry in entries {
        flash.write(count + entry * write_unit.max(4), &vec![0; write_unit.max(4) as usize]).unwrap();
    }
    assert_eq!(which, Which::B, "beside what the factory left");
    path
}

/// Standard output and error.
fn run(arguments: &[&str], flash: &Path) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sixfold-device"));
    let output = command.args(arguments).arg(flash).output().unwrap();
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// It ends as soon as it looks for the publisher's key, which comes after what it says of the session.
fn prepare(flash: &Path, more: &[&str]) -> String {
    let arguments = "prepare --relay coap://[::1]:9 --manifest /m --key /none --vendor a.example --class c --secret /none";
    let arguments: Vec<&str> = arguments.split(' ').chain(more.iter().copied()).chain(["--flash"]).collect();
    run(&arguments, flash).1
}

#[test]
fn what_became_of_a_session_is_shown() {
    let lost = "was lost: the relay, or somebody on the link, said that it does not know it";
    let used_up = "has no numbers left";
    for (entries, state, why) in [
        (0..0, "has numbers left", None),
        (1..2, "has numbers left", None),
        (0..2, lost, Some(lost)),
        (1..3, used_up, Some(used_up)),
        (0..3, used_up, Some(used_up)),
    ] {
        for (plain_allowed, behind) in [(false, ""), (true, ", and may be done without then")] {
            let folder = TempDir::new().unwrap();
            let flash = flash(&folder, Some(plain_allowed), entries.clone());
            let (shown, _) = run(&["flash", "show"], &flash);
            let line = format!("  the session of 0d01 {state}{behind}\n");
            assert!(shown.contains(&line), "{entries:?}: {shown}");
            let said = prepare(&flash, &[]);
            let last = why.map(|why| format!("the last session {why}\n"));
            assert_eq!(said.contains("the last session"), last.is_some(), "{entries:?}: {said}");
            assert!(last.is_none_or(|line| said.starts_with(&line)), "{entries:?}: {said}");
            assert!(!prepare(&flash, &["--quiet"]).contains("session"), "{entries:?}");
        }
    }
}

#[test]
fn without_a_session_nothing_is_said_of_one() {
    let folder = TempDir::new().unwrap();
    let flash = flash(&folder, None, 0..0);
    let (shown, _) = run(&["flash", "show"], &flash);
    assert!(shown.contains("sequence number 8") && !shown.contains("session"), "{shown}");
    assert!(!prepare(&flash, &[]).contains("session"));
}
