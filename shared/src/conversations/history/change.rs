//! What a reader changes in a history.

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Conversation, Feedback, read::conversation};
use crate::{
    Error, Result,
    conversations::{
        KEPT_PER_USER, Owner,
        account::{ACCOUNT, LOCK, ask, found, key, owner_key, with_owner},
        runs,
    },
    db::{Params, Pool},
};

/// A new conversation, which counts as the newest: the owner's 51st goes, in the same flight
/// as a save's. One that was made with the same `client_id` is returned as it is.
pub async fn create(
    db: &Pool,
    owner: &Owner,
    title: &str,
    client_id: Option<&str>,
) -> Result<Conversation> {
    make(db, owner, Uuid::now_v7(), title, client_id).await
}

/// The same under this id, which is made before the first attempt, so that a second one means
/// the same rows.
async fn make(
    db: &Pool,
    owner: &Owner,
    id: Uuid,
    title: &str,
    client_id: Option<&str>,
) -> Result<Conversation> {
    let new_user = Uuid::now_v7();
    let Some((user_id, subject)) = key(owner)? else {
        return Err(Error::Unauthorized);
    };
    let reader: Params<'_> =
        &[(&user_id, Type::UUID), (&subject, Type::TEXT), (&new_user, Type::UUID)];
    let others = KEPT_PER_USER - 1;
    let [_, _, made] = db
        .in_one_flight([
            (ACCOUNT, reader),
            (LOCK, &reader[..2]),
            (
                CREATE,
                &[
                    (&user_id, Type::UUID),
                    (&subject, Type::TEXT),
                    (&id, Type::UUID),
                    (&client_id, Type::TEXT),
                    (&title, Type::TEXT),
                    (&others, Type::INT8),
                ],
            ),
        ])
        .await?;
    made.first().and_then(conversation).ok_or(Error::Unauthorized)
}

/// `known` is the same conversation, by the client's id or, in a second attempt, by ours. As
/// in a save, `gone` does not see what is written beside it.
const CREATE: &str = with_owner!(
    ", known as (
       select id, title, created_at, last_message_at
       from conversations
       where user_id = (select id from owner) and (client_id = $4 or id = $3)
     ), clock as (
       select clock_timestamp() as now
     ), made as (
       insert into conversations (id, user_id, client_id, title, created_at, last_message_at)
       select $3, owner.id, $4, $5, clock.now, clock.now
       from owner, clock
       where not exists (select 1 from known)
       returning id, title, created_at, last_message_at
     ), gone as (
       delete from conversations
       where exists (select 1 from made) and id in (
         select id
         from conversations
         where user_id = (select id from owner)
         order by last_message_at desc, id desc
         offset $6)
     )
     select id, title, created_at, last_message_at, null as waiting,
       (select count(*) from messages where conversation_id = one.id) as message_count
     from (select * from known union all select * from made) as one"
);

/// Gives a conversation another title. It stays where it is in the list.
pub async fn rename(
    db: &Pool,
    owner: &Owner,
    id: Uuid,
    title: &str,
) -> Result<Conversation> {
    match retitle(db, owner, id, title).await {
        Err(Error::NotFound(thing)) => {
            let running = runs::running(db, owner, id).await?;
            let first = running.ok_or(Error::NotFound(thing))?;
            // Its first answer would make it later, and then leaves a title alone.
            make(db, owner, id, title, first.client_id.as_deref()).await?;
            retitle(db, owner, id, title).await
        }
        outcome => outcome,
    }
}

async fn retitle(
    db: &Pool,
    owner: &Owner,
    id: Uuid,
    title: &str,
) -> Result<Conversation> {
    let sql = with_owner!(
        ", renamed as (
           update conversations
           set title = $4
           where id = $3 and user_id = (select id from owner)
           returning id, title, created_at, last_message_at
         )
         select exists (select 1 from owner) as known, renamed.id is not null as found,
           renamed.*, null as waiting,
           (select count(*) from messages where conversation_id = renamed.id)
             as message_count
         from (values (1)) as one
         left join renamed on true"
    );
    let params: Params<'_> = &[(&id, Type::UUID), (&title, Type::TEXT)];
    let rows = ask(db, owner, sql, params, "conversation").await?;
    rows.first().and_then(conversation).ok_or(Error::NotFound("conversation"))
}

/// Deletes a conversation with its messages. Its log rows stay, for as long as the log is
/// kept. An answer that is being written for it is stopped, and does not bring it back. What
/// the run log still holds of it goes too.
pub async fn remove(db: &Pool, owner: &Owner, id: Uuid) -> Result<()> {
    let (user_id, subject) = key(owner)?.ok_or(Error::Unauthorized)?;
    let sql = with_owner!(
        ", gone as (
           delete from conversations
           where id = $3 and user_id = (select id from owner)
           returning id
         ), silenced as (
           update runs
           set
             is_deleted = true,
             is_stopping = true,
             request_key = null,
             exchange = case when ended_at is null then exchange else '{}' end
           where conversation_id = $3 and owner = $4 and owner <> '' and not is_deleted
           returning id, ended_at
         ), untold as (
           delete from run_batches
           where run_id in (select id from silenced)
         )
         select exists (select 1 from owner) as known,
           exists (select 1 from gone)
             or exists (select 1 from silenced where ended_at is null) as found"
    );
    let owner_key = owner_key(owner);
    let params: Params<'_> = &[
        (&user_id, Type::UUID),
        (&subject, Type::TEXT),
        (&id, Type::UUID),
        (&owner_key, Type::TEXT),
    ];
    // A save that is under way comes first, or not at all.
    let [_, rows] = db.in_one_flight([(LOCK, &params[..2]), (sql, params)]).await?;
    found(owner, rows, "conversation").map(drop)
}

/// Keeps what the owner thinks of these answers, in place of what they thought before; `None`
/// takes it back. All or none: [`Error::NotFound`] for a question, too, which is no answer.
pub async fn put_feedback(
    db: &Pool,
    owner: &Owner,
    conversation: Uuid,
    messages: &[Uuid],
    given: Option<&Feedback>,
) -> Result<()> {
    let kind = given.map(|it| it.kind.word());
    let reason = given.and_then(|it| it.reason.as_deref());
    let sql = with_owner!(
        ", theirs as (
           select messages.id
           from messages
           join conversations on conversations.id = conversation_id
           where messages.id = any ($4) and conversation_id = $3 and role = 'assistant'
             and user_id = (select id from owner)
         ), answer as (
           select id
           from theirs
           where not exists (select unnest($4::uuid[]) except select id from theirs)
         ), put as (
           insert into feedback (message_id, kind, reason)
           select id, $5, $6
           from answer
           where $5::text is not null
           on conflict (message_id) do update
           set kind = excluded.kind, reason = excluded.reason, created_at = now()
         ), gone as (
           delete from feedback
           where $5 is null and message_id in (select id from answer)
         )
         select exists (select 1 from owner) as known, exists (select 1 from answer) as found"
    );
    let params: Params<'_> = &[
        (&conversation, Type::UUID),
        (&messages, Type::UUID_ARRAY),
        (&kind, Type::TEXT),
        (&reason, Type::TEXT),
    ];
    ask(db, owner, sql, params, "message").await.map(drop)
}
