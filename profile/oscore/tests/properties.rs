//! What holds for all messages: protect and unprotect are inverse, every changed bit is noticed, nothing is taken twice.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use aes::Aes128;
use ccm::Ccm;
use ccm::aead::inout::InOutBuf;
use ccm::aead::{AeadInOut, KeyInit};
use ccm::consts::{U8, U13};
use proptest::prelude::*;
use sixfold_oscore::{
    Class, Derived, LAST, PartialIv, Plain, ProtectError, Received, Repetition, ReplayWindow, Secret,
    SenderSequence, UnprotectError, class,
};
use sixfold_profile::coap::{Code, Message, Type, Writer, option};

const ROOM: usize = 4096;

type Entry = (u16, Vec<u8>);

/// A CoAP message as one would write it.
fn message(message_type: Type, code: Code, token: &[u8], options: &[Entry], payload: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; ROOM];
    let mut writer = Writer::new(&mut buffer, message_type, code, 0x1234, token).unwrap();
    for (number, value) in options {
        writer.option(*number, value).unwrap();
    }
    let length = writer.payload(payload).unwrap();
    buffer.truncate(length);
    buffer
}

fn pair(client_id: &[u8], server_id: &[u8], id_context: Option<&[u8]>) -> Derived {
    let secret = Secret { master_secret: b"a secret of 16 b", master_salt: b"salt", id_context };
    Derived::new(secret, client_id, server_id).unwrap()
}

fn number(number: u64) -> PartialIv {
    SenderSequence::new(number..number + 1).take().unwrap()
}

fn protect_request(client: &Derived, iv: u64, plain: &[u8]) -> Result<Vec<u8>, ProtectError> {
    let (mut buffer, message) = (vec![0; ROOM], Message::parse(plain).unwrap());
    let length = client.context().protect_request(&number(iv), &Plain::from(&message), &mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}

fn unprotect_request(
    client: &Derived,
    window: &mut ReplayWindow,
    protected: &[u8],
) -> Result<(Vec<u8>, Received), UnprotectError> {
    let message = Message::parse(protected).map_err(|_malformed| UnprotectError::NotCoap)?;
    let mut buffer = vec![0; 2 * protected.len()];
    let server = client.peer();
    let request = server.unprotect_request(window, Repetition::Refused, &message, &mut buffer)?;
    buffer.truncate(request.length);
    Ok((buffer, request.received))
}

fn protect_response(
    client: &Derived,
    received: &mut Received,
    iv: Option<u64>,
    plain: &[u8],
) -> Result<Vec<u8>, ProtectError> {
    let (mut buffer, message) = (vec![0; ROOM], Message::parse(plain).unwrap());
    let iv = iv.map(number);
    let length =
        client.peer().protect_response(received, iv.as_ref(), &Plain::from(&message), &mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}

/// The request `GET /fw?v` and the response that goes with it.
fn exchange(client: &Derived) -> (Vec<u8>, Received) {
    let options = [(option::URI_PATH, b"fw".to_vec()), (option::URI_QUERY, b"v".to_vec())];
    let plain = message(Type::Confirmable, Code::GET, b"tok", &options, &[]);
    let protected = protect_request(client, 7, &plain).unwrap();
    let (again, received) = unprotect_request(client, &mut ReplayWindow::new(), &protected).unwrap();
    assert_eq!(again, plain);
    (protected, received)
}

fn options(numbers: &'static [u16]) -> impl Strategy<Value = Vec<Entry>> {
    let one = (prop::sample::select(numbers), prop::collection::vec(any::<u8>(), 0..20));
    prop::collection::vec(one, 0..8).prop_map(|mut options| {
        options.sort_by_key(|(number, _)| *number);
        options
    })
}

const OF_REQUESTS: &[u16] = &[
    option::IF_MATCH,
    option::URI_HOST,
    option::ETAG,
    option::OBSERVE,
    option::URI_PORT,
    option::URI_PATH,
    option::URI_QUERY,
    option::HOP_LIMIT,
    option::ACCEPT,
    option::BLOCK2,
    option::SIZE2,
    option::Q_BLOCK2,
    option::PROXY_SCHEME,
    option::ECHO,
    option::NO_RESPONSE,
    option::REQUEST_TAG,
    2049,
];
const OF_RESPONSES: &[u16] = &[
    option::ETAG,
    option::CONTENT_FORMAT,
    option::MAX_AGE,
    option::BLOCK2,
    option::SIZE2,
    option::ECHO,
    2048,
];

fn id() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..=7)
}

proptest! {
    #[test]
    fn requests_come_back_as_they_were(
        ids in (id(), id()).prop_filter("differ", |(a, b)| a != b),
        id_context in prop::option::of(prop::collection::vec(any::<u8>(), 0..=16)),
        iv in 0..=LAST,
        token in prop::collection::vec(any::<u8>(), 0..=8),
        options in options(OF_REQUESTS),
        payload in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let client = pair(&ids.0, &ids.1, id_context.as_deref());
        let plain = message(Type::Confirmable, Code::FETCH, &token, &options, &payload);
        let protected = protect_request(&client, iv, &plain).unwrap();
        let outer = Message::parse(&protected).unwrap();
        let has_observe = options.iter().any(|(number, _)| *number == option::OBSERVE);
        prop_assert_eq!(outer.code, if has_observe { Code::FETCH } else { Code::POST });
        prop_assert!(outer.options().all(|outer| class(outer.number) != Class::Inner));
        let (again, received) = unprotect_request(&client, &mut ReplayWindow::new(), &protected).unwrap();
        prop_assert_eq!(again, plain);
        prop_assert_eq!(received.number(), iv);
    }

    #[test]
    fn responses_come_back_as_they_were(
        iv in prop::option::of(0..=LAST),
        options in options(OF_RESPONSES),
        payload in prop::collection::vec(any::<u8>(), 0..1100),
    ) {
        let client = pair(b"c", b"", None);
        let (_, mut received) = exchange(&client);
        let plain = message(Type::Acknowledgement, Code::CONTENT, b"tok", &options, &payload);
        let mut protected = protect_response(&client, &mut received, iv, &plain).unwrap();
        prop_assert_eq!(Message::parse(&protected).unwrap().code, Code::CHANGED);
        let response = client.context().unprotect_response(7, &mut protected).unwrap();
        prop_assert_eq!(&protected[..response.length], &plain[..]);
        prop_assert_eq!(response.partial_iv, iv);
    }

    /// A plaintext of any bytes is never more than an error.
    #[test]
    fn nothing_that_comes_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let client = pair(b"c", b"s", None);
        _ = client.context().unprotect_response(7, &mut bytes.clone());
        _ = unprotect_request(&client, &mut ReplayWindow::new(), &bytes);
    }
}

/// Flips each bit in turn and hands the bytes to `is_taken`.
fn flip_each_bit(protected: &[u8], mut is_taken: impl FnMut(Vec<u8>) -> bool) -> Vec<usize> {
    let flipped = |bit: &usize| {
        let mut bytes = protected.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    };
    (0..protected.len() * 8).filter(|bit| is_taken(flipped(bit))).collect()
}

/// Type, Message ID and Token are of the message layer, the outer code says nothing: everything else is protected.
#[test]
fn every_flipped_bit_of_a_request_is_refused() {
    let client = pair(b"c", b"s", None);
    let (protected, _) = exchange(&client);
    let taken = flip_each_bit(&protected, |bytes| {
        let taken = unprotect_request(&client, &mut ReplayWindow::new(), &bytes);
        taken.is_ok_and(|(_, received)| received.number() == 7)
    });
    let header = (0..(4 + 3) * 8).collect::<Vec<_>>();
    assert!(taken.iter().all(|bit| header.contains(bit)), "{taken:?}");
    assert!((16..(4 + 3) * 8).all(|bit| taken.contains(&bit)), "Message ID and Token are free");
    // Not even as another number's.
    let taken = flip_each_bit(&protected, |bytes| {
        unprotect_request(&client, &mut ReplayWindow::new(), &bytes).is_ok()
    });
    assert!(taken.iter().all(|bit| header.contains(bit)), "{taken:?}");
}

#[test]
fn every_flipped_bit_of_a_response_is_refused() {
    let client = pair(b"c", b"s", None);
    for iv in [None, Some(3)] {
        let (_, mut received) = exchange(&client);
        let plain = message(Type::Confirmable, Code::CONTENT, b"tok", &[(option::ETAG, vec![1])], b"block");
        let protected = protect_response(&client, &mut received, iv, &plain).unwrap();
        let taken =
            flip_each_bit(&protected, |mut bytes| client.context().unprotect_response(7, &mut bytes).is_ok());
        assert!(taken.iter().all(|bit| *bit < (4 + 3) * 8), "{taken:?}");
    }
}

#[test]
fn a_replayed_request_is_refused() {
    let client = pair(b"c", b"s", None);
    let (protected, _) = exchange(&client);
    let mut window = ReplayWindow::new();
    unprotect_request(&client, &mut window, &protected).unwrap();
    assert_eq!(unprotect_request(&client, &mut window, &protected), Err(UnprotectError::Replayed));
}

/// A forged message takes no number away from the genuine one.
#[test]
fn a_forged_request_leaves_the_window_as_it_was() {
    let client = pair(b"c", b"s", None);
    let (protected, _) = exchange(&client);
    let (mut window, mut forged) = (ReplayWindow::new(), protected.clone());
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(unprotect_request(&client, &mut window, &forged), Err(UnprotectError::Forged));
    assert_eq!(window, ReplayWindow::new());
    unprotect_request(&client, &mut window, &protected).unwrap();
}

fn unprotect_again(client: &Derived, code: Code) -> Result<sixfold_oscore::Request, UnprotectError> {
    let plain = message(Type::Confirmable, code, b"tok", &[], &[]);
    let protected = protect_request(client, 7, &plain).unwrap();
    let (mut window, message, mut buffer) =
        (ReplayWindow::new(), Message::parse(&protected).unwrap(), [0; 99]);
    let server = client.peer();
    server.unprotect_request(&mut window, Repetition::Safe, &message, &mut buffer).unwrap();
    server.unprotect_request(&mut window, Repetition::Safe, &message, &mut buffer)
}

/// A retransmission may be answered again, but not with the nonce that the first answer had.
#[test]
fn a_repeated_get_is_answered_with_another_nonce() {
    let client = pair(b"c", b"s", None);
    let request = unprotect_again(&client, Code::GET).unwrap();
    assert!(request.is_repetition);
    let mut received = request.received;
    let plain = message(Type::Acknowledgement, Code::CONTENT, b"tok", &[], b"block");
    assert_eq!(protect_response(&client, &mut received, None, &plain), Err(ProtectError::NonceUsed));
    let mut protected = protect_response(&client, &mut received, Some(0), &plain).unwrap();
    assert_eq!(client.context().unprotect_response(7, &mut protected).unwrap().partial_iv, Some(0));
}

#[test]
fn a_repeated_post_is_refused() {
    assert_eq!(unprotect_again(&pair(b"c", b"s", None), Code::POST), Err(UnprotectError::Replayed));
}

#[test]
fn the_nonce_of_a_request_makes_one_response() {
    let client = pair(b"c", b"s", None);
    let (_, mut received) = exchange(&client);
    let plain = message(Type::Acknowledgement, Code::CONTENT, b"tok", &[], b"block");
    protect_response(&client, &mut received, None, &plain).unwrap();
    assert_eq!(protect_response(&client, &mut received, None, &plain), Err(ProtectError::NonceUsed));
}

/// Appendix B.1.2: a server that lost its window takes nothing for new until an Echo value comes back.
#[test]
fn a_lost_window_is_found_again_with_echo() {
    let client = pair(b"c", b"s", None);
    let (mut window, mut buffer) = (ReplayWindow::lost(), [0; 256]);
    let mut ask = |iv: u64, options: &[Entry]| {
        let plain = message(Type::Confirmable, Code::GET, b"tok", options, &[]);
        let protected = protect_request(&client, iv, &plain).unwrap();
        let message = Message::parse(&protected).unwrap();
        let request =
            client.peer().unprotect_request(&mut window, Repetition::Safe, &message, &mut buffer).unwrap();
        let echo =
            Message::parse(&buffer[..request.length]).unwrap().option(option::ECHO).map(<[u8]>::to_vec);
        if request.is_repetition && echo.as_deref() == Some(b"fresh") {
            window = ReplayWindow::up_to(request.received.number());
        }
        (request.received, request.is_repetition, echo)
    };
    let (mut received, is_repetition, _) = ask(40, &[]);
    assert!(is_repetition, "it may be");
    let answer =
        message(Type::Acknowledgement, Code::UNAUTHORIZED, b"tok", &[(option::ECHO, b"fresh".to_vec())], &[]);
    assert_eq!(protect_response(&client, &mut received, None, &answer), Err(ProtectError::NonceUsed));
    let mut answer = protect_response(&client, &mut received, Some(9), &answer).unwrap();
    let response = client.context().unprotect_response(40, &mut answer).unwrap();
    let echo = Message::parse(&answer[..response.length]).unwrap().option(option::ECHO).unwrap().to_vec();
    ask(41, &[(option::ECHO, echo)]);
    assert!(!ask(42, &[]).1, "new from now on");
    assert!(ask(42, &[]).1, "and once");
    assert!(ask(39, &[]).1, "what came before is old");
}

/// Section 4.1.3.5: the outer value is as it was, the inner one is empty, and there is a Partial IV.
#[test]
fn notifications_have_numbers_of_their_own() {
    let client = pair(b"c", b"s", None);
    let (_, mut received) = exchange(&client);
    let plain = message(Type::NonConfirmable, Code::CONTENT, b"tok", &[(option::OBSERVE, vec![9])], b"new");
    assert_eq!(protect_response(&client, &mut received, None, &plain), Err(ProtectError::NonceUsed));
    let mut protected = protect_response(&client, &mut received, Some(5), &plain).unwrap();
    let outer = Message::parse(&protected).unwrap();
    assert_eq!((outer.code, outer.uint_option(option::OBSERVE)), (Code::CONTENT, Some(9)));
    let response = client.context().unprotect_response(7, &mut protected).unwrap();
    assert_eq!((response.partial_iv, response.is_notification), (Some(5), true));
    let message = Message::parse(&protected[..response.length]).unwrap();
    assert_eq!(message.option(option::OBSERVE), Some(&[][..]));
}

#[test]
fn a_response_is_for_one_request() {
    let client = pair(b"c", b"s", None);
    for iv in [None, Some(0)] {
        let (_, mut received) = exchange(&client);
        let plain = message(Type::Acknowledgement, Code::CONTENT, b"tok", &[], b"block");
        let protected = protect_response(&client, &mut received, iv, &plain).unwrap();
        let forged = client.context().unprotect_response(8, &mut protected.clone());
        assert_eq!(forged, Err(UnprotectError::Forged), "of request 7, not 8");
    }
}

/// Section 8.2, step 1: what was added on the way does not count, but for what proxies have to say.
#[test]
fn outer_options_that_should_be_inner_are_ignored() {
    let client = pair(b"c", b"s", None);
    let options = [(option::URI_HOST, b"host".to_vec()), (option::URI_PATH, b"fw".to_vec())];
    let plain = message(Type::Confirmable, Code::GET, b"tok", &options, &[]);
    let protected = protect_request(&client, 7, &plain).unwrap();
    let outer = Message::parse(&protected).unwrap();
    let mut changed: Vec<Entry> =
        outer.options().map(|option| (option.number, option.value.to_vec())).collect();
    changed.extend([
        (option::ETAG, vec![1]),
        (option::OBSERVE, vec![]),
        (option::URI_PATH, b"other".to_vec()),
        (option::MAX_AGE, vec![9]),
        (option::HOP_LIMIT, vec![3]),
        (option::BLOCK2, vec![6]),
    ]);
    changed.sort_by_key(|(number, _)| *number);
    let changed = message(Type::Confirmable, Code::FETCH, b"tok", &changed, outer.payload);
    let (plain, _) = unprotect_request(&client, &mut ReplayWindow::new(), &changed).unwrap();
    let left: Vec<_> = Message::parse(&plain).unwrap().options().map(|option| option.number).collect();
    assert_eq!(left, [option::URI_HOST, option::URI_PATH, option::HOP_LIMIT]);
}

#[test]
fn contexts_are_not_mixed_up() {
    let client = pair(b"c", b"s", Some(b"one"));
    let (protected, _) = exchange(&client);
    let read = |other: &Derived| unprotect_request(other, &mut ReplayWindow::new(), &protected).err();
    assert_eq!(read(&pair(b"d", b"s", Some(b"one"))), Some(UnprotectError::UnknownContext));
    assert_eq!(read(&pair(b"c", b"s", Some(b"two"))), Some(UnprotectError::UnknownContext));
    assert_eq!(read(&pair(b"c", b"s", None)), Some(UnprotectError::UnknownContext));
    let secret =
        Secret { master_secret: b"another secret..", master_salt: b"salt", id_context: Some(b"one") };
    assert_eq!(read(&Derived::new(secret, b"c", b"s").unwrap()), Some(UnprotectError::Forged));
}

#[test]
fn a_server_that_is_asked_in_its_own_name_refuses() {
    let client = pair(b"c", b"s", None);
    let (protected, _) = exchange(&client);
    let (message, mut buffer) = (Message::parse(&protected).unwrap(), [0; 99]);
    let reflected = client.context().unprotect_request(
        &mut ReplayWindow::new(),
        Repetition::Refused,
        &message,
        &mut buffer,
    );
    assert_eq!(reflected, Err(UnprotectError::UnknownContext));
}

#[test]
fn what_cannot_be_protected_is_refused() {
    let client = pair(b"c", b"s", None);
    let request = |code, options: &[Entry]| {
        protect_request(&client, 7, &message(Type::NonConfirmable, code, b"", options, &[])).err()
    };
    assert_eq!(request(Code::GET, &[(option::OSCORE, vec![])]), Some(ProtectError::Nested));
    assert_eq!(
        request(Code::GET, &[(option::PROXY_URI, b"coap://h/p".to_vec())]),
        Some(ProtectError::ProxyUri)
    );
    assert_eq!(request(Code::CONTENT, &[]), Some(ProtectError::Code));
    let (_, mut received) = exchange(&client);
    let get = message(Type::Confirmable, Code::GET, b"", &[], &[]);
    assert_eq!(protect_response(&client, &mut received, None, &get), Err(ProtectError::Code));
}

/// In a buffer that is too small, nothing is written that could be sent.
#[test]
fn buffers_that_are_too_small_are_refused() {
    let client = pair(b"c", b"s", None);
    let options = [(option::URI_HOST, b"host".to_vec()), (option::URI_PATH, b"fw".to_vec())];
    let plain = message(Type::Confirmable, Code::GET, b"tok", &options, &[]);
    let protected = protect_request(&client, 7, &plain).unwrap();
    let (request, plain_length) = (Message::parse(&protected).unwrap(), plain.len());
    let buffer_that_is_needed = plain_length + request.payload.len();
    let plain = Message::parse(&plain).unwrap();
    for length in 0..protected.len() {
        let mut buffer = vec![0; length];
        let full = client.context().protect_request(&number(7), &Plain::from(&plain), &mut buffer);
        assert_eq!(full, Err(ProtectError::Full), "{length}");
    }
    for length in 0..buffer_that_is_needed {
        let (mut window, mut buffer) = (ReplayWindow::new(), vec![0; length]);
        let full = client.peer().unprotect_request(&mut window, Repetition::Refused, &request, &mut buffer);
        assert!(matches!(full, Err(UnprotectError::Full)), "{length}: {full:?}");
        assert_eq!(window, ReplayWindow::new());
    }
}

/// A request that somebody who has the key encrypted by hand, whatever the plaintext is.
fn encrypted(client: &Derived, plaintext: &[u8]) -> Vec<u8> {
    let parameters = client.parameters();
    let mut nonce = *parameters.common_iv;
    nonce.iter_mut().zip([1, 0, 0, 0, 0, 0, 0, b'c', 0, 0, 0, 0, 7]).for_each(|(to, from)| *to ^= from);
    let aad = b"\x83\x68Encrypt0\x40\x49\x85\x01\x81\x0a\x41c\x41\x07\x40";
    let mut ciphertext = plaintext.to_vec();
    let cipher = Ccm::<Aes128, U8, U13>::new(parameters.sender_key.into());
    let text = InOutBuf::from(&mut ciphertext[..]);
    let tag = cipher.encrypt_inout_detached(&nonce.into(), aad, text).unwrap();
    ciphertext.extend(tag);
    message(Type::Confirmable, Code::POST, b"tok", &[(option::OSCORE, b"\x09\x07c".to_vec())], &ciphertext)
}

/// Where an option of class U was encrypted all the same, the outer one does not count.
#[test]
fn what_was_encrypted_wins_over_what_was_not() {
    let client = pair(b"c", b"s", None);
    let protected = encrypted(&client, b"\x01\x35inner\x82fw");
    let outer = Message::parse(&protected).unwrap();
    let options = [
        (option::URI_HOST, b"outer".to_vec()),
        (option::OSCORE, outer.option(option::OSCORE).unwrap().to_vec()),
        (option::PROXY_SCHEME, b"coap".to_vec()),
    ];
    let protected = message(Type::Confirmable, Code::POST, b"tok", &options, outer.payload);
    let (plain, _) = unprotect_request(&client, &mut ReplayWindow::new(), &protected).unwrap();
    let plain = Message::parse(&plain).unwrap();
    let left: Vec<_> = plain.options().map(|option| (option.number, option.value)).collect();
    let expected: [(u16, &[u8]); 3] =
        [(option::URI_HOST, b"inner"), (option::URI_PATH, b"fw"), (option::PROXY_SCHEME, b"coap")];
    assert_eq!(left, expected);
}

/// A sender that has the key and encrypts nonsense is told so.
#[test]
fn a_plaintext_that_is_no_message_is_undecodable() {
    let client = pair(b"c", b"s", None);
    let read = |plaintext: &[u8]| {
        unprotect_request(&client, &mut ReplayWindow::new(), &encrypted(&client, plaintext)).err()
    };
    assert_eq!(read(b"\x01\xb2fw"), None, "GET /fw");
    let table: &[&[u8]] = &[
        b"",             // no code
        b"\x45",         // a response
        b"\x00",         // Empty
        b"\x01\xb2f",    // cut inside an option
        b"\x01\xff",     // no payload behind the marker
        b"\x01\x91\x09", // OSCORE within OSCORE
    ];
    for plaintext in table {
        assert_eq!(read(plaintext), Some(UnprotectError::Undecodable), "{plaintext:02x?}");
    }
}
