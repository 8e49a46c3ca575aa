//! The words of a passage that answer: verbatim, and with their place in the page's source.

use std::{cmp::Reverse, collections::HashSet, ops::Range, sync::LazyLock};

use unicode_normalization::char::is_combining_mark;

use super::{
    Passage,
    passage::{comments, is_code},
    tokens::Tokeniser,
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

/// Words of a quote and of a question are compared within one language, whichever it is;
/// the English rules are as good as any there, and the passage does not know its own.
static TOKENISER: LazyLock<Tokeniser> = LazyLock::new(|| Tokeniser::new("eng"));

impl Passage {
    /// The sentences or lines that share the most distinct tokens with `words` (a question,
    /// the sentence of an answer, or both): at most [`LONGEST`] code points, the shortest of
    /// equals, the first of those. `None` when nothing is shared. A heading is quoted only
    /// when no other line shares anything.
    ///
    /// A passage of a foreign collection that knows no offsets (`end` is not after `start`)
    /// counts as its own source.
    pub fn quote(&self, words: &str) -> Option<Quote> {
        let wanted: HashSet<_> = TOKENISER.tokens(words).into_iter().collect();
        let units = self.units();
        let shared: Vec<HashSet<_>> = units
            .iter()
            .map(|unit| TOKENISER.tokens(&self.text[unit.range.clone()]))
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
    /// (another language, say). `None` when there is nothing to quote.
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
            text.contains(char::is_alphanumeric)
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

/// The byte where the code point number `n` starts, or the end.
fn nth(text: &str, n: usize) -> usize {
    text.char_indices().nth(n).map_or(text.len(), |(at, _)| at)
}

/// A sentence of prose, or a line of anything else.
struct Unit {
    range: Range<usize>,
    /// Neighbours of one block may be quoted together.
    block: usize,
    is_heading: bool,
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
fn units(text: &str) -> Vec<Unit> {
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
            if piece.contains(char::is_alphanumeric) {
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

fn is_closing(c: char) -> bool {
    matches!(
        c,
        '.' | '!'
            | '?'
            | '"'
            | '\''
            | ')'
            | ']'
            | '*'
            | '_'
            | '`'
            | '”'
            | '’'
            | '»'
            | '」'
            | '』'
            | '）'
            | '】'
            | '》'
            | '。'
            | '！'
            | '？'
            | '…'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    /// A passage that was cut out of `source`, with `lead` put before it.
    fn cut(source: &str, range: Range<usize>, lead: &str) -> Passage {
        let body: String = source.chars().skip(range.start).take(range.len()).collect();
        Passage {
            id: Uuid::nil(),
            path: "page.md".into(),
            anchor: String::new(),
            link: "page.html".into(),
            title: "Book > Page".into(),
            text: format!("{lead}{body}\n```"),
            source: "book".into(),
            start: range.start as u32,
            end: (range.start + body.chars().count()) as u32,
            lead: lead.chars().count() as u32,
        }
    }

    fn quoted(source: &str, words: &str) -> Option<String> {
        cut(source, 0..source.chars().count(), "").quote(words).map(|it| it.text)
    }

    #[test]
    fn the_sentence_that_shares_the_most_words_is_quoted() {
        let source = "# Moves\n\nA value has one owner. When it is moved, e.g. into a \
                      function,\nthe first variable is no longer valid! Copies stay.";
        assert_eq!(
            quoted(source, "Is the variable still valid after it moved?").unwrap(),
            "When it is moved, e.g. into a function,\nthe first variable is no longer valid!"
        );
        assert_eq!(
            quoted(source, "moves").unwrap(),
            "When it is moved, e.g. into a function,\nthe first variable is no longer valid!"
        );
        assert_eq!(quoted(source, "weather in Lima"), None);
    }

    #[test]
    fn offsets_count_code_points_of_the_source_behind_the_lead() {
        let source = "Überschrift 😀.\nEin Satz. Noch ein längerer Satz.";
        let passage = cut(source, 15..48, "# Kopf\n");
        let quote = passage.quote("längerer").unwrap();
        assert_eq!(
            quote,
            Quote {
                text: "Noch ein längerer Satz.".into(),
                start: 25,
                end: 48,
                shared: 1
            }
        );
        assert_eq!(passage.opening().unwrap().text, "Ein Satz.");
    }

    #[test]
    fn chinese_hindi_and_urdu_have_sentences_too() {
        let source = "所有权是核心概念。变量移动后不再有效。借用不移动。";
        assert_eq!(quoted(source, "移动后变量有效吗").unwrap(), "变量移动后不再有效。");
        let source = "यह पहला वाक्य है। स्वामित्व एक नियम है।";
        assert_eq!(quoted(source, "स्वामित्व").unwrap(), "स्वामित्व एक नियम है।");
        let source = "یہ پہلا جملہ ہے۔ ملکیت ایک اصول ہے۔";
        assert_eq!(quoted(source, "ملکیت").unwrap(), "ملکیت ایک اصول ہے۔");
    }

    #[test]
    fn lines_of_code_lists_and_tables_stand_for_themselves() {
        let source = "Run:\n\n```sh\ncargo build --release\ncargo bench\n```\n\n\
                      - first `make dev`\n- then `make test`\n\n| key | value |\n|---|---|\n| port | 3000 |\n";
        assert_eq!(quoted(source, "release").unwrap(), "cargo build --release");
        assert_eq!(quoted(source, "test").unwrap(), "then `make test`");
        assert_eq!(quoted(source, "port").unwrap(), "| port | 3000 |");
        assert_eq!(
            quoted(source, "sh"),
            None,
            "the name of a fence's language is no text"
        );
    }

    #[test]
    fn code_behind_a_fence_that_was_opened_again_is_quoted_by_lines() {
        let passage = cut("let a = 1;\nlet b = moved(a);", 0..28, "```rust\n");
        assert_eq!(passage.quote("moved").unwrap().text, "let b = moved(a);");
        assert_eq!(passage.quote("rust"), None);
    }

    #[test]
    fn two_sentences_are_quoted_when_both_are_needed() {
        let source = "Cats sleep. Moves invalidate. Borrows do not. Dogs bark.";
        assert_eq!(
            quoted(source, "moves borrows").unwrap(),
            "Moves invalidate. Borrows do not."
        );
    }

    #[test]
    fn a_selection_is_located_whatever_its_white_space_and_markup() {
        let source = "# Moves\n\nA **move** ends the\nfirst `variable`.\n";
        let passage = cut(source, 9..source.len(), "");
        let found = passage.locate("move ends  the first variable").unwrap();
        let from = source.chars().skip(found.start as usize);
        let text: String = from.take((found.end - found.start) as usize).collect();
        assert_eq!(text, "move** ends the\nfirst `variable");
        assert_eq!(text, found.text);
        assert_eq!(passage.locate("another book"), None);
        assert_eq!(passage.locate("—"), None);
    }

    #[test]
    fn a_comment_is_never_quoted() {
        let source = "Moves <!-- secret moves --> invalidate variables.";
        assert_eq!(quoted(source, "secret moves").unwrap(), "Moves");
    }

    #[test]
    fn a_passage_without_offsets_counts_as_its_own_source() {
        let mut passage = cut("One. Two moves.", 0..15, "");
        passage.text = "One. Two moves.".into();
        passage.end = 0;
        let quote = passage.quote("moves").unwrap();
        assert_eq!((quote.text.as_str(), quote.start, quote.end), ("Two moves.", 5, 15));
    }

    fn source() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[a-zA-Z]{1,9}",
            Just(" ".to_owned()),
            Just(". ".to_owned()),
            Just("\n".to_owned()),
            Just("\n\n".to_owned()),
            Just("```\n".to_owned()),
            Just("- ".to_owned()),
            Just("> ".to_owned()),
            Just("12. ".to_owned()),
            Just("| a |\n".to_owned()),
            Just("<!--".to_owned()),
            Just("-->".to_owned()),
            Just("所有权。变量".to_owned()),
            Just("x".repeat(400)),
            Just("é\u{301}".repeat(200)),
            Just("# Title\n".to_owned()),
            Just("😀".to_owned()),
            "\\PC{0,6}",
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn a_quote_equals_the_source_at_its_offsets(
            source in source(),
            (from, length) in (0_usize..60, 0_usize..900),
            lead in prop_oneof![Just(""), Just("```rust\n"), Just("é😀\n")],
            words in "([a-e]{1,3} |所有权|变量|x){0,5}",
        ) {
            let chars: Vec<char> = source.chars().collect();
            let from = from.min(chars.len());
            let until = (from + length).min(chars.len());
            prop_assume!(from < until);
            let passage = cut(&source, from..until, lead);
            for quote in passage.quote(&words).into_iter().chain(passage.opening()) {
                let slice: String =
                    chars[quote.start as usize..quote.end as usize].iter().collect();
                prop_assert_eq!(&slice, &quote.text);
                prop_assert!(quote.start >= passage.start && quote.end <= passage.end);
                prop_assert!(quote.text.chars().count() <= LONGEST);
                prop_assert_eq!(quote.text.trim(), quote.text.as_str());
            }
        }
    }
}
