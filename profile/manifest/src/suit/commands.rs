//! SUIT_Command_Sequence: what runs it, for the components and the few commands of the profile.

use super::authentication::read_digest;
use super::cbor::{as_int, as_uint, decode};
use super::encryption_info;
use super::error::{Error, Part};
use super::labels::{command, component, parameter};
use crate::Encryption;
use ciborium::Value;
use sixfold_profile::index::{ChunkSize, DIGEST};
use uuid::Uuid;

/// What the sequences set for one component, and what they had done with it.
#[derive(Default, PartialEq)]
pub(super) struct Component {
    pub(super) vendor: Option<Uuid>,
    pub(super) class: Option<Uuid>,
    pub(super) digest: Option<[u8; DIGEST]>,
    pub(super) size: Option<u32>,
    pub(super) uri: Option<String>,
    pub(super) chunk_size: Option<ChunkSize>,
    pub(super) source: Option<u64>,
    pub(super) encryption: Option<Encryption>,
    done: Vec<(Part, i64)>,
}

impl Component {
    /// Whether a sequence had `command` done with this component.
    pub(super) fn has_done(&self, part: Part, command: i64) -> bool {
        self.done.contains(&(part, command))
    }

    /// Whether nothing is said of it but where it is, and nothing done with it but fetching it.
    pub(super) fn is_only_fetched(&self) -> bool {
        let done = vec![(Part::PayloadFetch, command::FETCH)];
        *self == Self { uri: self.uri.clone(), done, ..Self::default() }
    }

    /// Whether all parameters are set that a command needs.
    const fn is_ready_for(&self, command: i64) -> bool {
        match command {
            command::VENDOR_IDENTIFIER => self.vendor.is_some(),
            command::CLASS_IDENTIFIER => self.class.is_some(),
            command::IMAGE_MATCH => self.digest.is_some() && self.size.is_some(),
            command::FETCH => self.uri.is_some(),
            command::COPY => self.source.is_some() && self.encryption.is_some(),
            _ => true,
        }
    }
}

/// Runs the sequences, one after the other.
#[derive(Default)]
pub(super) struct Processor {
    pub(super) image: Component,
    pub(super) index: Component,
    pub(super) encrypted: Component,
}

impl Processor {
    /// Runs the sequence `part`, which takes all of `bytes`.
    pub(super) fn run(&mut self, part: Part, bytes: &[u8]) -> Result<(), Error> {
        let items =
            decode(part, bytes)?.into_array().map_err(|_| Error::Value(part, "type, it is not an array"))?;
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(Error::Sequence(part, "ends with a command that has no argument"));
        }
        let mut current = &mut self.image;
        for [code, argument] in pairs {
            let code = as_int(code).ok_or(Error::Value(part, "command"))?;
            match code {
                command::SET_COMPONENT_INDEX => {
                    current = match as_uint(argument) {
                        Some(component::IMAGE) => &mut self.image,
                        Some(component::INDEX) => &mut self.index,
                        Some(component::ENCRYPTED) => &mut self.encrypted,
                        _ => return Err(Error::Value(part, "component index")),
                    };
                }
                command::OVERRIDE_PARAMETERS => set_parameters(current, part, argument)?,
                _ => execute(current, part, code, argument)?,
            }
        }
        Ok(())
    }
}

/// A condition, or a directive that takes a reporting policy.
fn execute(component: &mut Component, part: Part, code: i64, policy: &Value) -> Result<(), Error> {
    if !belongs(part, code) {
        return Err(Error::Command(part, code));
    }
    if as_uint(policy).is_none_or(|policy| policy > 15) {
        return Err(Error::Value(part, "reporting policy"));
    }
    if !component.is_ready_for(code) {
        return Err(Error::Sequence(part, "has a command before the parameters that it needs"));
    }
    if component.has_done(part, code) {
        return Err(Error::Sequence(part, "has a command twice"));
    }
    component.done.push((part, code));
    Ok(())
}

const fn belongs(part: Part, code: i64) -> bool {
    matches!(
        (part, code),
        (Part::SharedSequence, command::VENDOR_IDENTIFIER | command::CLASS_IDENTIFIER)
            | (Part::PayloadFetch, command::FETCH | command::IMAGE_MATCH)
            | (Part::Install, command::COPY)
            | (Part::Validate, command::IMAGE_MATCH)
            | (Part::Invoke, command::INVOKE)
    )
}

/// Every parameter is set once, so that there is no question which value counts.
fn set_parameters(component: &mut Component, part: Part, parameters: &Value) -> Result<(), Error> {
    let parameters = parameters.as_map().ok_or(Error::Value(part, "map of parameters"))?;
    for (key, value) in parameters {
        let key = as_int(key).ok_or(Error::Value(part, "parameter"))?;
        match (part, key) {
            (Part::SharedSequence, parameter::VENDOR_IDENTIFIER) => {
                set(&mut component.vendor, uuid(value), part, "vendor identifier")?;
            }
            (Part::SharedSequence, parameter::CLASS_IDENTIFIER) => {
                set(&mut component.class, uuid(value), part, "class identifier")?;
            }
            (Part::SharedSequence, parameter::IMAGE_DIGEST) => {
                let digest = value.as_bytes().ok_or(Error::Value(part, "image digest"))?;
                set(&mut component.digest, Some(read_digest(digest)?), part, "image digest")?;
            }
            (Part::SharedSequence, parameter::IMAGE_SIZE) => {
                let size = as_uint(value).and_then(|size| u32::try_from(size).ok());
                set(&mut component.size, size.filter(|size| *size > 0), part, "image size")?;
            }
            (Part::PayloadFetch, parameter::URI) => {
                set(&mut component.uri, value.as_text().map(str::to_owned), part, "URI")?;
            }
            (Part::PayloadFetch, parameter::CHUNK_SIZE) => {
                let bytes = as_uint(value).and_then(|bytes| u32::try_from(bytes).ok());
                set(&mut component.chunk_size, bytes.and_then(ChunkSize::from_bytes), part, "chunk size")?;
            }
            (Part::Install, parameter::SOURCE_COMPONENT) => {
                set(&mut component.source, as_uint(value), part, "source component")?;
            }
            (Part::Install, parameter::ENCRYPTION_INFO) => {
                set(&mut component.encryption, Some(encryption_info::read(value)?), part, "encryption info")?;
            }
            _ => return Err(Error::Unknown(part, format!("the parameter {key}"))),
        }
    }
    Ok(())
}

fn set<T>(place: &mut Option<T>, value: Option<T>, part: Part, name: &'static str) -> Result<(), Error> {
    let value = value.ok_or(Error::Value(part, name))?;
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::Sequence(part, "sets a parameter twice")),
    }
}

fn uuid(value: &Value) -> Option<Uuid> {
    value.as_bytes().and_then(|bytes| Uuid::from_slice(bytes).ok())
}
