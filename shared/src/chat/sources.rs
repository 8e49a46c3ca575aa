//! What an answer cites, with the words that carry it.

use serde::Serialize;
use uuid::Uuid;

use super::{cite::Marker, fragment, question::Question, stretch::Stretch};
use crate::retrieval::{Book, Hit, Quote};

/// Characters of the answer before a marker that say what it is cited for.
const CLAIM_CHARS: usize = 300;

/// One cited source, in the contract's words.
#[derive(Clone, Debug, Serialize)]
pub struct Source {
    /// Its number in the answer.
    pub n: usize,
    /// The passage; absent for a selection that is not in the book.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// The breadcrumb.
    pub title: String,
    /// Where a reader opens it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The page inside the book.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The words of the book, verbatim.
    pub quote: String,
    /// Where the quote starts in the page's source: code points, zero-based.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<u32>,
    /// Where it ends, exclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<u32>,
    /// The raw fused score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

/// What a model may cite: the selection, if there is one, then the passages.
pub(super) enum Citable {
    /// The reader's selection, and the passage that it lies in.
    Selection(String, Option<Box<Hit>>),
    /// Passages that were found.
    Passage(Stretch),
}

impl Citable {
    /// The breadcrumb.
    pub(super) fn title(&self) -> &str {
        match self {
            Self::Selection(_, Some(hit)) => &hit.passage.title,
            Self::Selection(_, None) => "Selected text",
            Self::Passage(stretch) => stretch.title(),
        }
    }

    /// What the model reads.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Selection(text, _) => text.clone(),
            Self::Passage(stretch) => stretch.text(),
        }
    }

    /// This source as number `n`, quoted for `claim`.
    pub(super) fn source(&self, n: usize, claim: &str, book: &Book) -> Source {
        let (hit, quote) = match self {
            Self::Selection(text, None) => {
                return Source {
                    n,
                    id: None,
                    title: self.title().to_owned(),
                    url: None,
                    path: None,
                    quote: text.clone(),
                    start: None,
                    end: None,
                    score: None,
                };
            }
            Self::Selection(text, Some(hit)) => (&**hit, hit.passage.locate(text)),
            Self::Passage(stretch) => stretch.quote(claim),
        };
        let passage = &hit.passage;
        Source {
            n,
            id: Some(passage.id),
            title: passage.title.clone(),
            url: book.url(passage).map(|it| with_fragment(it, quote.as_ref())),
            path: Some(passage.path.clone()),
            start: quote.as_ref().map(|it| it.start),
            end: quote.as_ref().map(|it| it.end),
            quote: quote.map(|it| it.text).unwrap_or_default(),
            score: Some(hit.score),
        }
    }
}

/// The link, with a [text fragment](https://wicg.github.io/scroll-to-text-fragment/) that
/// takes a browser to the quote and marks it.
fn with_fragment(url: String, quote: Option<&Quote>) -> String {
    let Some(directive) = quote.and_then(|it| fragment::text(&it.text)) else {
        return url;
    };
    let hash = if url.contains('#') { "" } else { "#" };
    format!("{url}{hash}:~:{directive}")
}

/// The sources of an answer, by number: each once, quoted for what it is cited for.
pub(super) fn cited(
    content: &str,
    markers: &[Marker],
    citable: &[Citable],
    question: &Question,
    by_model: bool,
    book: &Book,
) -> Vec<Source> {
    let mut numbers: Vec<usize> = markers.iter().map(|it| it.n).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let quoted = numbers.into_iter().filter_map(|n| {
        let mut claim = String::new();
        for marker in markers.iter().filter(|it| by_model && it.n == n) {
            claim.push_str(before(content, marker.at));
            claim.push(' ');
        }
        if claim.trim().is_empty() {
            claim.clone_from(&question.text);
        }
        Some(citable.get(n - 1)?.source(n, &claim, book))
    });
    quoted.collect()
}

/// The sentence that ends at `at`, without the markers that stand between.
fn before(content: &str, at: usize) -> &str {
    let text = content[..at].trim_end_matches(|c: char| {
        c.is_whitespace() || c.is_ascii_digit() || matches!(c, '[' | ']')
    });
    let inner = text.trim_end_matches(['.', '!', '?', '。', '！', '？', '।']);
    let from = inner
        .rfind(['\n', '。', '！', '？', '।'])
        .max([". ", "! ", "? "].iter().filter_map(|it| inner.rfind(it)).max())
        .unwrap_or(0);
    let short = text[from..].char_indices().rev().nth(CLAIM_CHARS);
    short.map_or(&text[from..], |(cut, _)| &text[from + cut..])
}

#[cfg(test)]
mod tests {
    use super::before;

    #[test]
    fn a_claim_is_the_sentence_before_its_marker() {
        let text = "One thing. A move ends it.[1][2] More";
        assert_eq!(before(text, text.find("[1]").unwrap()), ". A move ends it.");
        assert_eq!(before(text, text.find("[2]").unwrap()), ". A move ends it.");
        assert_eq!(before("[1]", 0), "");
    }
}
