//! Files that a publisher looks at.

use sixfold_publish::describe::{Unit, describe};

/// Two bytes: whether the name ends as that of an index, and the exponents of page and write unit; then the file. It is
/// described, or refused in words, without a secret.
pub fn inspect_file(data: &[u8]) {
    let [page, write, file @ ..] = data else { return };
    let unit = Unit { page: 1_u32.checked_shl((page & 0x3f).into()).unwrap_or(0), write: 1 << (write % 8) };
    let is_index = page & 0x80 != 0;
    match describe(file, is_index, unit) {
        Some(Ok(text)) => assert!(text.ends_with('\n'), "{text:?}"),
        Some(Err(why)) => assert!(!why.is_empty() && !why.contains('\n'), "{why:?}"),
        None => assert!(!is_index, "an index is known by its name"),
    }
}
