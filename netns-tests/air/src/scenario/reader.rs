//! Reads the tables of a TOML file key by key, and collects every mistake instead of stopping at the first.

use super::mistakes::{Mistake, Mistakes};
use super::values::{self, Outcome};
use std::cell::RefCell;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The text of a file, and what was found wrong with it so far.
pub(super) struct Source<'t> {
    text: &'t str,
    /// The offset at which each line but the first begins.
    line_starts: Vec<usize>,
    mistakes: RefCell<Vec<Mistake>>,
}

impl<'t> Source<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let line_starts = text.match_indices('\n').map(|(offset, _)| offset + 1).collect();
        Self { text, line_starts, mistakes: RefCell::default() }
    }

    /// The top level of the file. Of a text that is not TOML nothing is read: what seems absent may be there.
    pub(super) fn parse(&self) -> Result<Section<'_, 't>, Mistakes> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let line = self.line(error.span().map_or(0, |span| span.start));
            self.mistake(line, "", format!("this is not TOML: {}", error.message()));
        }
        self.verdict()?;
        Ok(Section {
            source: self,
            name: String::new(),
            line: 1,
            table: table.into_inner(),
            known: Vec::new(),
        })
    }

    fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= offset) + 1
    }

    /// A mistake of the file.
    pub(super) fn mistake(&self, line: usize, key: impl Into<String>, message: impl Into<String>) {
        self.note(Some(line), key.into(), message.into());
    }

    /// A mistake of the command line.
    pub(super) fn wrong_option(&self, option: &str, message: impl Into<String>) {
        self.note(None, option.to_owned(), message.into());
    }

    fn note(&self, line: Option<usize>, key: String, message: String) {
        self.mistakes.borrow_mut().push(Mistake { line, key, message });
    }

    /// An error when there were mistakes so far.
    pub(super) fn verdict(&self) -> Result<(), Mistakes> {
        let mut mistakes = self.mistakes.take();
        mistakes.sort_by_key(|mistake| mistake.line);
        if mistakes.is_empty() { Ok(()) } else { Err(Mistakes(mistakes)) }
    }
}

/// One table of the file.
pub(super) struct Section<'s, 't> {
    pub(super) source: &'s Source<'t>,
    name: String,
    /// The line of its header.
    pub(super) line: usize,
    table: DeTable<'t>,
    known: Vec<&'static str>,
}

impl<'s, 't> Section<'s, 't> {
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    pub(super) fn has_table(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|value| value.get_ref().is_table())
    }

    /// The line of a key's value, or that of the header.
    pub(super) fn line_of(&self, key: &str) -> usize {
        self.table.get(key).map_or(self.line, |value| self.source.line(value.span().start))
    }

    /// How many entries a list has; 0 when there is none.
    pub(super) fn length_of(&self, key: &str) -> usize {
        self.table.get(key).and_then(|value| value.get_ref().as_array()).map_or(0, |list| list.len())
    }

    /// Reads a key into `field`, which stays as it is when the key is absent or wrong. Returns the line of the value,
    /// or that of the header.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        field: &mut T,
        read: impl FnOnce(&DeValue<'_>) -> Outcome<T>,
    ) -> usize {
        let Some((line, value)) = self.take(key) else { return self.line };
        match read(&value) {
            Ok(value) => *field = value,
            Err(message) => self.mistake(line, key, message),
        }
        line
    }

    /// Reads a key that must be there.
    pub(super) fn require<T>(
        &mut self,
        key: &'static str,
        field: &mut T,
        read: impl FnOnce(&DeValue<'_>) -> Outcome<T>,
    ) -> usize {
        self.must_have(key);
        self.read(key, field, read)
    }

    /// It is a mistake when the key is absent.
    pub(super) fn must_have(&self, key: &str) {
        if !self.has(key) {
            self.mistake(self.line, key, "this key is missing; give it");
        }
    }

    /// Reads a list: each entry with its line. Every entry that is wrong is a mistake of its own.
    pub(super) fn read_list<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&DeValue<'_>) -> Outcome<T>,
    ) -> Vec<(usize, T)> {
        let mut list = Vec::new();
        let Some((line, value)) = self.take(key) else { return list };
        match values::entries(&value) {
            Err(message) => self.mistake(line, key, message),
            Ok(entries) => {
                for entry in entries {
                    let line = self.source.line(entry.span().start);
                    match read(entry.get_ref()) {
                        Ok(value) => list.push((line, value)),
                        Err(message) => self.mistake(line, key, message),
                    }
                }
            }
        }
        list
    }

    /// Reads a table within this one, if it is there.
    pub(super) fn section<R>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'s, 't>) -> R,
    ) -> Option<R> {
        let (line, value) = self.take(key)?;
        self.descend(key, line, value, read)
    }

    /// Reads a list of tables within this one.
    pub(super) fn sections<R>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Section<'s, 't>) -> R,
    ) -> Vec<R> {
        let Some((line, value)) = self.take(key) else { return Vec::new() };
        let tables = match value {
            DeValue::Array(tables) if !tables.is_empty() => tables,
            _ => {
                self.mistake(line, key, format!("this is no list of tables; head each with [[{key}]]"));
                return Vec::new();
            }
        };
        let mut read_one = |table: Spanned<DeValue<'t>>| {
            let line = self.source.line(table.span().start);
            self.descend(key, line, table.into_inner(), &mut read)
        };
        tables.into_iter().filter_map(&mut read_one).collect()
    }

    fn descend<R>(
        &self,
        key: &str,
        line: usize,
        value: DeValue<'t>,
        read: impl FnOnce(&mut Section<'s, 't>) -> R,
    ) -> Option<R> {
        let DeValue::Table(table) = value else {
            self.mistake(line, key, values::wrong(&value, "a table"));
            return None;
        };
        let mut section =
            Section { source: self.source, name: self.full(key), line, table, known: Vec::new() };
        let result = read(&mut section);
        section.finish();
        Some(result)
    }

    fn take(&mut self, key: &'static str) -> Option<(usize, DeValue<'t>)> {
        self.known.push(key);
        let value = self.table.remove(key)?;
        Some((self.source.line(value.span().start), value.into_inner()))
    }

    fn full(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    pub(super) fn mistake(&self, line: usize, key: &str, message: impl Into<String>) {
        self.source.mistake(line, self.full(key), message);
    }

    /// Whatever was not read is not known.
    pub(super) fn finish(&self) {
        for key in self.table.keys() {
            let advice = match nearest(key.get_ref(), &self.known) {
                Some(known) => format!("there is no such key; did you mean \"{known}\"?"),
                None => format!("there is no such key here, only {}", self.known.join(", ")),
            };
            self.mistake(self.source.line(key.span().start), &values::shown(key.get_ref()), advice);
        }
    }
}

/// The known key that is at most two edits away.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let longest = known.iter().map(|known| known.len()).max()?;
    if key.len() > longest + 2 {
        return None;
    }
    let (distance, best) = known.iter().map(|known| (edits(key, known), *known)).min()?;
    (distance <= 2).then_some(best)
}

/// How many characters must be inserted, removed or replaced to make one text of the other (Levenshtein 1965).
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let first: Vec<usize> = (0..=to.len()).collect();
    let last = from.chars().fold(first, |above, from| {
        let mut row = vec![above[0] + 1];
        for (column, &to) in to.iter().enumerate() {
            let replaced = above[column] + usize::from(from != to);
            row.push(replaced.min(above[column + 1] + 1).min(row[column] + 1));
        }
        row
    });
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_recognised() {
        assert_eq!(nearest("quue", &["loss", "queue"]), Some("queue"));
        assert_eq!(nearest("lsos", &["loss", "queue"]), Some("loss"));
        assert_eq!(nearest("antenna", &["loss", "queue"]), None);
        assert_eq!(nearest(&"q".repeat(1_000_000), &["loss", "queue"]), None);
    }

    #[test]
    fn edits_are_counted() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "loss"), 4);
        assert_eq!(edits("loss", "loss"), 0);
    }
}
