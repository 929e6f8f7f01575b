//! Who somebody is: a CWT Claims Set (CCS, RFC 8392) with a name, a key identifier and a static P-256 key (RFC 9528 §3.5.2, RFC 9529).
//!
//! ```text
//! { 2: name, 8: { 1: { 1: 2, 2: key identifier, -1: 1, -2: x, -3: y } } }
//! ```

use hmac_sha256::Hash;
use lakers::Credential as Ccs;
use lakers::EDHOCError;
use p256::SecretKey;
use p256::elliptic_curve::sec1::ToEncodedPoint;
use p256::pkcs8::DecodePrivateKey;
use std::fmt;

/// The most bytes of a name.
pub const MAX_NAME: usize = 23;
/// The most bytes of a key identifier.
pub const MAX_KID: usize = 8;
/// The most bytes of a credential: what lakers derives keys from has to fit 255 bytes with it.
pub const MAX_CREDENTIAL: usize = 160;

/// Somebody's credential. Known credentials are trusted because somebody put them where they are: nothing in them is signed.
#[derive(Clone, Debug, PartialEq)]
pub struct Credential {
    pub(crate) ccs: Ccs,
    name: String,
    kid: Vec<u8>,
}

/// Why bytes are no credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialError {
    /// No hexadecimal digits, two for each byte.
    NotHex,
    /// No CCS as above, or too long.
    Malformed,
    /// No name (`sub`) of 1 to 23 printable bytes.
    Name,
    /// No key identifier of 1 to 8 bytes.
    KeyIdentifier,
    /// The private key is not that of the credential.
    OtherKey,
    /// No private key on P-256 in PKCS #8.
    Key,
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotHex => "not hexadecimal",
            Self::Malformed => "not a CCS with one P-256 key",
            Self::Name => "the name (sub) must have 1 to 23 printable ASCII characters",
            Self::KeyIdentifier => "the key identifier must have 1 to 8 bytes",
            Self::OtherKey => "the private key is not that of the credential",
            Self::Key => "not a P-256 private key in PKCS #8",
        })
    }
}

impl std::error::Error for CredentialError {}

impl Credential {
    /// Reads a CCS.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, CredentialError> {
        if bytes.len() > MAX_CREDENTIAL {
            return Err(CredentialError::Malformed);
        }
        let ccs = Ccs::parse_ccs(bytes).map_err(|_| CredentialError::Malformed)?;
        let name = subject(bytes).ok_or(CredentialError::Name)?;
        let kid = ccs.kid.map(|kid| kid.as_slice().to_vec()).unwrap_or_default();
        if !(1..=MAX_KID).contains(&kid.len()) {
            return Err(CredentialError::KeyIdentifier);
        }
        Ok(Self { ccs, name, kid })
    }

    /// The CCS.
    pub fn as_bytes(&self) -> &[u8] {
        self.ccs.bytes.as_slice()
    }

    /// Reads a CCS from a line of hexadecimal digits.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn from_text(text: &str) -> Result<Self, CredentialError> {
        let digits = text.trim().as_bytes();
        let value = |digit: &u8| char::from(*digit).to_digit(16);
        let byte = |pair: &[u8]| match pair {
            [high, low] => Some((value(high)? << 4 | value(low)?) as u8),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
        Self::parse(&bytes.ok_or(CredentialError::NotHex)?)
    }

    /// The CCS in hexadecimal, as [`Credential::from_text`] reads it.
    pub fn to_text(&self) -> String {
        self.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// `sub`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key identifier.
    pub fn kid(&self) -> &[u8] {
        &self.kid
    }

    /// Whether this is the one that an ID_CRED names, by its key identifier or by all of it.
    pub(crate) fn is_named_by(&self, id: &lakers::IdCred) -> bool {
        let names = |full: Result<lakers::IdCred, EDHOCError>| {
            full.is_ok_and(|full| full.as_full_value() == id.as_full_value())
        };
        names(self.ccs.by_kid()) || names(self.ccs.by_value())
    }

    /// Whether these bytes begin with an ID_CRED that names it, in the short form of a plaintext (RFC 9528 §3.5.3.2).
    pub(crate) fn begins(&self, plaintext: &[u8]) -> bool {
        let begins = |id: Result<lakers::IdCred, EDHOCError>| {
            id.is_ok_and(|id| plaintext.starts_with(id.as_encoded_value()))
        };
        begins(self.ccs.by_kid()) || begins(self.ccs.by_value())
    }
}

/// The name, which is the first claim.
fn subject(ccs: &[u8]) -> Option<String> {
    let [_, 2, head @ 0x61..=0x77, rest @ ..] = ccs else { return None };
    let name = rest.get(..usize::from(head - 0x60))?;
    let is_printable = name.iter().all(|byte| (0x20..0x7f).contains(byte));
    is_printable.then(|| String::from_utf8_lossy(name).into_owned())
}

/// A credential with its private key.
#[derive(Clone)]
pub struct Identity {
    pub(crate) credential: Credential,
    pub(crate) key: [u8; 32],
}

/// Without the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("credential", &self.credential).finish_non_exhaustive()
    }
}

impl Identity {
    /// Makes a credential for a private key (PKCS #8, PEM).
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn make(key: &str, name: &str, kid: &[u8]) -> Result<Self, CredentialError> {
        if !(1..=MAX_NAME).contains(&name.len()) {
            return Err(CredentialError::Name);
        }
        if !(1..=MAX_KID).contains(&kid.len()) {
            return Err(CredentialError::KeyIdentifier);
        }
        let key = SecretKey::from_pkcs8_pem(key).map_err(|_| CredentialError::Key)?;
        let point = key.public_key().to_encoded_point(false);
        let (Some(x), Some(y)) = (point.x(), point.y()) else { return Err(CredentialError::Key) };
        // The lengths were checked: they fit the heads.
        let ccs = [
            &[0xa2, 2, 0x60 | name.len() as u8][..],
            name.as_bytes(),
            &[8, 0xa1, 1, 0xa5, 1, 2, 2, 0x40 | kid.len() as u8],
            kid,
            &[0x20, 1, 0x21, 0x58, 32],
            x,
            &[0x22, 0x58, 32],
            y,
        ]
        .concat();
        Ok(Self { credential: Credential::parse(&ccs)?, key: key.to_bytes().into() })
    }

    /// Makes a credential whose key identifier follows from key and name, so that it can be made anew from them.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn named(key: &str, name: &str) -> Result<Self, CredentialError> {
        let draft = Self::make(key, name, &[0])?;
        let [a, b, c, d, ..] = Hash::hash(draft.credential.as_bytes());
        Self::make(key, name, &[a, b, c, d])
    }

    /// A credential that there is, with its private key (PKCS #8, PEM).
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn new(key: &str, credential: Credential) -> Result<Self, CredentialError> {
        let key = SecretKey::from_pkcs8_pem(key).map_err(|_| CredentialError::Key)?;
        let point = key.public_key().to_encoded_point(false);
        let x = point.x().ok_or(CredentialError::Key)?;
        if credential.ccs.public_key().is_none_or(|public| public[..] != x[..]) {
            return Err(CredentialError::OtherKey);
        }
        Ok(Self { credential, key: key.to_bytes().into() })
    }

    /// What others know of it.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }
}
