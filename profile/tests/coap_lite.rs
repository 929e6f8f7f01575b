//! Our codec and coap-lite, held together: they must read and write the same messages.
//!
//! They differ in known ways only, each listed in [`Leniency`]: coap-lite reads a few things that RFC 7252 calls
//! message format errors. Anything else that one takes and the other does not fails these tests. (Options above 65 535 bytes, which coap-lite refuses, do not fit
//! a UDP datagram and do not occur here.)
#![allow(clippy::unwrap_used, clippy::expect_used)] // A panic is how a test fails.

use coap_lite::{CoapOption, MessageClass, MessageType, Packet};
use proptest::prelude::*;
use proptest::sample::Index;
use sixfold_profile::coap::{Code, Message, Type, Writer};

/// The fields of a message, in a form that both codecs can be turned into.
#[derive(Clone, Debug, PartialEq)]
struct Fields {
    message_type: Type,
    code: u8,
    message_id: u16,
    token: Vec<u8>,
    /// In ascending order of numbers; options of the same number in the order of the message.
    options: Vec<(u16, Vec<u8>)>,
    payload: Vec<u8>,
}

impl Fields {
    fn of_message(message: &Message<'_>) -> Self {
        Self {
            message_type: message.message_type,
            code: message.code.0,
            message_id: message.message_id,
            token: message.token.to_vec(),
            options: message.options().map(|option| (option.number, option.value.to_vec())).collect(),
            payload: message.payload.to_vec(),
        }
    }

    fn of_packet(packet: &Packet) -> Self {
        let values = |(number, values): (&u16, &std::collections::LinkedList<Vec<u8>>)| {
            values.iter().map(|value| (*number, value.clone())).collect::<Vec<_>>()
        };
        Self {
            message_type: match packet.header.get_type() {
                MessageType::Confirmable => Type::Confirmable,
                MessageType::NonConfirmable => Type::NonConfirmable,
                MessageType::Acknowledgement => Type::Acknowledgement,
                MessageType::Reset => Type::Reset,
            },
            code: packet.header.code.into(),
            message_id: packet.header.message_id,
            token: packet.get_token().to_vec(),
            options: packet.options().flat_map(values).collect(),
            payload: packet.payload.clone(),
        }
    }

    fn write(&self) -> Vec<u8> {
        let mut buffer = vec![0; 16_384];
        let code = Code(self.code);
        let mut writer =
            Writer::new(&mut buffer, self.message_type, code, self.message_id, &self.token).unwrap();
        for (number, value) in &self.options {
            writer.option(*number, value).unwrap();
        }
        let length = writer.payload(&self.payload).unwrap();
        buffer.truncate(length);
        buffer
    }

    fn to_packet(&self) -> Packet {
        let mut packet = Packet::new();
        packet.header.set_version(1);
        packet.header.set_type(match self.message_type {
            Type::Confirmable => MessageType::Confirmable,
            Type::NonConfirmable => MessageType::NonConfirmable,
            Type::Acknowledgement => MessageType::Acknowledgement,
            Type::Reset => MessageType::Reset,
        });
        packet.header.code = MessageClass::from(self.code);
        packet.header.message_id = self.message_id;
        packet.set_token(self.token.clone());
        for (number, value) in &self.options {
            packet.add_option(CoapOption::from(*number), value.clone());
        }
        packet.payload.clone_from(&self.payload);
        packet
    }
}

/// What coap-lite 0.13.3 reads although RFC 7252 calls it a message format error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Leniency {
    /// §3: a version other than 1.
    Version,
    /// §3: a payload marker with nothing behind it.
    EmptyPayload,
    /// §4.1: an Empty message with a Token, options or payload.
    NotEmpty,
    /// §3, table 1: a code of a reserved class, or one that the message type cannot carry.
    Code,
}

/// Decides from what coap-lite read, without our codec's help, which leniency applies.
fn leniency(datagram: &[u8], packet: &Packet) -> Option<Leniency> {
    let fields = Fields::of_packet(packet);
    let (class, empty) = (fields.code >> 5, fields.code == 0);
    let is_code = match fields.message_type {
        Type::Confirmable => matches!(class, 0 | 2 | 4 | 5),
        Type::NonConfirmable => matches!(class, 0 | 2 | 4 | 5) && !empty,
        Type::Acknowledgement => matches!(class, 2 | 4 | 5) || empty,
        Type::Reset => empty,
    };
    if datagram[0] >> 6 != 1 {
        Some(Leniency::Version)
    } else if empty && datagram.len() > 4 {
        Some(Leniency::NotEmpty)
    } else if !is_code {
        Some(Leniency::Code)
    } else if packet.to_bytes_unlimited().is_ok_and(|written| written.len() + 1 == datagram.len()) {
        // Options have one form only: what is missing is the marker.
        Some(Leniency::EmptyPayload)
    } else {
        None
    }
}

/// Reads a datagram with both and compares. Returns what only coap-lite took, and why.
fn compare(datagram: &[u8]) -> Result<Option<Leniency>, TestCaseError> {
    match (Message::parse(datagram), Packet::from_bytes(datagram)) {
        (Ok(message), Ok(packet)) => {
            prop_assert_eq!(Fields::of_message(&message), Fields::of_packet(&packet));
            prop_assert_eq!(leniency(datagram, &packet), None, "we must refuse this");
            Ok(None)
        }
        (Ok(message), Err(error)) => {
            Err(TestCaseError::fail(format!("only coap-lite refuses ({error:?}) {message:?}")))
        }
        (Err(malformed), Ok(packet)) => match leniency(datagram, &packet) {
            None => Err(TestCaseError::fail(format!("only we refuse ({malformed:?}) {packet:?}"))),
            known => Ok(known),
        },
        (Err(_), Err(_)) => Ok(None),
    }
}

fn bytes(length: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), length)
}

/// Every pair of type and code that is allowed, with any Token, options and payload.
fn message() -> impl Strategy<Value = Fields> {
    let header = (0u8..4, any::<u8>(), any::<u16>()).prop_filter_map("not allowed", |(t, code, id)| {
        let datagram = [0x40 | t << 4, code, (id >> 8) as u8, id as u8];
        Message::parse(&datagram).ok().map(|message| (message.message_type, code, id))
    });
    let number = prop_oneof![0u16..70, 200u16..600, any::<u16>(), Just(u16::MAX)];
    let value = prop_oneof![8 => bytes(0..20), 2 => bytes(250..290), 1 => bytes(1000..1100)];
    let options = prop::collection::vec((number, value), 0..6);
    let payload = prop_oneof![Just(Vec::new()), bytes(1..40), bytes(1024..=1024)];
    (header, bytes(0..=8), options, payload).prop_map(|(header, token, mut options, payload)| {
        let (message_type, code, message_id) = header;
        options.sort_by_key(|option| option.0);
        if code == 0 {
            let (token, options, payload) = Default::default();
            return Fields { message_type, code, message_id, token, options, payload };
        }
        Fields { message_type, code, message_id, token, options, payload }
    })
}

/// One change to a datagram.
#[derive(Clone, Debug)]
enum Mutation {
    Set(Index, u8),
    Flip(Index, u8),
    Truncate(Index),
    Insert(Index, u8),
    Remove(Index),
    Append(Vec<u8>),
}

impl Mutation {
    fn apply(&self, datagram: &mut Vec<u8>) {
        let room = datagram.len() + 1;
        if let (true, Self::Set(at, _) | Self::Flip(at, _) | Self::Remove(at)) = (room > 1, self) {
            let at = at.index(room - 1);
            match self {
                Self::Set(_, byte) => datagram[at] = *byte,
                Self::Flip(_, bit) => datagram[at] ^= 1 << bit,
                _ => drop(datagram.remove(at)),
            }
        }
        match self {
            Self::Truncate(at) => datagram.truncate(at.index(room)),
            Self::Insert(at, byte) => datagram.insert(at.index(room), *byte),
            Self::Append(tail) => datagram.extend_from_slice(tail),
            _ => {}
        }
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    // Bytes that mean something in an option header come more often than others.
    let byte =
        || prop_oneof![any::<u8>(), prop::sample::select(vec![0xff, 0xd0, 0xe0, 0x0d, 0x0e, 0xdd, 0xee, 0])];
    let at = any::<Index>;
    prop_oneof![
        (at(), byte()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (at(), 0u8..8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        at().prop_map(Mutation::Truncate),
        (at(), byte()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        at().prop_map(Mutation::Remove),
        bytes(1..4).prop_map(Mutation::Append),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn what_we_write_both_read(fields in message()) {
        let datagram = fields.write();
        prop_assert_eq!(&Fields::of_message(&Message::parse(&datagram).unwrap()), &fields);
        prop_assert_eq!(&Fields::of_packet(&Packet::from_bytes(&datagram).unwrap()), &fields);
    }

    #[test]
    fn coap_lite_writes_the_same_bytes(fields in message()) {
        let theirs = fields.to_packet().to_bytes_unlimited().unwrap();
        prop_assert!(theirs == fields.write(), "{theirs:02x?} is not {:02x?}", fields.write());
    }

    #[test]
    fn both_read_random_bytes_alike(header in 0u8..9, tail in bytes(0..40)) {
        // Behind a good header, random bytes get as far as options.
        let mut datagram = vec![0x40 | header, 0x45, 0, 1];
        datagram.extend_from_slice(&tail);
        compare(&datagram)?;
        compare(&tail)?;
    }

    #[test]
    fn both_read_mutated_messages_alike(
        fields in message(),
        mutations in prop::collection::vec(mutation(), 1..5),
    ) {
        let mut datagram = fields.write();
        mutations.iter().for_each(|mutation| mutation.apply(&mut datagram));
        compare(&datagram)?;
    }

    /// A datagram that is read and written again has the same fields, and the same bytes if it was written in
    /// shortest form.
    #[test]
    fn writing_what_was_read_changes_nothing(
        fields in message(),
        mutations in prop::collection::vec(mutation(), 0..3),
    ) {
        let mut datagram = fields.write();
        mutations.iter().for_each(|mutation| mutation.apply(&mut datagram));
        if let Ok(message) = Message::parse(&datagram) {
            let read = Fields::of_message(&message);
            let again = read.write();
            prop_assert_eq!(Fields::of_message(&Message::parse(&again).unwrap()), read);
            prop_assert!(again == datagram, "there is only one form");
        }
    }
}

/// Every leniency occurs, so that the list above holds nothing that coap-lite has since mended.
#[test]
fn each_leniency_is_real() {
    let cases: [(&[u8], Leniency); 9] = [
        (&[0x00, 0x01, 0, 0], Leniency::Version),
        (&[0xc0, 0x01, 0, 0], Leniency::Version),
        (&[0x40, 0x01, 0, 0, 0xff], Leniency::EmptyPayload),
        (&[0x41, 0x00, 0, 0, 1], Leniency::NotEmpty),
        (&[0x40, 0x00, 0, 0, 0xb0], Leniency::NotEmpty),
        (&[0x40, 0x20, 0, 0], Leniency::Code),
        (&[0x50, 0x00, 0, 0], Leniency::Code),
        (&[0x60, 0x01, 0, 0], Leniency::Code),
        (&[0x70, 0x45, 0, 0], Leniency::Code),
    ];
    for (datagram, expected) in cases {
        assert_eq!(compare(datagram).unwrap(), Some(expected), "{datagram:02x?}");
    }
}

/// Bytes of every length up to two, and every first byte of an option behind a good header with every filling.
#[test]
fn short_datagrams_exhaustively() {
    for first in 0..=u8::MAX {
        compare(&[first]).unwrap();
        for second in 0..=u8::MAX {
            compare(&[first, second, 0, 0]).unwrap();
            for length in 0..6 {
                let mut datagram = vec![0x40, 0x45, 0, 0, first];
                datagram.extend_from_slice(&[second; 6][..length]);
                compare(&datagram).unwrap();
            }
        }
    }
}
