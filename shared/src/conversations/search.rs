//! A reader's search words as patterns of Postgres.
//!
//! Postgres' own text search would not do here: it cuts no words in Chinese, Japanese or
//! Thai, keeps `docs.rs/tokio` or `“quoted”` as one word, and cuts differently with every
//! locale of the server. One reader's history is small enough to be read, so each word
//! becomes a pattern that means the same on every server.

use unicode_normalization::UnicodeNormalization;

/// Before the beginning of a Latin word there is none of these: letters and digits, and the
/// accents of a letter that is written in parts.
const BEGINNING: &str = "(^|[^a-zA-Z0-9À-ÖØ-öø-ɏ\u{300}-\u{36f}Ḁ-ỿ])";

/// One pattern for each word of `search`; all of them must be found. A word that begins with
/// a Latin letter or a digit is found only where a word begins (`art` is not in `start`, but
/// in `artist`); others, whose writing may leave no space between words, are found anywhere.
/// Upper and lower case are the same. A pattern is in NFC, and so must be what it is held
/// against, unless the search is ASCII.
pub(super) fn patterns(search: &str) -> Vec<String> {
    let mut patterns: Vec<String> = Vec::new();
    for word in search.split_whitespace() {
        let word: String = word.nfc().collect();
        let mut pattern = String::new();
        if word.starts_with(is_latin) {
            pattern.push_str(BEGINNING);
        }
        word.chars().for_each(|c| push(&mut pattern, c));
        if !patterns.contains(&pattern) {
            patterns.push(pattern);
        }
    }
    patterns
}

fn is_latin(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, 'À'..='Ö' | 'Ø'..='ö' | 'ø'..='ɏ' | 'Ḁ'..='ỿ')
}

/// Both cases by name: in the locale `C` Postgres knows those of ASCII only.
fn push(pattern: &mut String, c: char) {
    let single =
        |mut cased: Box<dyn Iterator<Item = char>>| match (cased.next(), cased.next()) {
            (Some(one), None) => one,
            _ => c,
        };
    let lower = single(Box::new(c.to_lowercase()));
    let upper = single(Box::new(c.to_uppercase()));
    if lower != upper {
        pattern.extend(['[', lower, upper, ']']);
        return;
    }
    // A backslash takes any meaning from a character that is no letter or digit.
    if c.is_ascii() && !c.is_ascii_alphanumeric() {
        pattern.push('\\');
    }
    pattern.push(c);
}

#[cfg(test)]
mod tests {
    use super::{BEGINNING, patterns};

    #[test]
    fn a_word_is_a_pattern_without_meaning_of_its_own() {
        for (search, expected) in [
            ("", vec![]),
            (" \u{3000}\n", vec![]),
            ("ab ab AB", vec!["^[aA][bB]"]),
            ("100%", vec![r"^100\%"]),
            (r"_ \d .* '", vec![r"\_", r"\\[dD]", r"\.\*", r"\'"]),
            ("所有权", vec!["所有权"]),
            ("u\u{308}ber ß ×", vec!["^[üÜ][bB][eE][rR]", "^ß", "×"]),
        ] {
            let expected = expected.iter().map(|it| it.replace('^', BEGINNING));
            assert_eq!(patterns(search), expected.collect::<Vec<_>>());
        }
    }
}
