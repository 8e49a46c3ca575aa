//! Histories as clients of earlier systems know them.

use axum::{
    http::StatusCode,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::{OffsetDateTime, serde::rfc3339};
use uuid::Uuid;

use super::{
    Owner, Role,
    history::{self, Conversation, ListQuery},
    list::MAX_LIMIT,
    own::{self, Opened},
    rename, title,
};
use crate::{
    Result,
    http::{
        Call, Ctx, Route,
        extract::{Ids, Json, Params, Who},
    },
};

/// `/api/chats…` and `GET /api/conversations/{id}`; those whose answers are no different stand
/// beside the routes that they are another name of.
pub fn route() -> Route {
    Route::new()
        .route("/api/chats", get(chats))
        .route("/api/chats/create", post(create_chat))
        .route("/api/chats/{id}", get(chat).patch(rename_chat).delete(delete_chat))
        .route("/api/conversations/{id}", get(conversation))
}

/// The id in each of its spellings: the list had one, creating another.
#[derive(Serialize)]
struct Chat {
    id: Uuid,
    #[serde(rename = "chatId")]
    camel_id: Uuid,
    #[serde(rename = "chat_id")]
    snake_id: Uuid,
    #[serde(rename = "userId")]
    user_id: String,
    title: String,
    /// Seconds since 1970.
    #[serde(rename = "createdAt")]
    created_at: i64,
}

impl Chat {
    fn new(owner: &Owner, it: Conversation) -> Self {
        Self {
            id: it.id,
            camel_id: it.id,
            snake_id: it.id,
            user_id: name(owner),
            title: it.title,
            created_at: it.created_at.unix_timestamp(),
        }
    }
}

/// The reader by the name that the caller uses.
fn name(owner: &Owner) -> String {
    match owner {
        Owner::User(id) => id.to_string(),
        Owner::Named(name) => name.clone(),
        Owner::Guest => String::new(),
    }
}

/// `GET /api/chats`: all of them, the newest activity first.
async fn chats(
    app: Ctx,
    call: Call,
    Who(caller): Who,
    params: Params,
) -> Result<Json<Vec<Chat>>> {
    let owner = own::owner(&caller, &params, None)?;
    let (db, all) = (app.db().await?, ListQuery::newest(MAX_LIMIT));
    let page = call.within(history::list(db, &owner, &all)).await?;
    Ok(Json(page.data.into_iter().map(|it| Chat::new(&owner, it)).collect()))
}

#[derive(Default, Deserialize)]
struct NewChat {
    title: Option<String>,
    user_id: Option<String>,
}

/// `POST /api/chats/create`.
async fn create_chat(
    app: Ctx,
    call: Call,
    Who(caller): Who,
    params: Params,
    body: Option<Json<NewChat>>,
) -> Result<(StatusCode, Json<Chat>)> {
    let body = body.map(|Json(body)| body).unwrap_or_default();
    let owner = own::owner(&caller, &params, body.user_id.as_deref())?;
    let title = title::optional(body.title.as_deref())?;
    let db = app.db().await?;
    let made = call.within(history::create(db, &owner, &title, None)).await?;
    Ok((StatusCode::CREATED, Json(Chat::new(&owner, made))))
}

/// A message of a chat; nothing of ours is a picture or a sound.
#[derive(Serialize)]
struct ChatMessage {
    #[serde(rename = "messageId")]
    id: Uuid,
    role: Role,
    content: String,
    #[serde(with = "rfc3339")]
    timestamp: OffsetDateTime,
    media_type: Option<String>,
    media_url: Option<String>,
}

/// `GET /api/chats/{id}`: the messages alone.
async fn chat(Opened { whole, .. }: Opened) -> Json<Vec<ChatMessage>> {
    let messages = whole.messages.into_iter().map(|it| ChatMessage {
        id: it.id,
        role: it.role,
        content: it.content,
        timestamp: it.created_at,
        media_type: None,
        media_url: None,
    });
    Json(messages.collect())
}

/// `PATCH /api/chats/{id}`.
async fn rename_chat(
    app: Ctx,
    call: Call,
    Who(caller): Who,
    params: Params,
    Ids([id]): Ids<1>,
    Json(body): Json<rename::Body>,
) -> Result<Json<Chat>> {
    let owner = own::owner(&caller, &params, body.user_id.as_deref())?;
    let title = title::given(&body.title)?;
    let id = own::or_not_found(id)?;
    let db = app.db().await?;
    let renamed = call.within(history::rename(db, &owner, id, &title)).await?;
    Ok(Json(Chat::new(&owner, renamed)))
}

/// `DELETE /api/chats/{id}`.
async fn delete_chat(
    app: Ctx,
    call: Call,
    Who(caller): Who,
    params: Params,
    Ids([id]): Ids<1>,
) -> Result<Json<Value>> {
    let owner = own::owner(&caller, &params, None)?;
    let id = own::or_not_found(id)?;
    let db = app.db().await?;
    call.within(history::remove(db, &owner, id)).await?;
    Ok(Json(json!({ "message": "Chat deleted successfully" })))
}

#[derive(Serialize)]
struct Audit {
    conversation: AuditedConversation,
    messages: Vec<AuditedMessage>,
}

#[derive(Serialize)]
struct AuditedConversation {
    conversation_id: Uuid,
    user_id: String,
    title: String,
    status: &'static str,
    #[serde(with = "rfc3339")]
    created_at: OffsetDateTime,
    archived: bool,
}

#[derive(Serialize)]
struct AuditedMessage {
    id: Uuid,
    role: Role,
    content: Value,
    #[serde(with = "rfc3339")]
    created_at: OffsetDateTime,
}

/// `GET /api/conversations/{id}`. A conversation of ours is never closed or archived.
async fn conversation(Opened { owner, whole }: Opened) -> Json<Audit> {
    let messages = whole.messages.into_iter().map(|it| AuditedMessage {
        id: it.id,
        role: it.role,
        content: json!({ "text": it.content }),
        created_at: it.created_at,
    });
    Json(Audit {
        conversation: AuditedConversation {
            conversation_id: whole.conversation.id,
            user_id: name(&owner),
            title: whole.conversation.title,
            status: "in-progress",
            created_at: whole.conversation.created_at,
            archived: false,
        },
        messages: messages.collect(),
    })
}
