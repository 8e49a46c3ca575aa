//! The tables `conversations` and `messages`.

mod memory;

use serde_json::json;
use time::OffsetDateTime;
use tokio_postgres::types::Type;
use uuid::Uuid;

pub use self::memory::{Memory, QuestionRef, Turn, exists, recall};
use super::{
    Exchange, KEPT_PER_USER, Status,
    account::{ACCOUNT, LOCK, key, with_owner},
    log,
    nul::{clean, clean_json},
    title,
};
use crate::{
    Error, Result,
    db::{Params, Pool},
};

/// What a save did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The owner's `users.id`; `None` for a guest.
    pub user_id: Option<Uuid>,
    /// Where the exchange is now; `None` when only the log keeps it.
    pub conversation: Option<Uuid>,
}

/// Stores the exchange and its log row, and forgets all but the owner's newest
/// [`KEPT_PER_USER`] conversations, in one transaction. `at` is the moment that counts for
/// retention: `None` means the database's clock (a live save), `Some` an exchange that comes
/// home late, which never evicts a newer conversation. Storing the same id twice is storing it
/// once.
///
/// [`Error::NotFound`] for somebody else's conversation and [`Error::Unauthorized`] for an
/// account that is gone; then nothing is stored.
pub async fn save(
    db: &Pool,
    exchange: &Exchange,
    at: Option<OffsetDateTime>,
) -> Result<Saved> {
    let Some((user_id, subject)) = key(&exchange.owner)? else {
        log::write(db, exchange).await?;
        return Ok(Saved { user_id: None, conversation: None });
    };
    // Made before the first attempt, so that the second one means the same account.
    let new_user = Uuid::now_v7();
    // Nothing takes no answer's place.
    let is_void = exchange.replaces.is_some() && exchange.answer.is_empty();
    let kept = exchange.status != Status::Failed && !is_void;
    let conversation = exchange.conversation_id;
    let title = title::of_question(&exchange.question);
    let status = match exchange.status {
        Status::Interrupted => "interrupted",
        Status::Stopped => "stopped",
        Status::Complete | Status::Failed => "complete",
    };
    let (question, answer) = (clean(&exchange.question), clean(&exchange.answer));
    let mut asked = json!({ "text": question });
    if let Some(written) = &exchange.written {
        asked["written"] = clean_json(written);
    }
    let answered = json!({ "text": answer, "markers": exchange.markers });
    let sources = clean_json(&exchange.sources);
    let usage = clean_json(&exchange.usage);
    let metadata = clean_json(&exchange.metadata);
    let took_ms = log::took_ms(exchange);
    let reader: Params<'_> =
        &[(&user_id, Type::UUID), (&subject, Type::TEXT), (&new_user, Type::UUID)];
    let others = KEPT_PER_USER - 1;

    let [_, _, _, saved] = db
        .in_one_flight([
            (ACCOUNT, reader),
            (LOCK, &reader[..2]),
            (
                SUPERSEDE,
                &[
                    (&exchange.id, Type::UUID),
                    (&exchange.question_id, Type::UUID),
                    (&exchange.replaces, Type::UUID),
                    (&exchange.error_code, Type::TEXT),
                    (&answer, Type::TEXT),
                    (&answered, Type::JSONB),
                    (&sources, Type::JSONB),
                    (&status, Type::TEXT),
                    (&exchange.answered_at, Type::TIMESTAMPTZ),
                    (&took_ms, Type::INT4),
                    (&exchange.first_token_ms, Type::INT4),
                    (&usage, Type::JSONB),
                    (&metadata, Type::JSONB),
                    (&exchange.model, Type::TEXT),
                ],
            ),
            (
                SAVE,
                &[
                    (&user_id, Type::UUID),
                    (&subject, Type::TEXT),
                    (&exchange.id, Type::UUID),
                    (&conversation, Type::UUID),
                    (&at, Type::TIMESTAMPTZ),
                    (&kept, Type::BOOL),
                    (&others, Type::INT8),
                    (&title, Type::TEXT),
                    (&exchange.question_id, Type::UUID),
                    (&question, Type::TEXT),
                    (&answer, Type::TEXT),
                    (&sources, Type::JSONB),
                    (&status, Type::TEXT),
                    (&exchange.asked_at, Type::TIMESTAMPTZ),
                    (&exchange.answered_at, Type::TIMESTAMPTZ),
                    (&took_ms, Type::INT4),
                    (&exchange.first_token_ms, Type::INT4),
                    (&exchange.model, Type::TEXT),
                    (&usage, Type::JSONB),
                    (&exchange.error_code, Type::TEXT),
                    (&metadata, Type::JSONB),
                    (&exchange.client_id, Type::TEXT),
                    (&exchange.replaces, Type::UUID),
                    (&asked, Type::JSONB),
                    (&answered, Type::JSONB),
                ],
            ),
        ])
        .await?;
    let row =
        saved.first().ok_or_else(|| Error::Internal("a save said nothing".into()))?;
    let user_id: Option<Uuid> = row.get("user_id");
    match (user_id, row.get("stored")) {
        (None, _) => Err(Error::Unauthorized),
        (Some(_), false) => Err(Error::NotFound("conversation")),
        (Some(_), true) => Ok(Saved { user_id, conversation: row.get("thread") }),
    }
}

/// The same for an answer of ours, which leaves its log row in any case: without a word of it
/// if its reader's account went while it was written.
pub(crate) async fn save_answer(
    db: &Pool,
    exchange: &Exchange,
    at: Option<OffsetDateTime>,
) -> Result<Saved> {
    match save(db, exchange, at).await {
        Err(Error::NotFound(_) | Error::Unauthorized) => {
            log::write_wordless(db, exchange).await?;
            Ok(Saved { user_id: None, conversation: None })
        }
        saved => saved,
    }
}

/// What was kept of an answer whose maker was taken for dead gives way to what the maker itself
/// brings, late as it may be. `is_new`: it is saved as if nothing had been, because nothing of
/// it was kept, or because it is to replace another one and nothing was asked since. Otherwise it
/// comes in the place of what was kept; if that is gone, because the reader asked once more or
/// deleted it, in the log alone.
const SUPERSEDE: &str = "
with settled as (
  select log.id, kept.id is not null and $3 is distinct from $2 as asks_too, (
    kept.id is not null and $3 is not null and not exists (
      select 1
      from messages
      where conversation_id = kept.conversation_id and role = 'user' and seq > kept.seq)
    or kept.id is null and response_content = '' and (
      $3 is null and not exists (select 1 from messages where id = $2)
      or exists (
        select 1
        from messages as asked
        where asked.id = $3 and not exists (
          select 1
          from messages as since
          where since.conversation_id = asked.conversation_id and since.seq > asked.seq
            and since.created_at > response_timestamp)))
  ) as is_new
  from interaction_logs as log
  left join messages as kept on kept.id = log.id
  where log.id = $1 and error_code = 'interrupted' and $4 is distinct from 'interrupted'
), unlogged as (
  delete from interaction_logs
  where id in (select id from settled where is_new)
), unsaid as (
  delete from messages
  where exists (
    select 1
    from settled
    where is_new and (messages.id = $1 or asks_too and messages.id = $2))
), logged as (
  update interaction_logs
  set response_content = $5, sources = $7, response_timestamp = $9, response_time_ms = $10,
    first_token_ms = $11, agent_model = $14, usage = $12, metadata = $13, error_code = $4
  where id in (select id from settled where not is_new)
)
update messages
set content = $6, sources = $7, status = $8, created_at = $9
where id in (select id from settled where not is_new)";

/// All parts of one statement see the same snapshot, so nothing here sees the rows that are
/// written beside it. Hence in `gone`: not the touched conversation, because it still has its
/// old time, and 49 others, because the 50th is the one just written.
/// `clock_timestamp()` and not `now()`: that is the time before the wait for the lock.
///
/// `thread`: the conversation of the client's name ($22), if there is one by now: two first
/// questions may have come at once. None if the conversation was deleted while the answer was
/// written: its run knows.
///
/// `room`: a late exchange ($5) whose conversation is not there may make one only if fewer
/// than 50 newer ones are; otherwise only its log row is stored. `place`: a late exchange
/// goes behind the answers that were given before it, and `shift` makes the room. `replaced`: an
/// answer that broke off takes the place of another such one, behind the last question, alone.
/// A conversation that was made without a title takes it from its first question.
const SAVE: &str = with_owner!(
    ", thread as (
       select coalesce(
         (
           select id
           from conversations
           where user_id = (select id from owner) and (client_id = $22 or id::text = $22)
           order by client_id = $22 desc nulls last
           limit 1
         ),
         $4::uuid) as id
       where not exists (select 1 from runs where id = $3 and is_deleted)
     ), fresh as (
       select owner.id as user_id, thread.id as thread,
         least($5::timestamptz, clock_timestamp()) as late,
         not $6 or thread.id is null as log_only
       from owner
       left join thread on true
       where not exists (select 1 from interaction_logs where id = $3)
     ), room as (
       select 1
       from fresh
       where late is null
         or exists (select 1 from conversations where id = fresh.thread)
         or (
           select count(*)
           from conversations
           where user_id = fresh.user_id and (last_message_at, id) > (fresh.late, fresh.thread)
         ) <= $7
     ), conv as (
       insert into conversations (id, user_id, client_id, title, created_at, last_message_at)
       select thread, user_id, $22, $8, least($14, clock_timestamp()),
         coalesce(late, clock_timestamp())
       from fresh
       where not log_only and exists (select 1 from room)
       on conflict (id) do update
       set
         last_message_at = greatest(conversations.last_message_at, excluded.last_message_at),
         title = coalesce(nullif(conversations.title, ''), excluded.title)
       where conversations.user_id = excluded.user_id
       returning id
     ), place as (
       select conv.id, coalesce(max(seq), 0) as seq
       from conv
       left join messages on conversation_id = conv.id
         and ($5 is null or (role = 'assistant' and messages.created_at <= $15))
       group by conv.id
     ), shift as (
       update messages
       set seq = messages.seq + 2
       from place
       where $5 is not null and conversation_id = place.id and messages.seq > place.seq
     ), replaced as (
       delete from messages
       using messages as asked
       where $5 is null
         and asked.id = $23 and asked.conversation_id = (select id from place)
         and messages.conversation_id = asked.conversation_id
         and (
           messages.id = asked.id and asked.id <> $9 and $13 <> 'interrupted'
           or messages.seq > asked.seq and (
             $13 <> 'interrupted'
             or messages.status <> 'complete' and not exists (
               select 1
               from messages as later
               where later.conversation_id = asked.conversation_id
                 and later.role = 'user' and later.seq > asked.seq)))
     ), said as (
       insert into messages (
         id, conversation_id, seq, role, content, sources, status, created_at)
       select $9, id, seq + 1, 'user', $24::jsonb, '[]'::jsonb, 'complete', $14::timestamptz
       from place
       where not exists (select 1 from messages where id = $9)
       union all
       select $3, id, seq + 2, 'assistant', $25::jsonb, $12::jsonb, $13, $15::timestamptz
       from place
     ), logged as (
       insert into interaction_logs (
         id, user_id, conversation_id, request_content, response_content, request_timestamp,
         response_timestamp, response_time_ms, first_token_ms, agent_model, sources, usage,
         error_code, metadata)
       select $3, user_id, thread, $10, $11, $14, $15, $16, $17, $18, $12, $19, $20, $21
       from fresh
       where log_only or exists (select 1 from conv) or not exists (select 1 from room)
       returning id
     ), gone as (
       delete from conversations
       where exists (select 1 from conv) and id in (
         select id
         from conversations
         where user_id = (select id from owner) and id <> (select id from conv)
         order by last_message_at desc, id desc
         offset $7)
     )
     select
       (select id from owner) as user_id,
       (select id from thread) as thread,
       exists (select 1 from logged) or not exists (select 1 from fresh) as stored"
);
