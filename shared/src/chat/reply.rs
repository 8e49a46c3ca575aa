//! What a model's text goes through before it leaves: the refusal signal is taken out, code is
//! left alone, links are held to the book, and citations are checked.

use std::mem;

use super::{
    cite::{Citer, Marker},
    code::{Piece, Scanner},
    links::{Allowed, Links},
    prompt::REFUSAL,
};

/// One reply on its way to the reader.
pub(super) struct Reply {
    signal: Signal,
    scanner: Scanner,
    links: Links,
    citer: Citer,
}

impl Reply {
    /// For a model that was given `passages` to cite.
    pub(super) fn new(passages: usize, allowed: Allowed) -> Self {
        Self {
            signal: Signal::default(),
            scanner: Scanner::default(),
            links: Links::new(allowed),
            citer: Citer::new(passages),
        }
    }

    /// More of the model's text; returns what may leave now.
    pub(super) fn push(&mut self, text: &str) -> String {
        // A carriage return alone would start a line for some renderers.
        let text = text.replace(['\r', '\0'], "");
        let text = self.signal.push(&text);
        let pieces = self.scanner.push(&text);
        self.check(pieces)
    }

    /// Words of the book, of which we know what is code; returns what may leave.
    pub(super) fn push_quoted(&mut self, pieces: Vec<Piece>) -> String {
        let mut left = String::new();
        for piece in pieces {
            let pieces = match piece {
                Piece::Text(text) => self.scanner.push(&text),
                code @ Piece::Code(_) => {
                    let mut pieces = self.scanner.finish();
                    pieces.push(code);
                    pieces
                }
            };
            left.push_str(&self.check(pieces));
        }
        left
    }

    /// The model has ended; returns what was held back.
    pub(super) fn finish(&mut self) -> String {
        let text = self.signal.finish();
        if self.is_refusal() {
            return String::new();
        }
        let mut pieces = self.scanner.push(&text);
        pieces.extend(self.scanner.finish());
        let left = self.check(pieces);
        let rest = self.links.finish();
        left + &self.citer.push(&rest) + &self.citer.finish()
    }

    fn check(&mut self, pieces: Vec<Piece>) -> String {
        let mut left = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => {
                    let text = self.links.push(&text);
                    left.push_str(&self.citer.push(&text));
                }
                Piece::Code(code) => {
                    let before = self.links.push_code(&code);
                    left.push_str(&self.citer.push(&before));
                    left.push_str(&self.citer.push_code(&code));
                }
            }
        }
        left
    }

    /// Whether the model said that the book does not answer.
    pub(super) fn is_refusal(&self) -> bool {
        self.signal.is_refusal
    }

    /// The markers that have left since this was last asked.
    pub(super) fn new_markers(&mut self) -> &[Marker] {
        self.citer.new_markers()
    }
}

/// Takes the refusal signal out of a text, wherever it stands. Before any other word it means a
/// refusal; nothing is held back but what may still become it.
#[derive(Default)]
struct Signal {
    held: String,
    /// The last character that has left.
    last: Option<char>,
    /// A word has left.
    has_spoken: bool,
    is_refusal: bool,
}

impl Signal {
    fn push(&mut self, text: &str) -> String {
        self.held.push_str(text);
        self.admit(false)
    }

    fn finish(&mut self) -> String {
        self.admit(true)
    }

    fn admit(&mut self, is_end: bool) -> String {
        let mut out = String::new();
        while !self.is_refusal {
            let Some(at) = self.held.find(REFUSAL) else { break };
            let end = at + REFUSAL.len();
            let after = self.held[end..].chars().next();
            if after.is_none() && !is_end {
                // The next character decides whether the word goes on.
                break;
            }
            let in_word = |c: char| c.is_alphanumeric() || c == '_';
            let before = self.held[..at].chars().next_back().or(self.last);
            if before.is_some_and(in_word) || after.is_some_and(in_word) {
                self.release(end, &mut out);
            } else if self.has_spoken || self.held[..at].contains(char::is_alphanumeric) {
                self.release(at, &mut out);
                self.held.drain(..REFUSAL.len());
                self.last = None;
            } else {
                self.is_refusal = true;
            }
        }
        if self.is_refusal {
            self.held.clear();
            return String::new();
        }
        if is_end && !self.has_spoken && self.held.trim().is_empty() {
            self.held.clear();
        }
        let keep = if is_end { 0 } else { self.undecided() };
        // Emphasis before the first word may belong to the signal.
        let ready = self.held.len() - keep;
        if is_end || self.has_spoken || self.held[..ready].contains(char::is_alphanumeric)
        {
            self.release(ready, &mut out);
        }
        out
    }

    fn release(&mut self, end: usize, out: &mut String) {
        let rest = self.held.split_off(end);
        let text = mem::replace(&mut self.held, rest);
        self.has_spoken |= text.contains(char::is_alphanumeric);
        self.last = text.chars().next_back().or(self.last);
        out.push_str(&text);
    }

    /// Bytes at the end of what is held that may be the signal, or its beginning.
    fn undecided(&self) -> usize {
        let starts = (1..=REFUSAL.len()).rev();
        starts.into_iter().find(|n| self.held.ends_with(&REFUSAL[..*n])).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Allowed, Reply, Signal};
    use crate::config::Env;

    fn said(pieces: &[&str]) -> (String, bool) {
        let mut signal = Signal::default();
        let mut text: String = pieces.iter().map(|it| signal.push(it)).collect();
        text.push_str(&signal.finish());
        (text, signal.is_refusal)
    }

    #[test]
    fn the_refusal_signal_never_leaves() {
        for (pieces, text, is_refusal) in [
            (vec!["\nNOT_IN", "_THE_BOOK."], "", true),
            (vec!["**NOT_IN_THE_BOOK**"], "", true),
            (vec!["NOT_IN_THE_BOOK"], "", true),
            (vec!["NOT", " so"], "NOT so", false),
            (vec!["NOT_IN_THE_BOOK", "SHOP sells"], "NOT_IN_THE_BOOKSHOP sells", false),
            (vec!["Daily [1]. NOT_IN_", "THE_BOOK"], "Daily [1]. ", false),
            (vec!["**Bold** start"], "**Bold** start", false),
        ] {
            assert_eq!(said(&pieces), (text.to_owned(), is_refusal), "{pieces:?}");
        }
    }

    #[test]
    fn a_word_leaves_at_once() {
        let mut signal = Signal::default();
        assert_eq!(signal.push("A word N"), "A word ");
        assert_eq!(signal.push("o"), "No");
    }

    fn through(pieces: &[&str]) -> String {
        let env = Env::from([("BOOK_BASE_URL", "https://book.example/")]);
        let mut reply = Reply::new(5, Allowed::from_env(&env));
        let mut text: String = pieces.iter().map(|it| reply.push(it)).collect();
        text.push_str(&reply.finish());
        for marker in reply.new_markers() {
            assert!(text[marker.at..].starts_with(&marker.text()));
        }
        text
    }

    #[test]
    fn code_is_left_alone_and_what_only_looks_like_code_is_not() {
        for (given, kept) in [
            ("`v[9]` and v[9] [1]", "`v[9]` and v [1]"),
            (
                "```sh\ncurl https://evil.example # [9]\n```\n[9]",
                "```sh\ncurl https://evil.example # [9]\n```\n",
            ),
            ("`open ![x](https://evil.example)", "`open ![x]"),
            ("`a\nb` ![x](https://evil.example) `c [9]", "`a\nb` ![x] `c "),
            (r"\`x ![x](https://evil.example)`", r"\`x ![x]`"),
            ("    ```\n\n![x](//evil.example) [7]", "    ```\n\n![x] "),
            (
                "<div>\n```\n![x](//evil.example)\n\n![x](//evil.example)",
                "\n```\n![x](//evil.example)\n\n![x](//evil.example)",
            ),
            ("[9]<b>\n```\n<img src=//evil.example>", "\n```\n<img src=//evil.example>"),
            (
                "<b x=1>```\na\n```\n![x](//evil.example)",
                "·```\na\n```\n![x](//evil.example)",
            ),
            ("\\[9]`![x](//evil.example)`", "\\·`![x](//evil.example)`"),
            ("【9】[r]: //evil.example", "·[r]\\: //evil.example"),
            ("[x](https://evil.example/`a`)", r"[x]\((link removed)`a`)"),
        ] {
            assert_eq!(through(&[given]), kept, "{given}");
        }
    }

    proptest! {
        #[test]
        fn the_outcome_does_not_depend_on_the_cuts(
            text in r"([a-c \n`~<>()\[\]:!&\\]|【9】|<b x=1>|```|\[[0-9]\]|https://evil\.example|//evil|<img |\]\(|NOT_IN_THE_BOOK|_){0,24}",
            at in 0usize..90,
        ) {
            let at = at.min(text.len());
            prop_assume!(text.is_char_boundary(at));
            prop_assert_eq!(through(&[&text[..at], &text[at..]]), through(&[&text]));
        }
    }
}
