//! SUIT envelopes from outside: what was signed is read back, and nothing else is.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use ciborium::{Value, cbor};
use hmac_sha256::Hash;
use proptest::prelude::*;
use sixfold_manifest::keys::{Algorithm, SigningKey, VerifyingKey};
use sixfold_manifest::suit::{self, Error, Fault, MAX_ENVELOPE, Part};
use sixfold_manifest::{Manifest, chunk_index, class_identifier, vendor_identifier};
use sixfold_profile::Hex;
use sixfold_profile::index::ChunkSize;

const ALGORITHMS: [Algorithm; 2] = [Algorithm::Ed25519, Algorithm::Es256];

fn key(algorithm: Algorithm, seed: u8) -> SigningKey {
    SigningKey::from_seed(algorithm, &[seed; 32]).unwrap()
}

fn manifest(image: &[u8]) -> Manifest {
    let chunk_size = ChunkSize::from_bytes(256).unwrap();
    let index = chunk_index(image, chunk_size);
    let vendor = vendor_identifier("example.com");
    Manifest {
        sequence_number: 7,
        vendor,
        class: class_identifier(vendor, "lamp"),
        image_size: image.len() as u32,
        image_digest: Hash::hash(image),
        chunk_size,
        index_digest: Hash::hash(&index),
        index: Some(index),
        uri: Some("lamp.bin".to_owned()),
        encryption: None,
    }
}

fn signed(algorithm: Algorithm) -> (Vec<u8>, [VerifyingKey; 1]) {
    let key = key(algorithm, 1);
    (suit::sign(&manifest(&[9; 300]), &key).unwrap(), [key.verifying_key()])
}

/// The choices of a signer, to be made differently.
struct Signer {
    digest_algorithm: i64,
    protected: Value,
    unprotected: Value,
    payload: Value,
}

impl Signer {
    /// As the profile wants it, without a key identifier.
    fn new() -> Self {
        let protected = cbor!({1 => -8}).unwrap();
        Self { digest_algorithm: -16, protected, unprotected: cbor!({}).unwrap(), payload: Value::Null }
    }

    /// The envelope of another manifest, given as CBOR, put together without the crate under test.
    fn sign(&self, manifest: &[(Value, Value)]) -> (Vec<u8>, [VerifyingKey; 1]) {
        let key = key(Algorithm::Ed25519, 1);
        let statements = wrap(&Value::Map(manifest.to_vec()));
        let digest = Value::Bytes(Hash::hash(&bytes(&statements)).to_vec());
        let digest = wrap(&cbor!([self.digest_algorithm, digest]).unwrap());
        let protected = wrap(&self.protected);
        let message = cbor!(["Signature1", protected, Value::Bytes(vec![]), digest]).unwrap();
        let signature = Value::Bytes(key.sign(&bytes(&message)).to_vec());
        let block = cbor!([protected, self.unprotected, self.payload, signature]).unwrap();
        let wrapper = wrap(&cbor!([digest, wrap(&Value::Tag(18, Box::new(block)))]).unwrap());
        let index = Value::Bytes(self::manifest(&[9; 300]).index.unwrap());
        let elements = cbor!({2 => wrapper, 3 => statements, "#index" => index}).unwrap();
        (bytes(&Value::Tag(107, Box::new(elements))), [key.verifying_key()])
    }

    /// What becomes of our own manifest, signed like this.
    fn result(&self) -> Result<Manifest, Error> {
        let (envelope, keys) = self.sign(&manifest_value(&signed(Algorithm::Ed25519).0));
        suit::verify(&envelope, &keys)
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

/// The manifest inside an envelope, as CBOR.
fn manifest_value(envelope: &[u8]) -> Vec<(Value, Value)> {
    let envelope: Value = ciborium::from_reader(envelope).unwrap();
    let elements = envelope.into_tag().unwrap().1.into_map().unwrap();
    value(&elements[1].1).into_map().unwrap()
}

/// What is in a byte string.
fn value(wrapped: &Value) -> Value {
    ciborium::from_reader(wrapped.as_bytes().unwrap().as_slice()).unwrap()
}

#[test]
fn what_was_signed_is_read_back() {
    for algorithm in ALGORITHMS {
        for uri in [None, Some("https://updates.example/lamp.bin".to_owned())] {
            for size in [1, 255, 256, 257, 10_000] {
                let manifest = Manifest { uri: uri.clone(), ..manifest(&vec![3; size]) };
                let key = key(algorithm, 1);
                let envelope = suit::sign(&manifest, &key).unwrap();
                assert_eq!(suit::verify(&envelope, &[key.verifying_key()]), Ok(manifest));
            }
        }
    }
}

#[test]
fn the_key_is_found_among_others() {
    for algorithm in ALGORITHMS {
        let (envelope, [trusted]) = signed(algorithm);
        let others = ALGORITHMS.map(|algorithm| key(algorithm, 2).verifying_key());
        assert!(suit::verify(&envelope, &[others[0], others[1], trusted]).is_ok());
        let refused = Err(Error::UntrustedKey(Some(trusted.key_id())));
        assert_eq!(suit::verify(&envelope, &others), refused);
        assert_eq!(suit::verify(&envelope, &[]), refused);
    }
}

/// The only part that no signature covers is the key identifier; changed, it names a key that is not trusted.
#[test]
fn every_flipped_bit_is_refused() {
    for algorithm in ALGORITHMS {
        let (envelope, keys) = signed(algorithm);
        for bit in 0..envelope.len() * 8 {
            let mut flipped = envelope.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(
                suit::verify(&flipped, &keys).is_err(),
                "{algorithm}: bit {bit} of {}",
                envelope.len() * 8
            );
        }
    }
}

#[test]
fn every_truncation_and_every_appendix_is_refused() {
    for algorithm in ALGORITHMS {
        let (mut envelope, keys) = signed(algorithm);
        for length in 0..envelope.len() {
            assert!(suit::verify(&envelope[..length], &keys).is_err(), "{length}");
        }
        envelope.push(0);
        assert_eq!(suit::verify(&envelope, &keys), Err(Error::Cbor(Part::Envelope, Fault::Trailing)));
    }
}

#[test]
fn an_index_of_another_image_is_refused() {
    let (envelope, keys) = signed(Algorithm::Ed25519);
    let mut parsed: Value = ciborium::from_reader(envelope.as_slice()).unwrap();
    let Value::Tag(107, elements) = &mut parsed else { unreachable!() };
    elements.as_map_mut().unwrap()[2].1 = Value::Bytes(vec![0; 64]);
    assert_eq!(suit::verify(&bytes(&parsed), &keys), Err(Error::Index));
}

#[test]
fn what_cannot_be_verified_is_not_signed() {
    let key = key(Algorithm::Ed25519, 1);
    let good = manifest(&[9; 300]);
    let wrong = [
        (Manifest { index: None, ..good.clone() }, Error::NoIndex),
        (Manifest { index: Some(vec![0; 64]), ..good.clone() }, Error::Index),
        (Manifest { image_size: 1, ..good.clone() }, Error::Index),
        (Manifest { image_size: 0, ..good.clone() }, Error::Value(Part::SharedSequence, "image size")),
        (
            Manifest { uri: Some("#index".to_owned()), ..good.clone() },
            Error::Value(Part::PayloadFetch, "URI"),
        ),
        (Manifest { uri: Some(String::new()), ..good }, Error::Value(Part::PayloadFetch, "URI")),
    ];
    for (manifest, error) in wrong {
        assert_eq!(suit::sign(&manifest, &key), Err(error));
    }
}

#[test]
fn envelopes_are_bounded() {
    let key = key(Algorithm::Ed25519, 1);
    let image = vec![0; (MAX_ENVELOPE / 32) * 256];
    let Err(Error::TooLarge(length)) = suit::sign(&manifest(&image), &key) else { unreachable!() };
    assert_eq!(suit::verify(&vec![0; length], &[]), Err(Error::TooLarge(length)));
    let largest = suit::sign(&manifest(&image[..image.len() - 20 * 256]), &key).unwrap();
    assert!(suit::verify(&largest, &[key.verifying_key()]).is_ok());
}

#[test]
fn deep_nesting_is_no_recursion() {
    let bomb = |opening, length| [vec![0xd8, 107], vec![opening; length], vec![0]].concat();
    let refused = |bomb: Vec<u8>| {
        assert!(!suit::describe(&bomb).is_empty());
        match suit::verify(&bomb, &[]) {
            Err(Error::Cbor(Part::Envelope, fault)) => fault,
            other => unreachable!("{other:?}"),
        }
    };
    for opening in [0x81, 0xa1, 0xc1] {
        assert_eq!(refused(bomb(opening, 100)), Fault::Malformed);
        assert_eq!(refused(bomb(opening, MAX_ENVELOPE - 3)), Fault::TooManyItems);
    }
    assert_eq!(refused(bomb(0x9f, MAX_ENVELOPE - 3)), Fault::NotDeterministic);
}

#[test]
fn byte_strings_in_byte_strings_are_no_recursion() {
    let mut bomb = Value::Bytes(vec![]);
    for _ in 0..2000 {
        bomb = wrap(&Value::Array(vec![bomb]));
    }
    let envelope = bytes(&Value::Tag(107, Box::new(cbor!({2 => bomb}).unwrap())));
    let line = suit::describe(&envelope).lines().last().unwrap().to_owned();
    assert_eq!(line.matches("<<").count(), 3);
    assert!(line.len() < 300, "{line}");
}

#[test]
fn a_description_names_what_it_shows() {
    let (envelope, [key]) = signed(Algorithm::Es256);
    let text = suit::describe(&envelope);
    let facts = [
        format!("ES256, by key {}", key.key_id()),
        "sequence number    7\n".to_owned(),
        manifest(&[9; 300]).class.to_string(),
        "image size         300 bytes".to_owned(),
        "21 uri: \"lamp.bin\"".to_owned(),
        "23 directive-invoke: 2".to_owned(),
    ];
    for fact in facts {
        assert!(text.contains(&fact), "{fact:?} is not in\n{text}");
    }
    assert!(!text.contains("not that of"), "{text}");
    let torn = suit::describe(&envelope[..100]);
    assert!(torn.contains("refused") && torn.contains("well-formed"), "{torn}");
}

#[test]
fn digests_are_shown_as_they_are() {
    for size in 1..200 {
        let manifest = manifest(&vec![1; size]);
        let text = suit::describe(&suit::sign(&manifest, &key(Algorithm::Ed25519, 1)).unwrap());
        let digest = format!("3 image-digest: << [-16, h'{}'] >>", hex(&manifest.image_digest));
        assert!(text.contains(&digest), "{digest} is not in\n{text}");
    }
}

/// Applies a change to the manifest of a good envelope and has it signed again, by the right key.
fn resigned(change: impl FnOnce(&mut Vec<(Value, Value)>)) -> Result<Manifest, Error> {
    let mut entries = manifest_value(&signed(Algorithm::Ed25519).0);
    change(&mut entries);
    let (envelope, keys) = Signer::new().sign(&entries);
    suit::verify(&envelope, &keys)
}

fn wrap(value: &Value) -> Value {
    Value::Bytes(bytes(value))
}

/// The sequences of our own manifest, by their places in it.
const COMMON: usize = 2;
const VALIDATE: usize = 3;
const INVOKE: usize = 4;
const FETCH: usize = 5;

fn with_sequence(place: usize, change: impl FnOnce(&mut Vec<Value>)) -> Result<Manifest, Error> {
    resigned(|entries| {
        let mut items = value(&entries[place].1).into_array().unwrap();
        change(&mut items);
        entries[place].1 = wrap(&Value::Array(items));
    })
}

fn with_shared_sequence(change: impl FnOnce(&mut Vec<Value>)) -> Result<Manifest, Error> {
    resigned(|entries| {
        let mut common = value(&entries[COMMON].1).into_map().unwrap();
        let mut items = value(&common[1].1).into_array().unwrap();
        change(&mut items);
        common[1].1 = wrap(&Value::Array(items));
        entries[COMMON].1 = wrap(&Value::Map(common));
    })
}

#[test]
fn an_envelope_without_key_identifier_is_tried_with_all_keys() {
    let unchanged = resigned(|_| ()).unwrap();
    assert_eq!(unchanged, manifest(&[9; 300]));
    let (envelope, _) = Signer::new().sign(&manifest_value(&signed(Algorithm::Ed25519).0));
    let others = ALGORITHMS.map(|algorithm| key(algorithm, 2).verifying_key());
    assert_eq!(suit::verify(&envelope, &others), Err(Error::UntrustedKey(None)));
}

#[test]
fn signatures_outside_the_profile_are_refused() {
    let part = Part::Signature;
    let other_digest = Signer { digest_algorithm: -44, ..Signer::new() };
    assert_eq!(other_digest.result(), Err(Error::Algorithm(Part::Digest)));
    let other_algorithm = Signer { protected: cbor!({1 => -35}).unwrap(), ..Signer::new() };
    assert_eq!(other_algorithm.result(), Err(Error::Algorithm(part)));
    let none = Signer { protected: cbor!({}).unwrap(), ..Signer::new() };
    assert_eq!(none.result(), Err(Error::Missing(part, "algorithm")));
    let more = Signer { protected: cbor!({1 => -8, 3 => 0}).unwrap(), ..Signer::new() };
    assert_eq!(more.result(), Err(Error::Unknown(part, "a protected header".to_owned())));
    let more = Signer { unprotected: cbor!({3 => 0}).unwrap(), ..Signer::new() };
    assert_eq!(more.result(), Err(Error::Unknown(part, "an unprotected header".to_owned())));
    let attached = Signer { payload: Value::Bytes(vec![1]), ..Signer::new() };
    assert_eq!(attached.result(), Err(Error::Value(part, "payload, it must be detached")));
    let short = Signer { unprotected: cbor!({4 => Value::Bytes(vec![1])}).unwrap(), ..Signer::new() };
    assert_eq!(short.result(), Err(Error::Value(part, "key identifier")));
}

#[test]
fn a_signed_manifest_outside_the_profile_is_refused() {
    let unknown = |part, what: &str| Err(Error::Unknown(part, what.to_owned()));
    assert_eq!(resigned(|entries| entries[0].1 = 2.into()), Err(Error::Version(2)));
    assert_eq!(
        resigned(|entries| entries.push((21.into(), 1.into()))),
        unknown(Part::Manifest, "the key 21")
    );
    let missing = |name| Err(Error::Missing(Part::Manifest, name));
    assert_eq!(resigned(|entries| drop(entries.remove(VALIDATE))), missing("validate"));
    let not_a_number = resigned(|entries| entries[1].1 = "7".into());
    assert_eq!(not_a_number, Err(Error::Value(Part::Manifest, "sequence number")));
    let twice = resigned(|entries| entries.insert(1, entries[1].clone()));
    assert_eq!(twice, Err(Error::Cbor(Part::Manifest, Fault::DuplicateKey)));
    let disordered = resigned(|entries| entries.swap(0, 1));
    assert_eq!(disordered, Err(Error::Cbor(Part::Manifest, Fault::NotDeterministic)));
    assert!(matches!(
        resigned(|entries| entries[COMMON].1 = wrap(&cbor!({2 => [[]]}).unwrap())),
        Err(Error::Value(Part::Common, _))
    ));
}

#[test]
fn commands_outside_the_profile_are_refused() {
    let run = with_sequence(VALIDATE, |items| items.extend([23.into(), 2.into()]));
    assert_eq!(run, Err(Error::Command(Part::Validate, 23)));
    let copy = with_sequence(FETCH, |items| items.extend([22.into(), 2.into()]));
    assert_eq!(copy, Err(Error::Command(Part::PayloadFetch, 22)));
    let odd = with_sequence(INVOKE, |items| items.push(23.into()));
    assert_eq!(odd, Err(Error::Sequence(Part::Invoke, "ends with a command that has no argument")));
    let fourth = with_sequence(VALIDATE, |items| items[1] = 3.into());
    assert_eq!(fourth, Err(Error::Value(Part::Validate, "component index")));
    let all = with_sequence(VALIDATE, |items| items[1] = true.into());
    assert_eq!(all, Err(Error::Value(Part::Validate, "component index")));
    let policy = with_sequence(VALIDATE, |items| items[3] = 16.into());
    assert_eq!(policy, Err(Error::Value(Part::Validate, "reporting policy")));
    let custom =
        with_shared_sequence(|items| items[3].as_map_mut().unwrap().push(((-256).into(), 256.into())));
    assert_eq!(custom, Err(Error::Unknown(Part::SharedSequence, "the parameter -256".to_owned())));
}

#[test]
fn sequences_must_do_what_the_profile_asks_for() {
    let wrong = |part, what| Err(Error::Sequence(part, what));
    let unchecked = with_shared_sequence(|items| drop(items.drain(4..6)));
    assert_eq!(unchecked, wrong(Part::SharedSequence, "does not check the vendor identifier"));
    let unchecked = with_shared_sequence(|items| drop(items.drain(6..8)));
    assert_eq!(unchecked, wrong(Part::SharedSequence, "does not check the class identifier"));
    let unchecked = with_sequence(VALIDATE, |items| items.truncate(2));
    assert_eq!(unchecked, wrong(Part::Validate, "does not check the image"));
    let wrong_component = with_sequence(INVOKE, |items| items[1] = 1.into());
    assert_eq!(wrong_component, wrong(Part::Invoke, "does not invoke the image"));
    let unchecked = with_sequence(FETCH, |items| drop(items.drain(6..8)));
    assert_eq!(unchecked, wrong(Part::PayloadFetch, "does not check the index"));
    let unfetched = with_sequence(FETCH, |items| items.truncate(items.len() - 2));
    assert_eq!(unfetched, wrong(Part::PayloadFetch, "has a URI that it does not fetch"));
    let twice = with_sequence(FETCH, |items| items.extend([20.into(), cbor!({21 => "other"}).unwrap()]));
    assert_eq!(twice, wrong(Part::PayloadFetch, "sets a parameter twice"));
    let elsewhere = with_sequence(FETCH, |items| items[3].as_map_mut().unwrap()[0].1 = "index".into());
    assert_eq!(elsewhere, wrong(Part::PayloadFetch, "fetches the index from elsewhere than \"#index\""));
    let early = with_shared_sequence(|items| items.splice(2..2, [1.into(), 15.into()]).for_each(drop));
    assert_eq!(early, wrong(Part::SharedSequence, "has a command before the parameters that it needs"));
    let inside = with_sequence(FETCH, |items| items[11] = cbor!({21 => "#image"}).unwrap());
    assert_eq!(inside, wrong(Part::PayloadFetch, "fetches the image from inside the envelope"));
    let again = with_sequence(INVOKE, |items| items.extend([23.into(), 2.into()]));
    assert_eq!(again, wrong(Part::Invoke, "has a command twice"));
    let both = with_sequence(INVOKE, |items| items.extend([12.into(), 1.into(), 23.into(), 2.into()]));
    assert_eq!(both, wrong(Part::Invoke, "runs the index"));
    let foreign =
        with_sequence(FETCH, |items| items[11].as_map_mut().unwrap().push(((-256).into(), 256.into())));
    assert_eq!(foreign, wrong(Part::PayloadFetch, "sets a parameter of the other component"));
    let index_size = with_shared_sequence(|items| items[11].as_map_mut().unwrap()[1].1 = 32.into());
    assert_eq!(index_size, Err(Error::Index));
    let no_size = with_sequence(FETCH, |items| drop(items[3].as_map_mut().unwrap().pop()));
    assert_eq!(no_size, Err(Error::Missing(Part::PayloadFetch, "chunk size")));
}

/// The specification leaves the order free: what another tool signs may have another one.
#[test]
fn another_order_of_commands_means_the_same() {
    let turned = with_sequence(FETCH, |items| items.rotate_left(8)).unwrap();
    assert_eq!(turned, manifest(&[9; 300]));
    let without = with_sequence(VALIDATE, |items| drop(items.drain(..2))).unwrap();
    assert_eq!(without, manifest(&[9; 300]));
}

/// The bytes of version 1. If this fails, the format has changed: do not change the test.
#[test]
fn the_bytes_of_an_envelope_never_change() {
    let golden = [include_str!("golden/ed25519.hex"), include_str!("golden/es256.hex")];
    for (algorithm, golden) in ALGORITHMS.into_iter().zip(golden) {
        let (envelope, keys) = signed(algorithm);
        assert_eq!(hex(&envelope), golden.split_whitespace().collect::<String>(), "{algorithm}");
        assert!(suit::verify(&envelope, &keys).is_ok());
    }
}

fn hex(bytes: &[u8]) -> String {
    Hex(bytes).to_string()
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let keys = ALGORITHMS.map(|algorithm| key(algorithm, 1).verifying_key());
        let tagged = [&[0xd8, 107], bytes.as_slice()].concat();
        for bytes in [&bytes, &tagged] {
            prop_assert!(suit::verify(bytes, &keys).is_err());
            prop_assert!(!suit::describe(bytes).is_empty());
        }
    }

    #[test]
    fn arbitrary_changes_are_refused(at in any::<prop::sample::Index>(), with in proptest::collection::vec(any::<u8>(), 1..9)) {
        let (envelope, keys) = signed(Algorithm::Ed25519);
        let at = at.index(envelope.len());
        let mut changed = envelope.clone();
        changed.splice(at..(at + with.len()).min(envelope.len()), with);
        prop_assert_eq!(suit::verify(&changed, &keys).is_ok(), changed == envelope);
        prop_assert!(!suit::describe(&changed).is_empty());
    }
}
