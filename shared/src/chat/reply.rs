//! What a model's text goes through before it leaves: the refusal signal is taken out, links
//! are held to the book, and citations are checked.

use super::{
    cite::{Citer, Marker},
    links::{Allowed, Links},
    prompt,
};

/// One reply on its way to the reader.
pub(super) struct Reply {
    opening: Opening,
    links: Links,
    citer: Citer,
}

impl Reply {
    /// For a model that was given `passages` to cite.
    pub(super) fn new(passages: usize, allowed: Allowed) -> Self {
        Self {
            opening: Opening::default(),
            links: Links::new(allowed),
            citer: Citer::new(passages),
        }
    }

    /// More of the model's text; returns what may leave now.
    pub(super) fn push(&mut self, text: &str) -> String {
        match self.opening.admit(text) {
            Some(text) => self.citer.push(&self.links.push(&text)),
            None => String::new(),
        }
    }

    /// The model has ended; returns what was held back.
    pub(super) fn finish(&mut self) -> String {
        if self.is_refusal() {
            return String::new();
        }
        let rest = self.opening.rest();
        let rest = self.links.push(&rest) + &self.links.finish();
        self.citer.push(&rest) + &self.citer.finish()
    }

    /// Whether the model said that the book does not answer.
    pub(super) fn is_refusal(&self) -> bool {
        self.opening.is_refusal()
    }

    /// Everything that has left, and the markers in it.
    pub(super) fn into_parts(self) -> (String, Vec<Marker>) {
        self.citer.into_parts()
    }
}

/// The beginning of a model's text, held back while it may still become the refusal signal.
#[derive(Default)]
struct Opening {
    held: String,
    decided: bool,
    refusal: bool,
}

impl Opening {
    /// The text that may go on to the reader, if any.
    fn admit(&mut self, text: &str) -> Option<String> {
        if self.decided {
            return (!self.refusal).then(|| text.to_owned());
        }
        self.held.push_str(text);
        let seen = self.held.trim_start();
        if seen.starts_with(prompt::REFUSAL) {
            (self.decided, self.refusal) = (true, true);
            return None;
        }
        if prompt::REFUSAL.starts_with(seen) {
            return None;
        }
        self.decided = true;
        Some(std::mem::take(&mut self.held))
    }

    fn is_refusal(&self) -> bool {
        self.refusal
    }

    /// What was held when the model ended in the middle of something like the signal.
    fn rest(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::Opening;

    #[test]
    fn only_the_refusal_signal_is_held_back() {
        let mut opening = Opening::default();
        assert_eq!(opening.admit("\nNOT_IN"), None);
        assert_eq!(opening.admit("_THE_BOOK."), None);
        assert!(opening.is_refusal());

        let mut opening = Opening::default();
        assert_eq!(opening.admit("NOT"), None);
        assert_eq!(opening.admit(" so"), Some("NOT so".to_owned()));
        assert_eq!(opening.admit("NOT_IN_THE_BOOK"), Some("NOT_IN_THE_BOOK".to_owned()));
    }
}
