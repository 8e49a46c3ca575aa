//! Text fragments: the part of a link that takes a browser to a quote.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What a text directive takes as it is; `-`, `,` and `&` have a meaning of their own there.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'~');

/// A quote of more words is given by its first and its last ones.
const WHOLE: usize = 10;
/// How many of them.
const ENDS: usize = 4;

/// The directive `text=…` for a quote in Markdown; `None` when nothing of it would be found on
/// the rendered page as it stands (a table's row, a formula).
pub(super) fn text(quote: &str) -> Option<String> {
    if quote.trim_start().starts_with('|') {
        return None;
    }
    let shown = shown(quote);
    let words: Vec<&str> = shown.split_whitespace().collect();
    let encoded =
        |words: &[&str]| utf8_percent_encode(&words.join(" "), PLAIN).to_string();
    match words.len() {
        0 => None,
        1..=WHOLE => Some(format!("text={}", encoded(&words))),
        n => Some(format!(
            "text={},{}",
            encoded(&words[..ENDS]),
            encoded(&words[n - ENDS..])
        )),
    }
}

/// What a page shows of a line of Markdown: no marks of emphasis or code, of a link its text.
fn shown(markdown: &str) -> String {
    let mut out = String::with_capacity(markdown.len());
    let mut rest = markdown;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => {
                if let Some(escaped) = rest.chars().next() {
                    out.push(escaped);
                    rest = &rest[escaped.len_utf8()..];
                }
            }
            '!' if rest.starts_with('[') => {}
            ']' if rest.starts_with(['(', '[']) => {
                let close = if rest.starts_with('(') { ')' } else { ']' };
                rest = rest.find(close).map_or("", |at| &rest[at + 1..]);
            }
            '`' | '*' | '[' | ']' => {}
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn a_directive_says_what_the_page_shows() {
        for (quote, directive) in [
            ("A **move** ends `x`.", Some("text=A%20move%20ends%20x.")),
            (
                "See [the book](ch04.md#a), page-by-page",
                Some("text=See%20the%20book%2C%20page%2Dby%2Dpage"),
            ),
            (
                "one two three four five six seven eight nine ten eleven",
                Some("text=one%20two%20three%20four,eight%20nine%20ten%20eleven"),
            ),
            ("| a | b |", None),
            ("``", None),
        ] {
            assert_eq!(text(quote).as_deref(), directive, "{quote}");
        }
    }
}
