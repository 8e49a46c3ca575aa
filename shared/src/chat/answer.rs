//! From a prepared question to a finished, kept answer.

use std::{panic::AssertUnwindSafe, time::Instant};

use futures_util::{FutureExt, StreamExt};
use serde_json::json;
use time::OffsetDateTime;

use super::{
    Answer, Asking, Event, Events, Failure, Text,
    cite::Marker,
    extract, keep,
    links::Allowed,
    prompt,
    question::Question,
    reply::Reply,
    sources::{Citations, Source},
};
use crate::{
    App, Error, Result,
    conversations::{Exchange, Status},
    llm::{Delta, Usage},
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
    sources: Vec<Source>,
    usage: Usage,
    model: String,
    first_token_ms: Option<i32>,
    refusal: Option<Refusal>,
    /// The reader stopped it here.
    is_stopped: bool,
    /// The model had no more room: `LLM_MAX_TOKENS`.
    is_truncated: bool,
}

/// Writes the answer, keeps it, and says so: the last event leaves after the save. Of one that
/// breaks off, be it by a bug of ours, there is what was written.
pub(super) async fn run(app: &App, mut question: Question, events: Events) {
    let mut draft = Draft { usage: question.condensing, ..Draft::default() };
    let whole = async {
        write(app, &mut question, &events, &mut draft).await?;
        finish(app, &mut question, &draft, &events).await;
        Ok(())
    };
    let outcome = AssertUnwindSafe(whole).catch_unwind().await;
    let panicked = |_| Err(Error::Internal("an answer panicked".to_owned()));
    if let Err(err) = outcome.unwrap_or_else(panicked) {
        fail(app, &question, &draft, &err, &events).await;
    }
}

async fn write(
    app: &App,
    question: &mut Question,
    events: &Events,
    draft: &mut Draft,
) -> Result<()> {
    if !question.is_searched {
        events.send(Event::Searching);
        let stop = question.stop.clone();
        let searched = tokio::select! {
            outcome = question.search(app) => outcome,
            () = stop.cancelled() => {
                draft.is_stopped = true;
                Ok(())
            }
        };
        draft.usage = question.condensing;
        searched?;
        if draft.is_stopped {
            return Ok(());
        }
    }
    events.can_be_found().await;
    let (book, llm) = (app.book().await?, app.llm().await?);
    llm.model().clone_into(&mut draft.model);
    let no_answer = if question.has_found_nothing() {
        Some(Refusal::NoHits)
    } else if question.is_poorly_covered(app.env())? {
        Some(Refusal::LowCoverage)
    } else {
        None
    };
    let by_model = no_answer.is_none() && question.may_ask_model(app).await?;
    let citable = prompt::citable(question, by_model);
    let (asked, began) = (question.text.clone(), question.began);
    let citations = Citations { citable: &citable, book, question: &asked };
    let mut writer = Writer { draft, citations, events, began, by_model };
    let refusal = match no_answer {
        Some(refusal) => Some(refusal),
        None if by_model => match ask_model(app, question, &mut writer).await? {
            Outcome::Written => None,
            Outcome::Refused => Some(Refusal::ModelRefused),
            Outcome::Away => quote(app, &mut writer),
        },
        None => quote(app, &mut writer),
    };
    if refusal.is_some() {
        writer.write(extract::refusal(&citable, book), &[]);
    }
    writer.draft.refusal = refusal;
    Ok(())
}

/// What came of asking a model.
enum Outcome {
    /// An answer, whole or broken off: the draft says which.
    Written,
    /// The signal that the book does not answer.
    Refused,
    /// Nothing, because it could not be asked.
    Away,
}

/// Lets the model write until it has ended, the reader stops it, or the time is up. An error
/// before its first word is no failure: the passages will be quoted instead, and the answer
/// says that it is degraded.
async fn ask_model(
    app: &App,
    question: &mut Question,
    writer: &mut Writer<'_>,
) -> Result<Outcome> {
    let citable = writer.citations.citable;
    let prompt = prompt::prompt(question, citable);
    let prompt_chars = prompt.chars();
    let spent = Usage::estimate(prompt_chars, 0) + question.condensing;
    let llm = app.llm().await?;
    writer.events.send(Event::Asking(Asking { model: llm.model().to_owned(), spent }));
    let mut reply = Reply::new(citable.len(), Allowed::from_env(app.env()));
    let (mut counted, mut reply_chars, mut is_cut) = (None, 0, false);
    let replied = async {
        let mut deltas = llm.stream(&prompt).await?;
        while let Some(delta) = deltas.next().await {
            match delta? {
                Delta::Usage(usage) => counted = Some(usage),
                Delta::Cut => is_cut = true,
                Delta::Text(text) => {
                    reply_chars += text.chars().count();
                    let text = reply.push(&text);
                    writer.write(text, reply.new_markers());
                }
            }
        }
        Ok(())
    };
    // What is not waited for any more is dropped, and with it the connection.
    let outcome = tokio::select! {
        outcome = replied => outcome,
        () = question.stop.cancelled() => {
            writer.draft.is_stopped = true;
            Ok(())
        }
        () = tokio::time::sleep_until(question.deadline.into()) => Err(Error::Timeout),
    };
    if outcome.is_ok() && !writer.draft.is_stopped {
        let text = reply.finish();
        writer.write(text, reply.new_markers());
    }
    // A model that could not be reached has cost nothing; one that is only silent has.
    let is_late = matches!(outcome, Err(Error::Timeout));
    let was_reached = reply_chars > 0 || writer.draft.is_stopped || is_late;
    let estimate = was_reached.then(|| Usage::estimate(prompt_chars, reply_chars));
    writer.draft.usage = counted.or(estimate).unwrap_or_default() + question.condensing;
    match outcome {
        _ if reply.is_refusal() => Ok(Outcome::Refused),
        Ok(()) if writer.draft.is_stopped || !writer.draft.content.is_empty() => {
            if is_cut {
                tracing::info!("the answer was cut at LLM_MAX_TOKENS");
            }
            writer.draft.is_truncated = is_cut;
            Ok(Outcome::Written)
        }
        Ok(()) => Ok(Outcome::Away),
        Err(err) if writer.draft.first_token_ms.is_some() => Err(err),
        Err(err) => {
            tracing::error!(cause = err.chain(), "the model is away: quoting passages");
            question.degraded.push("llm");
            Ok(Outcome::Away)
        }
    }
}

/// Quotes the best passages.
fn quote(app: &App, writer: &mut Writer<'_>) -> Option<Refusal> {
    let Citations { citable, book, question } = writer.citations;
    EXTRACTIVE.clone_into(&mut writer.draft.model);
    writer.by_model = false;
    let mut reply = Reply::new(citable.len(), Allowed::from_env(app.env()));
    for paragraph in extract::paragraphs(question, citable, book) {
        let text = reply.push_quoted(paragraph);
        writer.write(text, reply.new_markers());
    }
    let text = reply.finish();
    writer.write(text, reply.new_markers());
    writer.draft.content.is_empty().then_some(Refusal::NoHits)
}

/// Writes into the draft and to the reader at once.
struct Writer<'a> {
    draft: &'a mut Draft,
    citations: Citations<'a>,
    events: &'a Events,
    began: Instant,
    by_model: bool,
}

impl Writer<'_> {
    /// Writes `text`, in which these `markers` stand.
    fn write(&mut self, text: String, markers: &[Marker]) {
        if text.is_empty() {
            return;
        }
        let ms = i32::try_from(self.began.elapsed().as_millis()).unwrap_or(i32::MAX);
        self.draft.first_token_ms.get_or_insert(ms);
        self.draft.content.push_str(&text);
        self.draft.markers.extend(markers);
        let Draft { content, sources, .. } = &mut *self.draft;
        let cite =
            |it: &Marker| self.citations.cite(*it, content, self.by_model, sources);
        let cited = markers.iter().map(cite).collect();
        self.events.send(Event::Text(Text { text, cited }));
    }
}

impl Draft {
    fn log_reason(&self, unsupported: bool) -> Option<&'static str> {
        match self.refusal {
            Some(Refusal::NoHits) => Some("no_hits"),
            Some(Refusal::LowCoverage) => Some("low_coverage"),
            Some(Refusal::ModelRefused) => Some("model_refused"),
            None if self.is_stopped => Some("stopped"),
            None => unsupported.then_some("no_valid_citation"),
        }
    }

    /// The exchange with what was written so far.
    fn record(&self, question: &Question) -> Exchange {
        Exchange {
            answer: self.content.clone(),
            sources: json!(self.sources),
            markers: json!(self.markers),
            model: self.model.clone(),
            usage: json!(self.usage),
            first_token_ms: self.first_token_ms,
            ..question.record()
        }
    }
}

async fn finish(app: &App, question: &mut Question, draft: &Draft, events: &Events) {
    let refused = draft.refusal.is_some();
    let unsupported = !refused && !draft.is_stopped && draft.sources.is_empty();
    let timestamp = OffsetDateTime::now_utc();
    let mut exchange = draft.record(question);
    exchange.status = if draft.is_stopped { Status::Stopped } else { Status::Complete };
    exchange.answered_at = timestamp;
    exchange.metadata["refused"] = json!(refused);
    exchange.metadata["unsupported"] = json!(unsupported);
    exchange.metadata["reason"] = json!(draft.log_reason(unsupported));
    let away = question.database_is_away();
    let kept = keep::finished(app, &exchange, away, question.deadline).await;
    if kept.away && !away {
        question.degraded.push("database");
    }
    events.send(Event::Done(Box::new(Answer {
        content: draft.content.clone(),
        message_id: exchange.id,
        timestamp,
        conversation_id: kept.conversation,
        sources: draft.sources.clone(),
        markers: Vec::new(),
        refused,
        unsupported,
        stopped: draft.is_stopped,
        truncated: draft.is_truncated,
        degraded: question.degraded.iter().map(|it| (*it).to_owned()).collect(),
        saved: question.conversation.map(|_| kept.saved),
        book_version: question.book_version.clone(),
        usage: draft.usage,
        model: draft.model.clone(),
    })));
}

/// Keeps what there was, then says that it broke off.
async fn fail(
    app: &App,
    question: &Question,
    draft: &Draft,
    err: &Error,
    events: &Events,
) {
    tracing::error!(cause = err.chain(), "an answer broke off");
    let (away, deadline) = (question.database_is_away(), question.deadline);
    keep::failed(app, draft.record(question), err, away, deadline).await;
    events.send(Event::Failed(Failure::from(err)));
}
