//! SUIT_Manifest: its statements as commands, and back.

use super::authentication::digest_value;
use super::cbor::{Fields, map, wrap};
use super::commands::{Component, Processor};
use super::encryption_info;
use super::error::{Error, Part};
use super::labels::{command, common, component, envelope, manifest, parameter};
use crate::Manifest;
use crate::encryption::{Encryption, MAX_RECIPIENTS};
use ciborium::Value;

/// What the conditions report: everything.
const CONDITION: i64 = 15;
/// What the directives report: failures.
const DIRECTIVE: i64 = 2;
const VERSION: u64 = 1;

/// Whether a manifest may be signed.
pub(super) fn check(statements: &Manifest, index: &[u8]) -> Result<(), Error> {
    if statements.image_size == 0 {
        return Err(Error::Value(Part::SharedSequence, "image size"));
    }
    if statements.uri.as_deref().is_some_and(|uri| !is_image_uri(uri)) {
        return Err(Error::Value(Part::PayloadFetch, "URI"));
    }
    if let Some(encryption) = &statements.encryption {
        if statements.uri.is_none() {
            return Err(Error::Missing(Part::PayloadFetch, "URI of the encrypted image"));
        }
        if !(1..=MAX_RECIPIENTS).contains(&encryption.recipients.len()) {
            return Err(Error::Value(Part::EncryptionInfo, "number of recipients"));
        }
    }
    statements.check_index(index).map_err(|_| Error::Index)
}

/// A URI reference that is only a fragment names an integrated payload; it and an empty one cannot be the image.
fn is_image_uri(uri: &str) -> bool {
    !uri.is_empty() && !uri.starts_with('#')
}

/// The manifest as CBOR.
pub(super) fn write(statements: &Manifest, index: &[u8]) -> Value {
    let mut entries = vec![
        (manifest::VERSION.into(), VERSION.into()),
        (manifest::SEQUENCE_NUMBER.into(), statements.sequence_number.into()),
        (manifest::COMMON.into(), wrap(&write_common(statements, index))),
        (manifest::VALIDATE.into(), sequence(on(component::IMAGE, &[(command::IMAGE_MATCH, CONDITION)]))),
        (manifest::INVOKE.into(), sequence(on(component::IMAGE, &[(command::INVOKE, DIRECTIVE)]))),
        (manifest::PAYLOAD_FETCH.into(), sequence(write_payload_fetch(statements))),
    ];
    if let Some(encryption) = &statements.encryption {
        entries.push((manifest::INSTALL.into(), sequence(write_install(encryption))));
    }
    map(entries)
}

fn write_install(encryption: &Encryption) -> Vec<Value> {
    let parameters = vec![
        (parameter::ENCRYPTION_INFO, encryption_info::write(encryption)),
        (parameter::SOURCE_COMPONENT, component::ENCRYPTED.into()),
    ];
    with(component::IMAGE, parameters, &[(command::COPY, DIRECTIVE)])
}

fn write_common(statements: &Manifest, index: &[u8]) -> Value {
    let image = vec![
        (parameter::VENDOR_IDENTIFIER, Value::Bytes(statements.vendor.as_bytes().to_vec())),
        (parameter::CLASS_IDENTIFIER, Value::Bytes(statements.class.as_bytes().to_vec())),
        (parameter::IMAGE_DIGEST, wrap(&digest_value(statements.image_digest))),
        (parameter::IMAGE_SIZE, statements.image_size.into()),
    ];
    let conditions = [(command::VENDOR_IDENTIFIER, CONDITION), (command::CLASS_IDENTIFIER, CONDITION)];
    let index = vec![
        (parameter::IMAGE_DIGEST, wrap(&digest_value(statements.index_digest))),
        (parameter::IMAGE_SIZE, (index.len() as u64).into()),
    ];
    let shared = [with(component::IMAGE, image, &conditions), with(component::INDEX, index, &[])].concat();
    let components = components(statements.encryption.is_some());
    map(vec![(common::COMPONENTS.into(), components), (common::SHARED_SEQUENCE.into(), sequence(shared))])
}

fn write_payload_fetch(statements: &Manifest) -> Vec<Value> {
    let index = vec![
        (parameter::URI, envelope::INDEX.into()),
        (parameter::CHUNK_SIZE, statements.chunk_size.bytes().into()),
    ];
    let commands = [(command::FETCH, DIRECTIVE), (command::IMAGE_MATCH, CONDITION)];
    let mut items = with(component::INDEX, index, &commands);
    if let Some(uri) = &statements.uri {
        let image = vec![(parameter::URI, uri.as_str().into())];
        items.extend(with(fetched(statements.encryption.is_some()), image, &[(command::FETCH, DIRECTIVE)]));
    }
    items
}

/// The component that the image's URI is of.
const fn fetched(is_encrypted: bool) -> u64 {
    if is_encrypted { component::ENCRYPTED } else { component::IMAGE }
}

fn components(is_encrypted: bool) -> Value {
    let identifier =
        |parts: &[&[u8]]| Value::Array(parts.iter().map(|part| Value::Bytes(part.to_vec())).collect());
    let mut components = vec![component::IMAGE_IDENTIFIER, component::INDEX_IDENTIFIER];
    components.extend(is_encrypted.then_some(component::ENCRYPTED_IDENTIFIER));
    Value::Array(components.into_iter().map(identifier).collect())
}

fn sequence(items: Vec<Value>) -> Value {
    wrap(&Value::Array(items))
}

/// Commands with their reporting policies, for one component.
fn on(component: u64, commands: &[(i64, i64)]) -> Vec<Value> {
    let select = [command::SET_COMPONENT_INDEX.into(), component.into()];
    let commands = commands.iter().flat_map(|(code, policy)| [(*code).into(), (*policy).into()]);
    select.into_iter().chain(commands).collect()
}

/// The same, after its parameters were set.
fn with(component: u64, parameters: Vec<(i64, Value)>, commands: &[(i64, i64)]) -> Vec<Value> {
    let parameters = map(parameters.into_iter().map(|(key, value)| (key.into(), value)).collect());
    let mut items = on(component, commands);
    items.splice(2..2, [command::OVERRIDE_PARAMETERS.into(), parameters]);
    items
}

/// What the manifest says that takes all of `bytes`, and whether `index` is its chunk index.
pub(super) fn read(bytes: &[u8], index: Vec<u8>) -> Result<Manifest, Error> {
    let (mut statements, size) = read_without_index(bytes)?;
    if size as usize != index.len() {
        return Err(Error::Index);
    }
    statements.check_index(&index).map_err(|_| Error::Index)?;
    statements.index = Some(index);
    Ok(statements)
}

/// The same without the index itself, and how long it must be.
pub(super) fn read_without_index(bytes: &[u8]) -> Result<(Manifest, u32), Error> {
    let mut fields = Fields::read(Part::Manifest, bytes)?;
    let version = fields.uint(manifest::VERSION, "version")?;
    if version != VERSION {
        return Err(Error::Version(version));
    }
    let sequence_number = fields.uint(manifest::SEQUENCE_NUMBER, "sequence number")?;
    let mut processor = Processor::default();
    let install = fields.take(manifest::INSTALL);
    let shared = read_common(&fields.bytes(manifest::COMMON, "common")?, install.is_some())?;
    processor.run(Part::SharedSequence, &shared)?;
    processor.run(Part::PayloadFetch, &fields.bytes(manifest::PAYLOAD_FETCH, "payload fetch")?)?;
    if let Some(install) = install {
        let install = install.into_bytes().map_err(|_| Error::Value(Part::Manifest, "install"))?;
        processor.run(Part::Install, &install)?;
        check_install(&processor)?;
    }
    processor.run(Part::Validate, &fields.bytes(manifest::VALIDATE, "validate")?)?;
    processor.run(Part::Invoke, &fields.bytes(manifest::INVOKE, "invoke")?)?;
    fields.end()?;
    conclude(sequence_number, processor)
}

/// The shared sequence.
fn read_common(bytes: &[u8], is_encrypted: bool) -> Result<Vec<u8>, Error> {
    let part = Part::Common;
    let mut fields = Fields::read(part, bytes)?;
    if fields.require(common::COMPONENTS, "components")? != components(is_encrypted) {
        return Err(Error::Value(part, "list of components"));
    }
    let shared = fields.bytes(common::SHARED_SEQUENCE, "shared sequence")?;
    fields.end()?;
    Ok(shared)
}

/// What the sequences amount to.
fn conclude(sequence_number: u64, processor: Processor) -> Result<(Manifest, u32), Error> {
    let Processor { image, index, encrypted } = processor;
    let is_encrypted = image.encryption.is_some();
    if !is_encrypted && encrypted != Component::default() {
        return Err(Error::Sequence(Part::PayloadFetch, "has a component that is not in the list"));
    }
    let fetched = if is_encrypted { &encrypted } else { &image };
    check_commands(&image, &index, fetched)?;
    let uri = fetched.uri.clone();
    let shared = |name| Error::Missing(Part::SharedSequence, name);
    let statements = Manifest {
        sequence_number,
        vendor: image.vendor.ok_or(shared("vendor identifier"))?,
        class: image.class.ok_or(shared("class identifier"))?,
        image_size: image.size.ok_or(shared("image size"))?,
        image_digest: image.digest.ok_or(shared("image digest"))?,
        chunk_size: index.chunk_size.ok_or(Error::Missing(Part::PayloadFetch, "chunk size"))?,
        index_digest: index.digest.ok_or(shared("digest of the index"))?,
        index: None,
        uri,
        encryption: image.encryption,
    };
    Ok((statements, index.size.ok_or(shared("size of the index"))?))
}

/// Whether the image is made of what is fetched, and of nothing else.
fn check_install(processor: &Processor) -> Result<(), Error> {
    let Processor { image, index, encrypted } = processor;
    let is_copied = image.has_done(Part::Install, command::COPY);
    if !is_copied || image.source != Some(component::ENCRYPTED) {
        return Err(Error::Sequence(Part::Install, "does not make the image of the encrypted one"));
    }
    if image.uri.is_some() || !encrypted.is_only_fetched() {
        return Err(Error::Sequence(
            Part::PayloadFetch,
            "does not fetch the encrypted image, and that alone",
        ));
    }
    let has_foreign = index.source.is_some() || index.encryption.is_some();
    if has_foreign {
        Err(Error::Sequence(Part::Install, "sets a parameter of the other component"))
    } else {
        Ok(())
    }
}

/// Whether the sequences do all that they must, and nothing that makes no sense.
fn check_commands(image: &Component, index: &Component, fetched: &Component) -> Result<(), Error> {
    let must = [
        (image, Part::SharedSequence, command::VENDOR_IDENTIFIER, "does not check the vendor identifier"),
        (image, Part::SharedSequence, command::CLASS_IDENTIFIER, "does not check the class identifier"),
        (image, Part::Validate, command::IMAGE_MATCH, "does not check the image"),
        (image, Part::Invoke, command::INVOKE, "does not invoke the image"),
        (index, Part::PayloadFetch, command::FETCH, "does not fetch the index"),
        (index, Part::PayloadFetch, command::IMAGE_MATCH, "does not check the index"),
    ];
    for (component, part, code, wrong) in must {
        if !component.has_done(part, code) {
            return Err(Error::Sequence(part, wrong));
        }
    }
    let is_image_fetched = fetched.has_done(Part::PayloadFetch, command::FETCH);
    let has_foreign = index.vendor.is_some() || index.class.is_some() || image.chunk_size.is_some();
    let must_not = [
        (index.uri.as_deref() != Some(envelope::INDEX), "fetches the index from elsewhere than \"#index\""),
        (
            fetched.uri.as_deref().is_some_and(|uri| !is_image_uri(uri)),
            "fetches the image from inside the envelope",
        ),
        (fetched.uri.is_some() && !is_image_fetched, "has a URI that it does not fetch"),
        (has_foreign, "sets a parameter of the other component"),
    ];
    if let Some((_, wrong)) = must_not.into_iter().find(|(is_so, _)| *is_so) {
        return Err(Error::Sequence(Part::PayloadFetch, wrong));
    }
    let is_index_run = index.has_done(Part::Invoke, command::INVOKE);
    if is_index_run { Err(Error::Sequence(Part::Invoke, "runs the index")) } else { Ok(()) }
}
