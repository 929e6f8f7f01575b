//! The protected messages of `profile/profile.md`, section B.7, which were made with another library.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use sixfold_oscore::{Client, SenderSequence};
use sixfold_profile::ticket::{Numbers, Session};

fn hex(text: &str) -> Vec<u8> {
    let text: String = text.split_whitespace().collect();
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

/// What is fenced below a heading, with this word behind the fence.
fn fenced(heading: &str, word: &str) -> Vec<u8> {
    let document = include_str!("../../profile.md");
    let (_, section) = document.split_once(&format!("\n### {heading}\n")).unwrap();
    let (_, rest) = section.split_once(&format!("\n```{word}\n")).unwrap();
    hex(rest.split_once("\n```").unwrap().0)
}

#[test]
fn the_protected_messages_of_the_example() {
    let session = Session {
        sender_id: b"",
        recipient_id: b"\x01",
        sender_key: &hex("f0910ed7295e6ad4b54fc793154302ff").try_into().unwrap(),
        recipient_key: &hex("ffb14e093c94c9cac9471648b4f98710").try_into().unwrap(),
        common_iv: &hex("4622d4dd6d944168eefb54987c").try_into().unwrap(),
        numbers: Numbers { first: 20, exponent: 16 },
        plain_allowed: false,
    };
    let client = Client::of_session(&session);
    let number = SenderSequence::new(20..21).take().unwrap();
    let mut buffer = [0; 256];
    let length = client.protect(&number, &fenced("B.4. A request", ""), &mut buffer).unwrap();
    assert_eq!(buffer[..length], fenced("B.7. With a session", "request"));
    let mut response = fenced("B.7. With a session", "protected");
    let length = client.unprotect(&number, &mut response).unwrap();
    assert_eq!(response[..length], fenced("B.7. With a session", "response"));
}
