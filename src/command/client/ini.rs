//! INI files, parsed like Python 3's `configparser.ConfigParser` with its defaults.
//!
//! The SDKs' samples read their sample.cfg with it, so the same file must mean the same here.
//! Python is also the reference for errors: a duplicate key is one. Writing is not supported, and
//! neither are the parser's options. The crate with the same name parses another grammar: it
//! accepts keys without a section, without a value and twice, and does not interpret `%`.

use std::collections::BTreeMap;

/// The section whose values apply to all other sections, unless they override them.
const DEFAULTS: &str = "DEFAULT";
/// How many levels of `%(name)s` may refer to further references: Python's limit.
const REFERENCES_DEPTH_MAX: usize = 10;

/// The values of a file, by section and key.
#[derive(Debug, Default)]
pub(super) struct Ini {
    sections: BTreeMap<String, Section>,
    defaults: Section,
}

/// Keys are in lower case, values are unchanged.
type Section = BTreeMap<String, String>;

/// A file or value that Python rejects too.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum IniError {
    /// A line before the first section.
    #[error("line {0} comes before the first [section]")]
    NoSection(usize),
    /// A section that already exists.
    #[error("line {0} begins the section [{1}] a second time")]
    SectionDoubled(usize, String),
    /// A key that its section already has.
    #[error("line {0} sets {1} a second time")]
    KeyDoubled(usize, String),
    /// Neither a section nor a key with a value.
    #[error("line {0} is neither [section] nor KEY = VALUE")]
    NoKey(usize),
    /// A `%` that does not begin a reference.
    #[error("it has a % that is followed by neither % nor (name)s: write a plain % as %%")]
    Percent,
    /// A reference to a missing key.
    #[error("it refers to {0}, which is not set: write a plain % as %%")]
    UnknownReference(String),
    /// References that refer to each other without an end.
    #[error("its references %(name)s are more than {REFERENCES_DEPTH_MAX} deep")]
    TooDeep,
}

impl Ini {
    /// Reads a file's text, without a byte order mark.
    pub(super) fn parse(text: &str) -> Result<Self, IniError> {
        // Python reads text with universal newlines. Here no other Unicode line separator ends a
        // line.
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let mut reader = Reader::default();
        for (number, line) in (1..).zip(text.split('\n')) {
            reader.read(number, line)?;
        }
        Ok(reader.ini.trimmed())
    }

    /// The names of the sections, without the one for defaults.
    pub(super) fn sections(&self) -> impl Iterator<Item = &str> {
        self.sections.keys().map(String::as_str)
    }

    /// A value with its references resolved. `None` if the section or the key does not exist.
    pub(super) fn get(&self, section: &str, key: &str) -> Result<Option<String>, IniError> {
        let Some(section) = self.sections.get(section) else {
            return Ok(None);
        };
        let Some(value) = self.raw(section, &key.to_lowercase()) else {
            return Ok(None);
        };
        let mut resolved = String::new();
        self.resolve(section, value, 1, &mut resolved)?;
        Ok(Some(resolved))
    }

    fn raw<'a>(&'a self, section: &'a Section, key: &str) -> Option<&'a str> {
        section
            .get(key)
            .or_else(|| self.defaults.get(key))
            .map(String::as_str)
    }

    fn resolve(
        &self,
        section: &Section,
        value: &str,
        depth: usize,
        out: &mut String,
    ) -> Result<(), IniError> {
        // Python recurses only into values that contain a %.
        if depth > REFERENCES_DEPTH_MAX && value.contains('%') {
            return Err(IniError::TooDeep);
        }
        let mut rest = value;
        while let Some((before, after)) = rest.split_once('%') {
            out.push_str(before);
            rest = match after.strip_prefix('%') {
                Some(behind) => {
                    out.push('%');
                    behind
                }
                None => {
                    let reference = after
                        .strip_prefix('(')
                        .and_then(|name| name.split_once(')'));
                    let (name, behind) = reference.ok_or(IniError::Percent)?;
                    let behind = behind
                        .strip_prefix('s')
                        .filter(|_| !name.is_empty())
                        .ok_or(IniError::Percent)?;
                    let name = name.to_lowercase();
                    let value = self
                        .raw(section, &name)
                        .ok_or(IniError::UnknownReference(name))?;
                    self.resolve(section, value, depth.saturating_add(1), out)?;
                    behind
                }
            };
        }
        out.push_str(rest);
        Ok(())
    }

    /// Removes the blank lines at the end of multi-line values.
    fn trimmed(mut self) -> Self {
        for section in self.sections.values_mut().chain([&mut self.defaults]) {
            for value in section.values_mut() {
                value.truncate(value.trim_end_matches(is_blank).len());
            }
        }
        self
    }
}

/// Parses line by line.
#[derive(Default)]
struct Reader {
    ini: Ini,
    /// The current section.
    section: Option<String>,
    /// The key that an indented line continues.
    key: Option<String>,
    /// The indentation of the last line that was not a continuation, in characters.
    indent: usize,
}

impl Reader {
    fn read(&mut self, number: usize, line: &str) -> Result<(), IniError> {
        let text = line.trim_matches(is_blank);
        if text.starts_with(['#', ';']) {
            return Ok(());
        }
        if text.is_empty() {
            // The blank line is added for now, because an indented line may still follow.
            if let Some(value) = self.value() {
                value.push('\n');
            }
            return Ok(());
        }
        let indent = line
            .chars()
            .take_while(|character| is_blank(*character))
            .count();
        if indent > self.indent
            && let Some(value) = self.value()
        {
            value.push('\n');
            value.push_str(text);
            return Ok(());
        }
        self.indent = indent;
        match header(text) {
            Some(name) => self.begin(number, name),
            None => self.set(number, text),
        }
    }

    /// The value that an indented line continues.
    fn value(&mut self) -> Option<&mut String> {
        let key = self.key.as_deref()?;
        let section = match self.section.as_deref()? {
            DEFAULTS => &mut self.ini.defaults,
            name => self.ini.sections.get_mut(name)?,
        };
        section.get_mut(key)
    }

    fn begin(&mut self, number: usize, name: &str) -> Result<(), IniError> {
        // The first line of a section is never a continuation.
        self.key = None;
        self.section = Some(name.to_owned());
        if name != DEFAULTS
            && self
                .ini
                .sections
                .insert(name.to_owned(), Section::new())
                .is_some()
        {
            return Err(IniError::SectionDoubled(number, name.to_owned()));
        }
        Ok(())
    }

    fn set(&mut self, number: usize, text: &str) -> Result<(), IniError> {
        let section = self.section.as_deref().ok_or(IniError::NoSection(number))?;
        let (key, value) = text.split_once(['=', ':']).ok_or(IniError::NoKey(number))?;
        let key = key.trim_end_matches(is_blank);
        if key.is_empty() {
            return Err(IniError::NoKey(number));
        }
        let values = match section {
            DEFAULTS => &mut self.ini.defaults,
            name => self.ini.sections.entry(name.to_owned()).or_default(),
        };
        let value = value.trim_matches(is_blank).to_owned();
        if values.insert(key.to_lowercase(), value).is_some() {
            return Err(IniError::KeyDoubled(number, key.to_owned()));
        }
        self.key = Some(key.to_lowercase());
        Ok(())
    }
}

/// The name in `[name]`, up to the last bracket. Text after it is ignored.
fn header(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix('[')?.rsplit_once(']')?;
    (!name.is_empty()).then_some(name)
}

/// A blank by Python's definition: Unicode whitespace, and the four ASCII separators.
fn is_blank(character: char) -> bool {
    character.is_whitespace() || ('\x1c'..='\x1f').contains(&character)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Python's results: see ORIGIN.md beside it.
    const CASES: &str = include_str!("../../../tests/vectors/sample-cfg/cases.json");

    fn check(case: &Value) {
        let text = case["text"].as_str().unwrap();
        let read = Ini::parse(text.strip_prefix('\u{feff}').unwrap_or(text));
        let Some(sections) = case["sections"].as_object() else {
            let read = read.map(|ini| ini.sections().map(str::to_owned).collect::<Vec<_>>());
            assert!(read.is_err(), "{case}: {read:?}");
            return;
        };
        let ini = read.unwrap_or_else(|error| panic!("{case}: {error}"));
        let mut names: Vec<&str> = sections.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(ini.sections().collect::<Vec<_>>(), names, "{case}");
        for (name, values) in sections {
            let values = values.as_object().unwrap();
            let of_section = ini.sections[name].keys().chain(ini.defaults.keys());
            assert!(
                of_section.into_iter().all(|key| values.contains_key(key)),
                "{case}: {ini:?}"
            );
            for (key, value) in values {
                let read = ini.get(name, key);
                match value.as_str() {
                    Some(value) => assert_eq!(
                        read.as_ref().unwrap().as_deref(),
                        Some(value),
                        "{key} of {case}"
                    ),
                    None => assert!(read.is_err(), "{key} of {case}: {read:?}"),
                }
            }
        }
    }

    #[test]
    fn a_file_is_read_as_pythons_configparser_reads_it() {
        let cases: Vec<Value> = serde_json::from_str(CASES).unwrap();
        assert!(cases.len() > 90);
        cases.iter().for_each(check);
    }

    #[test]
    fn keys_are_found_in_any_case_and_sections_in_theirs() {
        let ini = Ini::parse("[Base]\nACCESSKEYID = id\n").unwrap();
        assert_eq!(
            ini.get("Base", "AccessKeyId").unwrap().as_deref(),
            Some("id")
        );
        assert_eq!(ini.get("base", "AccessKeyId").unwrap(), None);
        assert_eq!(ini.get("Base", "Endpoint").unwrap(), None);
    }
}
