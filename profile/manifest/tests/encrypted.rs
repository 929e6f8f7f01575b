//! SUIT manifests of encrypted images: what is said comes back, and nothing else is accepted.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use ciborium::{Value, cbor};
use sixfold_manifest::encryption::{
    ContentEncryptionKey, Encryption, KEY, KeyEncryptionKey, MAX_RECIPIENTS, Recipient, RecipientKey,
};
use sixfold_manifest::keys::{Algorithm, KeyId, SigningKey};
use sixfold_manifest::suit::{self, Error, Part};
use sixfold_manifest::{Manifest, chunk_index, class_identifier, vendor_identifier};
use sixfold_profile::index::ChunkSize;

/// Of a map.
type Entries = Vec<(Value, Value)>;

fn key() -> SigningKey {
    SigningKey::from_seed(Algorithm::Ed25519, &[1; 32]).unwrap()
}

fn manifest(recipients: usize) -> Manifest {
    let image = [9; 300];
    let index = chunk_index(&image, ChunkSize::MIN);
    let vendor = vendor_identifier("example.com");
    let recipient = |n: usize| KeyEncryptionKey::new((n as u128).to_be_bytes());
    let recipients: Vec<_> = (0..recipients).map(recipient).collect();
    Manifest {
        sequence_number: 7,
        vendor,
        class: class_identifier(vendor, "lamp"),
        image_size: 300,
        image_digest: hmac_sha256::Hash::hash(&image),
        chunk_size: ChunkSize::MIN,
        index_digest: hmac_sha256::Hash::hash(&index),
        index: Some(index),
        uri: Some("lamp.bin".to_owned()),
        encryption: Some(Encryption::new(&ContentEncryptionKey::new([5; KEY]), &recipients)),
    }
}

fn signed(manifest: &Manifest) -> Vec<u8> {
    suit::sign(manifest, &key()).unwrap()
}

fn verified(envelope: &[u8]) -> Result<Manifest, Error> {
    suit::verify(envelope, &[key().verifying_key()])
}

#[test]
fn what_is_signed_is_read() {
    for recipients in [1, 2, MAX_RECIPIENTS] {
        let manifest = manifest(recipients);
        assert_eq!(verified(&signed(&manifest)), Ok(manifest));
    }
}

/// With recipients of both kinds: a shared key, and a key pair.
fn for_pairs(pairs: usize) -> Manifest {
    let mut manifest = manifest(1);
    let key = |seed: usize| {
        RecipientKey::from_seed(&[&[1; 24], &(seed as u64).to_be_bytes()[..]].concat().try_into().unwrap())
    };
    let encryption = manifest.encryption.as_mut().unwrap();
    for n in 0..pairs {
        let (recipient, ephemeral) = (key(n).unwrap(), key(n + 5000).unwrap());
        encryption.add(&ContentEncryptionKey::new([5; KEY]), &recipient.public_key(), &ephemeral);
    }
    manifest
}

#[test]
fn recipients_with_key_pairs_are_read() {
    let most = for_pairs(MAX_RECIPIENTS - 1);
    let envelope = signed(&most);
    assert!(envelope.len() < suit::MAX_ENVELOPE, "{}", envelope.len());
    assert_eq!(verified(&envelope), Ok(most));
    let wrong = Error::Value(Part::EncryptionInfo, "number of recipients");
    assert_eq!(suit::sign(&for_pairs(MAX_RECIPIENTS), &key()), Err(wrong));
}

#[test]
fn another_agreement_is_refused() {
    let with_recipient = |change: &dyn Fn(&mut Vec<Value>)| {
        let manifest = for_pairs(1);
        with_info_of(&manifest, |info| change(recipient(info, 1)))
    };
    assert_eq!(with_recipient(&|_| ()), Ok(for_pairs(1)));
    let part = Part::EncryptionInfo;
    let other = |protected: Value| with_recipient(&|recipient| recipient[0] = wrap(&protected));
    let protected = Err(Error::Value(part, "protected header, it must be empty"));
    assert_eq!(other(cbor!({1 => (-31)}).unwrap()), protected, "ECDH-ES + A256KW");
    assert_eq!(other(cbor!({1 => (-29), 4 => 1}).unwrap()), protected);
    let ephemeral = |change: &dyn Fn(&mut Entries)| {
        with_recipient(&|recipient| {
            change(recipient[1].as_map_mut().unwrap()[1].1.as_map_mut().unwrap());
        })
    };
    let kind = Err(Error::Value(part, "type of the ephemeral key"));
    assert_eq!(ephemeral(&|key| key[0].1 = 1.into()), kind, "OKP");
    assert_eq!(ephemeral(&|key| key[1].1 = 2.into()), kind, "P-384");
    let wrong = Err(Error::Value(part, "ephemeral key"));
    assert_eq!(ephemeral(&|key| key[2].1 = Value::Bytes(vec![1; 31])), wrong);
    assert_eq!(ephemeral(&|key| key[3].1 = true.into()), wrong, "the sign of y alone");
    let more = ephemeral(&|key| key.push(((-4).into(), Value::Bytes(vec![1; 32]))));
    assert_eq!(more, Err(Error::Unknown(part, "the key -4".to_owned())), "the private key");
    let none = with_recipient(&|recipient| drop(recipient[1].as_map_mut().unwrap().pop()));
    assert_eq!(none, Err(Error::Missing(part, "ephemeral key")));
}

#[test]
fn what_would_not_be_read_is_not_signed() {
    let wrong = Error::Value(Part::EncryptionInfo, "number of recipients");
    for recipients in [0, MAX_RECIPIENTS + 1] {
        assert_eq!(suit::sign(&manifest(recipients), &key()), Err(wrong.clone()));
    }
    let nowhere = Manifest { uri: None, ..manifest(1) };
    assert!(matches!(suit::sign(&nowhere, &key()), Err(Error::Missing(Part::PayloadFetch, _))));
}

#[test]
fn every_flipped_bit_is_refused() {
    let envelope = signed(&manifest(2));
    for bit in 0..envelope.len() * 8 {
        let mut flipped = envelope.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(verified(&flipped).is_err(), "bit {bit}");
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

fn wrap(value: &Value) -> Value {
    Value::Bytes(bytes(value))
}

fn inside(value: &Value) -> Value {
    ciborium::from_reader(value.as_bytes().unwrap().as_slice()).unwrap()
}

/// The claims of an envelope whose manifest was changed, whoever signed it.
fn changed(change: impl FnOnce(&mut Entries)) -> Result<Manifest, Error> {
    changed_of(&manifest(2), change)
}

fn changed_of(manifest: &Manifest, change: impl FnOnce(&mut Entries)) -> Result<Manifest, Error> {
    let envelope: Value = ciborium::from_reader(signed(manifest).as_slice()).unwrap();
    let (tag, elements) = envelope.into_tag().unwrap();
    let mut elements = elements.into_map().unwrap();
    let mut entries = inside(&elements[1].1).into_map().unwrap();
    change(&mut entries);
    elements[1].1 = wrap(&Value::Map(entries));
    suit::claims(&bytes(&Value::Tag(tag, Box::new(Value::Map(elements)))))
}

/// Places in the manifest.
const FETCH: usize = 5;
const INSTALL: usize = 6;

fn with_sequence(place: usize, change: impl FnOnce(&mut Vec<Value>)) -> Result<Manifest, Error> {
    with_sequence_of(&manifest(2), place, change)
}

fn with_sequence_of(
    manifest: &Manifest,
    place: usize,
    change: impl FnOnce(&mut Vec<Value>),
) -> Result<Manifest, Error> {
    changed_of(manifest, |entries| {
        let mut items = inside(&entries[place].1).into_array().unwrap();
        change(&mut items);
        entries[place].1 = wrap(&Value::Array(items));
    })
}

/// Changes the COSE_Encrypt.
fn with_info(change: impl FnOnce(&mut Vec<Value>)) -> Result<Manifest, Error> {
    with_info_of(&manifest(2), change)
}

fn with_info_of(manifest: &Manifest, change: impl FnOnce(&mut Vec<Value>)) -> Result<Manifest, Error> {
    with_sequence_of(manifest, INSTALL, |items| {
        let info = &mut items[3].as_map_mut().unwrap()[0].1;
        let (tag, structure) = inside(info).into_tag().unwrap();
        let mut structure = structure.into_array().unwrap();
        change(&mut structure);
        *info = wrap(&Value::Tag(tag, Box::new(Value::Array(structure))));
    })
}

fn recipient(structure: &mut [Value], n: usize) -> &mut Vec<Value> {
    structure[3].as_array_mut().unwrap()[n].as_array_mut().unwrap()
}

#[test]
fn another_encryption_is_refused() {
    assert_eq!(changed(|_| ()), Ok(manifest(2)));
    let part = Part::EncryptionInfo;
    let iv = Value::Bytes(vec![0; 16]);
    let gcm = with_info(|info| info[1] = cbor!({1 => 1, 5 => iv}).unwrap());
    assert_eq!(gcm, Err(Error::Algorithm(part)));
    let protected = with_info(|info| info[0] = wrap(&cbor!({1 => (-65534)}).unwrap()));
    assert_eq!(protected, Err(Error::Value(part, "protected header, it must be empty")));
    let attached = with_info(|info| info[2] = Value::Bytes(vec![0; 300]));
    assert_eq!(attached, Err(Error::Value(part, "ciphertext, it must be detached")));
    let short = with_info(|info| info[1].as_map_mut().unwrap()[1].1 = Value::Bytes(vec![0; 12]));
    assert_eq!(short, Err(Error::Value(part, "IV")));
    let more = with_info(|info| info[1].as_map_mut().unwrap().push((6.into(), 1.into())));
    assert_eq!(more, Err(Error::Unknown(part, "the key 6".to_owned())));
    let nobody = with_info(|info| info[3] = Value::Array(Vec::new()));
    assert_eq!(nobody, Err(Error::Value(part, "number of recipients")));
    let direct = with_info(|info| recipient(info, 1)[1].as_map_mut().unwrap()[0].1 = (-6).into());
    assert_eq!(direct, Err(Error::Algorithm(part)));
    let nameless = with_info(|info| drop(recipient(info, 1)[1].as_map_mut().unwrap().pop()));
    assert_eq!(nameless, Err(Error::Missing(part, "key identifier")));
    let long = with_info(|info| recipient(info, 0)[2] = Value::Bytes(vec![0; 32]));
    assert_eq!(long, Err(Error::Value(part, "wrapped key")));
    let untagged = with_sequence(INSTALL, |items| items[3].as_map_mut().unwrap()[0].1 = wrap(&Value::Null));
    assert_eq!(untagged, Err(Error::Value(part, "type, it lacks the tag 96")));
}

#[test]
fn the_image_is_made_of_what_is_fetched() {
    let wrong = |part, what| Err(Error::Sequence(part, what));
    let uncopied = with_sequence(INSTALL, |items| items.truncate(4));
    assert_eq!(uncopied, wrong(Part::Install, "does not make the image of the encrypted one"));
    let of_index = with_sequence(INSTALL, |items| items[3].as_map_mut().unwrap()[1].1 = 1.into());
    assert_eq!(of_index, wrong(Part::Install, "does not make the image of the encrypted one"));
    let unencrypted = with_sequence(INSTALL, |items| drop(items[3].as_map_mut().unwrap().remove(0)));
    assert_eq!(unencrypted, wrong(Part::Install, "has a command before the parameters that it needs"));
    let image_fetched = with_sequence(FETCH, |items| items[9] = 0.into());
    assert_eq!(
        image_fetched,
        wrong(Part::PayloadFetch, "does not fetch the encrypted image, and that alone")
    );
    let into_index = with_sequence(INSTALL, |items| {
        let again = items[3].clone();
        items.extend([12.into(), 1.into(), 20.into(), again]);
    });
    assert_eq!(into_index, wrong(Part::Install, "sets a parameter of the other component"));
    let no_install = changed(|entries| drop(entries.pop()));
    assert_eq!(no_install, Err(Error::Value(Part::Common, "list of components")));
}

#[test]
fn a_component_that_is_not_listed_is_not_used() {
    let plain = Manifest { encryption: None, ..manifest(1) };
    let envelope: Value = ciborium::from_reader(signed(&plain).as_slice()).unwrap();
    let (tag, elements) = envelope.into_tag().unwrap();
    let mut elements = elements.into_map().unwrap();
    let mut entries = inside(&elements[1].1).into_map().unwrap();
    let mut items = inside(&entries[FETCH].1).into_array().unwrap();
    items[9] = 2.into();
    entries[FETCH].1 = wrap(&Value::Array(items));
    elements[1].1 = wrap(&Value::Map(entries));
    let claims = suit::claims(&bytes(&Value::Tag(tag, Box::new(Value::Map(elements)))));
    assert_eq!(claims, Err(Error::Sequence(Part::PayloadFetch, "has a component that is not in the list")));
}

#[test]
fn a_description_shows_who_can_read_it_and_no_secret() {
    let mut manifest = manifest(1);
    let text = suit::describe(&signed(&manifest));
    let id = manifest.encryption.as_ref().unwrap().recipients[0].key_id;
    for fact in [
        format!("A128CTR, for {id}"),
        "22 directive-copy: 2".to_owned(),
        "19 encryption-info: << 96([".to_owned(),
    ] {
        assert!(text.contains(&fact), "{fact:?} is not in\n{text}");
    }
    let many = Recipient { key_id: KeyId([1; 8]), ephemeral: None, wrapped: [0; 24] };
    manifest.encryption = Some(Encryption { iv: [0; 16], recipients: vec![many; 100] });
    assert!(suit::describe(&signed(&manifest)).contains("… 100 in all"));
}
