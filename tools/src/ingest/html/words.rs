//! Running text on its way to Markdown: blanks are joined, and what looks like Markdown is
//! escaped so that it stays text.

use shared::retrieval::tokens::is_invisible;

/// A stretch of text, of code, or the end of a line.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Code(String),
    Break,
}

/// The words of one block.
#[derive(Debug, Default)]
pub(super) struct Words {
    pieces: Vec<Piece>,
    /// Blanks were read, and a word may follow.
    has_gap: bool,
}

/// Where the words will stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In a block of their own, on one or more lines.
    Block,
    /// On the line of a heading.
    Heading,
    /// In a cell of a table.
    Cell,
}

impl Words {
    /// Whether nothing but blanks was read.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.iter().all(|piece| *piece == Piece::Break)
    }

    /// Adds text as it stands in the page.
    pub(super) fn push(&mut self, text: &str, is_code: bool) {
        for c in text.chars() {
            if c.is_whitespace() {
                self.has_gap = true;
            } else if is_seen(c) && !c.is_control() {
                self.letter(c, is_code);
            }
        }
    }

    /// A word ends here, whether or not there is a blank.
    pub(super) fn gap(&mut self) {
        self.has_gap = true;
    }

    /// A line ends here.
    pub(super) fn line_break(&mut self) {
        self.has_gap = false;
        if !self.is_empty() {
            self.pieces.push(Piece::Break);
        }
    }

    fn letter(&mut self, c: char, is_code: bool) {
        let has_gap = std::mem::take(&mut self.has_gap);
        match (self.pieces.last_mut(), is_code) {
            (Some(Piece::Text(text)), false) | (Some(Piece::Code(text)), true) => {
                if has_gap {
                    text.push(' ');
                }
                text.push(c);
            }
            (Some(Piece::Text(text)), true) => {
                if has_gap {
                    text.push(' ');
                }
                self.pieces.push(Piece::Code(c.to_string()));
            }
            (Some(Piece::Code(_)), false) if has_gap => {
                self.pieces.push(Piece::Text(format!(" {c}")));
            }
            (_, true) => self.pieces.push(Piece::Code(c.to_string())),
            (_, false) => self.pieces.push(Piece::Text(c.to_string())),
        }
    }

    /// The Markdown of all words, and an empty list again.
    pub(super) fn take(&mut self, place: Place) -> String {
        self.has_gap = false;
        while self.pieces.last() == Some(&Piece::Break) {
            self.pieces.pop();
        }
        let pieces = std::mem::take(&mut self.pieces);
        let mut lines = vec![String::new()];
        for (at, piece) in pieces.iter().enumerate() {
            let line = lines.last_mut().expect("there is always a line");
            match piece {
                Piece::Text(text) => {
                    let after = if matches!(pieces.get(at + 1), None | Some(Piece::Break))
                    {
                        ' '
                    } else {
                        '`'
                    };
                    escape(text, after, place, line);
                }
                Piece::Code(code) => write_code(code, place, line),
                Piece::Break if place == Place::Block => lines.push(String::new()),
                Piece::Break => line.push(' '),
            }
        }
        if place == Place::Block {
            lines.iter().map(|line| guarded(line.trim())).collect::<Vec<_>>().join("\n")
        } else {
            lines.concat().trim().to_owned()
        }
    }
}

/// Whether a character is part of what a reader sees. Letters of several scripts and emoji
/// are spelt with some that take no room themselves.
pub(super) fn is_seen(c: char) -> bool {
    !is_invisible(c) || matches!(c, '\u{200C}' | '\u{200D}' | '\u{FE0E}' | '\u{FE0F}')
}

/// Appends `text`; `after` stands for what follows it.
fn escape(text: &str, after: char, place: Place, out: &mut String) {
    let letters: Vec<char> = text.chars().collect();
    let mut before = out.chars().next_back().unwrap_or(' ');
    let mut at = 0;
    while at < letters.len() {
        let c = letters[at];
        let run = letters[at..].iter().take_while(|it| **it == c).count();
        let next = letters.get(at + 1).copied().unwrap_or(after);
        let behind = letters.get(at + run).copied().unwrap_or(after);
        let is_apart = before.is_whitespace() && behind.is_whitespace();
        let needs = match c {
            '\\' => next.is_ascii_punctuation() || at + 1 == letters.len(),
            '`' => true,
            '*' | '~' => !is_apart,
            '_' => !(is_apart || before.is_alphanumeric() && behind.is_alphanumeric()),
            '[' => next == '^',
            ']' => matches!(next, '(' | '['),
            '<' => next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?' | '`'),
            '&' => begins_entity(&letters[at + 1..]),
            '|' => place == Place::Cell,
            '{' | '}' => place == Place::Heading,
            '#' => place == Place::Heading && before.is_whitespace(),
            _ => false,
        };
        // A run is escaped whole or not at all; other marks are looked at one by one.
        let run = if matches!(c, '*' | '_' | '~') { run } else { 1 };
        for _ in 0..run {
            if needs {
                out.push('\\');
            }
            out.push(c);
        }
        before = c;
        at += run;
    }
}

/// Entities have at most 31 letters.
fn begins_entity(letters: &[char]) -> bool {
    let name = letters.iter().take_while(|c| c.is_ascii_alphanumeric() || **c == '#');
    let len = name.take(33).count();
    len > 0 && letters.get(len) == Some(&';')
}

/// Code between more backticks than it has in a row.
fn write_code(code: &str, place: Place, out: &mut String) {
    let marks = "`".repeat(longest_run(code, '`') + 1);
    let pad = if code.starts_with('`') || code.ends_with('`') { " " } else { "" };
    let code = match place {
        Place::Cell => code.replace('|', "\\|"),
        _ => code.to_owned(),
    };
    for part in [&marks, pad, &code, pad, &marks] {
        out.push_str(part);
    }
}

/// How many `mark`s in a row `text` has at most.
pub(super) fn longest_run(text: &str, mark: char) -> usize {
    text.split(|c| c != mark).map(str::len).max().unwrap_or(0) / mark.len_utf8()
}

/// The line with a backslash where its beginning would make it something else.
fn guarded(line: &str) -> String {
    let all = |marks: &str| line.chars().all(|c| marks.contains(c));
    let mut chars = line.chars();
    let (Some(first), second) = (chars.next(), chars.next()) else {
        return String::new();
    };
    let is_apart = |rest: &str| rest.is_empty() || rest.starts_with(' ');
    let needs = match first {
        '#' => {
            let rest = line.trim_start_matches('#');
            line.len() - rest.len() <= 6 && is_apart(rest)
        }
        '>' | '[' => true,
        '-' => second.is_none_or(|c| c == ' ') || all("-|: "),
        '+' => second.is_none_or(|c| c == ' ') || line.starts_with("+++"),
        '*' => second.is_none_or(|c| c == ' ') || all("* "),
        '_' => all("_ "),
        '=' => all("= "),
        '|' | ':' => all("-|: "),
        '0'..='9' => {
            let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
            let len = line.len() - rest.len();
            if len <= 9
                && let Some(end) = rest.strip_prefix(['.', ')'])
                && is_apart(end)
            {
                return format!("{}\\{rest}", &line[..len]);
            }
            false
        }
        _ => false,
    };
    if needs { format!("\\{line}") } else { line.to_owned() }
}
