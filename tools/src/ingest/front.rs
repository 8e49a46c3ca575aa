//! Front matter: the YAML or TOML block at the top of a page.

use std::collections::BTreeMap;

/// What stands before a page's first line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Front {
    /// Where the page's own text starts, in bytes.
    pub len: usize,
    /// The `title`, if there is one.
    pub title: Option<String>,
    /// Every key of the outermost level that has a value on its own line.
    fields: BTreeMap<String, String>,
}

impl Front {
    /// The value of a key, without quotes; `None` for lists, blocks and nothing.
    pub fn field(&self, key: &str) -> Option<&str> {
        self.fields.get(key).map(String::as_str)
    }

    /// Whether a key says yes.
    pub fn is_on(&self, key: &str) -> bool {
        self.field(key) == Some("true")
    }
}

/// Reads the front matter. `---` also draws a line in Markdown, so a block between two of
/// them counts only if it looks like YAML.
pub fn read(source: &str) -> Front {
    let mut lines = source.split_inclusive('\n');
    let (marks, sign): (&[&str], char) = match lines.next().map(str::trim_end) {
        Some("---") => (&["---", "..."], ':'),
        Some("+++") => (&["+++"], '='),
        _ => return Front::default(),
    };
    let mut len = source.find('\n').map_or(source.len(), |at| at + 1);
    let mut fields = BTreeMap::new();
    for line in lines {
        len += line.len();
        let line = line.trim_end();
        if marks.contains(&line) {
            return Front { len, title: fields.get("title").cloned(), fields };
        }
        if sign == ':' && !is_yaml(line) {
            return Front::default();
        }
        if let Some((key, value)) = line.split_once(sign)
            && !key.starts_with([' ', '\t', '-', '#'])
            && let Some(value) = scalar(value.trim())
        {
            fields.insert(key.trim_end().to_owned(), value);
        }
    }
    Front::default()
}

/// A key, a comment, a list item, a continuation or nothing.
fn is_yaml(line: &str) -> bool {
    line.is_empty()
        || line.starts_with([' ', '\t', '#', '-', ']', '}'])
        || line.split_once(':').is_some_and(|(key, rest)| {
            !key.is_empty() && (rest.is_empty() || rest.starts_with([' ', '\t']))
        })
}

/// A plain or quoted value on one line; block scalars (`>`, `|`) are passed over.
fn scalar(value: &str) -> Option<String> {
    let words = match value.chars().next()? {
        '"' => {
            let end = value[1..].rfind('"')? + 1;
            value[1..end].replace("\\\"", "\"").replace("\\\\", "\\")
        }
        '\'' => {
            let end = value[1..].rfind('\'')? + 1;
            value[1..end].replace("''", "'")
        }
        '>' | '|' | '#' => return None,
        _ => value.split(" #").next()?.trim_end().to_owned(),
    };
    Some(words).filter(|it| !it.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(source: &str) -> Option<String> {
        read(source).title
    }

    #[test]
    fn yaml_and_toml_are_stripped_and_give_the_title() {
        let yaml =
            "---\r\nid: a\r\ntitle: \"Say \\\"hi\\\"\"\r\ntags:\r\n  - x\r\n---\r\nBody";
        assert_eq!(&yaml[read(yaml).len..], "Body");
        assert_eq!(title(yaml).as_deref(), Some("Say \"hi\""));
        let toml = "+++\ntitle = 'It''s'\nweight = 3\n+++\nBody";
        assert_eq!(&toml[read(toml).len..], "Body");
        assert_eq!(title(toml).as_deref(), Some("It's"));
        assert_eq!(title("---\ntitle: C# # a note\n---\n").as_deref(), Some("C#"));
        assert_eq!(title("---\nsubtitle: no\n---\n"), None);
        let nested = read("---\na:\n  title: no\ndraft: true # yet\n---\n");
        assert_eq!((nested.title.as_deref(), nested.is_on("draft")), (None, true));
    }

    #[test]
    fn a_drawn_line_is_no_front_matter() {
        for source in [
            "---\nWords between lines\n---\n",
            "---\ntitle: open",
            "Text\n---\ntitle: x\n---",
            "",
        ] {
            assert_eq!(read(source), Front::default(), "{source:?}");
        }
    }
}
