//! Our OSCORE against aiocoap's: each reads what the other writes, in both roles, and refuses what was tampered with.

use anyhow::{Context as _, Result, ensure};
use sixfold_netns_tests::aiocoap_oscore::{End, Inputs, Outcome};
use sixfold_netns_tests::peer::Peer;
use sixfold_netns_tests::sandbox;
use sixfold_oscore::{
    Context, Derived, NotificationNumber, PartialIv, Plain, Received, Repetition, ReplayWindow, Secret,
    SenderSequence,
};
use sixfold_profile::coap::{Code, Message, Type, Writer, option};

const SECRET: &[u8] = b"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10";
const SALT: &[u8] = b"\x9e\x7c\xa9\x22\x23\x78\x63\x40";

/// Both ends of a session.
struct Pair<'e> {
    aiocoap: &'e mut End,
    ours: Derived,
    sequence: SenderSequence,
    window: ReplayWindow,
}

impl<'e> Pair<'e> {
    fn new(aiocoap: &'e mut End, inputs: Inputs<'_>, our_number: u64) -> Result<Self> {
        aiocoap.context(inputs)?;
        let Inputs { master_secret, master_salt, id_context, sender_id, recipient_id, .. } = inputs;
        let secret = Secret { master_secret, master_salt, id_context };
        let ours = Derived::new(secret, recipient_id, sender_id)?;
        let sequence = SenderSequence::new(our_number..u64::MAX);
        Ok(Self { aiocoap, ours, sequence, window: ReplayWindow::new() })
    }

    fn number(&mut self) -> Result<PartialIv> {
        self.sequence.take().context("no number is left")
    }

    /// Our request, as aiocoap reads it.
    fn our_request(&mut self, name: &str, plain: &[u8]) -> Result<(PartialIv, Outcome)> {
        let number = self.number()?;
        let (message, mut buffer) = (Message::parse(plain)?, [0; 2048]);
        let length = self.ours.context().protect_request(&number, &Plain::from(&message), &mut buffer)?;
        let read = self.aiocoap.unprotect(name, &buffer[..length])?;
        Ok((number, read))
    }

    /// aiocoap's response, as we read it.
    fn their_response(
        &mut self,
        name: &str,
        request: &PartialIv,
        plain: &[u8],
    ) -> Result<(Vec<u8>, Option<u64>)> {
        let mut datagram = self.aiocoap.protect(name, plain)?;
        let response = self.ours.context().unprotect_response(request.number(), &mut datagram)?;
        datagram.truncate(response.length);
        Ok((datagram, response.partial_iv))
    }

    /// aiocoap's request, as we read it.
    fn their_request(&mut self, name: &str, plain: &[u8]) -> Result<(Vec<u8>, Received)> {
        let protected = self.aiocoap.protect(name, plain)?;
        let (message, mut buffer) = (Message::parse(&protected)?, vec![0; 2 * protected.len()]);
        let context = self.ours.context();
        let request =
            context.unprotect_request(&mut self.window, Repetition::Refused, &message, &mut buffer)?;
        buffer.truncate(request.length);
        Ok((buffer, request.received))
    }

    /// Our response, as aiocoap reads it.
    fn our_response(
        &mut self,
        name: &str,
        received: &mut Received,
        number: Option<&PartialIv>,
        plain: &[u8],
    ) -> Result<Outcome> {
        let (message, mut buffer) = (Message::parse(plain)?, [0; 2048]);
        let context: Context<'_> = self.ours.context();
        let length = context.protect_response(received, number, &Plain::from(&message), &mut buffer)?;
        self.aiocoap.unprotect(name, &buffer[..length])
    }
}

fn message(message_type: Type, code: Code, options: &[(u16, &[u8])], payload: &[u8]) -> Result<Vec<u8>> {
    let mut buffer = vec![0; 2048];
    let mut writer = Writer::new(&mut buffer, message_type, code, 0x1234, b"token")?;
    for (number, value) in options {
        writer.option(*number, value)?;
    }
    let length = writer.payload(payload)?;
    buffer.truncate(length);
    Ok(buffer)
}

const PATH: (u16, &[u8]) = (option::URI_PATH, b"fw.bin");

/// What devices ask.
fn requests() -> Result<Vec<Vec<u8>>> {
    let get = |options: &[(u16, &[u8])]| message(Type::Confirmable, Code::GET, options, &[]);
    Ok(vec![
        get(&[])?,
        get(&[PATH, (option::BLOCK2, &[0x12, 0x36])])?,
        get(&[PATH, (option::URI_QUERY, b"a=b"), (option::BLOCK2, &[6]), (option::SIZE2, &[])])?,
        get(&[(option::ETAG, b"12345678"), PATH, (option::ACCEPT, &[42])])?,
        get(&[(option::OBSERVE, &[]), PATH])?,
        get(&[PATH, (option::ECHO, b"fresh"), (option::NO_RESPONSE, &[26]), (option::REQUEST_TAG, b"x")])?,
        get(&[PATH, (option::Q_BLOCK2, &[0x12, 0x36])])?,
        message(Type::NonConfirmable, Code::FETCH, &[PATH, (option::CONTENT_FORMAT, &[60])], b"\xa0")?,
        message(Type::Confirmable, Code::POST, &[PATH], &[7; 1024])?,
    ])
}

/// What a relay answers.
fn responses() -> Result<Vec<Vec<u8>>> {
    let ack = |code, options: &[(u16, &[u8])], payload: &[u8]| {
        message(Type::Acknowledgement, code, options, payload)
    };
    Ok(vec![
        ack(
            Code::CONTENT,
            &[
                (option::ETAG, b"12345678"),
                (option::CONTENT_FORMAT, &[42]),
                (option::MAX_AGE, &[1, 44]),
                (option::BLOCK2, &[0x12, 0x3e]),
                (option::SIZE2, &[1, 0, 0]),
            ],
            &[0x5a; 1024],
        )?,
        ack(Code::VALID, &[(option::ETAG, b"1")], &[])?,
        ack(Code::NOT_FOUND, &[], b"no such file")?,
        ack(Code::SERVICE_UNAVAILABLE, &[(option::MAX_AGE, &[9])], b"busy")?,
        message(Type::Confirmable, Code::UNAUTHORIZED, &[(option::ECHO, b"fresh?")], &[])?,
    ])
}

/// Identifiers of all lengths, with and without salt and ID Context; numbers of all lengths.
const SESSIONS: [Inputs<'static>; 4] = [
    Inputs {
        master_secret: SECRET,
        master_salt: SALT,
        id_context: None,
        sender_id: b"",
        recipient_id: b"\x01",
        number: 0,
    },
    Inputs {
        master_secret: SECRET,
        master_salt: b"",
        id_context: None,
        sender_id: b"\x01",
        recipient_id: b"\x00",
        number: 0xffff,
    },
    Inputs {
        master_secret: b"a longer secret, as TLS exporters make it",
        master_salt: SALT,
        id_context: Some(b"\x37\xcb\xf3\x21\x00\x17\xa2\xd3"),
        sender_id: b"relay-1",
        recipient_id: b"",
        number: 0xff_ffff,
    },
    Inputs {
        master_secret: SECRET,
        master_salt: SALT,
        id_context: Some(b""),
        sender_id: b"r",
        recipient_id: b"device7",
        number: (1 << 40) - 100,
    },
];

fn for_each_session(test: &str, body: impl Fn(&mut Pair<'_>) -> Result<()>) -> Result<()> {
    if Peer::Aiocoap.program().is_none() {
        return sandbox::skip_or_fail(test, &Peer::Aiocoap.remedy());
    }
    let mut aiocoap = End::start()?;
    for inputs in SESSIONS {
        let mut pair = Pair::new(&mut aiocoap, inputs, inputs.number)?;
        body(&mut pair).with_context(|| format!("{inputs:02x?}"))?;
    }
    Ok(())
}

#[test]
fn aiocoap_reads_our_requests_and_we_its_responses() -> Result<()> {
    for_each_session("aiocoap_reads_our_requests_and_we_its_responses", |pair| {
        let responses = responses()?;
        for (n, plain) in requests()?.iter().enumerate() {
            let name = n.to_string();
            let (request, read) = pair.our_request(&name, plain)?;
            ensure!(read == Outcome::Message(plain.clone()), "request {n}: {read:02x?}");
            for (again, response) in responses.iter().enumerate() {
                let (read, partial_iv) = pair.their_response(&name, &request, response)?;
                ensure!(read == *response, "response to {n}: {read:02x?}");
                ensure!(partial_iv.is_some() == (again > 0), "the nonce of the request is used once");
            }
        }
        Ok(())
    })
}

#[test]
fn we_read_the_requests_of_aiocoap_and_it_our_responses() -> Result<()> {
    for_each_session("we_read_the_requests_of_aiocoap_and_it_our_responses", |pair| {
        for (n, plain) in requests()?.iter().enumerate() {
            let name = n.to_string();
            let (read, mut received) = pair.their_request(&name, plain)?;
            ensure!(read == *plain, "request {n}: {read:02x?}");
            for (again, response) in responses()?.iter().enumerate() {
                let number = if again > 0 { Some(pair.number()?) } else { None };
                let read = pair.our_response(&name, &mut received, number.as_ref(), response)?;
                ensure!(read == Outcome::Message(response.clone()), "response to {n}: {read:02x?}");
            }
        }
        Ok(())
    })
}

/// Uri-Host goes outside, and is the same for both. aiocoap leaves it out of what it reads.
#[test]
fn uri_host_is_outside_for_both() -> Result<()> {
    for_each_session("uri_host_is_outside_for_both", |pair| {
        let plain = message(Type::Confirmable, Code::GET, &[(option::URI_HOST, b"relay"), PATH], &[])?;
        let (read, _) = pair.their_request("host", &plain)?;
        ensure!(read == plain, "{read:02x?}");
        let (_, read) = pair.our_request("host", &plain)?;
        ensure!(
            read == Outcome::Message(message(Type::Confirmable, Code::GET, &[PATH], &[])?),
            "{read:02x?}"
        );
        Ok(())
    })
}

#[test]
fn notifications_are_read_on_both_sides() -> Result<()> {
    for_each_session("notifications_are_read_on_both_sides", |pair| {
        let register = message(Type::Confirmable, Code::GET, &[(option::OBSERVE, &[]), PATH], &[])?;
        let notification =
            |n| message(Type::NonConfirmable, Code::CONTENT, &[(option::OBSERVE, &[n])], &[n; 9]);
        let (request, _) = pair.our_request("ours", &register)?;
        let mut newest = NotificationNumber::new();
        for n in 1..4 {
            let (read, partial_iv) = pair.their_response("ours", &request, &notification(n)?)?;
            ensure!(newest.accept(partial_iv), "{n} is newer");
            ensure!(Message::parse(&read)?.payload == [n; 9], "{read:02x?}");
        }
        let (_, mut received) = pair.their_request("theirs", &register)?;
        for n in 1..4 {
            let number = pair.number()?;
            let read = pair.our_response("theirs", &mut received, Some(&number), &notification(n)?)?;
            let expected = message(Type::NonConfirmable, Code::CONTENT, &[(option::OBSERVE, &[])], &[n; 9])?;
            ensure!(read == Outcome::Message(expected), "{read:02x?}");
        }
        Ok(())
    })
}

/// What aiocoap refuses, and its reason, is what we refuse in its place.
#[test]
fn both_refuse_what_was_changed_or_came_before() -> Result<()> {
    for_each_session("both_refuse_what_was_changed_or_came_before", |pair| {
        let plain = message(Type::Confirmable, Code::GET, &[PATH], &[])?;
        let (number, mut buffer) = (pair.number()?, [0; 256]);
        let message = Message::parse(&plain)?;
        let length = pair.ours.context().protect_request(&number, &Plain::from(&message), &mut buffer)?;
        let protected = &buffer[..length];
        for at in [length - 1, length - 9, length - 14] {
            let mut changed = protected.to_vec();
            changed[at] ^= 0x10;
            let read = pair.aiocoap.unprotect("r", &changed)?;
            ensure!(matches!(read, Outcome::Refused(..)), "byte {at}: {read:02x?}");
        }
        ensure!(pair.aiocoap.unprotect("r", protected)? == Outcome::Message(plain), "the genuine one");
        let again = pair.aiocoap.unprotect("r", protected)?;
        ensure!(again == Outcome::Refused("ReplayError".to_owned(), None), "{again:02x?}");
        Ok(())
    })
}

/// Appendix B.1.2, with aiocoap as the server that lost its window.
#[test]
fn aiocoap_finds_us_fresh_after_it_lost_its_window() -> Result<()> {
    for_each_session("aiocoap_finds_us_fresh_after_it_lost_its_window", |pair| {
        pair.aiocoap.restart()?;
        let plain = message(Type::Confirmable, Code::GET, &[PATH], &[])?;
        let (request, read) = pair.our_request("first", &plain)?;
        let Outcome::Refused(why, Some(mut answer)) = read else { anyhow::bail!("{read:02x?}") };
        ensure!(why == "ReplayErrorWithEcho", "{why}");
        let response = pair.ours.context().unprotect_response(request.number(), &mut answer)?;
        ensure!(
            response.partial_iv.is_some(),
            "the nonce of a request that may be a replay must not be used"
        );
        let answer = Message::parse(&answer[..response.length])?;
        ensure!(answer.code == Code::UNAUTHORIZED, "{answer:?}");
        let echo = answer.option(option::ECHO).context("no Echo")?;
        let plain = message(Type::Confirmable, Code::GET, &[PATH, (option::ECHO, echo)], &[])?;
        let (_, read) = pair.our_request("second", &plain)?;
        ensure!(read == Outcome::Message(plain), "{read:02x?}");
        Ok(())
    })
}
