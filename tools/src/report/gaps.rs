//! Where the book has gaps: what heading is nearest to the questions that it did not answer
//! well, and to those whose readers said what they think.

use std::collections::HashMap;

use shared::{
    App,
    config::Env,
    retrieval::{self, Mode, Query, shelf::Place},
};

use super::{log::Row, tally};
use crate::Outcome;

/// Passages that are looked at when the book is asked again.
const PASSAGES: usize = 5;
/// Different questions that are asked again, the newest first: a report is no load test.
const ASKED_AGAIN: usize = 2000;

/// Why a question counts as a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The answer said that the book does not say.
    Refused,
    /// No citation survived checking.
    Unsupported,
    /// It was answered from passages that hardly bear on it.
    LowScore,
}

/// A row that is a gap, or has feedback.
#[derive(Clone, Debug)]
pub(super) struct Gap {
    /// The place of the row.
    pub row: usize,
    /// Why; `None` when it was answered well, as far as the log can tell.
    pub kind: Option<Kind>,
    /// The breadcrumb of the nearest passage; `None` when nothing is near.
    pub heading: Option<String>,
}

/// From where on an answer counts as badly founded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The best cited passage scored below this.
    pub score: f64,
    /// Less than this share of the question's words is in the five nearest passages.
    pub coverage: f64,
}

/// What asking the book again showed.
#[derive(Clone, Default)]
struct Asked {
    heading: Option<String>,
    /// `None` when the question has no words of its own.
    coverage: Option<f64>,
}

/// Finds the gaps. The second part says what could not be looked up.
pub(super) async fn find(
    rows: &[Row],
    limits: Limits,
    env: &Env,
) -> (Vec<Gap>, Vec<String>) {
    let before = previous(rows);
    let mut book = Again::new(env);
    let mut gaps = Vec::new();
    for (at, row) in rows.iter().enumerate().rev() {
        if row.question.trim().is_empty() {
            continue;
        }
        let is_judged = row.feedback.is_some();
        let known = match (row.is_refused(), row.is_unsupported()) {
            _ if row.error.is_some() => None,
            (true, _) => Some(Kind::Refused),
            (_, true) => Some(Kind::Unsupported),
            _ => row.score.filter(|it| *it < limits.score).map(|_| Kind::LowScore),
        };
        let near = row.cited.as_deref().or_else(|| row.nearest());
        // A book in Qdrant is not asked for every row.
        let wants_coverage = known.is_none() && row.error.is_none() && book.has_shelf;
        let wants_heading = near.is_none() && (known.is_some() || is_judged);
        let asked = if wants_coverage || wants_heading {
            let previous = before[at].map(|it| rows[it].question.as_str());
            book.ask(&row.question, previous).await
        } else {
            Asked::default()
        };
        let covered = asked.coverage.filter(|_| wants_coverage);
        let is_low = covered.is_some_and(|it| it < limits.coverage);
        let kind = known.or(is_low.then_some(Kind::LowScore));
        if kind.is_some() || is_judged {
            let heading = near.map(str::to_owned).or(asked.heading);
            gaps.push(Gap { row: at, kind, heading });
        }
    }
    gaps.reverse();
    (gaps, book.notes)
}

/// For each row the row before it in the same conversation.
fn previous(rows: &[Row]) -> Vec<Option<usize>> {
    let mut last = HashMap::new();
    let before = |(at, row): (usize, &Row)| last.insert(row.conversation.clone()?, at);
    rows.iter().enumerate().map(before).collect()
}

/// The book, asked by words alone: it costs nothing and needs no key.
struct Again {
    app: App,
    has_shelf: bool,
    seen: HashMap<(String, Option<String>), Asked>,
    is_down: bool,
    notes: Vec<String>,
}

impl Again {
    fn new(env: &Env) -> Self {
        let place = Place::from_env(env);
        Self {
            app: App::new(env.clone().with("EMBEDDING_PROVIDER", "none")),
            has_shelf: place.exists() && place.current().is_ok(),
            seen: HashMap::new(),
            is_down: false,
            notes: Vec::new(),
        }
    }

    async fn ask(&mut self, question: &str, before: Option<&str>) -> Asked {
        let key = (tally::normalised(question), before.map(tally::normalised));
        if let Some(asked) = self.seen.get(&key) {
            return asked.clone();
        }
        if self.is_down {
            return Asked::default();
        }
        if self.seen.len() == ASKED_AGAIN {
            self.is_down = true;
            self.notes.push(format!(
                "only the newest {ASKED_AGAIN} different questions were looked up in the book"
            ));
            return Asked::default();
        }
        let asked = match self.look(question, before).await {
            Ok(asked) => asked,
            Err(err) => {
                self.is_down = true;
                self.notes.push(format!(
                    "the book could not be asked again ({err}): headings come from the log alone"
                ));
                Asked::default()
            }
        };
        self.seen.insert(key, asked.clone());
        asked
    }

    async fn look(&self, question: &str, before: Option<&str>) -> Outcome<Asked> {
        if !self.has_shelf && self.app.env().get("QDRANT_URL").is_none() {
            return Err("there is no shelf".into());
        }
        let query = Query {
            text: question.to_owned(),
            history: before.map(str::to_owned).into_iter().collect(),
            top_k: PASSAGES,
            mode: Mode::Lexical,
            ..Query::default()
        };
        let found = self.app.book().await?.find(&query).await?;
        let coverage = retrieval::coverage(&query, &found.hits, found.tokeniser);
        let heading =
            found.hits.into_iter().map(|it| it.passage.title).find(|it| !it.is_empty());
        Ok(Asked { heading, coverage })
    }
}
