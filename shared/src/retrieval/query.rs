//! `POST /api/v1/rag/query`: the passages that bear on a question, without an answer.

use axum::routing::post;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Book, Filter, Hit, Mode, Query};
use crate::{
    Error, FieldError, Result,
    http::{
        Call, Ctx, Route,
        extract::{Json, Who},
    },
};

/// A question may have this many characters.
const LONGEST_QUERY: usize = 4000;
/// Passages that one request may ask for.
const MOST: i64 = 50;

/// `POST /api/v1/rag/query`.
pub fn route() -> Route {
    Route::new().route("/api/v1/rag/query", post(query))
}

/// Fields that we do not know are passed over; inside `filter` they are refused, because a
/// mistyped filter would search the whole book without a word.
#[derive(Deserialize)]
struct Body {
    query: String,
    #[serde(default = "five")]
    top_k: i64,
    #[serde(default)]
    mode: Mode,
    filter: Option<Filter>,
    history: Option<Vec<String>>,
}

#[derive(Serialize)]
struct Answer {
    query: String,
    results: Vec<Found>,
    degraded: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    book_version: Option<String>,
    took_ms: Took,
}

#[derive(Serialize)]
struct Found {
    id: Uuid,
    score: f64,
    /// Without what a reader of the page cannot see, so it may be shorter than its place.
    text: String,
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    path: String,
    start: u32,
    end: u32,
    scores: Scores,
}

#[derive(Serialize)]
struct Scores {
    #[serde(skip_serializing_if = "Option::is_none")]
    dense: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lexical: Option<f32>,
}

#[derive(Serialize)]
struct Took {
    embed: u64,
    search: u64,
}

async fn query(
    app: Ctx,
    call: Call,
    Who(_): Who,
    Json(body): Json<Body>,
) -> Result<Json<Answer>> {
    let (query, mut asked) = understand(body)?;
    asked.deadline = Some(call.deadline);
    let book = app.book().await?;
    let found = Box::pin(call.within(book.find(&asked))).await?;
    Ok(Json(Answer {
        query,
        results: found.hits.into_iter().map(|hit| spell(book, hit)).collect(),
        degraded: found.degraded,
        book_version: found.book_version,
        took_ms: Took { embed: found.embed_ms, search: found.search_ms },
    }))
}

/// The question as typed, and what to look for.
fn understand(body: Body) -> Result<(String, Query)> {
    let mut wrong = Vec::new();
    let mut refuse = |field: &str, message: &str| {
        wrong.push(FieldError { field: field.into(), message: message.into() });
    };
    let text = body.query.trim();
    if text.is_empty() || text.chars().count() > LONGEST_QUERY {
        refuse("query", "must have 1 to 4000 characters");
    }
    if !(1..=MOST).contains(&body.top_k) {
        refuse("top_k", "must be 1 to 50");
    }
    let history = body.history.unwrap_or_default();
    if history.iter().any(|it| it.chars().count() > LONGEST_QUERY) {
        refuse("history", "must hold questions of at most 4000 characters");
    }
    if !wrong.is_empty() {
        return Err(Error::Invalid(wrong));
    }
    let asked = Query {
        text: text.to_owned(),
        history,
        top_k: body.top_k as usize,
        mode: body.mode,
        filter: body.filter.unwrap_or_default(),
        deadline: None,
    };
    Ok((body.query, asked))
}

fn spell(book: &Book, hit: Hit) -> Found {
    let url = book.url(&hit.passage);
    let Hit { passage, score, dense, lexical } = hit;
    let text = passage.prompt_text();
    Found {
        id: passage.id,
        score,
        text,
        title: passage.title,
        url,
        path: passage.path,
        start: passage.start,
        end: passage.end,
        scores: Scores { dense, lexical },
    }
}

fn five() -> i64 {
    5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(body: &str) -> Result<Query> {
        understand(serde_json::from_str(body).expect("a body of the right types"))
            .map(|(_, asked)| asked)
    }

    fn refused(body: &str) -> Vec<String> {
        match understood(body) {
            Err(Error::Invalid(fields)) => {
                fields.into_iter().map(|it| it.field).collect()
            }
            other => panic!("expected refused fields, found {other:?}"),
        }
    }

    #[test]
    fn a_bare_question_asks_both_legs_for_five_passages_of_the_whole_book() {
        let asked =
            understood(r#"{"query":" What moves? ","colour":"unknown"}"#).unwrap();
        assert_eq!((asked.text.as_str(), asked.top_k), ("What moves?", 5));
        assert_eq!((asked.mode, asked.filter), (Mode::Hybrid, Filter::default()));
        assert!(asked.history.is_empty());
    }

    #[test]
    fn a_null_where_something_is_optional_is_nothing() {
        let asked = understood(r#"{"query":"q","filter":null,"history":null}"#).unwrap();
        assert_eq!(asked.filter, Filter::default());
    }

    #[test]
    fn every_refused_field_is_named_at_once() {
        assert_eq!(refused(r#"{"query":" ","top_k":0}"#), ["query", "top_k"]);
        assert_eq!(refused(r#"{"query":"q","top_k":51}"#), ["top_k"]);
        assert_eq!(refused(r#"{"query":"q","top_k":-1}"#), ["top_k"]);
        let long = |n| format!(r#"{{"query":"{}"}}"#, "ö".repeat(n));
        assert_eq!(refused(&long(4001)), ["query"]);
        assert!(understood(&long(4000)).is_ok());
        let history = format!(r#"{{"query":"q","history":["{}"]}}"#, "x".repeat(4001));
        assert_eq!(refused(&history), ["history"]);
    }

    #[test]
    fn a_mistyped_filter_is_refused() {
        let body = r#"{"query":"q","filter":{"path":"ch04"}}"#;
        assert!(serde_json::from_str::<Body>(body).is_err());
    }
}
