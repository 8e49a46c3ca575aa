//! An answer without a model: the best passages, quoted and linked.

use std::fmt::Write;

use super::sources::Citable;
use crate::retrieval::Book;

/// Passages that are quoted.
const QUOTED: usize = 3;

/// Sections that a refusal names as nearest.
const NEAREST: usize = 3;

/// The text, one paragraph a passage, each with its marker.
pub(super) fn paragraphs(
    question: &str,
    citable: &[Citable],
    book: &Book,
) -> Vec<String> {
    let mut paragraphs = Vec::new();
    for (n, it) in (1..).zip(citable).take(QUOTED) {
        let source = it.source(n, question, book);
        if source.quote.trim().is_empty() {
            continue;
        }
        let mut text = String::new();
        if !paragraphs.is_empty() {
            text.push_str("\n\n");
        }
        writeln!(text, "**{}**", title(&source.title, source.url.as_deref())).ok();
        for line in defused(&source.quote).trim().lines() {
            write!(text, "\n> {line}").ok();
        }
        write!(text, " [{n}]").ok();
        paragraphs.push(text);
    }
    paragraphs
}

/// What a reader is told when the book does not answer: no source, but where to look.
pub(super) fn refusal(citable: &[Citable], book: &Book) -> String {
    let mut text = "I could not find an answer to this in the book.".to_owned();
    let mut named: Vec<String> = Vec::new();
    for it in citable {
        if let Citable::Passage(stretch) = it {
            let passage = &stretch.best().passage;
            let name = title(&passage.title, book.url(passage).as_deref());
            if named.len() < NEAREST && !named.contains(&name) {
                named.push(name);
            }
        }
    }
    if !named.is_empty() {
        text.push_str(" The nearest sections are:\n");
        for name in named {
            write!(text, "\n- {name}").ok();
        }
    }
    text
}

fn title(title: &str, url: Option<&str>) -> String {
    let title = defused(title);
    match url {
        Some(url) => format!("[{title}]({url})"),
        None => title,
    }
}

/// `v[9]` in the book's own words must not read as our marker.
fn defused(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut digits_since_bracket = None;
    for c in text.chars() {
        if c == ']' && digits_since_bracket == Some(true) {
            out.push('\\');
        }
        digits_since_bracket = match (c, digits_since_bracket) {
            ('[', _) => Some(false),
            (c, Some(_)) if c.is_ascii_digit() => Some(true),
            _ => None,
        };
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::defused;

    #[test]
    fn an_index_in_the_book_is_no_marker() {
        assert_eq!(defused("v[10] and [x] []"), r"v[10\] and [x] []");
    }
}
