//! An answer without a model: the best passages, quoted and linked.

use std::fmt::Write;

use super::{
    code::Piece,
    links::{Allowed, Links},
    sources::Citable,
};
use crate::retrieval::Book;

/// Passages that are shown with what stands around their quote; of the others the quote alone.
const IN_FULL: usize = 3;

/// Sections that a refusal names as nearest.
const NEAREST: usize = 3;

/// Characters of a passage that are shown: enough to answer, little enough to read.
const EXCERPT: usize = 600;

/// The text, one paragraph a passage, each with its marker. The marker stands behind the
/// title: at the end of a quoted code block it would be code.
pub(super) fn paragraphs(
    question: &str,
    citable: &[Citable],
    book: &Book,
) -> Vec<Vec<Piece>> {
    let mut paragraphs = Vec::new();
    for (n, it) in (1..).zip(citable) {
        let source = it.source(n, question, book);
        let shown = match it {
            Citable::Selection(text, _) => text.clone(),
            Citable::Passage(_) if n > IN_FULL => source.quote.clone(),
            Citable::Passage(stretch) => {
                let (hit, _) = stretch.quote(question);
                excerpt(&hit.passage.prompt_text(), &source.quote)
            }
        };
        if shown.trim().is_empty() {
            continue;
        }
        let mut text = String::new();
        if !paragraphs.is_empty() {
            text.push_str("\n\n");
        }
        let name = source.title.replace(" > ", " › ");
        writeln!(text, "**{}** [{n}]", title(&name, source.url.as_deref())).ok();
        let mut pieces = vec![Piece::Text(text)];
        let mut fence = None;
        for line in shown.trim_end().lines() {
            pieces.push(if in_fence(line, &mut fence) {
                Piece::Code(format!("\n> {line}"))
            } else {
                Piece::Text(format!("\n> {}", defused(&without_relative_links(line))))
            });
        }
        paragraphs.push(pieces);
    }
    paragraphs
}

/// The blocks of a passage around its quote, whole, as far as they fit [`EXCERPT`]. Headings
/// at its start are left out: the breadcrumb names them.
fn excerpt(text: &str, quote: &str) -> String {
    let blocks = blocks(text);
    let headings = blocks.iter().take_while(|it| it.starts_with('#')).count();
    let blocks = if headings < blocks.len() { &blocks[headings..] } else { &blocks[..] };
    let opening = quote.lines().next().unwrap_or_default().trim();
    let found = blocks.iter().position(|it| it.contains(opening)).unwrap_or(0);
    let (mut first, mut last) = (found, found);
    let length = |it: &str| it.chars().count();
    let mut chars = blocks.get(found).map_or(0, |it| length(it));
    while let Some(next) = blocks.get(last + 1).filter(|it| chars + length(it) <= EXCERPT)
    {
        chars += length(next);
        last += 1;
    }
    while first > 0 && chars + length(blocks[first - 1]) <= EXCERPT {
        first -= 1;
        chars += length(blocks[first]);
    }
    blocks.get(first..=last).map(|it| it.join("\n\n")).unwrap_or_default()
}

/// A text cut at its blank lines, those in code aside.
fn blocks(text: &str) -> Vec<&str> {
    let mut blocks = Vec::new();
    let mut fence = None;
    let (mut start, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        in_fence(line, &mut fence);
        if line.trim().is_empty() && fence.is_none() {
            blocks.push(text[start..at].trim_end());
            start = at + line.len();
        }
        at += line.len();
    }
    blocks.push(text[start..].trim_end());
    blocks.retain(|it| !it.trim().is_empty());
    blocks
}

/// Whether the line belongs to a code block: one that starts in the first column, as those of
/// a passage do. `fence` is the one that is open.
fn in_fence(line: &str, fence: &mut Option<(char, usize)>) -> bool {
    let line = line.trim_end();
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'));
    let run = mark.map_or(0, |mark| line.len() - line.trim_start_matches(mark).len());
    match (*fence, mark) {
        (Some((open, length)), _) => {
            if mark == Some(open) && run >= length && run == line.len() {
                *fence = None;
            }
            true
        }
        (None, Some(mark)) if run >= 3 && !line[run..].contains('`') => {
            *fence = Some((mark, run));
            true
        }
        _ => false,
    }
}

/// Links between the book's pages lead nowhere from an answer, so their words stay alone.
fn without_relative_links(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(middle) = rest.find("](") {
        let target = &rest[middle + 2..];
        let end = target.find([')', '\n']).filter(|at| target[*at..].starts_with(')'));
        let open = rest[..middle].rfind('[');
        match (open, end) {
            (Some(open), Some(end)) if !target[..end].contains("://") => {
                let image = rest[..open].ends_with('!');
                out.push_str(rest[..open].trim_end_matches(if image {
                    "!"
                } else {
                    "\0"
                }));
                out.push_str(&rest[open + 1..middle]);
                rest = &target[end + 1..];
            }
            _ => {
                out.push_str(&rest[..middle + 2]);
                rest = target;
            }
        }
    }
    out.push_str(rest);
    out
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

/// The breadcrumb, which leads to its section and nowhere else: a title is plain text, but may
/// be written like a link.
fn title(title: &str, url: Option<&str>) -> String {
    let mut links = Links::new(Allowed::default());
    let plain = links.push(title) + &links.finish();
    let mut title = String::with_capacity(plain.len());
    for c in plain.chars() {
        if matches!(c, '[' | ']' | '<' | '\\') {
            title.push('\\');
        }
        title.push(c);
    }
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
    use super::{defused, excerpt, without_relative_links};

    #[test]
    fn an_excerpt_is_made_of_whole_blocks_around_the_quote() {
        let long = "x ".repeat(290);
        let text =
            format!("# Title\n\n{long}\n\nThe quote.\n\n```sh\na\n\nb\n```\n\nEnd.");
        assert_eq!(
            excerpt(&text, "The quote."),
            "The quote.\n\n```sh\na\n\nb\n```\n\nEnd."
        );
        assert_eq!(excerpt("# Only a title", "Only"), "# Only a title");
        assert_eq!(excerpt(&long, "x"), long.trim_end());
    }

    #[test]
    fn links_inside_the_book_become_their_words() {
        let text = "See [Settings](settings.md#a), ![a shelf](b.png) and [X](https://x.example).";
        assert_eq!(
            without_relative_links(text),
            "See Settings, a shelf and [X](https://x.example)."
        );
        assert_eq!(without_relative_links("f](x) [a](b"), "f](x) [a](b");
    }

    #[test]
    fn an_index_in_the_book_is_no_marker() {
        assert_eq!(defused("v[10] and [x] []"), r"v[10\] and [x] []");
    }
}
