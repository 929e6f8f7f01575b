//! The statements of a manifest, and whether they suit a device.

use crate::encryption::Encryption;
use hmac_sha256::Hash;
use sixfold_profile::index::{ChunkSize, DIGEST};
use std::fmt;
use uuid::Uuid;

/// What a publisher says about one image (RFC 9124 §3), after its signature was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Never goes back (RFC 9124 §3.1).
    pub sequence_number: u64,
    /// Who made the device (RFC 9124 §3.3).
    pub vendor: Uuid,
    /// Which kind of device it is for (RFC 9124 §3.4).
    pub class: Uuid,
    /// In bytes, at least 1.
    pub image_size: u32,
    /// The SHA-256 of the image.
    pub image_digest: [u8; DIGEST],
    /// How the image is cut into chunks.
    pub chunk_size: ChunkSize,
    /// The SHA-256 of the chunk index.
    pub index_digest: [u8; DIGEST],
    /// The chunk index, where the signed object carries it; otherwise it is fetched beside the image.
    pub index: Option<Vec<u8>>,
    /// Where the image is: a URI reference, resolved against the manifest's own URI. `None`: by the name of the manifest.
    pub uri: Option<String>,
    /// How the file at `uri` becomes the image, if it is encrypted; its size is that of the image. `None`: it is the image.
    pub encryption: Option<Encryption>,
}

/// What a device knows about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its maker.
    pub vendor: Uuid,
    /// Its kind.
    pub class: Uuid,
    /// The largest image it has room for, in bytes.
    pub slot_size: u32,
    /// Its erase page.
    pub page_size: u32,
    /// The sequence number of the manifest that it accepted last.
    pub last_sequence_number: Option<u64>,
}

/// Why a manifest that its publisher did sign is not for this device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is for another vendor's devices.
    Vendor(Uuid),
    /// It is for devices of another class.
    Class(Uuid),
    /// It was superseded: the device accepted this sequence number already.
    Sequence {
        /// What the manifest says.
        offered: u64,
        /// What was accepted last.
        accepted: u64,
    },
    /// The image is too large for the slot.
    TooLarge {
        /// Bytes of the image.
        image: u32,
        /// Bytes of the slot.
        slot: u32,
    },
    /// Chunks are not made of whole erase pages.
    ChunkSize {
        /// Bytes of a chunk.
        chunk: u32,
        /// Bytes of an erase page.
        page: u32,
    },
    /// The chunk index is not the one that was signed, or not of the right length.
    Index,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vendor(vendor) => write!(f, "the manifest is for devices of another vendor, {vendor}"),
            Self::Class(class) => write!(f, "the manifest is for devices of another class, {class}"),
            Self::Sequence { offered, accepted } => {
                write!(f, "the manifest has sequence number {offered}, but {accepted} was accepted before")
            }
            Self::TooLarge { image, slot } => {
                write!(f, "the image has {image} bytes, but the slot only {slot}")
            }
            Self::ChunkSize { chunk, page } => {
                write!(
                    f,
                    "chunks of {chunk} bytes are not whole erase pages of {page}: sign with --chunk-size {page}"
                )
            }
            Self::Index => f.write_str("the chunk index is not the one that was signed"),
        }
    }
}

impl std::error::Error for Refusal {}

impl Manifest {
    /// Whether the image is for this device and newer than what it has. The same sequence number is accepted again,
    /// so that an interrupted update can be prepared twice.
    ///
    /// # Errors
    /// All but [`Refusal::Index`].
    pub fn check(&self, device: &Device) -> Result<(), Refusal> {
        if self.vendor != device.vendor {
            return Err(Refusal::Vendor(self.vendor));
        }
        if self.class != device.class {
            return Err(Refusal::Class(self.class));
        }
        if let Some(accepted) = device.last_sequence_number.filter(|last| self.sequence_number < *last) {
            return Err(Refusal::Sequence { offered: self.sequence_number, accepted });
        }
        if self.image_size > device.slot_size {
            return Err(Refusal::TooLarge { image: self.image_size, slot: device.slot_size });
        }
        let chunk = self.chunk_size.bytes();
        if chunk.checked_rem(device.page_size) != Some(0) {
            return Err(Refusal::ChunkSize { chunk, page: device.page_size });
        }
        Ok(())
    }

    /// Whether `index` is the chunk index that was signed.
    ///
    /// # Errors
    /// [`Refusal::Index`].
    pub fn check_index(&self, index: &[u8]) -> Result<(), Refusal> {
        let length = self.chunk_size.index_length(self.image_size) as usize;
        let is_it = length == index.len() && Hash::hash(index) == self.index_digest;
        if is_it { Ok(()) } else { Err(Refusal::Index) }
    }
}

/// The chunk index of an image (see [`sixfold_profile::index`]).
pub fn chunk_index(image: &[u8], chunk_size: ChunkSize) -> Vec<u8> {
    image.chunks(chunk_size.bytes() as usize).flat_map(Hash::hash).collect()
}

/// The vendor identifier of a domain name: a name-based UUID (RFC 9124 §3.3, RFC 9562 §5.5).
pub fn vendor_identifier(domain: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_DNS, domain.as_bytes())
}

/// The class identifier of a vendor's name for a kind of device (RFC 9124 §3.4).
pub fn class_identifier(vendor: Uuid, name: &str) -> Uuid {
    Uuid::new_v5(&vendor, name.as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "these are tests")]

    use super::*;

    fn manifest() -> (Manifest, Device, Vec<u8>) {
        let image = vec![7; 1000];
        let chunk_size = ChunkSize::new(8).unwrap();
        let index = chunk_index(&image, chunk_size);
        let vendor = vendor_identifier("example.com");
        let class = class_identifier(vendor, "lamp");
        let manifest = Manifest {
            sequence_number: 5,
            vendor,
            class,
            image_size: 1000,
            image_digest: Hash::hash(&image),
            chunk_size,
            index_digest: Hash::hash(&index),
            index: None,
            uri: None,
            encryption: None,
        };
        let device = Device { vendor, class, slot_size: 1000, page_size: 256, last_sequence_number: Some(5) };
        (manifest, device, index)
    }

    #[test]
    fn each_mismatch_has_its_refusal() {
        let (manifest, device, _) = manifest();
        assert_eq!(manifest.check(&device), Ok(()));
        assert_eq!(manifest.check(&Device { last_sequence_number: None, ..device }), Ok(()));
        let other = Uuid::nil();
        let refusals = [
            (Device { vendor: other, ..device.clone() }, Refusal::Vendor(manifest.vendor)),
            (Device { class: other, ..device.clone() }, Refusal::Class(manifest.class)),
            (
                Device { last_sequence_number: Some(6), ..device.clone() },
                Refusal::Sequence { offered: 5, accepted: 6 },
            ),
            (Device { slot_size: 999, ..device.clone() }, Refusal::TooLarge { image: 1000, slot: 999 }),
            (Device { page_size: 512, ..device.clone() }, Refusal::ChunkSize { chunk: 256, page: 512 }),
            (Device { page_size: 0, ..device }, Refusal::ChunkSize { chunk: 256, page: 0 }),
        ];
        for (device, refusal) in refusals {
            assert_eq!(manifest.check(&device), Err(refusal));
        }
    }

    #[test]
    fn only_the_signed_index_is_accepted() {
        let (manifest, _, index) = manifest();
        assert_eq!((index.len(), manifest.check_index(&index)), (128, Ok(())));
        let mut other = index.clone();
        other[127] ^= 1;
        for wrong in [&index[..96], &other, &[]] {
            assert_eq!(manifest.check_index(wrong), Err(Refusal::Index));
        }
    }
}
