//! Everything about a question that is looked up before its answer begins.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Again, Ask, condense, keep, prompt};
use crate::{
    App, Error, Result,
    call::Call,
    config::Env,
    conversations::{
        Exchange, Owner, Role, Status, Thread, log,
        runs::{self, Lapsed},
        store::{self, QuestionRef, Turn},
    },
    db::Pool,
    llm::Usage,
    retrieval::{self, Found, Hit, Mode, Query, tokens::Tokeniser},
};

/// Passages that are looked at for one answer; how many of them reach the model is the
/// prompt's business.
const PASSAGES: usize = 16;

/// Characters of earlier turns that a model is given, about 2,000 tokens.
const MEMORY_CHARS: usize = 8000;

/// How long an answer may take to stop. Its maker hears of that within half a second; one whose
/// maker has just died can be settled when the lease is over, after five.
const STOPPING: Duration = Duration::from_secs(6);

/// A question with all that its answer needs.
pub(super) struct Question {
    pub message_id: Uuid,
    own_message_id: Uuid,
    pub owner: Owner,
    thread: Thread,
    pub conversation: Option<Uuid>,
    pub text: String,
    written: Option<Value>,
    /// Whether it was asked before, and that question, if it is there.
    again: Again,
    replaces: Option<Uuid>,
    /// What a model is told beforehand; empty without one.
    pub rules: String,
    /// The reader's selection, and the passage of the book that it lies in.
    pub selection: Option<(String, Option<Hit>)>,
    /// Earlier turns, oldest first.
    pub turns: Vec<Turn>,
    /// What was searched for, and how the book's words are compared.
    searched: Query,
    pub tokeniser: Tokeniser,
    pub hits: Vec<Hit>,
    pub degraded: Vec<&'static str>,
    /// What condensing a follow-up has cost.
    pub condensing: Usage,
    pub book_version: Option<String>,
    model: Leave,
    /// Whether the passages are there.
    pub is_searched: bool,
    /// What becomes of the exchange if there is no answer.
    unanswered: Status,
    asked_at: OffsetDateTime,
    pub began: Instant,
    /// Cancelled when the reader wants no more of it.
    pub stop: CancellationToken,
    pub deadline: Instant,
}

/// Whether a model may be asked.
#[derive(Clone, Copy)]
enum Leave {
    Given,
    /// If one of so many answers a day is left: `DAILY_ANSWERS`.
    OfTheDay(i64),
    Denied,
}

/// Rights, memory and settings: whatever may still refuse the question.
pub(super) async fn prepare(app: &App, call: &Call, ask: Ask) -> Result<Question> {
    let began = Instant::now();
    // A setting that is wrong is said before the first byte.
    let (rules, model) = if app.llm().await?.is_extractive() {
        (String::new(), Leave::Denied)
    } else {
        let model = match app.env().get("DAILY_ANSWERS") {
            None => Leave::Given,
            Some(_) => Leave::OfTheDay(app.env().parse("DAILY_ANSWERS", 0)?),
        };
        (prompt::system(app.env()).await?, model)
    };
    let is_kept = ask.owner != Owner::Guest && ask.thread != Thread::LogOnly;
    let mut question = Question {
        message_id: Uuid::now_v7(),
        own_message_id: Uuid::now_v7(),
        conversation: is_kept.then(|| match ask.thread {
            Thread::Known(id) => id,
            _ => Uuid::now_v7(),
        }),
        owner: ask.owner,
        thread: ask.thread,
        text: ask.question,
        written: ask.written,
        again: ask.again,
        replaces: None,
        rules,
        selection: ask.selection.map(|text| (text, None)),
        turns: ask.history,
        searched: Query::default(),
        tokeniser: Tokeniser::default(),
        hits: Vec::new(),
        degraded: Vec::new(),
        condensing: Usage::default(),
        book_version: None,
        model,
        is_searched: false,
        unanswered: if ask.promised { Status::Interrupted } else { Status::Failed },
        asked_at: OffsetDateTime::now_utc(),
        began,
        stop: CancellationToken::new(),
        deadline: call.deadline,
    };
    question.remember(app).await?;
    Ok(question)
}

impl Question {
    /// Reads the conversation so far. Without the database earlier turns are not used.
    async fn remember(&mut self, app: &App) -> Result<()> {
        let db = app.db().await?;
        if self.owner == Owner::Guest {
            return Ok(());
        }
        let until = match &self.again {
            Again::At(question) | Again::Resent(question) => {
                Some(QuestionRef::Message(*question))
            }
            Again::Called(name) | Again::Edited(name) => Some(QuestionRef::Called(name)),
            Again::Last | Again::No => None,
        };
        // What was sent again finds kept what it replaces; what is being written is its equal.
        if !matches!(self.again, Again::No | Again::Resent(_)) {
            self.stop_predecessor(db).await;
        }
        let memory = store::recall(db, &self.owner, &self.thread, until, MEMORY_CHARS);
        let memory = tokio::time::timeout(self.patience(), memory).await;
        match memory.unwrap_or(Err(Error::Timeout)) {
            Ok(memory) => {
                if let Some(conversation) = memory.conversation {
                    self.conversation = Some(conversation);
                    // An empty conversation knows nothing yet that the client could not tell.
                    if !memory.turns.is_empty() {
                        self.turns = memory.turns;
                    }
                    self.replace(memory.last_question, memory.is_placed);
                }
                Ok(())
            }
            Err(
                err @ (Error::Unavailable { service: "database", .. } | Error::Timeout),
            ) => {
                self.goes_on_without_database(&err);
                Ok(())
            }
            Err(err) => Err(err),
        }
    }

    /// Who asks once more has no use for an answer that is still being written: it is stopped,
    /// and waited for, because only what is kept can be replaced. One that has lost its maker is
    /// brought home.
    async fn stop_predecessor(&self, db: &Pool) {
        let conversation = match &self.thread {
            Thread::Known(id) => id.to_string(),
            Thread::Called(name) => name.clone(),
            Thread::New | Thread::LogOnly => return,
        };
        let stopped = async {
            while let Some(run) = runs::going(db, &self.owner, &conversation).await? {
                runs::stop(db, &self.owner, run).await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
                runs::settle(db, Lapsed::Of(&self.owner)).await?;
            }
            Ok(())
        };
        let stopped =
            tokio::time::timeout(STOPPING.min(self.patience() / 2), stopped).await;
        if let Err(err) = stopped.unwrap_or(Err(Error::Timeout)) {
            tracing::warn!(cause = err.chain(), "an answer goes on beside its retry");
        }
    }

    /// A database that is silent is away. Half of the time is left for the answer.
    fn patience(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()) / 2
    }

    fn goes_on_without_database(&mut self, err: &Error) {
        tracing::error!(cause = err.chain(), "the database is away: answering without");
        self.degraded.push("database");
    }

    /// Whether a model may be asked for this question; for the first time, that counts against
    /// the day's cap. One that cannot be counted is taken as reached.
    pub(super) async fn may_ask_model(&mut self, app: &App) -> Result<bool> {
        if let Leave::OfTheDay(cap) = self.model {
            self.model = Leave::Denied;
            if !self.database_is_away() {
                let taken = log::take_answer(app.db().await?, cap);
                let taken = tokio::time::timeout(self.patience(), taken).await;
                match taken.unwrap_or(Err(Error::Timeout)) {
                    Ok(true) => self.model = Leave::Given,
                    Ok(false) => self.degraded.push("daily_answers"),
                    Err(err) => self.goes_on_without_database(&err),
                }
            }
        }
        Ok(matches!(self.model, Leave::Given))
    }

    /// Whether there is nothing to answer from.
    pub(super) fn has_found_nothing(&self) -> bool {
        self.hits.is_empty() && self.selection.is_none()
    }

    /// Forgets the old answer to a question that is asked once more, and keeps the question,
    /// unless it was edited. `is_placed`: it is the one that the client named. Other words than
    /// those of the last question replace nothing: then the client knows less of the
    /// conversation than we do.
    fn replace(&mut self, asked: Option<(Uuid, String)>, is_placed: bool) {
        let Some((id, text)) = asked else { return };
        let is_edited = matches!(self.again, Again::Edited(_));
        let is_meant = if is_edited { is_placed } else { text == self.text };
        if self.again != Again::No && is_meant {
            self.replaces = Some(id);
            if !is_edited {
                self.own_message_id = id;
            }
            let asked = self.turns.iter().rposition(|it| it.role == Role::User);
            self.turns.truncate(asked.unwrap_or_default());
        }
    }

    /// Searches before there is a stream. A question that could not be answered leaves its row
    /// in the log too.
    pub(super) async fn search_or_log(&mut self, app: &App) -> Result<()> {
        let Err(err) = self.search(app).await else { return Ok(()) };
        let (away, deadline) = (self.database_is_away(), self.deadline);
        keep::failed(app, self.record(), &err, away, deadline).await;
        Err(err)
    }

    /// Finds the passages, and the place of the selection.
    pub(super) async fn search(&mut self, app: &App) -> Result<()> {
        let book = app.book().await?;
        let deadline = self.deadline.into();
        let mut query =
            Query { top_k: PASSAGES, deadline: Some(self.deadline), ..Query::default() };
        (query.text, query.history) = self.search_terms(app).await?;
        let found = tokio::time::timeout_at(deadline, book.find(&query));
        let Found { hits, degraded, book_version, tokeniser, .. } =
            found.await.map_err(|_| Error::Timeout)??;
        self.hits = hits;
        self.tokeniser = tokeniser;
        self.searched = query.clone();
        self.book_version = book_version;
        self.is_searched = true;
        self.degraded.extend(degraded);

        let Some((selected, place)) = &mut self.selection else { return Ok(()) };
        // The words of the selection find the passage that it was taken from.
        query.text.clone_from(selected);
        query.history.clear();
        query.mode = Mode::Lexical;
        let near = match tokio::time::timeout_at(deadline, book.find(&query)).await {
            Ok(Ok(found)) => found.hits,
            // Then it is quoted as it is: the question has its passages already.
            _ => Vec::new(),
        };
        *place = near.into_iter().find(|it| it.passage.locate(selected).is_some());
        Ok(())
    }

    /// What to look for: a follow-up as one question that stands alone, if a model makes it so
    /// in time; otherwise as typed, with the questions before it. A first question is itself.
    async fn search_terms(&mut self, app: &App) -> Result<(String, Vec<String>)> {
        if let Some(text) = condense::condense(app, self).await? {
            return Ok((text, Vec::new()));
        }
        let earlier = self.turns.iter().filter(|it| it.role == Role::User);
        Ok((self.text.clone(), earlier.map(|it| it.text.clone()).collect()))
    }

    /// Whether too few of the words that were searched for occur in the best passages:
    /// `MIN_COVERAGE`, a share from 0 (off, the default: a word that the book does not use is
    /// no proof) to 1.
    pub(super) fn is_poorly_covered(&self, env: &Env) -> Result<bool> {
        let least: f64 = env.parse("MIN_COVERAGE", 0.0)?;
        if least <= 0.0 || self.selection.is_some() {
            return Ok(false);
        }
        let covered = retrieval::coverage(&self.searched, &self.hits, self.tokeniser);
        Ok(covered.is_some_and(|it| it < least))
    }

    /// Whether the database answered when it was asked for memory.
    pub(super) fn database_is_away(&self) -> bool {
        self.degraded.contains(&"database")
    }

    /// The exchange as far as it is known before there is an answer.
    pub(super) fn record(&self) -> Exchange {
        Exchange {
            id: self.message_id,
            question_id: self.own_message_id,
            owner: self.owner.clone(),
            conversation_id: self.conversation,
            client_id: match &self.thread {
                Thread::Called(name) => Some(name.clone()),
                _ => None,
            },
            replaces: self.replaces,
            question: self.text.clone(),
            written: self.written.clone(),
            answer: String::new(),
            sources: json!([]),
            markers: json!([]),
            status: self.unanswered,
            asked_at: self.asked_at,
            answered_at: self.asked_at,
            first_token_ms: None,
            model: String::new(),
            usage: Value::Null,
            error_code: None,
            metadata: json!({ "degraded": self.degraded, "book_version": self.book_version }),
        }
    }
}
