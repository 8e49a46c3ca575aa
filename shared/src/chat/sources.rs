//! What an answer cites, with the words that carry it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Cited, cite::Marker, fragment, stretch::Stretch};
use crate::retrieval::{Book, Hit, Quote};

/// Characters of the answer before a marker that say what it is cited for.
const CLAIM_CHARS: usize = 300;

/// One cited source, in the contract's words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Its number in the answer.
    pub n: usize,
    /// The passage; absent for a selection that is not in the book.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// The breadcrumb.
    pub title: String,
    /// Where a reader opens it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The page inside the book.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The words of the book, verbatim.
    pub quote: String,
    /// Where the quote starts in the page's source: code points, zero-based.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<u32>,
    /// Where it ends, exclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<u32>,
    /// The raw fused score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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

/// What an answer may cite, and what its question was.
pub(super) struct Citations<'a> {
    pub citable: &'a [Citable],
    pub book: &'a Book,
    pub question: &'a str,
}

impl Citations<'_> {
    /// What the marker at the end of `content` cites. Among those `cited`, by number, it is
    /// settled where its number first stands, so that a reader who sees a source then sees the
    /// same one later. It is quoted for the sentence before it, or for the question where we
    /// and no model put the marker there.
    pub(super) fn cite(
        &self,
        marker: Marker,
        content: &str,
        by_model: bool,
        cited: &mut Vec<Source>,
    ) -> Cited {
        let at = cited.binary_search_by_key(&marker.n, |it| it.n).unwrap_or_else(|at| {
            let claim = Some(before(content, marker.at))
                .filter(|it| by_model && !it.trim().is_empty())
                .unwrap_or(self.question);
            let source = self.citable[marker.n - 1].source(marker.n, claim, self.book);
            cited.insert(at, source);
            at
        });
        Cited { marker, source: cited[at].clone() }
    }
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
