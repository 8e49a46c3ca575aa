//! Passages that follow each other on a page, read as one.

use crate::retrieval::{Hit, Passage, Quote, tokens::Tokeniser};

/// White space between two passages that still makes them neighbours, in code points.
const GAP: u32 = 4;

/// One passage, or several that touch, in the order of the page.
pub(super) struct Stretch {
    parts: Vec<Hit>,
    tokeniser: Tokeniser,
}

impl Stretch {
    /// `tokeniser` is the book's.
    pub(super) fn new(hit: Hit, tokeniser: Tokeniser) -> Self {
        Self { parts: vec![hit], tokeniser }
    }

    /// How many passages it is made of.
    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    /// The page.
    pub(super) fn path(&self) -> &str {
        &self.first().path
    }

    /// The breadcrumb of where it begins.
    pub(super) fn title(&self) -> &str {
        &self.first().title
    }

    /// Whether the passage comes right before or right after it.
    pub(super) fn touches(&self, hit: &Hit) -> bool {
        let (first, last, new) = (self.first(), self.last(), &hit.passage);
        let follows = |a: &Passage, b: &Passage| {
            // Where the source is unknown nothing is a neighbour.
            a.end > a.start && b.start >= a.end && b.start - a.end <= GAP
        };
        first.path == new.path
            && first.source == new.source
            && (follows(last, new) || follows(new, first))
    }

    /// Takes a passage that touches it.
    pub(super) fn add(&mut self, hit: Hit) {
        let at =
            if hit.passage.start < self.first().start { 0 } else { self.parts.len() };
        self.parts.insert(at, hit);
    }

    /// What a model reads.
    pub(super) fn text(&self) -> String {
        let texts: Vec<_> =
            self.parts.iter().map(|it| it.passage.prompt_text()).collect();
        texts.join("\n\n")
    }

    /// The part that carries a claim, and its words for it: `None` only when the first part
    /// has no words at all.
    pub(super) fn quote(&self, claim: &str) -> (&Hit, Option<Quote>) {
        let quote = |it: &Passage| it.quote(claim, self.tokeniser);
        let quoted = self.parts.iter().filter_map(|it| Some((it, quote(&it.passage)?)));
        let best = quoted.max_by_key(|(hit, quote)| {
            (quote.shared, std::cmp::Reverse(hit.passage.start))
        });
        match best {
            Some((hit, quote)) => (hit, Some(quote)),
            None => (&self.parts[0], self.first().opening()),
        }
    }

    /// Its best place in the ranking.
    pub(super) fn best(&self) -> &Hit {
        let by_score = |a: &&Hit, b: &&Hit| a.score.total_cmp(&b.score);
        self.parts.iter().max_by(by_score).unwrap_or(&self.parts[0])
    }

    fn first(&self) -> &Passage {
        &self.parts[0].passage
    }

    fn last(&self) -> &Passage {
        &self.parts[self.parts.len() - 1].passage
    }
}
