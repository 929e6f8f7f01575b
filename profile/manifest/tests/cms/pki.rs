//! A small public key infrastructure: everything is valid in 2023, and [`NOW`] is in November of it.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
    date_time_ymd,
};
use sixfold_manifest::cms::{SigningKey, TrustAnchors, sign};
use sixfold_manifest::{Manifest, chunk_index, class_identifier, vendor_identifier};
use sixfold_profile::index::ChunkSize;

pub const START: u64 = 1_672_531_200;
pub const NOW: u64 = 1_700_000_000;
pub const END: u64 = 1_704_067_200;

pub type Authority = CertifiedIssuer<'static, KeyPair>;

/// A signer.
pub struct Leaf {
    pub key: KeyPair,
    pub der: Vec<u8>,
    pub pem: String,
}

fn params(name: &str, usages: &[KeyUsagePurpose]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2023, 1, 1);
    params.not_after = date_time_ymd(2024, 1, 1);
    params.key_usages = usages.to_vec();
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(SerialNumber::from(name.bytes().map(u64::from).sum::<u64>()));
    params
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = params(name, &[KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

pub fn root(name: &str) -> Authority {
    CertifiedIssuer::self_signed(authority_params(name), KeyPair::generate().unwrap()).unwrap()
}

pub fn intermediate(name: &str, by: &Authority) -> Authority {
    CertifiedIssuer::signed_by(authority_params(name), KeyPair::generate().unwrap(), by).unwrap()
}

pub fn leaf(by: &Authority) -> Leaf {
    leaf_with(by, KeyPair::generate().unwrap(), |_| ())
}

pub fn leaf_with(by: &Authority, key: KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
    let mut params = params("firmware", &[KeyUsagePurpose::DigitalSignature]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    params.is_ca = IsCa::ExplicitNoCa;
    change(&mut params);
    let certificate = params.signed_by(&key, by).unwrap();
    Leaf { key, der: certificate.der().to_vec(), pem: certificate.pem() }
}

/// Current through 2023, and revoking the certificates of these names.
pub fn crl(by: &Authority, revoked: &[&str]) -> Vec<u8> {
    let entry = |name: &&str| RevokedCertParams {
        serial_number: params(name, &[]).serial_number.unwrap(),
        revocation_time: date_time_ymd(2023, 2, 1),
        reason_code: None,
        invalidity_date: None,
    };
    CertificateRevocationListParams {
        this_update: date_time_ymd(2023, 1, 1),
        next_update: date_time_ymd(2024, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: revoked.iter().map(entry).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    }
    .signed_by(by)
    .unwrap()
    .der()
    .to_vec()
}

pub fn trust(authority: &Authority) -> TrustAnchors {
    TrustAnchors { certificates: vec![authority.der().to_vec()], crls: Vec::new() }
}

pub fn image() -> Vec<u8> {
    (0..1000_u32).map(|i| (i * i) as u8).collect()
}

pub fn manifest() -> Manifest {
    let chunk_size = ChunkSize::new(8).unwrap();
    let vendor = vendor_identifier("example.com");
    Manifest {
        sequence_number: u64::MAX,
        vendor,
        class: class_identifier(vendor, "lamp"),
        image_size: 1000,
        image_digest: hmac_sha256::Hash::hash(&image()),
        chunk_size,
        index_digest: hmac_sha256::Hash::hash(&chunk_index(&image(), chunk_size)),
        index: None,
        uri: None,
        encryption: None,
    }
}

impl Leaf {
    pub fn signing_key(&self) -> SigningKey {
        SigningKey::read(&self.key.serialize_der()).unwrap()
    }

    pub fn sign(&self, between: &[&Authority]) -> Vec<u8> {
        let mut chain = vec![self.der.clone()];
        chain.extend(between.iter().map(|authority| authority.der().to_vec()));
        sign(&manifest(), &self.signing_key(), &chain).unwrap()
    }
}
