//! What of a streamed Markdown text is certainly code.
//!
//! In code `v[9]` is no citation and an address is no link, so both are left alone there. A
//! text must not be able to pass for code that is none to the reader's renderer, so only what
//! every renderer agrees on counts: a fence that starts in the first column, and a code span
//! that is closed in the line in which it was opened.

use std::mem;

/// A longer span is none.
const LONGEST: usize = 2048;

/// A stretch of the text.
#[derive(Debug, PartialEq)]
pub(crate) enum Piece {
    /// To be looked at.
    Text(String),
    /// To be left alone.
    Code(String),
}

/// Cuts a text, as it comes, into what is code and what is not.
#[derive(Default)]
pub(crate) struct Scanner {
    state: State,
    /// What is not decided yet: the beginning of a line, or a span that is open.
    held: String,
    /// A span in this paragraph was not closed in its line, so where the next one begins is a
    /// matter of opinion.
    unsure: bool,
    before: Option<char>,
    out: Vec<Piece>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum State {
    /// At the first column, or in a run of backticks or tildes that began there.
    #[default]
    LineStart,
    Line,
    /// In the line that opens a fence of so many of this mark.
    FenceInfo(char, usize),
    /// At the start of a line in it, where the closing fence may stand.
    FenceLineStart(char, usize),
    FenceLine(char, usize),
    /// In the backticks that open a span.
    SpanOpening,
    /// After so many backticks, and after so many that may close it.
    Span(usize, usize),
}

impl Scanner {
    /// More of the text; returns what is decided.
    pub(crate) fn push(&mut self, text: &str) -> Vec<Piece> {
        text.chars().for_each(|c| self.take(c));
        mem::take(&mut self.out)
    }

    /// The text has ended; what is not closed was no code.
    pub(crate) fn finish(&mut self) -> Vec<Piece> {
        let held = mem::take(&mut self.held);
        match self.state {
            State::Span(open, closing) if open == closing => self.code(&held),
            State::FenceLineStart(..) | State::FenceLine(..) => self.code(&held),
            _ => self.text(&held),
        }
        (self.state, self.unsure) = (State::LineStart, false);
        mem::take(&mut self.out)
    }

    fn take(&mut self, c: char) {
        match self.state {
            State::LineStart => self.at_line_start(c),
            State::Line => self.in_line(c),
            State::FenceInfo(mark, n) => self.in_fence_info(c, mark, n),
            State::FenceLineStart(mark, n) => self.at_fence_line_start(c, mark, n),
            State::FenceLine(mark, n) => {
                self.code(c.encode_utf8(&mut [0; 4]));
                if c == '\n' {
                    self.state = State::FenceLineStart(mark, n);
                }
            }
            State::SpanOpening => {
                if c != '`' {
                    self.state = State::Span(self.held.len(), 0);
                }
                self.held.push(c);
                if c == '\n' {
                    self.give_up();
                }
            }
            State::Span(open, closing) => self.in_span(c, open, closing),
        }
    }

    fn at_line_start(&mut self, c: char) {
        let mark = self.held.chars().next();
        let is_run = matches!(c, '`' | '~') && mark.is_none_or(|it| it == c);
        match mark {
            _ if is_run => self.held.push(c),
            Some(mark) if self.held.len() >= 3 => {
                self.state = State::FenceInfo(mark, self.held.len());
                self.take(c);
            }
            _ => {
                if c == '\n' && mark.is_none() {
                    self.unsure = false;
                }
                self.again_as_line(c);
            }
        }
    }

    /// What was held at the start of the line is ordinary text, and so is `c` after it.
    fn again_as_line(&mut self, c: char) {
        self.state = State::Line;
        let held = mem::take(&mut self.held);
        held.chars().chain([c]).for_each(|c| self.take(c));
    }

    fn in_line(&mut self, c: char) {
        if c == '`' && !self.unsure && self.before != Some('\\') {
            self.held.push(c);
            self.state = State::SpanOpening;
            return;
        }
        self.text(c.encode_utf8(&mut [0; 4]));
        if c == '\n' {
            self.state = State::LineStart;
        }
    }

    fn in_fence_info(&mut self, c: char, mark: char, n: usize) {
        if c == '`' && mark == '`' {
            // Then it is a span that happens to start the line.
            return self.again_as_line(c);
        }
        self.held.push(c);
        if c == '\n' {
            let line = mem::take(&mut self.held);
            self.code(&line);
            self.state = State::FenceLineStart(mark, n);
        } else if self.held.len() > LONGEST {
            self.held.pop();
            self.again_as_line(c);
        }
    }

    fn at_fence_line_start(&mut self, c: char, mark: char, n: usize) {
        self.held.push(c);
        let line = self.held.trim_start_matches(' ');
        let run = line.len() - line.trim_start_matches(mark).len();
        let rest = line[run..].trim_matches([' ', '\t']);
        let closes = run >= n && self.held.len() - line.len() <= 3 && rest == "\n";
        let is_body = !rest.is_empty() || self.held.len() > LONGEST;
        if c == '\n' {
            let line = mem::take(&mut self.held);
            self.code(&line);
            if closes {
                (self.state, self.unsure) = (State::LineStart, false);
            }
        } else if is_body {
            let line = mem::take(&mut self.held);
            self.code(&line);
            self.state = State::FenceLine(mark, n);
        }
    }

    fn in_span(&mut self, c: char, open: usize, closing: usize) {
        if c == '`' {
            self.held.push(c);
            self.state = State::Span(open, closing + 1);
        } else if closing == open {
            let span = mem::take(&mut self.held);
            self.code(&span);
            self.state = State::Line;
            self.take(c);
        } else {
            self.held.push(c);
            self.state = State::Span(open, 0);
            if c == '\n' || self.held.len() > LONGEST {
                self.give_up();
            }
        }
    }

    /// The span is not closed in its line: nothing more counts as one in this paragraph.
    fn give_up(&mut self) {
        self.unsure = true;
        self.state = State::Line;
        let held = mem::take(&mut self.held);
        held.chars().for_each(|c| self.take(c));
    }

    fn text(&mut self, more: &str) {
        self.before = more.chars().next_back().or(self.before);
        match self.out.last_mut() {
            Some(Piece::Text(text)) => text.push_str(more),
            _ if more.is_empty() => {}
            _ => self.out.push(Piece::Text(more.to_owned())),
        }
    }

    fn code(&mut self, more: &str) {
        self.before = more.chars().next_back().or(self.before);
        match self.out.last_mut() {
            Some(Piece::Code(code)) => code.push_str(more),
            _ if more.is_empty() => {}
            _ => self.out.push(Piece::Code(more.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Piece, Scanner};

    /// The text with its code between `‹` and `›`.
    fn marked(text: &str) -> String {
        let mut scanner = Scanner::default();
        let mut pieces = scanner.push(text);
        pieces.extend(scanner.finish());
        let shown = |it: Piece| match it {
            Piece::Text(text) => text,
            Piece::Code(code) => format!("‹{code}›"),
        };
        pieces.into_iter().map(shown).collect::<String>().replace("›‹", "")
    }

    #[test]
    fn only_what_every_renderer_takes_for_code_is_code() {
        for (text, expected) in [
            ("a `b` c", "a ‹`b`› c"),
            ("``b ` c`` d", "‹``b ` c``› d"),
            ("`b` at the start", "‹`b`› at the start"),
            ("```rust\nlet a;\n```\nb", "‹```rust\nlet a;\n```\n›b"),
            ("~~~\na\n~~~~ \nb", "‹~~~\na\n~~~~ \n›b"),
            ("```\na\n``\n   ```\nb", "‹```\na\n``\n   ```\n›b"),
            ("an `open one", "an `open one"),
            ("an `open\none` and `two`", "an `open\none` and `two`"),
            ("an `open\n\na `span`", "an `open\n\na ‹`span`›"),
            (r"no \`span` here", r"no \`span` here"),
            ("    ```\nno fence\n", "    ```\nno fence\n"),
            ("- a\n  ```\nno fence", "- a\n  ```\nno fence"),
            ("``` a ``` b", "‹``` a ```› b"),
            ("`` ` `` ![x]", "‹`` ` ``› ![x]"),
        ] {
            assert_eq!(marked(text), expected, "{text}");
        }
    }
}
