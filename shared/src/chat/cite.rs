//! Citation markers, checked while the answer streams.
//!
//! A marker is `[n]`, or `[n, m]`, which leaves as `[n][m]` (`【n】` is read too). A number
//! that points to no passage never leaves. Nothing is held back but an unfinished bracket,
//! and the outcome does not depend on how the model's text was cut. Code is left alone: `v[9]` is
//! no marker there.

use std::mem;

use serde::{Deserialize, Serialize};

/// The most characters inside a bracket that may still be a marker.
const MARKER_CHARS: usize = 24;

/// Stands where a refused marker was, if the text around it would otherwise close up to a
/// new one (`[1[9]2]` must not become `[12]`).
const SEAM: char = '·';

/// Reads a model's text, gives the reader's.
pub(super) struct Citer {
    passages: usize,
    /// An unfinished bracket, or empty.
    held: String,
    /// Everything that has left.
    text: String,
    markers: Vec<Marker>,
    /// How many of them [`Citer::new_markers`] has told.
    told: usize,
    /// A marker was refused right here.
    has_gap: bool,
}

/// A marker that left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The passage, from 1.
    pub n: usize,
    /// Where it stands in the answer, in bytes.
    pub at: usize,
}

impl Marker {
    /// As it stands in the answer: `[n]`.
    pub fn text(&self) -> String {
        format!("[{}]", self.n)
    }
}

impl Citer {
    /// For an answer that may cite passages 1 to `passages`.
    pub(super) fn new(passages: usize) -> Self {
        let (held, text, markers) = <_>::default();
        Self { passages, held, text, markers, told: 0, has_gap: false }
    }

    /// More of the model's text; returns what may leave now.
    pub(super) fn push(&mut self, text: &str) -> String {
        let from = self.text.len();
        for c in text.chars().filter(|c| *c != '\0') {
            self.take(c);
        }
        self.text[from..].to_owned()
    }

    /// Code, which leaves as it is.
    pub(super) fn push_code(&mut self, code: &str) -> String {
        let from = self.text.len();
        self.release();
        if mem::take(&mut self.has_gap) {
            self.text.push(SEAM);
        }
        self.text.push_str(code);
        self.text[from..].to_owned()
    }

    /// The model has ended; an open bracket leaves as it is.
    pub(super) fn finish(&mut self) -> String {
        let from = self.text.len();
        self.release();
        self.text[from..].to_owned()
    }

    /// The markers that have left since this was last asked.
    pub(super) fn new_markers(&mut self) -> &[Marker] {
        let from = mem::replace(&mut self.told, self.markers.len());
        &self.markers[from..]
    }

    fn take(&mut self, c: char) {
        if matches!(c, '[' | '【') {
            self.release();
            self.held.push(c);
        } else if self.held.is_empty() {
            self.emit(c);
        } else if matches!(c, ']' | '】') {
            self.held.push(c);
            self.close();
        } else if may_be_inside(c) && self.held.chars().count() <= MARKER_CHARS {
            self.held.push(c);
        } else {
            self.release();
            self.emit(c);
        }
    }

    /// The held bracket turned out to be ordinary text.
    fn release(&mut self) {
        for c in mem::take(&mut self.held).chars() {
            self.emit(c);
        }
    }

    /// The held bracket is closed: a marker, or `[]`, `[ ]`, `[-]`.
    fn close(&mut self) {
        let inside = self.held.trim_matches(['[', ']', '【', '】']);
        let numbers: Vec<&str> = inside
            .split(|c: char| !c.is_ascii_digit())
            .filter(|it| !it.is_empty())
            .collect();
        if numbers.is_empty() {
            return self.release();
        }
        let valid: Vec<usize> = numbers
            .iter()
            .filter_map(|it| it.parse().ok())
            .filter(|n| (1..=self.passages).contains(n))
            .collect();
        self.held.clear();
        self.has_gap = valid.is_empty();
        for n in valid {
            self.markers.push(Marker { n, at: self.text.len() });
            format!("[{n}]").chars().for_each(|c| self.emit(c));
        }
    }

    /// Whether what stood around a refused marker would become something new: a marker, an
    /// address, a link.
    fn needs_seam(&self, next: char) -> bool {
        let tail = self.text.trim_end_matches(may_be_inside);
        let ends_sentence = matches!(next, '.' | ',' | ';' | '!' | '?')
            && self.text.ends_with(|c: char| c.is_alphanumeric() || c == ']' || c == ')');
        tail.ends_with(['[', '【'])
            // At the start of a line a fence or a definition may begin.
            || (self.is_at_line_start() && !next.is_alphanumeric() && !next.is_whitespace())
            || !(next.is_whitespace()
                || self.text.is_empty()
                || self.text.ends_with(char::is_whitespace)
                || (ends_sentence && !self.text.ends_with(['w', 'W'])))
    }

    fn is_at_line_start(&self) -> bool {
        let text = self.text.trim_end_matches([' ', '\t']);
        text.is_empty() || text.ends_with('\n')
    }

    fn emit(&mut self, c: char) {
        let is_indent = matches!(c, ' ' | '\t') && self.is_at_line_start();
        if !is_indent && mem::take(&mut self.has_gap) && self.needs_seam(c) {
            self.text.push(SEAM);
        }
        self.text.push(c);
    }
}

/// What may stand between the brackets of a marker.
fn may_be_inside(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, ' ' | ',' | ';' | '^' | '-' | '–')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Citer;

    fn cited(pieces: &[&str], passages: usize) -> (String, Vec<usize>) {
        let mut citer = Citer::new(passages);
        let mut left: String = pieces.iter().map(|it| citer.push(it)).collect();
        left.push_str(&citer.finish());
        assert_eq!(left, citer.text);
        (left, citer.new_markers().iter().map(|it| it.n).collect())
    }

    #[test]
    fn good_markers_stay_and_the_others_go() {
        for (given, kept, numbers) in [
            ("A move [1].", "A move [1].", vec![1]),
            ("Both [1, 3] and [2][9].", "Both [1][3] and [2].", vec![1, 3, 2]),
            ("None [9]. [0] [123456789012345678901].", "None .  .", vec![]),
            ("Wide 【2】 and [^1].", "Wide [2] and [1].", vec![2, 1]),
            ("A [link](x) and [ ] a box.", "A [link](x) and [ ] a box.", vec![]),
            ("Open [1", "Open [1", vec![]),
            ("Nested [1[9]2] [[9]99]", "Nested [1·2] [·99]", vec![]),
            // At the start of a line what follows could begin something.
            ("[9] So.\n[9]```\n[9] ```", " So.\n·```\n ·```", vec![]),
            ("【9】[x]: y", "·[x]: y", vec![]),
        ] {
            assert_eq!(cited(&[given], 3), (kept.to_owned(), numbers), "{given}");
        }
    }

    #[test]
    fn only_an_unfinished_bracket_is_held_back() {
        let mut citer = Citer::new(2);
        assert_eq!(citer.push("so ["), "so ");
        assert_eq!(citer.push("1"), "");
        assert_eq!(citer.push("] it"), "[1] it");
        assert_eq!(citer.push("[a"), "[a");
    }

    proptest! {
        #[test]
        fn the_outcome_does_not_depend_on_the_cuts(
            text in r"([a-c`~\n \[\]【】,0-9]|\[[0-9]{1,2}\]|```|\n```\n){0,40}",
            cuts in proptest::collection::vec(0usize..60, 0..6),
        ) {
            let whole = cited(&[&text], 5);
            let mut cuts: Vec<usize> = cuts
                .into_iter()
                .map(|at| at.min(text.len()))
                .filter(|at| text.is_char_boundary(*at))
                .collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for at in cuts {
                pieces.push(&text[from..at]);
                from = at;
            }
            pieces.push(&text[from..]);
            prop_assert_eq!(cited(&pieces, 5), whole);
        }

        #[test]
        fn no_number_that_points_to_nothing_leaves(
            text in r"([a-c \[\]【】,0-9]|\[[0-9]{1,2}\]){0,40}",
        ) {
            let (left, numbers) = cited(&[&text], 5);
            prop_assert!(numbers.iter().all(|n| (1..=5).contains(n)));
            for part in left.split('[').skip(1) {
                let Some((inside, _)) = part.split_once(']') else { continue };
                if let Ok(n) = inside.parse::<u64>() {
                    prop_assert!((1..=5).contains(&n), "{left}");
                }
            }
        }
    }
}
