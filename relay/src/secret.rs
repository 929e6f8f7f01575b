//! Files with secrets: who may read them.
//!
//! A key that others can read is not known to be the relay's alone any more, so the relay does not use it. The rule is the same for
//! all such files, whoever made them: nobody but the owner, and where root owns the file, which the relay may need a group for to
//! read, this group too. It looks at a file's mode, and not at the directories above it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Refuses a file that others may read or change. One that cannot be looked at is left to whoever reads it.
///
/// # Errors
/// What is wrong, and what to do: the operator's to mend.
pub(crate) fn guarded(file: &Path) -> Result<(), String> {
    let Ok(metadata) = fs::metadata(file) else { return Ok(()) };
    if is_guarded(metadata.mode(), metadata.uid()) {
        return Ok(());
    }
    let shown = file.display();
    Err(format!(
        "{shown} is a secret, and others may read or change it; chmod 600 {shown} (or 640, where root owns it and the relay's group reads it), and replace what is in it if they may have"
    ))
}

/// Refuses a file that cannot be read.
///
/// # Errors
/// What is wrong, and what to do: the operator's to mend.
pub(crate) fn readable(file: &Path) -> Result<(), String> {
    fs::File::open(file).map(drop).map_err(|error| {
        format!(
            "{} cannot be read ({error}): check the path, and that the relay's user may read it",
            file.display()
        )
    })
}

/// The mode is that of stat(2).
const fn is_guarded(mode: u32, owner: u32) -> bool {
    let others = if owner == 0 { 0o037 } else { 0o077 };
    mode & others == 0
}

/// Writes a file that [`guarded`] accepts.
#[cfg(test)]
pub(crate) fn write(file: &Path, content: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::write(file, content)?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_its_owner_and_a_group_of_roots_read_a_secret() {
        const ROOT: u32 = 0;
        const RELAY: u32 = 990;
        for (mode, owner, is_fine) in [
            (0o100_600, RELAY, true),
            (0o100_400, RELAY, true),
            (0o100_640, ROOT, true),
            (0o100_640, RELAY, false),
            (0o100_660, ROOT, false),
            (0o100_604, ROOT, false),
            (0o100_601, ROOT, false),
            (0o100_644, RELAY, false),
        ] {
            assert_eq!(is_guarded(mode, owner), is_fine, "{mode:o} of {owner}");
        }
    }

    #[test]
    fn what_is_open_is_named_with_a_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key");
        assert_eq!(guarded(&file), Ok(()), "there is none");
        write(&file, b"secret").unwrap();
        assert_eq!(guarded(&file), Ok(()));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let complaint = guarded(&file).unwrap_err();
        assert!(complaint.contains(&format!("chmod 600 {}", file.display())), "{complaint}");
    }
}
