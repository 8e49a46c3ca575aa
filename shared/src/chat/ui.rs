//! The door of the Vercel AI SDK (`useChat`), and of an older chat with two events.

use std::time::{Duration, Instant};

use axum::{
    body::Bytes,
    http::{HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::{Stream, StreamExt, future::ready, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::sleep;
use uuid::Uuid;

use super::{
    Again, Ask, Event, Key, Started, resume, run, start,
    transcript::{self, Content, Part},
};
use crate::{
    Error, Result,
    auth::Caller,
    conversations::{Owner, Role, Thread, runs, store},
    http::{
        Call, Ctx, Route,
        extract::{self, Json, Named, Params, Who},
        sse,
    },
    wire::ui::{self, Parts},
};

/// The longest id of a client's chat, in characters.
const CHAT_ID_CHARS: usize = 128;

/// `POST /api/chat`, `GET /api/chat/{id}/stream`, `POST /api/chat/{id}/stop` and `POST /chat`.
pub fn route() -> Route {
    Route::new()
        .route("/api/chat", post(parts))
        .route("/api/chat/{id}/stream", get(resume_parts))
        .route("/api/chat/{id}/stop", post(stop))
        .route("/chat", post(chunks))
}

/// What we read of a request; whatever else an app adds is ignored.
#[derive(Deserialize)]
struct Body {
    #[serde(alias = "chatId")]
    id: Option<String>,
    messages: Option<Vec<Message>>,
    message: Option<Message>,
    trigger: Option<String>,
    #[serde(rename = "messageId")]
    message_id: Option<String>,
    user_id: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    id: Option<String>,
    role: String,
    parts: Option<Vec<Part>>,
    /// Where the SDK's fourth version has its text, or a program a model's parts.
    content: Option<Content>,
}

impl Body {
    /// A known reader's chat is a conversation of ours, which knows its earlier turns; a guest
    /// brings them along.
    fn into_ask(self, caller: &Caller) -> Result<Ask> {
        let owner = caller.acts_for(self.user_id.as_deref())?;
        if owner == Owner::Guest && *caller == Caller::Service && self.id.is_some() {
            return Err(Error::invalid("user_id", "is missing: say whose chat it is"));
        }
        let (field, messages) = match (self.messages, self.message) {
            (Some(messages), _) => ("messages", messages),
            (None, Some(message)) => ("message", vec![message]),
            (None, None) => return Err(Error::invalid("messages", "must be sent")),
        };
        // What the client calls its question, by which it means it later.
        let asked =
            messages.iter().rfind(|it| transcript::role(&it.role) == Some(Role::User));
        let name =
            asked.and_then(|it| it.id.clone()).filter(|it| it.len() <= CHAT_ID_CHARS);
        let messages = messages.into_iter().map(Message::read).collect();
        let (question, history) = transcript::read(field, messages)?;
        let (thread, history) = match (&owner, self.id) {
            (Owner::Guest, _) => (Thread::LogOnly, history),
            (_, None) => (Thread::New, Vec::new()),
            (_, Some(id)) => (Thread::Called(checked(id)?), Vec::new()),
        };
        let written = name.as_ref().map(|it| json!({ "message_id": it }));
        // A message that a client or a gateway sends twice is asked once.
        let same = match (&thread, &name) {
            (Thread::Called(chat), Some(name)) => Some(json!([chat, name, question])),
            _ => None,
        };
        let again = match (self.trigger.as_deref(), name, self.message_id) {
            (Some("regenerate-message"), Some(name), _) => Again::Called(name),
            (Some("regenerate-message"), None, _) => Again::Last,
            // The SDK names a message that it sends only if that was edited.
            (_, _, Some(edited)) => Again::Edited(edited),
            _ => Again::No,
        };
        let key = same
            .filter(|_| again == Again::No)
            .map(|it| Key::Repeated(Sha256::digest(it.to_string()).into()));
        Ok(Ask { written, thread, history, again, key, ..Ask::new(owner, question) })
    }
}

fn checked(id: String) -> Result<String> {
    let fits = (1..=CHAT_ID_CHARS).contains(&id.chars().count());
    if fits && !id.chars().any(char::is_control) {
        return Ok(id);
    }
    let allowed =
        format!("must be 1 to {CHAT_ID_CHARS} characters, none a control character");
    Err(Error::invalid("id", allowed))
}

impl Message {
    fn read(self) -> transcript::Message {
        let Content(parts) = match self.parts.filter(|it| !it.is_empty()) {
            Some(parts) => Content(parts),
            None => self.content.unwrap_or_default(),
        };
        let (mut text, mut holds_more) = (String::new(), false);
        for part in parts {
            match (part.kind.as_deref().unwrap_or("text"), part.text) {
                // The older chat has a media type here.
                ("text" | "text/plain", more) => text.extend(more),
                (kind, _) if is_medium(kind) => holds_more = true,
                // Steps, sources, thoughts, and whatever else an app or an answer adds.
                _ => {}
            }
        }
        transcript::Message { role: transcript::role(&self.role), text, holds_more }
    }
}

/// Whether a part of this kind says something that is no text: then the words beside it are
/// not the whole question.
fn is_medium(kind: &str) -> bool {
    let kinds = ["file", "image", "image_url", "audio", "input_audio", "video"];
    kinds.contains(&kind) || kind.contains('/')
}

async fn parts(
    app: Ctx,
    call: Call,
    Who(caller): Who,
    Json(body): Json<Body>,
) -> Result<Response> {
    let ask = Ask { opens_early: true, ..body.into_ask(&caller)? };
    let is_guest = ask.owner == Owner::Guest;
    Ok(spelt(start(&app, &call, ask).await?, is_guest))
}

/// The whole message once more, from its start, if one is being written; 204 if none is: the
/// SDK asks for it whenever a page is opened, also for a chat that is still empty.
async fn resume_parts(
    app: Ctx,
    call: Call,
    Who(caller): Who,
    params: Params,
    Named(id): Named,
) -> Result<Response> {
    let owner = run::owner(&caller, &params)?;
    match going(&app, &call, &owner, id.as_deref()).await? {
        Some(run) => Ok(spelt(resume(&app, &call, &owner, run, 0).await?, false)),
        None => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// How long after a question was sent its answer may not be found yet by whoever stops it.
const BEGINNING: Duration = Duration::from_millis(500);

/// What an app may send along with its wish to stop.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stop {
    /// The answer that the app means: another one that is being written by now goes on.
    active_stream_id: Option<String>,
}

async fn stop(
    app: Ctx,
    call: Call,
    Who(caller): Who,
    params: Params,
    Named(id): Named,
    body: Bytes,
) -> Result<Json<Value>> {
    let owner = run::owner(&caller, &params)?;
    // A page that is being left can send text, but cannot say that it is JSON.
    let body = if body.is_empty() { Stop::default() } else { extract::parse(&body)? };
    let meant = body.active_stream_id;
    let until = Instant::now() + BEGINNING;
    let run = loop {
        let going = going(&app, &call, &owner, id.as_deref()).await?;
        if let Some(meant) = &meant {
            break Uuid::try_parse(meant).ok();
        }
        if going.is_some() || Instant::now() > until {
            break going;
        }
        sleep(Duration::from_millis(50)).await;
    };
    if let Some(run) = run {
        match super::stop(&app, &call, &owner, run).await {
            // Another one, or one that has long ended.
            Ok(_) | Err(Error::NotFound(_)) => {}
            Err(err) => return Err(err),
        }
    }
    Ok(Json(json!({ "success": true })))
}

/// The answer that is being written in a chat. A name that is new to the reader is no mistake;
/// [`Error::NotFound`] for somebody else's chat.
async fn going(
    app: &Ctx,
    call: &Call,
    owner: &Owner,
    chat: Option<&str>,
) -> Result<Option<Uuid>> {
    let Some(chat) = chat else { return Ok(None) };
    let db = app.db().await?;
    let found = async {
        let going = runs::going(db, owner, chat).await?;
        if going.is_none() {
            store::recall(db, owner, &Thread::Called(chat.to_owned()), None, 0).await?;
        }
        Ok(going)
    };
    call.within(found).await
}

/// The events for this reader. A known one may hang up, and the answer is finished and kept; a
/// guest has no chat to come back to, so that hanging up ends it.
fn told(started: Started, is_guest: bool) -> impl Stream<Item = Event> + Send {
    if is_guest {
        started.into_events_or_stop().left_stream()
    } else {
        started.into_events().right_stream()
    }
}

fn spelt(started: Started, is_guest: bool) -> Response {
    let id = started.message_id;
    let opening = stream::iter(Parts::opening(id, started.conversation));
    let mut parts = Parts::default();
    let events = told(started, is_guest);
    let rest = events.flat_map(move |it| stream::iter(parts.event(&it)));
    let mut response = sse::named(id, sse::response(opening.chain(rest)));
    let (name, version) = ui::HEADER;
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static(name), HeaderValue::from_static(version));
    response
}

async fn chunks(
    app: Ctx,
    call: Call,
    Who(caller): Who,
    Json(body): Json<Body>,
) -> Result<Response> {
    let ask = body.into_ask(&caller)?;
    let is_guest = ask.owner == Owner::Guest;
    let started = start(&app, &call, ask).await?;
    let id = started.message_id;
    let payloads = told(started, is_guest).filter_map(|event| ready(ui::chunk(&event)));
    Ok(sse::named(id, sse::response(payloads)))
}
