//! Whom this device trusts, read from files.

use crate::cli::What;
use crate::failure::Failure;
use sixfold_manifest::cms::{self, TrustAnchors};
use sixfold_manifest::encryption::DecryptionKey;
use sixfold_manifest::keys::VerifyingKey;
use sixfold_manifest::{Distrust, Manifest, suit};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// CBOR tag 107, which SUIT envelopes begin with.
const SUIT_TAG: [u8; 2] = [0xd8, 0x6b];

/// Publishers' keys, and certification authorities with their revocation lists.
pub(crate) struct Trust {
    keys: Vec<VerifyingKey>,
    anchors: TrustAnchors,
}

/// Why a manifest is not trusted.
#[derive(Debug)]
pub(crate) enum Untrusted {
    Suit(suit::Error),
    Cms(cms::Error),
    /// It is neither: its first bytes.
    Neither,
}

impl Untrusted {
    /// What kind it is.
    pub(crate) const fn distrust(&self) -> Distrust {
        match self {
            Self::Suit(error) => error.distrust(),
            Self::Cms(error) => error.distrust(),
            Self::Neither => Distrust::Malformed,
        }
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Suit(error) => error.fmt(f),
            Self::Cms(error) => error.fmt(f),
            Self::Neither => {
                f.write_str("the manifest is neither a SUIT envelope nor a CMS signature in DER")
            }
        }
    }
}

impl Trust {
    /// Reads all files that the command line names.
    pub(crate) fn read(what: &What) -> Result<Self, Failure> {
        let mut trust = Self { keys: Vec::new(), anchors: TrustAnchors::default() };
        for path in &what.key {
            let pem = String::from_utf8_lossy(&read(path)?).into_owned();
            let key = VerifyingKey::from_pem(&pem).map_err(|error| unusable(path, &error))?;
            trust.keys.push(key);
        }
        for path in &what.anchor {
            let found = cms::certificates(&read(path)?).map_err(|error| unusable(path, &error))?;
            trust.anchors.certificates.extend(found);
        }
        for path in &what.crl {
            let found = cms::revocation_lists(&read(path)?).map_err(|error| unusable(path, &error))?;
            trust.anchors.crls.extend(found);
        }
        Ok(trust)
    }

    /// What a manifest's publisher says, if it is one of those.
    pub(crate) fn verify(&self, signed: &[u8]) -> Result<Manifest, Untrusted> {
        if signed.starts_with(&SUIT_TAG) {
            return suit::verify(signed, &self.keys).map_err(Untrusted::Suit);
        }
        if signed.first() != Some(&0x30) {
            return Err(Untrusted::Neither);
        }
        // A clock before 1970 finds every certificate not valid yet, and says so.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        cms::verify(signed, &self.anchors, now).map_err(Untrusted::Cms)
    }
}

/// The keys that this device decrypts with.
pub(crate) fn decryption_keys(what: &What) -> Result<Vec<DecryptionKey>, Failure> {
    let read = |path: &PathBuf| {
        DecryptionKey::from_text(&String::from_utf8_lossy(&read(path)?))
            .map_err(|error| unusable(path, &error))
    };
    what.decrypt_with.iter().map(read).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(Failure::file(path, "read"))
}

fn unusable(path: &Path, error: &dyn fmt::Display) -> Failure {
    Failure::Usage(format!("{}: {error}", path.display()))
}
