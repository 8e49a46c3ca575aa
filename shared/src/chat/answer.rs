//! From a prepared question to a finished, kept answer.

use std::time::Instant;

use futures_util::StreamExt;
use serde_json::json;
use time::OffsetDateTime;

use super::{
    Answer, Event, Events,
    cite::Marker,
    extract, keep,
    links::Allowed,
    prompt,
    question::Question,
    reply::Reply,
    sources::{self, Citable},
};
use crate::{
    App, Error, Result,
    conversations::Status,
    llm::{Delta, Usage},
    retrieval::Book,
};

/// What the log calls an answer that no model wrote.
const EXTRACTIVE: &str = "extractive";

/// Why the log says that there was no answer.
#[derive(Clone, Copy)]
enum Refusal {
    /// Nothing was found.
    NoHits,
    /// Too few of the question's words are in what was found.
    LowCoverage,
    /// The model said so.
    ModelRefused,
}

/// What was written, by a model or without one.
#[derive(Default)]
struct Draft {
    content: String,
    markers: Vec<Marker>,
    usage: Usage,
    model: String,
    first_token_ms: Option<i32>,
    refusal: Option<Refusal>,
    /// It broke off here, with what there is.
    failure: Option<Error>,
}

/// Writes the answer, keeps it, and says so: the last event leaves after the save.
pub(super) async fn run(app: &App, mut question: Question, events: Events) {
    let mut draft = Draft { usage: question.condensing, ..Draft::default() };
    let outcome = async {
        let book = app.book().await?;
        let for_model = !app.llm().await?.is_extractive() && question.within_cap;
        let citable = prompt::citable(&question, for_model);
        write(app, book, &mut question, &citable, &events, &mut draft).await?;
        let by_model = draft.model != EXTRACTIVE;
        let (text, markers) = (&draft.content, &draft.markers);
        Ok(sources::cited(text, markers, &citable, &question, by_model, book))
    };
    let sources = match outcome.await {
        Ok(sources) if draft.failure.is_none() => sources,
        Ok(sources) => return fail(app, &question, draft, sources, &events).await,
        Err(err) => {
            draft.failure = Some(err);
            return fail(app, &question, draft, Vec::new(), &events).await;
        }
    };
    finish(app, question, draft, sources, &events).await;
}

async fn write(
    app: &App,
    book: &Book,
    question: &mut Question,
    citable: &[Citable],
    events: &Events,
    draft: &mut Draft,
) -> Result<()> {
    let llm = app.llm().await?;
    llm.model().clone_into(&mut draft.model);
    if citable.is_empty() {
        draft.refusal = Some(Refusal::NoHits);
    } else if question.is_poorly_covered(app.env())? {
        draft.refusal = Some(Refusal::LowCoverage);
    } else if !llm.is_extractive() && question.within_cap {
        ask_model(app, question, citable, events, draft).await?;
    }
    let written = !draft.content.is_empty() || draft.failure.is_some();
    if let Some(refusal) = draft.refusal {
        let text = extract::refusal(citable, book);
        *draft = Draft {
            refusal: Some(refusal),
            usage: draft.usage,
            model: std::mem::take(&mut draft.model),
            ..Draft::default()
        };
        draft.emit(text, question.began, events);
    } else if !written {
        EXTRACTIVE.clone_into(&mut draft.model);
        quote(book, question, citable, Allowed::from_env(app.env()), events, draft);
    }
    Ok(())
}

/// Lets the model write. An error before its first word is no failure: the passages will be
/// quoted instead, and the answer says that it is degraded.
async fn ask_model(
    app: &App,
    question: &mut Question,
    citable: &[Citable],
    events: &Events,
    draft: &mut Draft,
) -> Result<()> {
    let prompt = prompt::prompt(app.env(), question, citable).await?;
    let prompt_chars = prompt.chars();
    let mut reply = Reply::new(citable.len(), Allowed::from_env(app.env()));
    let mut counted = None;
    let llm = app.llm().await?;
    let replied = async {
        let mut deltas = llm.stream(&prompt).await?;
        while let Some(delta) = deltas.next().await {
            match delta? {
                Delta::Usage(usage) => counted = Some(usage),
                Delta::Text(text) => {
                    draft.emit(reply.push(&text), question.began, events);
                }
            }
        }
        Ok(())
    };
    let deadline = question.deadline.into();
    let outcome = match tokio::time::timeout_at(deadline, replied).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::Timeout),
    };
    if outcome.is_ok() {
        draft.emit(reply.finish(), question.began, events);
    }
    let is_refusal = reply.is_refusal();
    (draft.content, draft.markers) = reply.into_parts();
    // A model that was never reached has cost nothing.
    let estimate = draft
        .first_token_ms
        .map(|_| Usage::estimate(prompt_chars, draft.content.chars().count()));
    let usage = counted.or(estimate).unwrap_or_default();
    draft.usage = usage + question.condensing;
    if is_refusal {
        draft.refusal = Some(Refusal::ModelRefused);
    } else if let Err(err) = outcome {
        if draft.first_token_ms.is_some() {
            draft.failure = Some(err);
        } else {
            tracing::error!(cause = err.chain(), "the model is away: quoting passages");
            question.degraded.push("llm");
            draft.content.clear();
        }
    }
    Ok(())
}

/// Quotes the best passages.
fn quote(
    book: &Book,
    question: &Question,
    citable: &[Citable],
    allowed: Allowed,
    events: &Events,
    draft: &mut Draft,
) {
    let mut reply = Reply::new(citable.len(), allowed);
    for paragraph in extract::paragraphs(&question.text, citable, book) {
        draft.emit(reply.push_quoted(paragraph), question.began, events);
    }
    draft.emit(reply.finish(), question.began, events);
    (draft.content, draft.markers) = reply.into_parts();
    if draft.content.is_empty() {
        draft.refusal = Some(Refusal::NoHits);
        draft.emit(extract::refusal(citable, book), question.began, events);
    }
}

impl Draft {
    fn emit(&mut self, text: String, began: Instant, events: &Events) {
        if text.is_empty() {
            return;
        }
        let ms = i32::try_from(began.elapsed().as_millis()).unwrap_or(i32::MAX);
        self.first_token_ms.get_or_insert(ms);
        self.content.push_str(&text);
        events.send(Event::Delta(text));
    }

    fn log_reason(&self, unsupported: bool) -> Option<&'static str> {
        match self.refusal {
            Some(Refusal::NoHits) => Some("no_hits"),
            Some(Refusal::LowCoverage) => Some("low_coverage"),
            Some(Refusal::ModelRefused) => Some("model_refused"),
            None => unsupported.then_some("no_valid_citation"),
        }
    }
}

async fn finish(
    app: &App,
    mut question: Question,
    draft: Draft,
    sources: Vec<sources::Source>,
    events: &Events,
) {
    let refused = draft.refusal.is_some();
    let unsupported = !refused && sources.is_empty();
    let timestamp = OffsetDateTime::now_utc();
    let mut exchange = question.record();
    exchange.status = Status::Complete;
    exchange.answered_at = timestamp;
    exchange.answer.clone_from(&draft.content);
    exchange.sources = json!(sources);
    exchange.model.clone_from(&draft.model);
    exchange.usage = json!(draft.usage);
    exchange.first_token_ms = draft.first_token_ms;
    exchange.metadata["refused"] = json!(refused);
    exchange.metadata["unsupported"] = json!(unsupported);
    exchange.metadata["reason"] = json!(draft.log_reason(unsupported));
    let away = question.database_is_away();
    let kept = keep::finished(app, &exchange, away, question.deadline).await;
    if kept.away && !away {
        question.degraded.push("database");
    }
    events.send(Event::Done(Box::new(Answer {
        content: draft.content,
        message_id: exchange.id,
        timestamp,
        conversation_id: kept.conversation,
        sources,
        markers: draft.markers,
        refused,
        unsupported,
        degraded: question.degraded,
        saved: question.conversation.map(|_| kept.saved),
        book_version: question.book_version,
        usage: draft.usage,
    })));
}

/// Keeps what there was, then says that it broke off.
async fn fail(
    app: &App,
    question: &Question,
    draft: Draft,
    sources: Vec<sources::Source>,
    events: &Events,
) {
    let err = draft.failure.unwrap_or(Error::Timeout);
    tracing::error!(cause = err.chain(), "an answer broke off");
    let mut exchange = question.record();
    exchange.answer = draft.content;
    exchange.sources = json!(sources);
    exchange.model = draft.model;
    exchange.usage = json!(draft.usage);
    exchange.first_token_ms = draft.first_token_ms;
    let away = question.database_is_away();
    keep::failed(app, exchange, &err, away, question.deadline).await;
    events.send(Event::Failed(err));
}
