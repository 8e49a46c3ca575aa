//! Cuts a section into passages: whole blocks, as many as fit, and never an open fence.
//!
//! A passage is one unbroken stretch of the source. Where a long block of code or a long
//! table is cut, the stretch gets a *lead* (the fence opened again, the header repeated) and
//! a *tail* (the fence closed), which are the only characters that are not in the source.
//!
//! A comment is left in a passage that holds the whole of it, where whoever shows or indexes
//! the passage knows it for one; any other comment is in no passage.

use std::ops::Range;

use shared::retrieval::passage;

use super::{
    cut::{self, Grain},
    markdown::{Block, Fence, Kind, begins_line},
    position::Positions,
};

/// The longest passage in code points, lead and tail included: about 400 tokens of English.
/// At this size span recall was best for the context it costs, on five long texts.
pub(super) const LIMIT: usize = 1600;

/// A passage under this many code points says too little to be found alone.
pub(super) const SMALL: usize = 200;

/// A lead that would fill more of a passage than this is not worth repeating.
const LONGEST_LEAD: usize = 400;

/// The same for the line that opens a fence and is not repeated whole.
const LONGEST_OPENING: usize = 900;

/// One passage to be: a stretch of the source between a lead and a tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// What is repeated before it.
    pub lead: String,
    /// Its bytes in the source.
    pub range: Range<usize>,
    /// What is added behind it.
    pub tail: String,
    /// Nothing may follow in the same passage: the source forgot to close a fence.
    is_last: bool,
    /// Code points to keep free for [`close_fence`].
    reserve: usize,
    /// Where its last block begins, if there is one before it.
    joint: Option<usize>,
}

impl Piece {
    /// What readers and models see.
    pub(super) fn text(&self, source: &str) -> String {
        [&self.lead, &source[self.range.clone()], &self.tail].concat()
    }
}

/// The passages of one section, in order. `hidden` are the page's comments, in order.
pub(super) fn pieces(
    source: &str,
    blocks: &[Block],
    hidden: &[Range<usize>],
    at: &Positions<'_>,
) -> Vec<Piece> {
    let mut splitter = Splitter { source, at, done: Vec::new() };
    for block in blocks {
        splitter.add(block);
    }
    splitter.even_out();
    let has_gaps = blocks.iter().any(|it| it.kind == Kind::Repeat);
    if has_gaps {
        // What is left of the section may be its name alone, which its breadcrumb says too.
        let says = |it: &Block| !matches!(it.kind, Kind::Heading { .. } | Kind::Hidden);
        splitter.done.retain(|piece| {
            let first = blocks.partition_point(|it| it.range.end <= piece.range.start);
            let inside = |it: &&Block| it.range.start < piece.range.end;
            blocks[first..].iter().take_while(inside).any(says)
        });
    }
    let whole = std::mem::take(&mut splitter.done);
    let mut pieces: Vec<_> =
        whole.into_iter().flat_map(|it| splitter.without_comments(it, hidden)).collect();
    for piece in pieces.iter_mut().filter(|it| it.reserve > 0) {
        close_fence(source, piece);
    }
    pieces
}

struct Splitter<'a> {
    source: &'a str,
    at: &'a Positions<'a>,
    done: Vec<Piece>,
}

impl Splitter<'_> {
    fn add(&mut self, block: &Block) {
        if matches!(block.kind, Kind::Definitions | Kind::Repeat) {
            return self.leave_out(block.kind == Kind::Definitions);
        }
        let Some(mut whole) = self.trimmed(block.range.clone()) else { return };
        if holds_fence(block) && !quote_marks(self.source, whole.range.start).is_empty() {
            // Its first line has lost the marks that its other lines have.
            whole.reserve = FENCE;
        }
        let has_open_fence = block.has_open_fence();
        if !has_open_fence {
            if self.joins(&whole) {
                return self.push(whole);
            }
            // Better to cut a text in two than to leave its introduction alone; code and
            // tables stay whole while they can.
            let is_flowing = matches!(block.kind, Kind::Prose | Kind::Container);
            let introduced = is_flowing && self.room() < LIMIT;
            if self.size(&whole) + whole.reserve <= LIMIT && !introduced {
                return self.push(whole);
            }
        }
        match &block.kind {
            Kind::Container if !block.children.is_empty() => {
                block.children.iter().for_each(|child| self.add(child));
            }
            Kind::Fence(fence) => self.add_code(block, fence),
            Kind::Table(header) => self.add_table(block, header),
            _ => self.add_prose(block.range.clone()),
        }
    }

    /// Nothing of the block is in a passage, unless a passage would be very small without
    /// what stands on both sides and nobody minds.
    fn leave_out(&mut self, is_harmless: bool) {
        let limit = if is_harmless { SMALL } else { 0 };
        let size = self.done.last().map_or(0, |it| self.size(it));
        if let Some(last) = self.done.last_mut().filter(|_| size >= limit) {
            last.is_last = true;
        }
    }

    /// Sentences, as many as fit.
    fn add_prose(&mut self, range: Range<usize>) {
        let reserve = self.reserve(&range);
        self.add_cut(range, Grain::Prose, &Frame { reserve, ..Frame::default() });
    }

    /// Lines of code; the fence is closed behind each piece and opened again before the next.
    fn add_code(&mut self, block: &Block, fence: &Fence) {
        let Fence { margin, marks, info, is_closed } = fence;
        let word = info.split_whitespace().next().unwrap_or_default();
        let tag = [info, word, ""].into_iter().find(|it| it.len() <= 100).unwrap_or("");
        let frame = Frame {
            lead: format!("{margin}{marks}{tag}\n"),
            margin,
            tail: format!("\n{margin}{marks}"),
            is_open: !is_closed,
            // Without its list, a closing line may stand too far in to close.
            reserve: if margin.is_empty() { 0 } else { FENCE },
        };
        self.add_lines(block, &frame);
    }

    /// Rows of a table; the header is repeated before each further piece.
    fn add_table(&mut self, block: &Block, header: &str) {
        let reserve = self.reserve(&block.range);
        let lead = header.to_owned();
        self.add_lines(block, &Frame { lead, reserve, ..Frame::default() });
    }

    /// Cutting a sentence or a row may bring backticks to the start of a line, where they
    /// open a fence: room to close it.
    fn reserve(&self, range: &Range<usize>) -> usize {
        let text = &self.source[range.clone()];
        if text.contains("```") || text.contains("~~~") { 16 } else { 0 }
    }

    fn add_lines(&mut self, block: &Block, frame: &Frame<'_>) {
        let opening = self.first_lines(&block.range, frame.lead.lines().count());
        // Only the first piece has the opening; whoever opens a fence names it in a word.
        let longest = if frame.tail.is_empty() { LONGEST_LEAD } else { LONGEST_OPENING };
        if frame.size() > LONGEST_LEAD || opening > longest {
            self.add_prose(block.range.clone());
            if let Some(piece) = self.done.last_mut() {
                // What is left of its marks must not reach into the next block.
                piece.is_last = true;
            }
            return;
        }
        self.add_cut(block.range.clone(), Grain::Lines, frame);
    }

    /// Cuts `range` into pieces that fit with their frame. The first piece needs no lead and
    /// joins a small passage before it; the last one is not left with a scrap.
    fn add_cut(&mut self, range: Range<usize>, grain: Grain, frame: &Frame<'_>) {
        let source = self.source;
        let mut start = range.start;
        while let Some(mut piece) = self.trimmed(start..range.end) {
            let is_first = start == range.start;
            // The opening line, or the header, is never cut from what it opens.
            let lines = if is_first { frame.lead.lines().count() } else { 0 };
            let opening = self.first_lines(&piece.range, lines);
            let room = if is_first { self.room() } else { LIMIT } - frame.size();
            let left = self.size(&piece);
            if left > room {
                let room = if left - room < SMALL { left - SMALL } else { room };
                let rest = piece.range.clone();
                let from = rest.start + byte_at(&source[rest.clone()], opening);
                let cut = from + cut::at(&source[from..rest.end], room - opening, grain);
                piece = self.trimmed(start..cut).unwrap_or(piece);
                if grain == Grain::Prose {
                    self.keep_blank(&mut piece, room);
                }
                frame.tail.clone_into(&mut piece.tail);
                start = cut;
            } else {
                start = range.end;
                if frame.is_open {
                    frame.tail.clone_into(&mut piece.tail);
                    piece.is_last = true;
                }
            }
            if !is_first {
                frame.lead.clone_into(&mut piece.lead);
                if !begins_line(source, piece.range.start) {
                    piece.lead.push_str(frame.margin);
                }
            }
            piece.reserve = frame.reserve;
            self.push(piece);
        }
    }

    /// Keeps the blanks between two sentences of one line, if there is room for them: where a
    /// cut is no border of the text, what two neighbours hold together is the whole of it,
    /// and a quotation that spans the cut is found.
    fn keep_blank(&self, piece: &mut Piece, room: usize) {
        let rest = &self.source[piece.range.end..];
        let blank = &rest[..rest.len() - rest.trim_start().len()];
        let inside_line = !blank.is_empty() && !blank.contains(['\n', '\r']);
        if inside_line && self.size(piece) + count(blank) <= room {
            piece.range.end += blank.len();
        }
    }

    /// Gives a scrap at the end of the section the last block of the piece before it.
    fn even_out(&mut self) {
        let [.., before, last] = self.done.as_slice() else { return };
        let Some(joint) = before.joint else { return };
        if before.is_last
            || self.size(last) >= SMALL
            || !before.tail.is_empty()
            || !last.lead.is_empty()
        {
            return;
        }
        let Some(kept) = self.trimmed(before.range.start..joint) else { return };
        let moved = self.length(&(joint..last.range.end)) + count(&last.tail);
        let reserve = before.reserve.max(last.reserve);
        if self.size(&kept) >= SMALL
            && moved + reserve <= LIMIT
            && let [.., before, last] = self.done.as_mut_slice()
        {
            before.range.end = kept.range.end;
            (last.range.start, last.reserve) = (joint, reserve);
        }
    }

    /// `piece` as it is if its own text tells which part of it is a comment, else what stands
    /// around the comments that it does not tell. Nothing if it says nothing else.
    fn without_comments(&self, piece: Piece, hidden: &[Range<usize>]) -> Vec<Piece> {
        let Range { start, end } = piece.range;
        let first = hidden.partition_point(|it| it.end <= start);
        let inside = hidden[first..].iter().take_while(|it| it.start < end).cloned();
        let mut inside: Vec<_> = inside.collect();
        if inside.is_empty() {
            return vec![piece];
        }
        if self.around(&piece.range, &inside).is_empty() {
            return Vec::new();
        }
        let told = passage::comments(&piece.text(self.source));
        inside.retain(|it| {
            let is_told = it.start >= start && it.end <= end && {
                let from = it.start - start + piece.lead.len();
                let to = from + it.len();
                told.iter().any(|told| told.start <= from && to <= told.end)
            };
            !is_told
        });
        if inside.is_empty() {
            return vec![piece];
        }
        let mut parts = self.around(&piece.range, &inside);
        for part in &mut parts {
            // Without what stood around it, it may read as if it opened a fence.
            part.reserve = 1;
            if part.range.start == start {
                part.lead.clone_from(&piece.lead);
            }
            if part.range.end == end {
                part.tail.clone_from(&piece.tail);
            }
        }
        // A part may tell less than the whole did.
        parts.into_iter().flat_map(|it| self.without_comments(it, hidden)).collect()
    }

    /// What `range` says around the `cuts`.
    fn around(&self, range: &Range<usize>, cuts: &[Range<usize>]) -> Vec<Piece> {
        let inside = |at: usize| at.clamp(range.start, range.end);
        let starts =
            [range.start].into_iter().chain(cuts.iter().map(|it| inside(it.end)));
        let ends = cuts.iter().map(|it| inside(it.start)).chain([range.end]);
        starts
            .zip(ends)
            .filter_map(|(start, end)| self.trimmed(start..end))
            .filter(|it| self.source[it.range.clone()].contains(char::is_alphanumeric))
            .collect()
    }

    /// Code points that a piece which comes next may have, so that it joins a small passage.
    fn room(&self) -> usize {
        match self.done.last() {
            Some(last) if !last.is_last && self.size(last) < SMALL => {
                // Blank lines between the two count as well: a handful at most is expected.
                LIMIT - self.size(last) - 8
            }
            _ => LIMIT,
        }
    }

    fn push(&mut self, piece: Piece) {
        if self.joins(&piece) {
            let last = self.done.last_mut().expect("what is joined is there");
            last.range.end = piece.range.end;
            // Between two pieces of one fence there is no border of blocks.
            last.joint = piece.lead.is_empty().then_some(piece.range.start);
            last.tail = piece.tail;
            last.is_last = piece.is_last;
            last.reserve = last.reserve.max(piece.reserve);
        } else {
            self.done.push(piece);
        }
    }

    /// Whether `piece` fits into the passage before it.
    fn joins(&self, piece: &Piece) -> bool {
        self.done.last().is_some_and(|last| {
            let range = last.range.start..piece.range.end;
            let size = count(&last.lead) + self.length(&range) + count(&piece.tail);
            !last.is_last && size + last.reserve.max(piece.reserve) <= LIMIT
        })
    }

    fn size(&self, piece: &Piece) -> usize {
        count(&piece.lead) + self.length(&piece.range) + count(&piece.tail)
    }

    fn length(&self, range: &Range<usize>) -> usize {
        self.at.at(range.end) - self.at.at(range.start)
    }

    /// Code points of the first lines of `range`, with their ends.
    fn first_lines(&self, range: &Range<usize>, lines: usize) -> usize {
        let lines = self.source[range.clone()].split_inclusive('\n').take(lines);
        lines.map(count).sum()
    }

    /// `range` without blank lines at its start and blanks at its end; `None` if that is all.
    fn trimmed(&self, range: Range<usize>) -> Option<Piece> {
        let text = &self.source[range.clone()];
        let first = range.start + text.find(|c: char| !c.is_whitespace())?;
        // Indentation stays, but not the space after a sentence where the text was cut.
        let start = match self.source[range.start..first].rfind('\n') {
            Some(newline) => range.start + newline + 1,
            None if begins_line(self.source, range.start) => range.start,
            None => first,
        };
        let range = start..range.start + text.trim_end().len();
        Some(Piece {
            lead: String::new(),
            range,
            tail: String::new(),
            is_last: false,
            reserve: 0,
            joint: None,
        })
    }
}

/// What surrounds the pieces of a block that is cut.
#[derive(Default)]
struct Frame<'a> {
    /// What each piece but the first begins with.
    lead: String,
    /// What follows the lead where a piece begins inside a line.
    margin: &'a str,
    /// What each piece but the last ends with.
    tail: String,
    /// The last one ends with it too, because the source forgot it.
    is_open: bool,
    /// Code points to keep free.
    reserve: usize,
}

impl Frame<'_> {
    /// The code points that it may take from a piece.
    fn size(&self) -> usize {
        count(&self.lead) + count(self.margin) + count(&self.tail) + self.reserve
    }
}

fn count(text: &str) -> usize {
    text.chars().count()
}

fn byte_at(text: &str, code_points: usize) -> usize {
    text.char_indices().nth(code_points).map_or(text.len(), |(at, _)| at)
}

/// Room for what a fence may need around a piece, in code points.
const FENCE: usize = 16;

/// The marks of a quotation before the middle of a line; empty if there is anything else.
fn quote_marks(source: &str, at: usize) -> &str {
    let line = source[..at].rfind('\n').map_or(0, |it| it + 1);
    let marks = &source[line..at];
    let is_mark = marks.contains('>') && marks.chars().all(|c| c == '>' || c == ' ');
    if is_mark { marks } else { "" }
}

fn holds_fence(block: &Block) -> bool {
    matches!(block.kind, Kind::Fence(_)) || block.children.iter().any(holds_fence)
}

/// A text that was cut in the middle may read as if it opened a fence; then it is closed. One
/// that begins behind the marks of a quotation may open one in its first line, which the marks of
/// the next lines would end; then it gets them back.
fn close_fence(source: &str, piece: &mut Piece) {
    let mut text = piece.text(source);
    if !text.contains("```") && !text.contains("~~~") {
        return;
    }
    let mut blocks = super::markdown::blocks(&text, 0);
    let marks = quote_marks(source, piece.range.start);
    let is_broken = blocks.len() > 1 && blocks.first().and_then(open_fence).is_some();
    if is_broken && piece.lead.is_empty() && count(&text) + count(marks) <= LIMIT {
        marks.clone_into(&mut piece.lead);
        text = piece.text(source);
        blocks = super::markdown::blocks(&text, 0);
    }
    if let Some(Fence { margin, marks, .. }) = blocks.last().and_then(open_fence) {
        piece.tail.extend(["\n", margin.as_str(), marks.as_str()]);
    }
}

/// The open fence with which a block ends.
fn open_fence(block: &Block) -> Option<&Fence> {
    match &block.kind {
        Kind::Fence(fence) if !fence.is_closed => Some(fence),
        _ => block.children.last().and_then(open_fence),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::markdown;

    fn split(source: &str) -> Vec<String> {
        let at = Positions::new(source);
        let hidden = markdown::comments(source, 0);
        let pieces = pieces(source, &markdown::blocks(source, 0), &hidden, &at);
        pieces.iter().map(|it| it.text(source)).collect()
    }

    fn sentences(count: usize) -> String {
        each(count, |n| format!("Sentence number {} says little. ", n + 1))
    }

    fn each(count: usize, line: impl Fn(usize) -> String) -> String {
        (0..count).map(line).collect()
    }

    #[test]
    fn whole_blocks_are_put_together_up_to_the_limit() {
        let (a, b, c) = (sentences(20), sentences(21), sentences(22));
        let parts = split(&format!("{a}\n\n{b}\n\n{c}"));
        assert_eq!(parts, [format!("{a}\n\n{}", b.trim_end()), c.trim_end().to_owned()]);
    }

    #[test]
    fn a_cut_between_two_sentences_of_one_line_loses_no_character() {
        let line = sentences(80);
        let parts = split(&line);
        assert!(parts.len() > 1 && parts.iter().all(|it| count(it) <= LIMIT));
        assert_eq!(parts.concat(), line.trim_end());
    }

    #[test]
    fn a_long_fence_is_closed_and_opened_again() {
        let code: String = each(150, |n| format!("# let x{n} = {n};\n"));
        let parts = split(&format!("Look:\n\n```rust,ignore\n{code}```\n\nSeen."));
        assert_eq!(parts.len(), 2);
        assert!(parts[0].starts_with("Look:\n\n```rust,ignore\n# let x0 = 0;"));
        assert!(parts[0].ends_with(";\n```"), "{}", parts[0]);
        assert!(parts[1].starts_with("```rust,ignore\n# let x"), "{}", parts[1]);
        assert!(parts[1].ends_with("\n```\n\nSeen."));
    }

    #[test]
    fn a_fence_in_a_quotation_keeps_its_margin() {
        let code: String = each(150, |n| format!("> let x{n} = {n};\n"));
        let parts = split(&format!("> ~~~~ js\n{code}> ~~~~\n"));
        assert!(parts[0].ends_with(";\n> ~~~~"), "{}", parts[0]);
        assert!(parts[1].starts_with("> ~~~~js\n> let x"), "{}", parts[1]);
    }

    #[test]
    fn a_fence_in_a_list_in_a_quotation_that_is_cut_keeps_its_marks() {
        let (words, code) = ("x".repeat(1200), "y".repeat(600));
        let list = format!("> 1. ~~~~\n>    {code}\n>    ~~~\n>    more\n>    ~~~~");
        let pieces = split(&format!("> - {words}\n>\n{list}\n"));
        assert_eq!(pieces.last(), Some(&list));
    }

    #[test]
    fn a_fence_that_nobody_closed_ends_its_passage() {
        let parts = split("- one\n\n  ```\n  code\n- two\n\n```\nmore");
        assert_eq!(parts, ["- one\n\n  ```\n  code\n  ```", "- two\n\n```\nmore\n```"]);
    }

    #[test]
    fn a_fence_that_fits_is_never_cut() {
        let code = "x".repeat(1500);
        let parts = split(&format!("Short.\n\n{}\n\n```\n{code}\n```", sentences(4)));
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[1], format!("```\n{code}\n```"));
    }

    #[test]
    fn a_fence_may_have_a_long_first_line() {
        let code: String = each(150, |n| format!("let x{n} = {n};\n"));
        let info = "title=\"x\" ".repeat(60);
        let parts = split(&format!("```rust {info}\n{code}```\n"));
        assert!(parts.len() > 1);
        assert!(parts[0].starts_with("```rust title") && parts[0].ends_with(";\n```"));
        assert!(parts[1].starts_with("```rust\nlet x"), "{}", parts[1]);
    }

    #[test]
    fn definitions_of_links_are_no_text() {
        let text = sentences(10);
        let parts =
            split(&format!("[z]: http://z\n\n{text}\n\n[a]: http://a\n[b]: http://b\n"));
        assert_eq!(parts, [text.trim_end()]);
        let parts = split(&format!("{text}\n\n[a]: http://a\n\nMore.\n"));
        assert_eq!(parts, [text.trim_end(), "More."]);
    }

    #[test]
    fn a_long_table_repeats_its_header() {
        let rows: String = each(120, |n| format!("| row {n} | {n} |\n"));
        let parts = split(&format!("| name | n |\n|:-----|--:|\n{rows}\nAfter."));
        assert_eq!(parts.len(), 2);
        for part in &parts {
            assert!(part.starts_with("| name | n |\n|:-----|--:|\n| row "), "{part}");
        }
        assert!(parts[1].ends_with("| row 119 | 119 |\n\nAfter."));
    }

    #[test]
    fn a_long_list_is_cut_between_its_items() {
        let items: String =
            each(60, |n| format!("{n}. item {n}\n   with two lines here\n"));
        let parts = split(&items);
        assert_eq!(parts.len(), 2);
        assert!(parts[0].ends_with("lines here"), "{}", parts[0]);
        let (number, _) = parts[1].split_once(". item").unwrap();
        assert!(number.parse::<u32>().is_ok(), "{}", parts[1]);
    }

    #[test]
    fn no_scrap_is_left_at_the_end() {
        let parts = split(&sentences(55));
        assert!(parts.iter().all(|it| count(it) >= SMALL), "{parts:?}");
        let (a, b) = (sentences(32), sentences(17));
        let scrap = "A scrap that is too long to be added to what stands before it.";
        let parts = split(&format!("{a}\n\n{b}\n\n{scrap}"));
        assert_eq!(parts[0], a.trim_end());
        assert_eq!(parts[1], format!("{b}\n\n{scrap}"));
    }

    #[test]
    fn an_introduction_stays_with_a_list_that_is_too_long() {
        let items: String = each(40, |n| format!("- item {n} {}\n", "x".repeat(30)));
        let parts = split(&format!("These are the items:\n\n{items}"));
        assert!(parts[0].starts_with("These are the items:\n\n- item 0"), "{}", parts[0]);
    }
}
