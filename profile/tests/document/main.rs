//! `profile.md` says what the code does: its constants, its layout, its example, and its CDDL. Here is how it is read, and that
//! what it refers to is there.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod cddl;
mod constants;
mod example;
mod layout;
mod messages;
#[path = "../../vectors/tests/reader/mod.rs"]
mod reader;

use sixfold_profile::Hex;
use std::fs;
use std::path::Path;

/// A file of the workspace.
fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What is below a heading, up to the next one.
fn section(heading: &str) -> String {
    let document = file("profile/profile.md");
    let mut lines = document.lines().skip_while(|line| line.trim_start_matches('#').trim() != heading);
    assert!(lines.next().is_some(), "the document has no section \"{heading}\"");
    lines.take_while(|line| !line.starts_with('#')).map(|line| line.to_owned() + "\n").collect()
}

/// The rows of the table in a section, without its head.
fn table(heading: &str) -> Vec<Vec<String>> {
    let row = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    section(heading).lines().filter(|line| line.starts_with('|')).skip(2).map(row).collect()
}

/// The first fenced block of a language in a section.
fn fenced(heading: &str, language: &str) -> String {
    let text = section(heading);
    let mut lines = text.lines().skip_while(|line| *line != format!("```{language}"));
    assert!(lines.next().is_some(), "section \"{heading}\" has no block of {language}");
    lines.take_while(|line| *line != "```").map(|line| line.to_owned() + "\n").collect()
}

fn hex(bytes: &[u8]) -> String {
    Hex(bytes).to_string()
}

fn hex_lines(bytes: &[u8]) -> String {
    bytes.chunks(32).map(|line| hex(line) + "\n").collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    let byte = |start| u8::from_str_radix(&digits[start..start + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

#[test]
fn references_lead_to_sections() {
    let document = file("profile/profile.md");
    let sections: Vec<_> = document.lines().filter_map(|line| line.strip_prefix('#')).map(anchor).collect();
    let references: Vec<_> = document.split("](#").skip(1).filter_map(|rest| rest.split_once(')')).collect();
    assert!(references.len() > 20, "{references:?}");
    for (reference, _) in references {
        assert!(sections.contains(&reference.to_owned()), "no section #{reference}");
    }
}

/// What a heading is called in links.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-');
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter(kept)
        .collect::<String>()
        .replace(' ', "-")
}
