//! A Markdown text as what can be quoted of it: sentences of prose, and lines of anything else.

use std::ops::Range;

use unicode_normalization::char::is_combining_mark;

use super::{
    super::passage::{comments, is_code},
    LONGEST, has_letter, nth,
};

/// A sentence of prose, or a line of anything else.
pub(super) struct Unit {
    /// Bytes of the text.
    pub range: Range<usize>,
    /// Neighbours of one block may be quoted together.
    pub block: usize,
    /// A heading says where a reader is, and seldom answers.
    pub is_heading: bool,
}

/// What kind of line it is, as far as quoting needs to know.
enum Line {
    /// Belongs to no quote: blank, a fence, a rule, the border of an admonition.
    Border,
    Heading,
    /// Stands for itself, and with its neighbours of the kind: code, a row of a table.
    Row,
    /// Starts a paragraph after so many bytes of marker: a list item, a block quote.
    Item(usize),
    Prose,
}

/// The sentences and lines of a Markdown text, in order.
pub(super) fn units(text: &str) -> Vec<Unit> {
    let hidden = comments(text);
    let mut reader = Reader { text, hidden: &hidden, units: Vec::new(), block: 0 };
    let mut fence = None;
    let mut paragraph: Option<Range<usize>> = None;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        let was_open = fence.is_some();
        let kind = if is_code(line, &mut fence) {
            let is_fence = !was_open || fence.is_none();
            if is_fence || line.trim().is_empty() { Line::Border } else { Line::Row }
        } else {
            kind(line)
        };
        if let Line::Prose = kind {
            paragraph = Some(paragraph.map_or(start, |it| it.start)..end);
        } else {
            if let Some(range) = paragraph.take() {
                reader.prose(range);
            }
            match kind {
                Line::Border => reader.block += 1,
                Line::Heading => reader.line(start..end, true),
                Line::Row => reader.line(start..end, false),
                Line::Item(marker) => paragraph = Some(start + marker..end),
                Line::Prose => {}
            }
        }
        start = end;
    }
    if let Some(range) = paragraph {
        reader.prose(range);
    }
    reader.units
}

fn kind(line: &str) -> Line {
    let text = line.trim();
    let is_drawn = |with: &str| text.chars().all(|c| with.contains(c) || c == ' ');
    if is_drawn("=") || is_drawn("-") || is_drawn("*_") || is_drawn("|:-") {
        return Line::Border;
    }
    if text.starts_with(":::") {
        return Line::Border;
    }
    if text.starts_with('|') {
        return Line::Row;
    }
    let level = text.len() - text.trim_start_matches('#').len();
    if (1..=6).contains(&level) && text[level..].starts_with(' ') {
        return Line::Heading;
    }
    let indent = line.len() - line.trim_start().len();
    let bullet = text.starts_with(['-', '*', '+', '>']);
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number = (1..10).contains(&digits) && text[digits..].starts_with(['.', ')']);
    let marker = if bullet { 1 } else { digits + 1 };
    if (bullet || number) && text[marker..].starts_with(' ') {
        return Line::Item(indent + marker + 1);
    }
    Line::Prose
}

struct Reader<'a> {
    text: &'a str,
    hidden: &'a [Range<usize>],
    units: Vec<Unit>,
    block: usize,
}

impl Reader<'_> {
    /// One line as one unit (or several, if it is very long).
    fn line(&mut self, range: Range<usize>, is_heading: bool) {
        if is_heading {
            self.block += 1;
        }
        for shown in self.shown(range) {
            self.push(shown, is_heading);
        }
        if is_heading {
            self.block += 1;
        }
    }

    /// A paragraph as its sentences.
    fn prose(&mut self, range: Range<usize>) {
        self.block += 1;
        for shown in self.shown(range) {
            let mut start = shown.start;
            for end in sentence_ends(&self.text[shown.clone()]) {
                self.push(start..shown.start + end, false);
                start = shown.start + end;
            }
            self.push(start..shown.end, false);
            self.block += 1;
        }
    }

    /// The parts of `range` outside comments.
    fn shown(&self, range: Range<usize>) -> Vec<Range<usize>> {
        let mut shown = Vec::new();
        let mut from = range.start;
        for comment in self.hidden {
            if comment.end > from && comment.start < range.end {
                shown.push(from..comment.start.max(from));
                from = comment.end.min(range.end);
            }
        }
        shown.push(from..range.end);
        shown
    }

    /// Trims, cuts what is too long, and leaves out what has no letter.
    fn push(&mut self, range: Range<usize>, is_heading: bool) {
        let text = &self.text[range.clone()];
        let mut start = range.start + (text.len() - text.trim_start().len());
        let end = range.start + text.trim_end().len();
        while start < end {
            let rest = &self.text[start..end];
            let length = fitting(rest);
            let piece = rest[..length].trim_end();
            if has_letter(piece) {
                let range = start..start + piece.len();
                self.units.push(Unit { range, block: self.block, is_heading });
            }
            let after = &rest[length..];
            start += length + (after.len() - after.trim_start().len());
        }
    }
}

/// How many bytes of a sentence fit into a quote: all of them, else up to the last space or
/// comma, else up to the last letter with its marks.
fn fitting(text: &str) -> usize {
    let limit = nth(text, LONGEST);
    if limit == text.len() {
        return limit;
    }
    let is_pause = |c: char| c.is_whitespace() || matches!(c, ',' | '，' | '、' | '；');
    let pause = text[..limit].char_indices().rev().find(|(_, c)| is_pause(*c));
    if let Some((at, c)) = pause {
        return at + c.len_utf8();
    }
    let letter =
        |(at, c): &(usize, char)| *at > 0 && *at <= limit && !is_combining_mark(*c);
    let start = nth(text, LONGEST + 1);
    text[..start].char_indices().rev().find(letter).map_or(limit, |(at, _)| at)
}

/// Where sentences end, except the last: after a stop and what closes behind it. A stop of
/// the scripts with spaces ends a sentence only before a space and not before a small letter
/// (`e.g. this`) nor after an initial (`J. Doe`).
fn sentence_ends(text: &str) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut chars = text.char_indices().peekable();
    let mut word = 0;
    while let Some((_, c)) = chars.next() {
        let is_full =
            matches!(c, '。' | '！' | '？' | '｡' | '।' | '॥' | '؟' | '۔' | '។' | '။');
        if !is_full && !matches!(c, '.' | '!' | '?' | '…') {
            word = if c.is_alphanumeric() { word + 1 } else { 0 };
            continue;
        }
        let is_initial = c == '.' && word == 1;
        word = 0;
        while chars.next_if(|(_, c)| is_closing(*c)).is_some() {}
        let Some((end, next)) = chars.peek().copied() else { break };
        let starts_small = || {
            let next = text[end..].trim_start().chars().next();
            next.is_none_or(char::is_lowercase)
        };
        if is_full || next.is_whitespace() && !is_initial && !starts_small() {
            ends.push(end);
        }
    }
    ends
}

/// Marks that belong to the sentence that ends before them.
fn is_closing(c: char) -> bool {
    ".!?\"')]*_`”’»」』）】》。！？…".contains(c)
}
