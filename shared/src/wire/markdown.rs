//! What was said, and where it comes from, as Markdown that stays in its own place.

use std::fmt::Write;

use crate::chat::code::{Piece, Scanner};

/// Markdown in a block quote, which ends whatever is left open in it. But a tag, or a comment,
/// would go on in the page that a reader makes of it, so outside of code there is none.
pub fn quote(said: &str, indent: &str) -> String {
    // A lone carriage return ends a line, too.
    let said = said.replace("\r\n", "\n").replace('\r', "\n");
    let mut scanner = Scanner::default();
    let mut pieces = scanner.push(&said);
    pieces.extend(scanner.finish());
    let pieces = pieces.into_iter().map(|it| match it {
        Piece::Text(text) => without_tags(&text),
        Piece::Code(code) => code,
    });
    pieces.collect::<String>().lines().fold(String::new(), |mut quote, line| {
        let gap = if line.is_empty() { "" } else { " " };
        writeln!(quote, "{indent}>{gap}{line}").ok();
        quote
    })
}

/// The same with a backslash before every `<` that may begin a tag; `<https://…>` is none.
fn without_tags(text: &str) -> String {
    let opens = |rest: &str| {
        rest.starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c))
            && !rest.starts_with("https://")
            && !rest.starts_with("http://")
    };
    let (mut out, mut is_escaped) = (String::with_capacity(text.len()), false);
    for (at, c) in text.char_indices() {
        if c == '<' && !is_escaped && opens(&text[at + 1..]) {
            out.push('\\');
        }
        is_escaped = c == '\\' && !is_escaped;
        out.push(c);
    }
    out
}

/// A title as it is, whatever its characters mean in Markdown.
pub fn plain(title: &str) -> String {
    title.chars().fold(String::new(), |mut out, c| {
        if r"\`*_[]<&#~".contains(c) {
            out.push('\\');
        }
        out.push(if c.is_control() { ' ' } else { c });
        out
    })
}

/// An address that cannot end its own `<…>`.
pub fn address(url: &str) -> String {
    url.chars().fold(String::new(), |mut out, c| {
        if c.is_ascii_control() || " <>\\".contains(c) {
            write!(out, "%{:02X}", u32::from(c)).ok();
        } else {
            out.push(c);
        }
        out
    })
}
