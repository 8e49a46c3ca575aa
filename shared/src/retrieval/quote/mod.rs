//! The words of a passage that answer: verbatim, and with their place in the page's source.

mod units;

use std::{cmp::Reverse, collections::HashSet, ops::Range};

use self::units::{Unit, units};
use super::{
    Passage,
    tokens::{Tokeniser, is_invisible},
};

/// No quote is longer, in code points: it is to be read at a glance.
pub const LONGEST: usize = 300;

/// A stretch of the page's source text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Equals `source[start..end]`.
    pub text: String,
    /// Where it starts in the page's source: code points, zero-based.
    pub start: u32,
    /// Where it ends, exclusive.
    pub end: u32,
    /// How many of the distinct words that were asked for are in it.
    pub shared: usize,
}

impl Passage {
    /// The sentences or lines that share the most distinct tokens with `words` (a question,
    /// the sentence of an answer, or both): at most [`LONGEST`] code points, the shortest of
    /// equals, the first of those. `None` when nothing is shared. A heading is quoted only
    /// when no other line shares anything. `tokeniser` is the book's.
    ///
    /// A passage of a foreign collection that knows no offsets (`end` is not after `start`)
    /// counts as its own source.
    pub fn quote(&self, words: &str, tokeniser: Tokeniser) -> Option<Quote> {
        let wanted: HashSet<_> = tokeniser.tokens(words).into_iter().collect();
        let units = self.units();
        let shared: Vec<HashSet<_>> = units
            .iter()
            .map(|unit| tokeniser.tokens(&self.text[unit.range.clone()]))
            .map(|tokens| tokens.into_iter().filter(|it| wanted.contains(it)).collect())
            .collect();
        let mut best = None;
        for (first, unit) in units.iter().enumerate() {
            let mut found = HashSet::new();
            for (last, shared) in units.iter().zip(&shared).skip(first) {
                let range = unit.range.start..last.range.end;
                let length = self.text[range.clone()].chars().count();
                if last.block != unit.block || length > LONGEST {
                    break;
                }
                found.extend(shared);
                let rank = (!unit.is_heading, found.len(), Reverse(length));
                if !found.is_empty() && best.as_ref().is_none_or(|(top, _)| rank > *top) {
                    best = Some((rank, range));
                }
            }
        }
        best.map(|((_, shared, _), range)| self.cite(range, shared))
    }

    /// The first sentence or line, for a reader whose words occur nowhere in the passage
    /// (another language, say). `None` when there is nothing to quote, whatever is asked: a
    /// rule, a comment, the border of a table, a picture without a word.
    pub fn opening(&self) -> Option<Quote> {
        let units = self.units();
        let first = units.iter().find(|unit| !unit.is_heading).or(units.first())?;
        Some(self.cite(first.range.clone(), 0))
    }

    /// Where words that a reader selected on the rendered page stand. Only letters and digits
    /// are compared: a browser's selection has other white space, and no Markdown.
    pub fn locate(&self, selected: &str) -> Option<Quote> {
        let shown = self.in_source();
        let wanted: String = selected.chars().filter(|c| c.is_alphanumeric()).collect();
        let places: Vec<(usize, char)> = self.text[shown.clone()]
            .char_indices()
            .filter(|(_, c)| c.is_alphanumeric())
            .map(|(at, c)| (shown.start + at, c))
            .collect();
        let letters: String = places.iter().map(|(_, c)| c).collect();
        let skipped = letters.find(&wanted).filter(|_| !wanted.is_empty())?;
        let first = letters[..skipped].chars().count();
        let (start, _) = places[first];
        let (last, c) = places[first + wanted.chars().count() - 1];
        Some(self.cite(start..last + c.len_utf8(), 0))
    }

    /// What can be quoted. The whole text is read, so that code behind a fence that was
    /// opened again is seen as code; then only what stands in the source is kept.
    fn units(&self) -> Vec<Unit> {
        let shown = self.in_source();
        let mut units = units(&self.text);
        units.retain_mut(|unit| {
            let (start, end) =
                (unit.range.start.max(shown.start), unit.range.end.min(shown.end));
            let text = self.text.get(start..end).unwrap_or_default();
            let start = start + (text.len() - text.trim_start().len());
            unit.range = start..start + text.trim().len();
            has_letter(text)
        });
        units
    }

    /// The part of the text that stands in the source.
    fn in_source(&self) -> Range<usize> {
        let from = nth(&self.text, self.lead as usize);
        match self.end.checked_sub(self.start) {
            Some(length) if length > 0 => {
                from..from + nth(&self.text[from..], length as usize)
            }
            _ => from..self.text.len(),
        }
    }

    fn cite(&self, range: Range<usize>, shared: usize) -> Quote {
        let before = &self.text[self.in_source().start..range.start];
        let start = self.start + before.chars().count() as u32;
        let text = self.text[range].to_owned();
        let end = start + text.chars().count() as u32;
        Quote { text, start, end, shared }
    }
}

/// Whether there is something to read. Hangul has letters that nobody sees.
fn has_letter(text: &str) -> bool {
    text.contains(|c: char| c.is_alphanumeric() && !is_invisible(c))
}

/// The byte where the code point number `n` starts, or the end.
fn nth(text: &str, n: usize) -> usize {
    text.char_indices().nth(n).map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests;
