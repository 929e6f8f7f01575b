//! The codec of the profile: against itself, and against coap-lite.

use coap_lite::Packet;
use sixfold_profile::coap::{Block, Malformed, Message, Writer};

/// A message that is understood is written again byte for byte: CoAP has one encoding for each message.
pub fn profile_message(data: &[u8]) {
    let Ok(message) = Message::parse(data) else { return };
    let mut again = vec![0; data.len()];
    let length = write(&message, &mut again).expect("what was read can be written");
    assert_eq!(again.get(..length), Some(data), "{message:?}");
    for option in message.options() {
        if let Ok(block) = Block::decode(option.value) {
            let bytes = block.encode().to_be_bytes();
            let tail = option.value.iter().rev().zip(bytes.iter().rev());
            assert!(tail.clone().all(|(was, is)| was == is), "{block:?} of {:x?}", option.value);
        }
    }
}

fn write(message: &Message<'_>, buffer: &mut [u8]) -> Result<usize, sixfold_profile::coap::Full> {
    let Message { message_type, code, message_id, token, payload, .. } = *message;
    let mut writer = Writer::new(buffer, message_type, code, message_id, token)?;
    for option in message.options() {
        writer.option(option.number, option.value)?;
    }
    writer.payload(payload)
}

/// Whatever the profile's codec accepts, coap-lite reads in the same way and writes as the same bytes. Whatever
/// only coap-lite accepts, the profile refuses for a rule of RFC 7252 that coap-lite leaves to its user.
pub fn codecs_agree(data: &[u8]) {
    match (Message::parse(data), Packet::from_bytes(data)) {
        (Ok(ours), Ok(lite)) => same(&ours, &lite, data),
        (Ok(ours), Err(error)) => panic!("coap-lite refuses {ours:?}: {error:?}"),
        (Err(reason), Ok(lite)) => assert!(is_stricter(reason), "{reason:?}, but coap-lite reads {lite:?}"),
        (Err(_), Err(_)) => {}
    }
}

fn is_stricter(reason: Malformed) -> bool {
    matches!(reason, Malformed::Version | Malformed::NotEmpty | Malformed::Code | Malformed::EmptyPayload)
}

fn same(ours: &Message<'_>, lite: &Packet, data: &[u8]) {
    assert_eq!(ours.message_type as u8, lite.header.get_type() as u8);
    assert_eq!((ours.code.0, ours.message_id), (lite.header.code.into(), lite.header.message_id));
    assert_eq!((ours.token, ours.payload), (lite.get_token(), lite.payload.as_slice()));
    let theirs = lite.options().flat_map(|(&number, values)| values.iter().map(move |value| (number, value)));
    let theirs: Vec<_> = theirs.map(|(number, value)| (number, value.as_slice())).collect();
    let options: Vec<_> = ours.options().map(|option| (option.number, option.value)).collect();
    assert_eq!(options, theirs);
    assert_eq!(lite.to_bytes_unlimited().expect("coap-lite writes what it read"), data);
}
