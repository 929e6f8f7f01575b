//! Whom a signature is believed: paths, times, purposes and revocation.

use super::pki::{
    Authority, END, Leaf, NOW, START, crl, intermediate, leaf, leaf_with, manifest, root, trust,
};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use sixfold_manifest::cms::{Error, TrustAnchors, certificates, revocation_lists, verify};

#[test]
fn certificates_have_their_time() {
    let root = root("root");
    let p7s = leaf(&root).sign(&[]);
    let judge = |now| verify(&p7s, &trust(&root), now);
    assert_eq!(judge(START - 1), Err(Error::NotYetValid(START)));
    assert_eq!(judge(START), Ok(manifest()));
    assert_eq!(judge(END), Ok(manifest()));
    assert_eq!(judge(END + 1), Err(Error::Expired(END)));
    assert_eq!(judge(u64::MAX), Err(Error::Expired(END)));
}

#[test]
fn a_path_leads_to_an_anchor() {
    let root = root("root");
    let between = intermediate("between", &root);
    let leaf = leaf(&between);
    let p7s = leaf.sign(&[&between]);
    assert_eq!(verify(&p7s, &trust(&root), NOW), Ok(manifest()));
    assert_eq!(verify(&p7s, &trust(&between), NOW), Ok(manifest()), "an anchor need not be a root");
    assert_eq!(verify(&leaf.sign(&[&between, &root]), &trust(&root), NOW), Ok(manifest()));
    assert_eq!(verify(&leaf.sign(&[]), &trust(&root), NOW), Err(Error::UnknownIssuer));
    assert_eq!(verify(&leaf.sign(&[&root]), &trust(&root), NOW), Err(Error::UnknownIssuer));
}

#[test]
fn strangers_are_not_trusted() {
    let (root, stranger, namesake) = (root("root"), root("stranger"), root("root"));
    let leaf = leaf(&root);
    let p7s = leaf.sign(&[&root]);
    assert_eq!(verify(&p7s, &trust(&stranger), NOW), Err(Error::UnknownIssuer));
    assert_eq!(verify(&p7s, &trust(&namesake), NOW), Err(Error::BadChainSignature));
    assert_eq!(verify(&p7s, &TrustAnchors::default(), NOW), Err(Error::NoTrustAnchors));
    let itself = TrustAnchors { certificates: vec![leaf.der], crls: Vec::new() };
    assert_eq!(verify(&p7s, &itself, NOW), Err(Error::UnknownIssuer));
    let garbage = TrustAnchors { certificates: vec![vec![0x30]], crls: Vec::new() };
    assert!(matches!(verify(&p7s, &garbage, NOW), Err(Error::Unreadable("trust anchor", _))));
}

fn changed(by: &Authority, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
    leaf_with(by, KeyPair::generate().unwrap(), change)
}

#[test]
fn a_certificate_is_for_its_purpose() {
    let root = root("root");
    let judge = |leaf: Leaf| verify(&leaf.sign(&[]), &trust(&root), NOW);
    let usages = |usages: &'static [ExtendedKeyUsagePurpose]| {
        judge(changed(&root, |params| params.extended_key_usages = usages.to_vec()))
    };
    assert_eq!(usages(&[]), Ok(manifest()));
    assert_eq!(
        usages(&[ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::CodeSigning]),
        Ok(manifest())
    );
    assert_eq!(usages(&[ExtendedKeyUsagePurpose::ServerAuth]), Err(Error::ExtendedKeyUsage));
    let key_usage = |usages: &'static [KeyUsagePurpose]| {
        judge(changed(&root, |params| params.key_usages = usages.to_vec()))
    };
    assert_eq!(key_usage(&[]), Ok(manifest()));
    assert_eq!(key_usage(&[KeyUsagePurpose::ContentCommitment]), Ok(manifest()));
    assert_eq!(key_usage(&[KeyUsagePurpose::KeyAgreement]), Err(Error::KeyUsage));
    let authority = changed(&root, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert_eq!(judge(authority), Err(Error::CaAsSigner));
}

#[test]
fn the_revoked_are_refused() {
    let root = root("root");
    let between = intermediate("between", &root);
    let p7s = leaf(&between).sign(&[&between]);
    let judge = |crls: &[Vec<u8>]| verify(&p7s, &TrustAnchors { crls: crls.to_vec(), ..trust(&root) }, NOW);
    let (of_root, of_between) = (crl(&root, &[]), crl(&between, &[]));
    assert_eq!(judge(&[of_root.clone(), of_between.clone()]), Ok(manifest()));
    assert_eq!(judge(&[of_root.clone(), crl(&between, &["firmware"])]), Err(Error::Revoked));
    assert_eq!(judge(&[crl(&root, &["between"]), of_between.clone()]), Err(Error::Revoked));
    assert_eq!(judge(std::slice::from_ref(&of_root)), Err(Error::UnknownRevocationStatus));
    assert_eq!(judge(&[of_between]), Err(Error::UnknownRevocationStatus));
    assert!(matches!(judge(&[of_root, vec![1, 2]]), Err(Error::Unreadable("revocation list", _))));
}

#[test]
fn revocation_lists_are_current_and_genuine() {
    let (root, namesake) = (root("root"), root("root"));
    let p7s = leaf(&root).sign(&[]);
    let judge = |crl: Vec<u8>, now| verify(&p7s, &TrustAnchors { crls: vec![crl], ..trust(&root) }, now);
    assert_eq!(judge(crl(&namesake, &[]), NOW), Err(Error::BadChainSignature));
    let mut current = crl(&root, &[]);
    assert_eq!(judge(current.clone(), END - 1), Ok(manifest()));
    assert_eq!(judge(current.clone(), END), Err(Error::CrlExpired(END)));
    current.pop();
    assert!(matches!(judge(current, NOW), Err(Error::Unreadable("revocation list", _))));
}

#[test]
fn files_are_pem_or_der() {
    let root = root("root");
    let leaf = leaf(&root);
    let both = format!("a comment\n{}{}", leaf.pem, root.pem());
    assert_eq!(certificates(both.as_bytes()), Ok(vec![leaf.der.clone(), root.der().to_vec()]));
    assert_eq!(certificates(&leaf.der), Ok(vec![leaf.der.clone()]));
    assert!(matches!(
        certificates(leaf.key.serialize_pem().as_bytes()),
        Err(Error::Unreadable("certificate", _))
    ));
    assert!(matches!(certificates(b"text"), Err(Error::Unreadable("certificate", _))));
    let crl = crl(&root, &[]);
    assert_eq!(revocation_lists(&crl), Ok(vec![crl]));
    assert!(matches!(revocation_lists(leaf.pem.as_bytes()), Err(Error::Unreadable("revocation list", _))));
}
