//! The door of an older backend: a trusted server in front starts conversations and chats.

use axum::routing::post;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Ask,
    ask::{self, QUESTION, check},
    start, transcript,
};
use crate::{
    Error, Result,
    auth::Caller,
    conversations::{
        Owner, Role, Thread,
        history::{self, ListQuery},
        title,
    },
    http::{
        Call, Ctx, Route,
        extract::{Json, Who},
    },
    wire::ai,
};

/// How many conversations are looked at for the last one in which something was said.
const RECENT: u32 = 10;

/// `POST /api/ai/start-conversation` and `POST /api/ai/chat`.
pub fn route() -> Route {
    Route::new()
        .route("/api/ai/start-conversation", post(start_conversation))
        .route("/api/ai/chat", post(chat))
}

#[derive(Deserialize)]
struct Beginning {
    client_user_id: Option<String>,
    history: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Body {
    conversation_id: Option<String>,
    /// The words of a client that talks to us by itself …
    message: Option<String>,
    /// … and of one behind a server, which reads another answer.
    user_message: Option<String>,
    client_user_id: Option<String>,
    history: Option<Vec<String>>,
}

impl Body {
    fn into_ask(self, caller: &Caller) -> Result<Ask> {
        let (field, question) = match (self.message, self.user_message) {
            (Some(text), None) => ("message", text),
            (None, Some(text)) => ("user_message", text),
            (Some(_), Some(_)) => {
                return Err(Error::invalid(
                    "user_message",
                    "cannot be sent with message",
                ));
            }
            (None, None) => {
                return Err(Error::invalid("message", "or user_message must be sent"));
            }
        };
        check(field, &question, &QUESTION)?;
        let owner = reader(caller, self.client_user_id.as_deref())?;
        // Some of its callers send an empty one with a first question.
        let thread = match self.conversation_id.filter(|it| !it.is_empty()) {
            None => Thread::New,
            Some(id) => ask::known(&owner, &id)?,
        };
        let history = transcript::newest(said(self.history));
        Ok(Ask { thread, history, ..Ask::new(owner, question) })
    }
}

/// Whom the caller speaks for. A server in front must say it: nothing could be kept otherwise.
fn reader(caller: &Caller, named: Option<&str>) -> Result<Owner> {
    if *caller == Caller::Service && named.is_none() {
        return Err(Error::invalid("client_user_id", "is missing"));
    }
    caller.acts_for(named)
}

/// Earlier lines. They come without saying whose they are, so they are taken for a talk whose
/// last line was ours: the next one is the reader's.
fn said(history: Option<Vec<String>>) -> Vec<transcript::Message> {
    let lines = history.unwrap_or_default().into_iter().rev();
    let named = lines.zip([Role::Assistant, Role::User].into_iter().cycle());
    let mut said: Vec<_> = named
        .map(|(text, role)| transcript::Message {
            role: Some(role),
            text,
            holds_more: false,
        })
        .collect();
    said.reverse();
    said
}

/// An empty conversation, and a greeting that recalls the one before. No model is asked, and
/// the greeting is not kept: it answers nothing.
async fn start_conversation(
    app: Ctx,
    call: Call,
    Who(caller): Who,
    Json(body): Json<Beginning>,
) -> Result<Json<Value>> {
    let owner = reader(&caller, body.client_user_id.as_deref())?;
    let told = said(body.history).into_iter().rfind(|it| it.role == Some(Role::User));
    let db = app.db().await?;
    let began = async {
        let recent = history::list(db, &owner, &ListQuery::newest(RECENT)).await?.data;
        let conversation = history::create(db, &owner, "", None).await?.id;
        Ok((conversation, recent.into_iter().find(|it| it.message_count > 0)))
    };
    let (conversation, last) = call.within(began).await?;
    let last = told.map(|it| title::of_question(&it.text)).or(last.map(|it| it.title));
    let greeting = greeting(app.env().get("BOOK_TITLE"), last.as_deref());
    Ok(Json(ai::greeting(conversation, &greeting)))
}

fn greeting(book: Option<&str>, last: Option<&str>) -> String {
    let book = book.map_or("the book".to_owned(), |it| format!("“{it}”"));
    match last {
        None => format!("Hello! What would you like to know about {book}?"),
        Some(last) => format!(
            "Welcome back! Last time it was “{last}”. What would you like to know about \
             {book} now?"
        ),
    }
}

async fn chat(
    app: Ctx,
    call: Call,
    Who(caller): Who,
    Json(body): Json<Body>,
) -> Result<Json<Value>> {
    let form = if body.user_message.is_some() { ai::proxied } else { ai::response };
    let started = start(&app, &call, body.into_ask(&caller)?).await?;
    Ok(Json(form(&*started.whole().await?)))
}
