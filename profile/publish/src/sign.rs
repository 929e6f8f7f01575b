//! `sign`: an image becomes what a static HTTPS server can serve.

use crate::cli::Sign;
use crate::directory::Directory;
use crate::encrypt::encrypt;
use crate::failure::Failure;
use crate::files::{self, MAX_IMAGE};
use hmac_sha256::Hash;
use sixfold_manifest::{Manifest, chunk_index, cms, suit};
use std::path::Path;

const SUIT: &str = ".suit";
const P7S: &str = ".p7s";

/// What is signed, and how that is said to the publisher.
struct Signed {
    suffix: &'static str,
    bytes: Vec<u8>,
    by: String,
}

pub(crate) fn run(arguments: &Sign) -> Result<String, Failure> {
    let name = image_name(&arguments.image)?;
    let image = files::read(&arguments.image, MAX_IMAGE)?;
    let (mut manifest, index) = describe(arguments, name, &image)?;
    let encrypted = encrypt(arguments, name, &mut manifest, &image)?;
    let signed = [suit(arguments, &manifest)?, cms(arguments, &manifest)?];
    let signed: Vec<_> = signed.into_iter().flatten().collect();
    let directory = Directory::open(&arguments.output)?;
    if !arguments.force {
        directory.check(&manifest)?;
        let is_left = |suffix: &&str| signed.iter().all(|signed| signed.suffix != *suffix);
        for suffix in [SUIT, P7S].into_iter().filter(is_left) {
            directory.check_left(&format!("{name}{suffix}"), &manifest)?;
        }
    }
    // What is signed last: it must not speak of files that are not there.
    let mut files = vec![
        (name.to_owned(), encrypted.as_ref().unwrap_or(&image).as_slice()),
        (format!("{name}.idx"), index.as_slice()),
    ];
    files.extend(signed.iter().map(|signed| (format!("{name}{}", signed.suffix), signed.bytes.as_slice())));
    let written = directory.write(&files)?;
    let written: String = written.iter().map(|path| format!("{}\n", path.display())).collect();
    let by: Vec<_> = signed.into_iter().map(|signed| signed.by).collect();
    Ok(format!(
        "{written}sequence number {}, vendor {}, class {}, {}\n",
        manifest.sequence_number,
        manifest.vendor,
        manifest.class,
        by.join(", ")
    ))
}

/// The SUIT envelope, if there is a key for it.
fn suit(arguments: &Sign, manifest: &Manifest) -> Result<Option<Signed>, Failure> {
    let Some(path) = &arguments.key else { return Ok(None) };
    let key = files::read_signing_key(path)?;
    let bytes = suit::sign(manifest, &key).map_err(Failure::Sign)?;
    Ok(Some(Signed { suffix: SUIT, bytes, by: format!("{} key {}", key.algorithm(), key.key_id()) }))
}

/// The CMS signature, if there is a key for it.
fn cms(arguments: &Sign, manifest: &Manifest) -> Result<Option<Signed>, Failure> {
    let (Some(key_path), Some(chain_path)) = (&arguments.cms_key, &arguments.cms_chain) else {
        return Ok(None);
    };
    let (key, chain) = (files::read_cms_key(key_path)?, files::read_certificates(chain_path)?);
    let manifest = Manifest { index: None, uri: None, ..manifest.clone() };
    let bytes =
        cms::sign(&manifest, &key, &chain).map_err(|error| Failure::Cms(chain_path.clone(), error))?;
    Ok(Some(Signed { suffix: P7S, bytes, by: format!("chain of {} certificates", chain.len()) }))
}

/// What is said about the image, and its chunk index.
fn describe(arguments: &Sign, name: &str, image: &[u8]) -> Result<(Manifest, Vec<u8>), Failure> {
    let image_size = u32::try_from(image.len()).ok().filter(|size| *size > 0);
    let index = chunk_index(image, arguments.chunk_size);
    let manifest = Manifest {
        sequence_number: arguments.sequence,
        vendor: arguments.vendor(),
        class: arguments.class(),
        image_size: image_size.ok_or_else(|| Failure::EmptyImage(arguments.image.clone()))?,
        image_digest: Hash::hash(image),
        chunk_size: arguments.chunk_size,
        index_digest: Hash::hash(&index),
        index: Some(index.clone()),
        uri: Some(arguments.uri.clone().unwrap_or_else(|| relative_reference(name))),
        encryption: None,
    };
    Ok((manifest, index))
}

/// The file name of the image; a name of ours would overwrite what belongs to another image.
fn image_name(image: &Path) -> Result<&str, Failure> {
    let name = image.file_name().and_then(|name| name.to_str());
    let is_ours = |name: &str| [SUIT, P7S, ".idx"].iter().any(|suffix| name.ends_with(suffix));
    name.filter(|name| !is_ours(name)).ok_or_else(|| Failure::ImageName(image.to_owned()))
}

/// A file name as a relative reference (RFC 3986 §4.2): all but unreserved characters are percent-encoded.
fn relative_reference(name: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    name.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_references() {
        assert_eq!(relative_reference("lamp-1.4_b~.bin"), "lamp-1.4_b~.bin");
        assert_eq!(relative_reference("a b:c#ä"), "a%20b%3Ac%23%C3%A4");
    }

    #[test]
    fn names_of_ours_are_no_images() {
        assert!(image_name(Path::new("x/lamp.bin")).is_ok_and(|name| name == "lamp.bin"));
        for name in ["lamp.bin.suit", "lamp.p7s", "lamp.idx", "x/..", "/"] {
            assert!(image_name(Path::new(name)).is_err(), "{name}");
        }
    }
}
