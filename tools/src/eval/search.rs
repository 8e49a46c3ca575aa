//! Asking the book one question, through each leg and through the fusion.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::{
    conversations::Role,
    retrieval::{Book, Found, Hit, Mode, Query},
};

use super::{
    labels::Wanted,
    metrics::{self, Measures},
    questions::Question,
};
use crate::Outcome;

/// Places of which it is written down what was found there.
const SHOWN: usize = 5;

/// What one ranking is worth for one question.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Rank {
    /// The place of the first relevant page, from 1; absent when it was not found.
    pub page: Option<usize>,
    /// The place of the first relevant passage.
    pub passage: Option<usize>,
    /// The measures of the ranked pages, the best passage standing for its page.
    pub pages: BTreeMap<String, f64>,
    /// The measures of the ranked passages.
    pub passages: BTreeMap<String, f64>,
}

/// A passage that was found, for a person to look at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Shown {
    /// Its page, with the anchor of its heading.
    pub place: String,
    /// Its breadcrumb.
    pub title: String,
}

/// What one question found.
pub(super) struct Searched {
    /// What each ranking is worth, by its name.
    pub ranks: BTreeMap<String, Rank>,
    /// The first places of the main ranking.
    pub found: Vec<Shown>,
    /// The pages of the main ranking with their scores, for a run.
    pub run: Vec<(String, f64)>,
    /// How far the first passage stands out from the fifth: the plainest sign that the book
    /// has an answer at all.
    pub confidence: f64,
    /// Milliseconds of the main ranking.
    pub took_ms: u64,
    /// The version of the book.
    pub book_version: Option<String>,
}

/// The rankings that there are, the main one first.
pub(super) fn rankings(mode: Mode, has_dense: bool) -> Vec<Mode> {
    match (mode, has_dense) {
        (Mode::Hybrid, true) => vec![Mode::Hybrid, Mode::Lexical, Mode::Dense],
        // The fusion of one leg is that leg.
        (Mode::Hybrid, false) => vec![Mode::Lexical],
        (mode, _) => vec![mode],
    }
}

/// The name of a ranking in all output.
pub(super) fn name(mode: Mode) -> &'static str {
    match mode {
        Mode::Hybrid => "hybrid",
        Mode::Dense => "dense",
        Mode::Lexical => "lexical",
    }
}

/// Whether the book can be asked by meaning. An error when it could be and the embeddings
/// do not answer: what is measured then is not the book that readers ask.
pub(super) async fn has_dense(book: &Book, mode: Mode) -> Outcome<bool> {
    if mode == Mode::Lexical {
        return Ok(false);
    }
    let query = |mode| Query { text: "a".into(), top_k: 1, mode, ..Query::default() };
    let hybrid = healthy(book.find(&query(mode)).await?)?;
    let has_dense = hybrid.hits.iter().any(|hit| hit.dense.is_some());
    if has_dense || mode == Mode::Dense {
        return Ok(has_dense);
    }
    let dense = book.find(&query(Mode::Dense)).await?;
    Ok(!dense.degraded.contains(&"embeddings"))
}

/// A degraded answer measures something else.
fn healthy(found: Found) -> Outcome<Found> {
    match found.degraded.first() {
        None => Ok(found),
        Some(&"embeddings") => {
            Err("the book cannot be asked by meaning: it was ingested without embeddings, or \
            the EMBEDDING settings are others now; --mode lexical measures words alone"
                .into())
        }
        Some(service) => Err(format!("{service} is down: nothing was measured").into()),
    }
}

/// Asks the book through each of `rankings`.
pub(super) async fn search(
    book: &Book,
    question: &Question,
    wanted: &Wanted,
    rankings: &[Mode],
    top_k: usize,
) -> Outcome<Searched> {
    let earlier = question.history.iter().filter(|it| it.role == Role::User);
    let mut query = Query {
        text: question.text.clone(),
        history: earlier.map(|it| it.text.clone()).collect(),
        top_k,
        ..Query::default()
    };
    let mut ranks = BTreeMap::new();
    let mut main = None;
    let mut confidence = 0.0;
    for mode in rankings {
        query.mode = *mode;
        let found = healthy(book.find(&query).await?)?;
        if !wanted.is_empty() {
            ranks.insert(name(*mode).to_owned(), rank(&found.hits, wanted));
        }
        // Raw scores say more than places: those of the words where there are any.
        if *mode == Mode::Lexical || rankings.len() == 1 {
            confidence = margin(&found.hits);
        }
        main.get_or_insert(found);
    }
    let found = main.ok_or("no ranking was asked for")?;
    Ok(Searched {
        ranks,
        found: found.hits.iter().take(SHOWN).map(shown).collect(),
        run: found.hits.iter().map(|it| (it.passage.path.clone(), it.score)).collect(),
        confidence,
        took_ms: found.embed_ms + found.search_ms,
        book_version: found.book_version,
    })
}

fn rank(hits: &[Hit], wanted: &Wanted) -> Rank {
    let named = |measures: Measures| {
        measures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    };
    let (pages, labels) = (wanted.pages(), wanted.labels());
    let (by_page, by_passage) = (wanted.rank_pages(hits), wanted.rank_passages(hits));
    Rank {
        page: metrics::best_rank(&by_page, &pages),
        passage: metrics::best_rank(&by_passage, &labels),
        pages: named(metrics::measure(&by_page, &pages)),
        passages: named(metrics::measure(&by_passage, &labels)),
    }
}

fn margin(hits: &[Hit]) -> f64 {
    let raw = |at: usize| hits.get(at).and_then(|it| it.lexical.or(it.dense));
    f64::from(raw(0).unwrap_or(0.0)) - f64::from(raw(4).unwrap_or(0.0))
}

fn shown(hit: &Hit) -> Shown {
    let passage = &hit.passage;
    let place = match passage.anchor.as_str() {
        "" => passage.path.clone(),
        anchor => format!("{}#{anchor}", passage.path),
    };
    Shown { place, title: passage.title.clone() }
}
