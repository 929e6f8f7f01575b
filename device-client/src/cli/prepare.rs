//! `sixfold-device prepare` and `update`.

use super::boot::Run;
use super::session::Session;
use super::szx;
use clap::Args;
use sixfold_profile::coap::Szx;
use std::path::PathBuf;
use std::string::String;
use std::vec::Vec;
use uuid::Uuid;

const EXAMPLES: &str = "\
Examples:
  sixfold-device prepare --flash flash.bin --relay 'coap://[fd00::1]' \\
      --manifest /fw/lamp.bin.suit --key publisher.key.pub \\
      --vendor example.com --class lamp --secret secret.bin
  sixfold-device prepare --flash flash.bin --discover lowpan0 \\
      --manifest /fw/lamp.bin.p7s --anchor ca.pem --crl ca.crl \\
      --vendor example.com --class lamp --secret secret.bin
  sixfold-device prepare --flash flash.bin --relay 'coap://[fd00::1]' \\
      --manifest /fw/lamp.bin.suit --key publisher.key.pub \\
      --vendor example.com --class lamp --secret secret.bin \\
      --session 'tls://[fd00::1]:9684' --session-ca site.pem \\
      --session-certificate lamp.pem --session-key lamp.key
  sixfold-device prepare --flash flash.bin --relay 'coap://[fd00::1]' \\
      --manifest /fw/lamp.bin.suit --key publisher.key.pub \\
      --vendor example.com --class lamp --secret secret.bin \\
      --session 'coap://[fd00::1]' --session-relay relay.ccs \\
      --session-credential lamp.key.ccs --session-key lamp.key

Exit status:
  0  a ticket is in flash, or the device runs this image already
  2  the command line is wrong
  3  the relay has no such manifest, index or image (4.04)
  4  no answer in time
  5  manifest or index changed more than three times while it was fetched
  6  the relay refused, or its answers make no sense
  7  trouble with local files, or with the flash
  8  the manifest is none, or not understood
  9  nobody signed it whom this device trusts
  10 a certificate is expired, or not valid yet
  11 a certificate is revoked
  12 it is for another vendor
  13 it is for another class of devices
  14 its sequence number is lower than one that was accepted
  15 the image is too large for the slot
  16 its chunks do not fit the erase pages
  17 the chunk index is not the signed one
  18 the image at the relay has another size than the signed one
  19 the manifest's URI cannot be used
  22 a signature is wrong
  23 nobody can tell whether a certificate is revoked
  24 record or image do not fit their places in flash
  25 the image that runs has this sequence number, and is another one
  26 manifest or index are longer than they may be
  27 no relay was found
  28 the relay that is to agree on a session is not trusted
  29 the relay does not accept this device
  30 no session for another reason
  31 the image is encrypted, and not for a key of this device";

/// `sixfold-device prepare`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Prepare {
    /// The flash, as `sixfold-device flash create` makes it.
    #[arg(long, value_name = "FILE")]
    pub flash: PathBuf,
    /// What is to be prepared.
    #[command(flatten)]
    pub what: What,
    /// Say nothing but what went wrong.
    #[arg(short, long)]
    pub quiet: bool,
    /// Print the result as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `sixfold-device update`.
#[derive(Args, Debug)]
#[command(after_help = "Options and exit status: see `sixfold-device prepare --help` and `boot --help`.")]
pub struct Update {
    /// The flash, as `sixfold-device flash create` makes it.
    #[arg(long, value_name = "FILE")]
    pub flash: PathBuf,
    /// What is to be prepared.
    #[command(flatten)]
    pub what: What,
    /// How the boot program is run.
    #[command(flatten)]
    pub run: Run,
}

/// What is to be prepared.
#[derive(Args, Debug)]
pub struct What {
    /// The relay: coap://[ADDRESS][:PORT].
    #[arg(long, value_name = "URI", required_unless_present = "discover", conflicts_with = "discover")]
    pub relay: Option<String>,
    /// Ask all CoAP nodes on this interface for a relay (RFC 7252 section 8, RFC 6690).
    #[arg(long, value_name = "INTERFACE")]
    pub discover: Option<String>,
    /// The manifest: a path at the relay, or a URI that the relay fetches as a forward proxy.
    #[arg(long, value_name = "PATH")]
    pub manifest: String,
    /// Trust this publisher's key (PEM). May be given several times.
    #[arg(long, value_name = "FILE", required_unless_present = "anchor")]
    pub key: Vec<PathBuf>,
    /// Trust this certification authority (PEM). May be given several times.
    #[arg(long, value_name = "FILE")]
    pub anchor: Vec<PathBuf>,
    /// A revocation list (PEM). May be given several times; with one, the status of every certificate must be known.
    #[arg(long, value_name = "FILE", requires = "anchor")]
    pub crl: Vec<PathBuf>,
    /// A key that encrypted images are for: one that the publisher has too (`sixfold-publish keygen --algorithm a128kw`), or this device's
    /// private key (`--algorithm ecdh`). May be given several times.
    #[arg(long, value_name = "FILE")]
    pub decrypt_with: Vec<PathBuf>,
    /// The vendor of this device: a domain name, or a UUID.
    #[arg(long)]
    pub vendor: String,
    /// The class of this device: the vendor's name for it, or a UUID.
    #[arg(long)]
    pub class: String,
    /// Never accept a lower sequence number than this one, whatever the flash says.
    #[arg(long, value_name = "NUMBER")]
    pub last_sequence: Option<u64>,
    /// A secret of at least 16 bytes that makes this device's addresses stable and private (RFC 7217).
    #[arg(long, value_name = "FILE")]
    pub secret: PathBuf,
    /// How often another node had the address that came of the secret already: each number gives another one.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub dad_counter: u8,
    /// The largest block for the boot program: an exponent 0 to 6, or a size of 16 to 1024 bytes.
    #[arg(long, default_value = "6", value_parser = szx)]
    pub szx: Szx,
    /// Do not ask the relay for a group to hear blocks in that it sends to many devices.
    #[arg(long)]
    pub no_group: bool,
    /// A session with the relay.
    #[command(flatten)]
    pub session: Session,
}

impl What {
    /// The vendor's and the class's identifier.
    pub fn identity(&self) -> (Uuid, Uuid) {
        let vendor =
            self.vendor.parse().unwrap_or_else(|_| sixfold_manifest::vendor_identifier(&self.vendor));
        let class =
            self.class.parse().unwrap_or_else(|_| sixfold_manifest::class_identifier(vendor, &self.class));
        (vendor, class)
    }
}
