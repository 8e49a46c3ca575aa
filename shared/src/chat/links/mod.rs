//! Links and images of an answer, held to the book's own origin.
//!
//! A poisoned page may tell a model to write a link that carries a reader's words away, or an
//! image that does so without a click. So a target that is not the book's, nor on
//! `ALLOWED_LINK_HOSTS`, never leaves; its text does. As with citations, nothing is held back
//! but what may still become a link, and the outcome does not depend on the cuts.
//!
//! Renderers differ, so whatever only *may* be a link to one of them is made to be none: what
//! is held when code, a blank line or the end comes leaves with its first character escaped.

mod allowed;
mod parts;

use std::mem;

pub(super) use self::allowed::Allowed;

/// The longest target, address or tag that is looked at.
const LONGEST: usize = 2048;

/// The longest name of a character, `&` included.
const LONGEST_ENTITY: usize = 12;

/// What a reader sees in the place of a bare address that may not leave.
const REMOVED: &str = "(link removed)";

/// Stands where a tag was, if the text around it would otherwise close up to something new.
const SEAM: char = '·';

/// How a bare address begins.
const SCHEMES: [&str; 4] = ["http://", "https://", "ftp://", "www."];

/// What ends an address, besides white space.
const ENDS: &str = "<>\"`)[]}，、；！？（）「」【】";

/// Punctuation of the sentence that an address ends.
const TRAILING: [char; 9] = ['.', ',', ';', ':', '!', '?', '\'', '*', '_'];

/// Reads a model's text, gives it on without the links that may not leave.
pub(super) struct Links {
    allowed: Allowed,
    held: String,
    state: State,
    /// The last character that has left.
    before: Option<char>,
    line: Line,
    /// A tag was dropped right here.
    has_gap: bool,
    out: String,
}

/// Where in its line and paragraph the text that has left ends.
struct Line {
    /// Nothing but blanks stands on the line …
    is_blank: bool,
    /// … or nothing but blanks, the marks of lists and quotations, and citation markers, which
    /// may be taken out later.
    is_fresh: bool,
    /// A line of this paragraph begins with a bracket, so it may define a link.
    may_define: bool,
}

/// What is held.
#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Nothing.
    Text,
    /// `(` after `]`, and so many open brackets inside.
    Target(usize),
    /// The beginning of an address: a part of one of [`SCHEMES`].
    Scheme,
    /// An address.
    Address,
    /// `<` and a name.
    Tag,
    /// `&` and a name or a number.
    Entity,
}

impl Links {
    pub(super) fn new(allowed: Allowed) -> Self {
        let (held, before, has_gap, out) = <_>::default();
        let line = Line { is_fresh: true, is_blank: true, may_define: false };
        Self { allowed, held, state: State::Text, before, line, has_gap, out }
    }

    /// More of the model's text; returns what may go on.
    pub(super) fn push(&mut self, text: &str) -> String {
        for c in text.chars() {
            self.take(c);
        }
        mem::take(&mut self.out)
    }

    /// Code, which goes on as it is: it ends whatever was held.
    pub(super) fn push_code(&mut self, code: &str) -> String {
        self.settle(code.chars().next());
        if let Some(first) = code.chars().next() {
            self.close_gap(first);
        }
        self.has_gap = false;
        let before = mem::take(&mut self.out);
        code.chars().for_each(|c| self.emit(c));
        self.out.clear();
        before
    }

    /// The model has ended.
    pub(super) fn finish(&mut self) -> String {
        self.settle(None);
        mem::take(&mut self.out)
    }

    /// Nothing that is held goes on before `next`. What is taken again may be held again.
    fn settle(&mut self, next: Option<char>) {
        while self.state != State::Text {
            match self.state {
                State::Address => self.end_address(next),
                State::Entity => self.pass_entity(),
                State::Tag if self.held.len() > 1 => self.give_up(),
                State::Target(_) => self.give_up(),
                _ => self.release(),
            }
        }
    }

    fn take(&mut self, c: char) {
        match self.state {
            State::Text => self.begin(c),
            State::Target(depth) => self.in_target(c, depth),
            State::Scheme => self.in_scheme(c),
            State::Address => self.in_address(c),
            State::Tag => self.in_tag(c),
            State::Entity => self.in_entity(c),
        }
    }

    fn begin(&mut self, c: char) {
        let in_word = self.before.is_some_and(char::is_alphanumeric);
        self.state = match c {
            '(' if matches!(self.before, Some(']' | '】')) => State::Target(0),
            'h' | 'H' | 'f' | 'F' => State::Scheme,
            'w' | 'W' if !in_word => State::Scheme,
            '<' => State::Tag,
            '&' => State::Entity,
            _ => State::Text,
        };
        if self.state != State::Text {
            self.held.push(c);
            return;
        }
        if c == ':' && self.before == Some(']') && self.line.may_define {
            // `[1]: //elsewhere` would make a link of every `[1]`.
            self.emit('\\');
        }
        self.emit(c);
    }

    fn in_target(&mut self, c: char, depth: usize) {
        self.held.push(c);
        match c {
            '(' => self.state = State::Target(depth + 1),
            ')' if depth > 0 => self.state = State::Target(depth - 1),
            ')' => match parts::target(&self.held[1..self.held.len() - 1], &self.allowed)
            {
                parts::Target::Admitted => self.release(),
                parts::Target::Foreign => self.drop_held(),
                parts::Target::Text => self.give_up(),
            },
            // A target and its title may stand on lines of their own, but in one paragraph.
            '\n' if parts::is_at_line_start(&self.held[..self.held.len() - 1]) => {
                self.give_up();
            }
            _ if self.held.len() > LONGEST => self.give_up(),
            _ => {}
        }
    }

    fn in_scheme(&mut self, c: char) {
        // Some renderers look for addresses when `https\://` has lost its backslash.
        let mut next = self.held.replace('\\', "");
        if c != '\\' {
            next.push(c);
        }
        next.make_ascii_lowercase();
        if SCHEMES.contains(&next.as_str()) {
            self.state = State::Address;
        } else if !SCHEMES.iter().any(|it| it.starts_with(&next)) {
            self.release();
            return self.take(c);
        }
        self.held.push(c);
    }

    fn in_address(&mut self, c: char) {
        let ends = c.is_whitespace() || ENDS.contains(c);
        if ends || self.held.len() > LONGEST {
            self.end_address(Some(c));
            self.take(c);
        } else {
            self.held.push(c);
        }
    }

    fn end_address(&mut self, next: Option<char>) {
        let held = mem::take(&mut self.held);
        self.state = State::Text;
        let (address, trailing) = held.split_at(held.trim_end_matches(TRAILING).len());
        let www = address.starts_with(['w', 'W']);
        let target = if www { format!("https://{address}") } else { address.to_owned() };
        if self.allowed.admits(&target) && allowed::is_absolute(&target) {
            address.chars().for_each(|c| self.emit(c));
            // To some renderers the address goes on: `https://book.example)@elsewhere`.
            let goes_on = next.is_some_and(|c| !c.is_whitespace() && c != '<');
            if goes_on && !parts::has_path(&target) {
                self.emit('/');
            }
            return trailing.chars().for_each(|c| self.emit(c));
        }
        REMOVED.chars().for_each(|c| self.emit(c));
        // A sentence that goes on without a blank is no part of the address. A full stop may
        // be one of its dots, so it ends only what may not leave anyway.
        let rest = held.find(['。', '．', '｡']).map_or("", |at| &held[at..]);
        rest.chars().for_each(|c| self.take(c));
    }

    fn in_tag(&mut self, c: char) {
        let named = self.held.len() > 1;
        match c {
            '>' if named => {
                self.held.push(c);
                self.end_tag();
            }
            _ if !named && !matches!(c, '!' | '?' | '/') && !c.is_ascii_alphabetic() => {
                // `a < b` and `<-` are no tags.
                self.release();
                self.take(c);
            }
            // A comment hides what follows, and a tag in a tag is none.
            '!' | '?' if !named => self.give_up_before(c),
            '<' => self.give_up_before(c),
            '\n' if parts::is_at_line_start(&self.held) => self.give_up_before(c),
            _ if self.held.len() > LONGEST => self.give_up_before(c),
            _ => self.held.push(c),
        }
    }

    fn end_tag(&mut self) {
        let inside = &self.held[1..self.held.len() - 1];
        match parts::tag(inside) {
            // At the start of a line a tag opens a block in which nothing is Markdown.
            parts::Tag::Plain | parts::Tag::Text if self.line.is_fresh => self.drop_tag(),
            parts::Tag::Plain => self.release(),
            parts::Tag::Address if self.allowed.admits(inside) => self.release(),
            parts::Tag::Address | parts::Tag::Live => self.drop_tag(),
            parts::Tag::Text => {
                let held = mem::take(&mut self.held);
                self.state = State::Text;
                self.emit('<');
                held[1..].chars().for_each(|c| self.take(c));
            }
        }
    }

    fn in_entity(&mut self, c: char) {
        let is_name = c.is_ascii_alphanumeric() || (c == '#' && self.held == "&");
        if is_name && self.held.len() < LONGEST_ENTITY {
            return self.held.push(c);
        }
        if c == ';' && !parts::is_harmless_entity(&self.held[1..]) {
            self.give_up_before(c);
        } else {
            self.pass_entity();
            self.take(c);
        }
    }

    fn pass_entity(&mut self) {
        self.state = State::Text;
        let held = mem::take(&mut self.held);
        self.emit('&');
        held[1..].chars().for_each(|c| self.take(c));
    }

    /// What is held is nothing for any renderer: its first character is escaped, and the rest
    /// is looked at again.
    fn give_up(&mut self) {
        let held = mem::take(&mut self.held);
        let escaped = match mem::replace(&mut self.state, State::Text) {
            State::Target(_) => "\\(",
            State::Tag => "&lt;",
            _ => "&amp;",
        };
        escaped.chars().for_each(|c| self.emit(c));
        held[1..].chars().for_each(|c| self.take(c));
    }

    fn give_up_before(&mut self, c: char) {
        self.give_up();
        self.take(c);
    }

    fn release(&mut self) {
        self.state = State::Text;
        mem::take(&mut self.held).chars().for_each(|c| self.emit(c));
    }

    fn drop_held(&mut self) {
        self.state = State::Text;
        self.held.clear();
    }

    fn drop_tag(&mut self) {
        self.drop_held();
        self.has_gap = true;
    }

    /// Parts what stood around a dropped tag, if it would become something new: an address, a
    /// tag, and at the start of a line a fence.
    fn close_gap(&mut self, next: char) {
        if !self.has_gap || (self.line.is_blank && matches!(next, ' ' | '\t')) {
            return;
        }
        self.has_gap = false;
        let joins = if self.line.is_blank {
            !next.is_alphanumeric()
        } else {
            !self.before.is_some_and(char::is_whitespace)
        };
        if joins && !next.is_whitespace() {
            self.emit(SEAM);
        }
    }

    fn emit(&mut self, c: char) {
        self.close_gap(c);
        self.before = Some(c);
        self.out.push(c);
        let line = &mut self.line;
        if c == '\n' {
            let may_define = line.may_define && !line.is_blank;
            *line = Line { is_fresh: true, is_blank: true, may_define };
            return;
        }
        line.is_blank &= c.is_whitespace();
        line.may_define |= line.is_fresh && matches!(c, '[' | '【');
        line.is_fresh &= parts::leaves_line_fresh(c);
    }
}

#[cfg(test)]
mod tests;
