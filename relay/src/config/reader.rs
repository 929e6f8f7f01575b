//! Reads sections of a TOML file key by key, and collects every mistake instead of stopping at the first.

use super::mistakes::{Mistake, Mistakes};
use super::values::{self, Outcome};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The text of a file, and what was found wrong with it so far.
pub(super) struct Source<'t> {
    text: &'t str,
    file: &'t Path,
    mistakes: RefCell<Vec<Mistake>>,
    /// Keys that exist and were not given: the reference file must have all of them.
    absent: RefCell<Vec<String>>,
}

impl<'t> Source<'t> {
    pub(super) fn new(text: &'t str, file: &'t Path) -> Self {
        Self { text, file, mistakes: RefCell::default(), absent: RefCell::default() }
    }

    pub(super) fn mistake(&self, line: usize, key: impl Into<String>, message: impl Into<String>) {
        self.mistakes.borrow_mut().push(Mistake { line, key: key.into(), message: message.into() });
    }

    pub(super) fn line(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
    }

    /// The top level of the file. After a syntax error there is none, because what else seems wrong may be no mistake.
    pub(super) fn parse(&self) -> Option<DeTable<'t>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        let Some(error) = errors.first() else { return Some(table.into_inner()) };
        let line = error.span().map_or(0, |span| self.line(span.start));
        self.mistake(
            line,
            "",
            format!("not TOML: {}; the rest of the file was not looked at", error.message()),
        );
        None
    }

    /// A path in the file, which is relative to the directory of the file.
    fn resolve(&self, path: PathBuf) -> PathBuf {
        self.file.parent().map_or(path.clone(), |directory| directory.join(path))
    }

    pub(super) fn into_mistakes(self) -> Option<Mistakes> {
        let mut list = self.mistakes.into_inner();
        list.sort_by_key(|mistake| mistake.line);
        (!list.is_empty()).then(|| Mistakes { file: self.file.display().to_string(), list })
    }

    #[cfg(test)]
    pub(super) fn absent(&self) -> Vec<String> {
        self.absent.borrow().clone()
    }
}

/// One table of the file.
pub(super) struct Section<'s, 't> {
    source: &'s Source<'t>,
    name: String,
    /// The line of its header.
    pub(super) line: usize,
    table: DeTable<'t>,
    known: Vec<&'static str>,
}

impl<'s, 't> Section<'s, 't> {
    pub(super) const fn top(source: &'s Source<'t>, table: DeTable<'t>) -> Self {
        Self { source, name: String::new(), line: 0, table, known: Vec::new() }
    }

    fn key(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn take(&mut self, key: &'static str) -> Option<(usize, DeValue<'t>)> {
        self.known.push(key);
        let found = self.table.remove(key);
        if found.is_none() {
            self.source.absent.borrow_mut().push(self.key(key));
        }
        let value = found?;
        Some((self.source.line(value.span().start), Spanned::into_inner(value)))
    }

    /// Reads a key into `field`, which keeps its default when the key is absent or wrong. Returns the line.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        field: &mut T,
        read: impl FnOnce(&DeValue<'_>) -> Outcome<T>,
    ) -> usize {
        let Some((line, value)) = self.take(key) else { return self.line };
        match read(&value) {
            Ok(value) => *field = value,
            Err(message) => self.source.mistake(line, self.key(key), message),
        }
        line
    }

    /// Reads a list of at least `least` values; every entry that is wrong is a mistake of its own. Returns the line.
    pub(super) fn read_list<T>(
        &mut self,
        key: &'static str,
        least: usize,
        field: &mut Vec<T>,
        read: impl Fn(&DeValue<'_>) -> Outcome<T>,
    ) -> usize {
        let Some((line, value)) = self.take(key) else { return self.line };
        match values::entries(&value, least) {
            Ok(entries) => {
                *field = entries.iter().filter_map(|entry| self.entry(key, entry, &read)).collect();
            }
            Err(message) => self.mistake(line, key, message),
        }
        line
    }

    fn entry<T>(
        &self,
        key: &str,
        entry: &Spanned<DeValue<'_>>,
        read: impl Fn(&DeValue<'_>) -> Outcome<T>,
    ) -> Option<T> {
        read(entry.get_ref())
            .map_err(|message| self.mistake(self.source.line(entry.span().start), key, message))
            .ok()
    }

    /// Whether the value of this key was found wrong.
    pub(super) fn is_wrong(&self, key: &str) -> bool {
        let key = self.key(key);
        self.source.mistakes.borrow().iter().any(|mistake| mistake.key == key)
    }

    /// Reads a key that must be there.
    pub(super) fn require<T>(
        &mut self,
        key: &'static str,
        field: &mut T,
        read: impl FnOnce(&DeValue<'_>) -> Outcome<T>,
    ) -> usize {
        if !self.table.contains_key(key) {
            self.source.mistake(
                self.line,
                self.key(key),
                "is missing; this section does not work without it",
            );
        }
        self.read(key, field, read)
    }

    /// Reads the path of a file or directory.
    pub(super) fn read_path(&mut self, key: &'static str, field: &mut Option<PathBuf>) -> usize {
        let source = self.source;
        self.read(key, field, |value| Ok(values::path(value)?.map(|path| source.resolve(path))))
    }

    /// Reads a path that must be there.
    pub(super) fn require_path(&mut self, key: &'static str, field: &mut Option<PathBuf>) -> usize {
        let source = self.source;
        self.require(key, field, |value| Ok(values::path(value)?.map(|path| source.resolve(path))))
    }

    /// Reads a table within this one.
    pub(super) fn section(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'s, 't>)) {
        let Some((line, value)) = self.take(key) else { return };
        match value {
            DeValue::Table(table) => self.descend(self.key(key), line, table, read),
            other => self.source.mistake(
                line,
                self.key(key),
                format!("this is of type {}; give a table", other.type_str()),
            ),
        }
    }

    /// Reads a list of tables within this one.
    pub(super) fn sections(&mut self, key: &'static str, mut read: impl FnMut(&mut Section<'s, 't>)) {
        let Some((line, value)) = self.take(key) else { return };
        let DeValue::Array(array) = value else {
            return self.source.mistake(
                line,
                self.key(key),
                format!("give a list of tables, each headed [[{key}]]"),
            );
        };
        for entry in array {
            let line = self.source.line(entry.span().start);
            match entry.into_inner() {
                DeValue::Table(table) => self.descend(self.key(key), line, table, &mut read),
                other => self.source.mistake(
                    line,
                    self.key(key),
                    format!("this is of type {}; give a table", other.type_str()),
                ),
            }
        }
    }

    fn descend(
        &self,
        name: String,
        line: usize,
        table: DeTable<'t>,
        read: impl FnOnce(&mut Section<'s, 't>),
    ) {
        let mut section = Section { source: self.source, name, line, table, known: Vec::new() };
        read(&mut section);
        section.finish();
    }

    pub(super) fn mistake(&self, line: usize, key: &str, message: impl Into<String>) {
        self.source.mistake(line, self.key(key), message);
    }

    /// Whatever was not read is not known.
    pub(super) fn finish(self) {
        for key in self.table.keys() {
            let line = self.source.line(key.span().start);
            let advice = match nearest(key.get_ref(), &self.known) {
                Some(known) => format!("no such key; did you mean \"{known}\"?"),
                None => format!("no such key; here are: {}", self.known.join(", ")),
            };
            self.source.mistake(line, self.key(&key.get_ref().escape_debug().to_string()), advice);
        }
    }
}

/// A known key at most two edits away.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let (distance, best) = known.iter().map(|known| (edits(key, known), *known)).min()?;
    (distance <= 2).then_some(best)
}

/// The edit distance of Levenshtein.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses() {
        assert_eq!(nearest("memroy", &["disk", "memory"]), Some("memory"));
        assert_eq!(nearest("orign", &["origin"]), Some("origin"));
        assert_eq!(nearest("colour", &["disk", "memory"]), None);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
