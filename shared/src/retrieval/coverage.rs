//! How much of a question the book speaks of at all, by its words.

use std::collections::HashSet;

use super::{Hit, Query, bm25, tokens::Tokeniser};

/// The best passages in which the words are looked for.
const PASSAGES: usize = 5;

/// The share of what was searched for, in the search's own weights, that occurs in the best
/// five passages: 0 to 1. `None` for a question without a word of its own.
pub fn coverage(query: &Query, hits: &[Hit], tokeniser: Tokeniser) -> Option<f64> {
    let previous = query.history.last().map(String::as_str);
    let wanted = bm25::query(&tokeniser, &query.text, previous);
    let found: HashSet<u32> = hits
        .iter()
        .take(PASSAGES)
        .flat_map(|it| tokeniser.tokens(&it.passage.indexed_text()))
        .map(|token| bm25::dimension(&token))
        .collect();
    let weight = |of: &dyn Fn(u32) -> bool| -> f64 {
        wanted.iter().filter(|it| of(it.0)).map(|it| f64::from(it.1)).sum()
    };
    let all = weight(&|_| true);
    (all > 0.0).then(|| weight(&|word| found.contains(&word)) / all)
}
