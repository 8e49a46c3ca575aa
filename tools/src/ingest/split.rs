//! Cuts a section into passages: whole blocks, as many as fit, and never an open fence.
//!
//! A passage is one unbroken stretch of the source. Where a long block of code or a long
//! table is cut, the stretch gets a *lead* (the fence opened again, the header repeated) and
//! a *tail* (the fence closed), which are the only characters that are not in the source.

use std::ops::Range;

use super::{
    cut::{self, Grain},
    markdown::{Block, Fence, Kind, line_start},
    position::Positions,
};

/// The longest passage in code points, lead and tail included: about 400 tokens of English.
/// At this size span recall was best for the context it costs, on five long texts.
pub const LIMIT: usize = 1600;

/// A passage under this many code points says too little to be found alone.
pub const SMALL: usize = 200;

/// A lead that would fill more of a passage than this is not worth repeating.
const LONGEST_LEAD: usize = 400;

/// One passage to be: a stretch of the source between a lead and a tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What is repeated before it.
    pub lead: String,
    /// Its bytes in the source.
    pub range: Range<usize>,
    /// What is added behind it.
    pub tail: String,
    /// Nothing may follow in the same passage: the source forgot to close a fence.
    is_last: bool,
}

impl Piece {
    /// What readers and models see.
    pub fn text(&self, source: &str) -> String {
        [&self.lead, &source[self.range.clone()], &self.tail].concat()
    }
}

/// The passages of one section, in order.
pub fn pieces(source: &str, blocks: &[Block], at: &Positions<'_>) -> Vec<Piece> {
    let mut splitter = Splitter { source, at, done: Vec::new() };
    for block in blocks {
        splitter.add(block);
    }
    for piece in &mut splitter.done {
        close_fence(source, piece);
    }
    splitter.done
}

struct Splitter<'a> {
    source: &'a str,
    at: &'a Positions<'a>,
    done: Vec<Piece>,
}

impl Splitter<'_> {
    fn add(&mut self, block: &Block) {
        let Some(whole) = self.trimmed(block.range.clone()) else { return };
        let has_open_fence = block.has_open_fence();
        if !has_open_fence {
            if self.joins(&whole) {
                return self.push(whole);
            }
            // Better to cut a text in two than to leave its introduction alone; code and
            // tables stay whole while they can.
            let is_flowing = matches!(block.kind, Kind::Prose | Kind::Container);
            let introduced = is_flowing && self.room() < LIMIT;
            if self.size(&whole) <= LIMIT && !introduced {
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

    /// Sentences, as many as fit.
    fn add_prose(&mut self, range: Range<usize>) {
        // Cutting may bring backticks to the start of a line, where they open a fence.
        let text = &self.source[range.clone()];
        let has_marks = text.contains("```") || text.contains("~~~");
        let reserve = if has_marks { 16 } else { 0 };
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
            ..Frame::default()
        };
        self.add_lines(block, &frame);
    }

    /// Rows of a table; the header is repeated before each further piece.
    fn add_table(&mut self, block: &Block, header: &str) {
        self.add_lines(block, &Frame { lead: header.to_owned(), ..Frame::default() });
    }

    fn add_lines(&mut self, block: &Block, frame: &Frame<'_>) {
        let opening = self.first_lines(&block.range, frame.lead.lines().count());
        if frame.size() > LONGEST_LEAD || opening > LONGEST_LEAD {
            return self.add_prose(block.range.clone());
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
                if line_start(source, piece.range.start) < piece.range.start {
                    piece.lead.push_str(frame.margin);
                }
            }
            self.push(piece);
        }
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
            last.tail = piece.tail;
            last.is_last = piece.is_last;
        } else {
            self.done.push(piece);
        }
    }

    /// Whether `piece` fits into the passage before it.
    fn joins(&self, piece: &Piece) -> bool {
        self.done.last().is_some_and(|last| {
            let range = last.range.start..piece.range.end;
            let size = count(&last.lead) + self.length(&range) + count(&piece.tail);
            !last.is_last && size <= LIMIT
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
        let line = line_start(self.source, first);
        let start = if line < range.start { first } else { line };
        let range = start..range.start + text.trim_end().len();
        Some(Piece { lead: String::new(), range, tail: String::new(), is_last: false })
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

/// A text that was cut in the middle may read as if it opened a fence; then it is closed.
fn close_fence(source: &str, piece: &mut Piece) {
    let text = piece.text(source);
    if !text.contains("```") && !text.contains("~~~") {
        return;
    }
    let last = super::markdown::blocks(&text, 0).into_iter().next_back();
    if let Some(Fence { margin, marks, .. }) = last.as_ref().and_then(open_fence) {
        piece.tail.push_str(&format!("\n{margin}{marks}"));
    }
}

/// The open fence with which a block ends.
fn open_fence(block: &Block) -> Option<&Fence> {
    match &block.kind {
        Kind::Fence(fence) if !fence.is_closed => Some(fence),
        _ => block.children.last().and_then(open_fence),
    }
}
