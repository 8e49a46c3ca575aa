//! What a conversation is called.

use super::nul::clean;
use crate::{Error, Result};

/// Fits one line of a list.
const TITLE_CHARS: usize = 80;

/// The longest title that somebody gives, in characters.
const MAX_TITLE_CHARS: usize = 200;

/// The first words of the question, at most [`TITLE_CHARS`] characters.
pub(crate) fn of_question(question: &str) -> String {
    let clean = clean(question);
    let whole = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((cut, _)) = whole.char_indices().nth(TITLE_CHARS) else { return whole };
    // One character less, for the ellipsis; then back to the end of a word.
    let start: String = whole[..cut].chars().take(TITLE_CHARS - 1).collect();
    let words = start.rsplit_once(' ').map_or(start.as_str(), |(words, _)| words);
    format!("{words}…")
}

/// A title as it is kept: one line, without space around it.
pub(crate) fn given(text: &str) -> Result<String> {
    let title = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if title.is_empty() || title.chars().count() > MAX_TITLE_CHARS {
        return Err(Error::invalid(
            "title",
            format!("must be 1 to {MAX_TITLE_CHARS} characters"),
        ));
    }
    if title.chars().any(char::is_control) {
        return Err(Error::invalid("title", "must not contain control characters"));
    }
    Ok(title)
}

/// Without a title the first question gives one.
pub(super) fn optional(text: Option<&str>) -> Result<String> {
    match text {
        Some(text) if !text.trim().is_empty() => given(text),
        _ => Ok(String::new()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_title_is_the_first_words_of_the_question() {
        assert_eq!(of_question("  What is\n ownership? "), "What is ownership?");
        let sixteen = vec!["word"; 16].join(" ");
        assert_eq!(of_question(&sixteen), sixteen);
        assert_eq!(
            of_question(&"word ".repeat(40)),
            format!("{}…", vec!["word"; 15].join(" "))
        );
        assert_eq!(of_question(&"x".repeat(200)), format!("{}…", "x".repeat(79)));
        assert_eq!(of_question(""), "");
    }

    proptest! {
        #[test]
        fn a_title_is_one_line_of_at_most_80_characters(question in "(\\PC|[\0\n\t ]){0,300}") {
            let title = of_question(&question);
            prop_assert!(title.chars().count() <= 80);
            prop_assert!(!title.contains(['\n', '\t', '\0']));
        }
    }

    #[test]
    fn a_title_is_one_line_of_1_to_200_characters() {
        assert_eq!(given(" On\n moves ").unwrap(), "On moves");
        assert_eq!(given(&"ü".repeat(200)).unwrap(), "ü".repeat(200));
        for bad in ["", " \t\n", &"ü".repeat(201), "a\0b", "a\u{7}b"] {
            assert!(matches!(given(bad), Err(Error::Invalid(_))), "{bad:?}");
        }
    }
}
