//! What is remembered of a conversation when its next question comes.

use serde::{Deserialize, Serialize};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::{
    Error, Result,
    conversations::{
        Owner, Role, Thread,
        account::{key, owner_key, with_owner},
        nul::clean,
        runs,
    },
    db::Pool,
};

/// One earlier turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Who said it.
    pub role: Role,
    /// What was said.
    pub text: String,
}

/// What there is of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The conversation, if it exists.
    pub conversation: Option<Uuid>,
    /// Its newest turns, oldest first.
    pub turns: Vec<Turn>,
    /// The message of the reader's last question, and what it says.
    pub last_question: Option<(Uuid, String)>,
    /// Whether that is the question up to which was to be remembered.
    pub is_placed: bool,
}

/// A question of a conversation.
#[derive(Clone, Copy, Debug)]
pub enum QuestionRef<'a> {
    /// This message.
    Message(Uuid),
    /// The one that its client calls so, or that has this id; the last one if there is none.
    Called(&'a str),
}

/// What a model is told of an answer that the reader stopped.
const STOPPED: &str = "\n(The reader stopped this answer. Do not go on with it.)";

/// Whether the owner has this conversation: [`Error::NotFound`] when it does not exist or is
/// not theirs; [`Error::Unauthorized`] when their account is gone.
pub async fn exists(db: &Pool, owner: &Owner, conversation: Uuid) -> Result<()> {
    recall(db, owner, &Thread::Known(conversation), None, 0).await.map(drop)
}

/// A conversation with the newest of its turns that fit `budget_chars` characters; errors as of
/// [`exists`]. It may be known by its client's name for it, which need not exist; and is told as
/// it was when `until` was the last message in it. A name that is a UUID means one conversation
/// in the world: [`Error::NotFound`] if another owner has it.
pub async fn recall(
    db: &Pool,
    owner: &Owner,
    thread: &Thread,
    until: Option<QuestionRef<'_>>,
    budget_chars: usize,
) -> Result<Memory> {
    let (conversation, client_id) = match thread {
        Thread::Known(id) => (Some(*id), None),
        Thread::Called(name) => (None, Some(name.as_str())),
        Thread::New | Thread::LogOnly => (None, None),
    };
    let client_id = client_id.map(clean);
    let named = client_id.as_deref().and_then(|it| Uuid::try_parse(it).ok());
    let (user_id, subject) = match (key(owner)?, conversation, named) {
        (Some(key), ..) => key,
        // A guest has none, and may only have taken the name of somebody else's.
        (None, None, Some(_)) => (None, None),
        (None, None, None) => return Ok(Memory::default()),
        (None, Some(_), _) => return Err(Error::NotFound("conversation")),
    };
    let (message, called) = match until {
        Some(QuestionRef::Message(id)) => (Some(id), None),
        Some(QuestionRef::Called(name)) => (None, Some(clean(name))),
        None => (None, None),
    };
    let budget = i64::try_from(budget_chars).unwrap_or(i64::MAX);
    let whose = owner_key(owner);
    let row = db
        .query_typed_one(
            RECALL,
            &[
                (&user_id, Type::UUID),
                (&subject, Type::TEXT),
                (&conversation, Type::UUID),
                (&budget, Type::INT8),
                (&client_id, Type::TEXT),
                (&whose, Type::TEXT),
                (&runs::LEASE_SECONDS, Type::FLOAT8),
                (&message, Type::UUID),
                (&STOPPED, Type::TEXT),
                (&called, Type::TEXT),
                (&named, Type::UUID),
            ],
        )
        .await?;
    if row.get("has_lapsed") && runs::settle_or_log(db, owner).await > 0 {
        // An answer whose maker died has just come home; it may be a turn of this one.
        return Box::pin(recall(db, owner, thread, until, budget_chars)).await;
    }
    let (known, found): (bool, Option<Uuid>) =
        (row.get("known"), row.get("conversation"));
    match owner {
        // A name that is new gets its account with the first save.
        Owner::User(_) if !known => Err(Error::Unauthorized),
        _ if row.get("is_somebody_elses") => Err(Error::NotFound("conversation")),
        // Its first answer is being written, and whichever is kept first will make it.
        _ if row.get("is_beginning") && found.is_none() => Ok(Memory::default()),
        _ if conversation.is_some() && found.is_none() => {
            Err(Error::NotFound("conversation"))
        }
        _ => serde_json::from_value(row.get("turns"))
            .map(|turns| Memory {
                conversation: found,
                turns,
                last_question: row
                    .get::<_, Option<_>>("asked_id")
                    .zip(row.get("asked_text")),
                is_placed: row.get("is_placed"),
            })
            .map_err(|err| Error::Internal(format!("turns were not read: {err}"))),
    }
}

/// The window's sum stops at the first turn that does not fit, so that no hole is left.
const RECALL: &str = with_owner!(
    ", found as (
       select id from conversations
       where user_id = (select id from owner)
         and (id = $3 or client_id = $5 or id::text = $5)
       order by client_id = $5 desc nulls last
       limit 1
     ), place as (
       select max(seq) as seq
       from messages
       where conversation_id = (select id from found) and role = 'user'
         and (
           id = $8 or id::text = $10 or content -> 'written' ->> 'message_id' = $10)
     ), newest as (
       select id, seq, role,
         content ->> 'text' || case status when 'stopped' then $9 else '' end as text
       from messages
       where conversation_id = (select id from found)
         and (content ->> 'text' <> '' or status = 'stopped')
         and (
           seq <= (select seq from place)
           or ($8 is null and (select seq from place) is null))
       order by seq desc
       limit 200
     ), fitting as (
       select seq, role, text,
         sum(length(text)) over (order by seq desc) as so_far
       from newest
     ), asked as (
       select id, text from newest where role = 'user' order by seq desc limit 1
     )
     select
       (select id from asked) as asked_id,
       (select text from asked) as asked_text,
       (select seq from place) is not null as is_placed,
       exists (select 1 from owner) as known,
       coalesce(
         bool_or(seen_at < clock_timestamp() - make_interval(secs => $7)),
         false) as has_lapsed,
       coalesce(bool_or(conversation_id = $3 and not is_deleted), false)
         as is_beginning,
       $11::uuid is not null and not exists (select 1 from found) and exists (
         select 1 from conversations where id = $11 or client_id = $5
         union all
         select 1
         from runs
         where ended_at is null and not is_deleted and owner not in ('', $6)
           and (conversation_id = $11 or client_id = $5)
       ) as is_somebody_elses,
       (select id from found) as conversation,
       coalesce(
         (select jsonb_agg(
            jsonb_build_object('role', role, 'text', text)
            order by seq)
          from fitting
          where so_far <= $4),
         '[]') as turns
     from runs
     where owner = $6 and ended_at is null"
);
