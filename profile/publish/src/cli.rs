//! The command line: what can be said, and how it is explained. What the words mean is decided elsewhere.

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use sixfold_manifest::{class_identifier, keys, vendor_identifier};
use sixfold_profile::index::ChunkSize;
use std::path::PathBuf;
use std::time::SystemTime;
use uuid::Uuid;

const EXAMPLES: &str = "\
Examples:
  sixfold-publish keygen publisher.key
  sixfold-publish sign lamp-1.4.bin --key publisher.key --vendor example.com \\
      --class lamp --sequence 14 --output www
  sixfold-publish verify www/lamp-1.4.bin.suit www/lamp-1.4.bin \\
      --key publisher.key.pub
  sixfold-publish inspect www/lamp-1.4.bin.suit

Exit status:
  0  done
  1  refused or failed; stderr says whose fault it is
  2  the command line is wrong";

/// Sign firmware images for devices behind a Sixfold relay.
#[derive(Debug, Parser)]
#[command(version, about, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a key pair: FILE (PKCS#8 PEM, secret) and FILE.pub (SubjectPublicKeyInfo PEM); or a key for encrypted images. Never
    /// overwrites.
    Keygen(Keygen),
    /// Sign an image: write it, its chunk index and its SUIT manifest or CMS signature into a directory.
    Sign(Sign),
    /// Check that a manifest is signed by somebody who is trusted, and that an image is the one that it describes.
    Verify(Verify),
    /// Show what is in a file: SUIT envelope, CMS signature (*.p7s), chunk index (*.idx), ticket, record, the flash file of
    /// sixfold-device, or key. Verifies no signature.
    Inspect(Inspect),
}

const KEYGEN: &str = "\
Examples:
  sixfold-publish keygen publisher.key
  sixfold-publish keygen publisher.key --algorithm es256
  sixfold-publish keygen lamps.kek --algorithm a128kw
  sixfold-publish keygen lamp-0001.key --algorithm ecdh
  sixfold-publish keygen lamp-7.key --algorithm edhoc --name lamp-7

The private key has mode 0600: keep it offline, and keep a copy. FILE.pub goes into every device. Keys made with \
\
`openssl genpkey -algorithm ed25519` or `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` will do \
\
as well.

With a128kw there is one file, and it is secret: a key-encryption key, which publisher and device share, for \
encrypted images. Who has the key of a device can read what is encrypted for it, so that each device should have \
\
its own.

With ecdh the device keeps FILE, and the publisher needs FILE.pub alone, for `sign --recipient`: nothing that \
the publisher has reads what it encrypted.

With edhoc the key is that of one device, or of a relay (relay.toml, sessions.edhoc_key, with the name \
sixfold-relay), and FILE.ccs has its credential (RFC 8392) in hexadecimal: one line of the relay's \
edhoc_devices, or what `sixfold-device prepare --session-relay` trusts.";

/// `sixfold-publish keygen`.
#[derive(Args, Debug)]
#[command(after_help = KEYGEN)]
pub struct Keygen {
    /// The file for the private key.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What it is for.
    #[arg(long, value_enum, default_value_t)]
    pub algorithm: Algorithm,
    /// With edhoc: what the relay calls the device, in 1 to 23 printable ASCII characters.
    #[arg(long, required_if_eq("algorithm", "edhoc"))]
    pub name: Option<String>,
}

/// Of a key.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Algorithm {
    /// EdDSA with Curve25519 (RFC 8032).
    #[default]
    Ed25519,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// AES Key Wrap (RFC 3394), for `sign --encrypt`.
    A128kw,
    /// ECDH with P-256 (RFC 9053, section 6.4), for `sign --recipient`.
    Ecdh,
    /// Static Diffie-Hellman with P-256 (RFC 9528), to agree on sessions with a relay.
    Edhoc,
}

impl Algorithm {
    /// The algorithm, if it is one of signatures.
    pub const fn of_signature(self) -> Option<keys::Algorithm> {
        match self {
            Self::Ed25519 => Some(keys::Algorithm::Ed25519),
            Self::Es256 => Some(keys::Algorithm::Es256),
            Self::A128kw | Self::Ecdh | Self::Edhoc => None,
        }
    }
}

const SIGN: &str = "\
Examples:
  sixfold-publish sign lamp-1.4.bin --key publisher.key --vendor example.com \\
      --class lamp --sequence 14 --output www
  sixfold-publish sign lamp.bin --key publisher.key --vendor example.com \\
      --class lamp --sequence 15 --output www --chunk-size 1024 \\
      --uri https://cdn.example/fw/lamp.bin
  sixfold-publish sign lamp-1.4.bin --key publisher.key --vendor example.com \\
      --class lamp --sequence 14 --output www --encrypt lamp-0001.kek \\
      --encrypt lamp-0002.kek
  sixfold-publish sign lamp-1.4.bin --key publisher.key --vendor example.com \\
      --class lamp --sequence 14 --output www --recipient lamp-0001.key.pub \\
      --recipient lamp-0002.key.pub
  sixfold-publish sign lamp-1.4.bin --cms-key signer.key \\
      --cms-chain signer-and-issuers.pem --vendor example.com --class lamp \\
      --sequence 14 --output www

Writes NAME (a copy of the image, encrypted with --encrypt) and NAME.idx (its chunk index) into the output \
directory, which any static HTTPS server can serve, and last what is signed: with --key NAME.suit, a SUIT \
manifest; with --cms-key NAME.p7s, a detached CMS signature. NAME is the file name of the image. Each file \
appears whole or not at all, and none of them unless there is room for all. Put the version into NAME: then \
devices that are still fetching the old image are not disturbed.

The sequence number must grow with every new image of a class. It is compared with all .suit and .p7s files in \
the output directory; a number that is used already, or that is lower, is refused for an image with other bytes.

When the same image is signed again under the same name, for more recipients, it is encrypted as before if one \
of the keys of --encrypt was among them then. With --recipient alone it cannot be: give a key of your own with \
--encrypt, too.";

/// `sixfold-publish sign`.
#[derive(Args, Debug)]
#[command(after_help = SIGN)]
#[command(group(ArgGroup::new("signers").required(true).multiple(true).args(["key", "cms_key"])))]
pub struct Sign {
    /// The image, as it will be in the device's flash.
    pub image: PathBuf,
    /// The private key of a SUIT manifest: PKCS#8 PEM, as keygen and openssl genpkey write it.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// The private key of a CMS signature: PKCS#8 PEM, for ECDSA with P-256.
    #[arg(long, value_name = "FILE", requires = "cms_chain")]
    pub cms_key: Option<PathBuf>,
    /// Its certificate, and those between it and the root, in PEM: the signer's first.
    #[arg(long, value_name = "FILE", requires = "cms_key")]
    pub cms_chain: Option<PathBuf>,
    /// Who made the device: a UUID, or a domain name, which becomes one (RFC 9562 section 5.5).
    #[arg(long, value_name = "UUID|DOMAIN", value_parser = not_empty)]
    vendor: String,
    /// Which kind of device it is for: a UUID, or the vendor's name for it, which becomes one.
    #[arg(long, value_name = "UUID|NAME", value_parser = not_empty)]
    class: String,
    /// A number that never goes back (RFC 9124 section 3.1).
    #[arg(long, value_name = "NUMBER")]
    pub sequence: u64,
    /// The directory to write into; it is made if it is missing.
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// The size of a chunk in bytes: the device's erase page or a multiple of it, a power of two from 256 to 65536.
    #[arg(long, value_name = "BYTES", default_value = "4096", value_parser = chunk_size)]
    pub chunk_size: ChunkSize,
    /// Where devices find the image, relative to the SUIT manifest; by default the image's file name.
    #[arg(long, value_parser = uri, requires = "key")]
    pub uri: Option<String>,
    /// Encrypt the image for who has this key (keygen --algorithm a128kw), and for every --recipient. There may be up to 1024 of both:
    /// it is encrypted once.
    #[arg(long, value_name = "FILE", num_args = 0..=1, requires = "key", conflicts_with = "cms_key")]
    pub encrypt: Option<Vec<PathBuf>>,
    /// Encrypt the image for who has the private half of this public key (keygen --algorithm ecdh).
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with = "cms_key")]
    pub recipient: Vec<PathBuf>,
    /// Sign even if the sequence number was used already or goes back. Devices that saw the other image may keep it.
    #[arg(long)]
    pub force: bool,
}

impl Sign {
    /// The vendor's identifier: as it is given, or that of its name.
    pub fn vendor(&self) -> Uuid {
        Uuid::try_parse(&self.vendor).unwrap_or_else(|_| vendor_identifier(&self.vendor))
    }

    /// The same of the class, among those of the vendor.
    pub fn class(&self) -> Uuid {
        Uuid::try_parse(&self.class).unwrap_or_else(|_| class_identifier(self.vendor(), &self.class))
    }
}

const VERIFY: &str = "\
Examples:
  sixfold-publish verify www/lamp.bin.suit www/lamp.bin --key publisher.key.pub
  sixfold-publish verify lamp.bin.suit lamp.bin --key old.pub --key new.pub
  sixfold-publish verify www/lamp.bin.suit www/lamp.bin \\
      --key publisher.key.pub --decrypt-with lamps.kek
  sixfold-publish verify lamp.bin.p7s lamp.bin --index lamp.bin.idx \\
      --anchor root.pem --crl root.crl
  sixfold-publish verify lamp.bin.p7s lamp.bin --anchor root.pem \\
      --at 2030-01-01T00:00:00Z";

/// `sixfold-publish verify`.
#[derive(Args, Debug)]
#[command(after_help = VERIFY)]
#[command(group(ArgGroup::new("trusted").required(true).multiple(true).args(["key", "anchor"])))]
pub struct Verify {
    /// The SUIT envelope (*.suit) or the CMS signature (*.p7s).
    pub manifest: PathBuf,
    /// The image.
    pub image: PathBuf,
    /// The image is as it is published, encrypted: decrypt it with this key, shared or private. May be given several times.
    #[arg(long, value_name = "FILE")]
    pub decrypt_with: Vec<PathBuf>,
    /// The chunk index that devices will fetch beside a CMS signature. That of the image is checked anyway.
    #[arg(long, value_name = "FILE")]
    pub index: Option<PathBuf>,
    /// A trusted public key for SUIT (SubjectPublicKeyInfo PEM). May be given several times.
    #[arg(long, value_name = "FILE")]
    pub key: Vec<PathBuf>,
    /// Trusted root certificates for CMS (PEM or DER). May be given several times.
    #[arg(long, value_name = "FILE")]
    pub anchor: Vec<PathBuf>,
    /// Revocation lists for CMS (PEM or DER); with any, every issuer in the chain needs one.
    #[arg(long, value_name = "FILE", requires = "anchor")]
    pub crl: Vec<PathBuf>,
    /// The time at which certificates must be valid (RFC 3339, such as 2030-01-01T00:00:00Z); by default now.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_rfc3339, requires = "anchor")]
    pub at: Option<SystemTime>,
}

const INSPECT: &str = "\
Examples:
  sixfold-publish inspect www/lamp.bin.suit
  sixfold-publish inspect www/lamp.bin.idx
  sixfold-publish inspect www/lamp.bin.p7s
  sixfold-publish inspect publisher.key.pub
  sixfold-publish inspect device.flash
  sixfold-publish inspect record.dump --page 1024 --write-unit 8

A file that goes on behind a ticket is read as a record: ticket, journal and chunk index as a device has them in \
\
its flash. Secrets are never shown: of a private key only its public half's identifier, of a ticket no session \
key.";

/// `sixfold-publish inspect`.
#[derive(Args, Debug)]
#[command(after_help = INSPECT)]
pub struct Inspect {
    /// The file.
    pub file: PathBuf,
    /// For a record: the erase page of the flash that it was read from, in bytes.
    #[arg(long, value_name = "BYTES", default_value = "4096")]
    pub page: u32,
    /// For a record: the smallest piece that this flash writes, in bytes.
    #[arg(long, value_name = "BYTES", default_value = "4")]
    pub write_unit: u32,
}

fn not_empty(text: &str) -> Result<String, &'static str> {
    if text.is_empty() { Err("must not be empty") } else { Ok(text.to_owned()) }
}

fn chunk_size(text: &str) -> Result<ChunkSize, &'static str> {
    let bytes = text.parse().map_err(|_| "not a number of bytes")?;
    ChunkSize::from_bytes(bytes).ok_or("not a power of two from 256 to 65536")
}

/// The characters that RFC 3986 allows, and not only a fragment, which would name something inside the manifest.
fn uri(text: &str) -> Result<String, &'static str> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c);
    if text.is_empty() || text.starts_with('#') {
        return Err("must name the image");
    }
    if text.chars().all(is_allowed) {
        Ok(text.to_owned())
    } else {
        Err("not a URI: percent-encode other characters")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn chunk_sizes_and_uris() {
        assert_eq!(chunk_size("4096").map(ChunkSize::bytes), Ok(4096));
        for text in ["", "0", "128", "4095", "131072", "-1"] {
            assert!(chunk_size(text).is_err(), "{text}");
        }
        assert!(uri("../fw/lamp.bin?board=7").is_ok());
        for text in ["", "#index", "a b", "a\n", "ä"] {
            assert!(uri(text).is_err(), "{text}");
        }
    }
}
