//! OSCORE messages, whole and from the inside.

use aes::Aes128;
use ccm::Ccm;
use ccm::aead::inout::InOutBuf;
use ccm::aead::{AeadInOut, KeyInit};
use ccm::consts::{U8, U13};
use sixfold_oscore::{
    Client, Derived, OscoreOption, Plain, Repetition, ReplayWindow, Secret, SenderSequence, UnprotectError,
};
use sixfold_profile::coap::{Code, Message, Type, Writer, option};
use sixfold_profile::ticket::{Numbers, Session};

/// The Partial IV of every request.
const NUMBER: u64 = 20;
const ROOM: usize = 1 << 16;

/// The bytes are a datagram to either side, an option, a message that is protected and comes back, and what somebody who
/// has the keys encrypted.
pub fn oscore(data: &[u8]) {
    let client = client();
    value(data);
    _ = server_reads(&client, data);
    client_reads(&client, data);
    boot_program_reads(&client, data);
    comes_back(&client, data);
    plaintext(&client, data);
}

/// That of RFC 8613, Appendix C.1.
fn client() -> Derived {
    let master_secret: Vec<u8> = (1..=16).collect();
    let master_salt = &[0x9e, 0x7c, 0xa9, 0x22, 0x23, 0x78, 0x63, 0x40];
    let secret = Secret { master_secret: &master_secret, master_salt, id_context: None };
    Derived::new(secret, &[], &[1]).expect("identifiers of the standard")
}

fn value(data: &[u8]) {
    if let Ok(option) = OscoreOption::parse(data) {
        let context = option.kid_context.map_or(0, |context| 1 + context.len());
        assert!(context + option.kid.unwrap_or_default().len() <= data.len());
        assert!(option.partial_iv.is_none_or(|number| number < 1 << 40));
    }
}

/// The CoAP message that the server makes of a datagram, which is one.
fn server_reads(client: &Derived, datagram: &[u8]) -> Result<Vec<u8>, UnprotectError> {
    let message = Message::parse(datagram).map_err(|_| UnprotectError::NotCoap)?;
    let (mut window, mut buffer) = (ReplayWindow::new(), vec![0; 2 * datagram.len()]);
    let server = client.peer();
    let request = server.unprotect_request(&mut window, Repetition::Refused, &message, &mut buffer)?;
    let again =
        server.unprotect_request(&mut window, Repetition::Refused, &message, &mut vec![0; buffer.len()]);
    assert_eq!(again, Err(UnprotectError::Replayed));
    buffer.truncate(request.length);
    let plain = Message::parse(&buffer).expect("a message");
    assert!(plain.code.is_request() && plain.option(option::OSCORE).is_none());
    Ok(buffer)
}

fn client_reads(client: &Derived, datagram: &[u8]) {
    let mut bytes = datagram.to_vec();
    match client.context().unprotect_response(NUMBER, &mut bytes) {
        Ok(response) => {
            let plain = Message::parse(&bytes[..response.length]).expect("a message");
            assert!(plain.code.is_response());
        }
        Err(UnprotectError::NotCoap | UnprotectError::NotProtected) => assert_eq!(bytes, datagram),
        Err(_) => {}
    }
}

/// What a boot program takes, the other way takes too, as the same message, unless what is in it makes no sense.
fn boot_program_reads(client: &Derived, datagram: &[u8]) {
    let parameters = client.parameters();
    let session = Session {
        sender_id: parameters.sender_id,
        recipient_id: parameters.recipient_id,
        sender_key: parameters.sender_key,
        recipient_key: parameters.recipient_key,
        common_iv: parameters.common_iv,
        numbers: Numbers { first: 0, exponent: 40 },
        plain_allowed: false,
    };
    let boot = Client::of_session(&session);
    let number = SenderSequence::new(NUMBER..NUMBER + 1).take().expect("one");
    let (mut ours, mut others) = (datagram.to_vec(), datagram.to_vec());
    if !matches!(datagram, [first, ..] if first & 0x0f == 4) {
        return;
    }
    let read = boot.unprotect(&number, &mut ours);
    match (read, client.context().unprotect_response(NUMBER, &mut others)) {
        (Ok(length), Ok(response)) => assert_eq!(ours[..length], others[..response.length]),
        // The outer code says nothing, and what was encrypted is for the caller to read.
        (Ok(_), Err(why)) => assert!(matches!(why, UnprotectError::Undecodable | UnprotectError::NotCoap)),
        (Err(_), read) => assert!(read.is_err()),
    }
    let mut buffer = vec![0; ROOM];
    let mut other = vec![0; ROOM];
    if let Ok(length) = boot.protect(&number, datagram, &mut buffer)
        && let Ok(message) = Message::parse(datagram)
        && message.payload.is_empty()
        && let Ok(same) = client.context().protect_request(&number, &Plain::from(&message), &mut other)
    {
        assert_eq!(buffer[..length], other[..same]);
    }
}

fn comes_back(client: &Derived, plain: &[u8]) {
    let Ok(message) = Message::parse(plain) else { return };
    let number = SenderSequence::new(NUMBER..NUMBER + 1).take().expect("one");
    let mut buffer = vec![0; ROOM];
    let Ok(length) = client.context().protect_request(&number, &Plain::from(&message), &mut buffer) else {
        return;
    };
    let read = server_reads(client, &buffer[..length]).expect("what was protected is unprotected");
    let (read, message) = (Message::parse(&read).expect("a message"), Plain::from(&message));
    assert!(read.options().eq(message.options) && read.payload == message.payload);
    assert_eq!((read.code, read.message_id, read.token), (message.code, message.message_id, message.token));
}

/// In a request, with the nonce and additional data of Appendix C.4.
fn plaintext(client: &Derived, data: &[u8]) {
    let parameters = client.parameters();
    let mut nonce = *parameters.common_iv;
    nonce[12] ^= NUMBER as u8;
    let aad = b"\x83\x68Encrypt0\x40\x48\x85\x01\x81\x0a\x40\x41\x14\x40";
    let mut ciphertext = data[..data.len().min(ROOM - 64)].to_vec();
    let cipher = Ccm::<Aes128, U8, U13>::new(parameters.sender_key.into());
    let tag = cipher.encrypt_inout_detached(&nonce.into(), aad, InOutBuf::from(&mut ciphertext[..]));
    ciphertext.extend(tag.expect("short enough"));
    let mut buffer = vec![0; ROOM];
    let mut writer = Writer::new(&mut buffer, Type::Confirmable, Code::POST, 1, &[]).expect("room");
    writer.option(option::OSCORE, &[9, 20]).expect("room");
    let length = writer.payload(&ciphertext).expect("room");
    match server_reads(client, &buffer[..length]) {
        Ok(read) => assert_eq!(read[4..], data[1..]),
        Err(why) => assert_eq!(why, UnprotectError::Undecodable),
    }
}
