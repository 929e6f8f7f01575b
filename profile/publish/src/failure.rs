//! What can go wrong, and whose fault it is.

use sixfold_edhoc::CredentialError;
use sixfold_manifest::encryption::NoContentKey;
use sixfold_manifest::keys::KeyError;
use sixfold_manifest::{cms, suit};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// This machine: a file, and what could not be done with it.
    File(PathBuf, &'static str, io::Error),
    /// A file that is never overwritten.
    Exists(PathBuf),
    /// A file is larger than anything of its kind.
    TooLarge(PathBuf, u64),
    /// A file is no key.
    Key(PathBuf, KeyError),
    /// A new key could not be made.
    NewKey(KeyError),
    /// Nobody can be called so in EDHOC.
    Credential(CredentialError),
    /// A file is no manifest, or one that is not accepted.
    Manifest(PathBuf, suit::Error),
    /// A file is no CMS signature, certificate, revocation list or key for CMS, or one that is not accepted.
    Cms(PathBuf, cms::Error),
    /// Nothing on the command line can make this file trusted: the option that is missing.
    NoTrust(PathBuf, &'static str),
    /// The image cannot be signed.
    Sign(suit::Error),
    /// The image is to be encrypted, and for nobody.
    NoRecipient,
    /// A published image cannot be decrypted.
    NotDecrypted(PathBuf, NoContentKey),
    /// The image has no bytes.
    EmptyImage(PathBuf),
    /// The image has no file name that can stand in a URI.
    ImageName(PathBuf),
    /// A manifest in the output directory has this sequence number or a higher one, and describes other bytes.
    Sequence { offered: u64, used: u64, by: PathBuf },
    /// A manifest in the output directory cannot be compared with.
    Incomparable(PathBuf, String),
    /// A signature in the output directory would be left beside an image that it does not describe.
    LeftBehind(PathBuf),
    /// The image is not the one that the manifest describes.
    Image(PathBuf, &'static str),
    /// A file is of no known kind.
    Unknown(PathBuf),
    /// A file looks like something, but is not whole: what, and what is wrong.
    Malformed(PathBuf, String),
    /// This machine: its standard output.
    Stdout(io::Error),
}

impl Failure {
    /// For `map_err`: names the file and what was to be done with it.
    pub(crate) fn file(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File(path, what, error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, what, error) => write!(f, "cannot {what} {}: {error}", path.display()),
            Self::Exists(path) => {
                write!(f, "{} exists, and keys are never overwritten: choose another name", path.display())
            }
            Self::TooLarge(path, limit) => {
                write!(f, "{} has more than {limit} bytes: is it the right file?", path.display())
            }
            Self::Key(path, error) => write!(f, "{}: {error}", path.display()),
            Self::NewKey(error) => write!(f, "cannot make a key: {error}"),
            Self::Credential(error) => write!(f, "cannot make a credential: {error}"),
            Self::Manifest(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Cms(path, error) => write!(f, "{}: {error}", path.display()),
            Self::NoTrust(path, option) => {
                write!(f, "{} needs {option}: say whose signature is trusted", path.display())
            }
            Self::Sign(suit::Error::TooLarge(_)) => {
                f.write_str("the image has too many chunks for one manifest: sign with a larger --chunk-size")
            }
            Self::Sign(error) => write!(f, "cannot sign: {error}"),
            Self::NoRecipient => f.write_str(
                "the image would be encrypted for nobody: name a shared key (--encrypt FILE) or a device's public key (--recipient FILE)",
            ),
            Self::NotDecrypted(path, NoContentKey::NotForUs) => {
                write!(
                    f,
                    "{} is not encrypted for this key: give another one with --decrypt-with",
                    path.display()
                )
            }
            Self::NotDecrypted(path, error) => write!(f, "{}: {error}", path.display()),
            Self::EmptyImage(path) => {
                write!(f, "{} is empty: the build that should have written it failed", path.display())
            }
            Self::ImageName(path) => write!(
                f,
                "{} has no file name that can be published: rename it, with letters, digits, '-' and '.'",
                path.display()
            ),
            Self::Sequence { offered, used, by } => write!(
                f,
                "sequence number {offered} is not new: {} has {used} for an image with other bytes, and devices would \
                 refuse or mix them up; sign with --sequence {} or higher (or with --force, if no device has seen it)",
                by.display(),
                used.saturating_add(1)
            ),
            Self::Incomparable(path, error) => write!(
                f,
                "{} may use the same sequence number, but cannot be read: {error}; remove it, or sign with --force",
                path.display()
            ),
            Self::LeftBehind(path) => write!(
                f,
                "{} signs other bytes under this name: sign with --key and with --cms-key, give the image another \
                 name, or remove that file",
                path.display()
            ),
            Self::Image(path, what) => {
                write!(
                    f,
                    "{} is not the image that was signed: {what}; copy both files again",
                    path.display()
                )
            }
            Self::Unknown(path) => write!(
                f,
                "{} is none of ours: neither SUIT envelope, CMS signature, chunk index (*.idx), ticket, record, \
                 flash file, nor key; an image says nothing about itself, inspect its .suit or .p7s",
                path.display()
            ),
            Self::Malformed(path, what) => write!(f, "{}: {what}", path.display()),
            Self::Stdout(error) => write!(f, "cannot write to stdout: {error}"),
        }
    }
}
