//! A certificate authority for tests.

use anyhow::{Context, Result, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
    date_time_ymd,
};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const FOLDER: &str = "/run/ca";
/// The serial number of whoever signs firmware.
const SIGNER: u64 = 7;

/// A certificate authority with files under `/run/ca`.
#[derive(Debug)]
pub struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
    name: String,
    certificate: PathBuf,
    /// Its certificate and those of the authorities above it, as PEM; empty for one that others know.
    chain: String,
}

/// A server's certificate and private key, as PEM files.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Ca {
    /// Makes an authority. Its certificate goes to `/run/ca/NAME.pem`.
    pub fn create(name: &str) -> Result<Self> {
        let issuer = CertifiedIssuer::self_signed(authority(name), KeyPair::generate()?)?;
        Self::with(issuer, name, String::new())
    }

    /// An authority that this one vouches for: what it issues comes with the certificates between.
    pub fn create_intermediate(&self, name: &str) -> Result<Self> {
        let issuer = CertifiedIssuer::signed_by(authority(name), KeyPair::generate()?, &self.issuer)?;
        let chain = issuer.pem() + &self.chain;
        Self::with(issuer, name, chain)
    }

    fn with(issuer: CertifiedIssuer<'static, KeyPair>, name: &str, chain: String) -> Result<Self> {
        fs::create_dir_all(FOLDER)?;
        let certificate = Path::new(FOLDER).join(format!("{name}.pem"));
        fs::write(&certificate, issuer.pem())?;
        Ok(Self { issuer, name: name.to_owned(), certificate, chain })
    }

    /// The authority's certificate, for `ca_file`.
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// A valid certificate for the host names `hosts`. Its files have the name of the first, which gets no other one.
    pub fn issue(&self, hosts: &[&str]) -> Result<Identity> {
        self.sign(hosts, "", CertificateParams::new(owned(hosts))?)
    }

    /// A certificate that ran out in the year 2020.
    pub fn issue_expired(&self, hosts: &[&str]) -> Result<Identity> {
        let mut params = CertificateParams::new(owned(hosts))?;
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
        self.sign(hosts, "-expired", params)
    }

    /// A valid certificate for a device with this name.
    pub fn issue_device(&self, name: &str) -> Result<Identity> {
        let params = CertificateParams::new(owned(&[name]))?;
        self.write(name, params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A certificate of a publisher that signs firmware.
    pub fn issue_signer(&self) -> Result<Identity> {
        self.sign_signer("signer", CertificateParams::default())
    }

    /// One that ran out in the year 2020.
    pub fn issue_expired_signer(&self) -> Result<Identity> {
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
        self.sign_signer("expired-signer", params)
    }

    /// A revocation list in PEM, with the signers on it or nobody.
    pub fn revocation_list(&self, is_signer_revoked: bool) -> Result<String> {
        let signer = RevokedCertParams {
            serial_number: SerialNumber::from(SIGNER),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(4000, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Some(signer).filter(|_| is_signer_revoked).into_iter().collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(&self.issuer)?.pem()?)
    }

    fn sign_signer(&self, kind: &str, mut params: CertificateParams) -> Result<Identity> {
        params.serial_number = Some(SerialNumber::from(SIGNER));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params.is_ca = IsCa::ExplicitNoCa;
        self.write(kind, params, ExtendedKeyUsagePurpose::CodeSigning)
    }

    fn sign(&self, hosts: &[&str], kind: &str, params: CertificateParams) -> Result<Identity> {
        let name = format!("{}{kind}", hosts.first().context("no host")?);
        self.write(&name, params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// What others may have read stays as it is: one certificate for each name.
    fn write(
        &self,
        whose: &str,
        mut params: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Identity> {
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let file = |kind| Path::new(FOLDER).join(format!("{}-{whose}.{kind}", self.name));
        let identity = Identity { certificate: file("crt"), key: file("key") };
        ensure!(!identity.certificate.exists(), "{} was issued before", identity.certificate.display());
        fs::write(&identity.certificate, certificate.pem() + &self.chain)?;
        fs::write(&identity.key, key.serialize_pem())?;
        fs::set_permissions(&identity.key, Permissions::from_mode(0o600))?;
        Ok(identity)
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("Sixfold test authority {name}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn owned(hosts: &[&str]) -> Vec<String> {
    hosts.iter().map(ToString::to_string).collect()
}
