//! What everybody else may do with a run: find it, see what it tells, and ask it to stop.

use serde_json::Value;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{LEASE_SECONDS, News, Standing, columns_so_far, exchange, so_far};
use crate::{
    Error, Result,
    conversations::{Exchange, Owner, account::owner_key, nul::clean},
    db::Pool,
};

/// The exchange of a run of this owner, as it was when the run was opened.
pub async fn find(db: &Pool, owner: &Owner, id: Uuid) -> Result<Option<Exchange>> {
    let owner = owner_key(owner);
    let row = db
        .query_typed_opt(
            "select exchange from runs where id = $1 and owner = $2 and not is_deleted",
            &[(&id, Type::UUID), (&owner, Type::TEXT)],
        )
        .await?;
    row.map(|row| exchange(row.get("exchange"))).transpose()
}

/// The newest run that is going in the conversation that its client calls so, or that has this
/// id.
pub async fn going(db: &Pool, owner: &Owner, conversation: &str) -> Result<Option<Uuid>> {
    let owner = owner_key(owner);
    let conversation = clean(conversation);
    let row = db
        .query_typed_opt(
            "select id
             from runs
             where owner = $1 and owner <> '' and ended_at is null and not is_deleted
               and (client_id = $2 or conversation_id::text = $2)
             order by began_at desc
             limit 1",
            &[(&owner, Type::TEXT), (&conversation, Type::TEXT)],
        )
        .await?;
    Ok(row.map(|row| row.get("id")))
}

/// The newest run that is going in a conversation, as the history shows it: with the text and
/// the sources so far.
pub async fn running(
    db: &Pool,
    owner: &Owner,
    conversation: Uuid,
) -> Result<Option<Exchange>> {
    let owner = owner_key(owner);
    let row = db
        .query_typed_opt(
            concat!(
                "select ",
                columns_so_far!(),
                " from runs
                 where owner = $1 and owner <> '' and ended_at is null and not is_deleted
                   and conversation_id = $2
                 order by began_at desc
                 limit 1"
            ),
            &[(&owner, Type::TEXT), (&conversation, Type::UUID)],
        )
        .await?;
    row.as_ref().map(so_far).transpose()
}

/// What was told after the batch that begins with event `seen` (0 for none). `None` when the
/// run is gone.
pub async fn news(db: &Pool, id: Uuid, seen: i32) -> Result<Option<News>> {
    // The outer join keeps the run's own row when there is no batch.
    let rows = db
        .query_typed(
            "select
               ended_at is not null as is_over,
               seen_at < clock_timestamp() - make_interval(secs => $3) as is_lapsed,
               first,
               events
             from runs
             left join run_batches on run_id = id and first > $2
             where id = $1 and not is_deleted
             order by first",
            &[(&id, Type::UUID), (&seen, Type::INT4), (&LEASE_SECONDS, Type::FLOAT8)],
        )
        .await?;
    let Some(run) = rows.first() else { return Ok(None) };
    let (is_over, is_lapsed) = (run.get("is_over"), run.get("is_lapsed"));
    let mut batches = Vec::new();
    for row in rows.iter().filter(|row| row.get::<_, Option<i32>>("first").is_some()) {
        match row.get("events") {
            Value::Array(events) => batches.push((row.get("first"), events)),
            _ => return Err(Error::Internal("a run's events are no list".to_owned())),
        }
    }
    Ok(Some(News { batches, is_over, is_lapsed }))
}

/// What became of an answer that an equal request has started.
pub(crate) async fn standing(db: &Pool, id: Uuid) -> Result<Standing> {
    let row = db
        .query_typed_opt(
            "select
               ended_at is null as is_going,
               is_stopping,
               request_key is not null as has_key,
               coalesce(
                 status in ('stopped', 'interrupted'),
                 ended_at is not null and exchange ->> 'replaces' is not null) as is_cut_off
             from runs
             left join messages on messages.id = runs.id
             where runs.id = $1 and not is_deleted",
            &[(&id, Type::UUID)],
        )
        .await?;
    let Some(row) = row else { return Ok(Standing::Free) };
    let is = |name: &str| row.get::<_, bool>(name);
    Ok(match (is("is_cut_off"), is("is_going"), is("is_stopping"), is("has_key")) {
        (true, ..) => Standing::CutOff,
        (false, true, true, _) => Standing::Stopping,
        (false, true, false, _) => Standing::Going,
        (false, false, _, true) => Standing::Whole,
        (false, false, _, false) => Standing::Free,
    })
}

/// Asks whoever makes the answer to stop. Says whether there is anything left to stop; `None`
/// when the owner has no such run.
pub async fn stop(db: &Pool, owner: &Owner, id: Uuid) -> Result<Option<bool>> {
    let owner = owner_key(owner);
    let row = db
        .query_typed_opt(
            "update runs
             set is_stopping = true
             where id = $1 and owner = $2 and not is_deleted
             returning ended_at is null as is_going",
            &[(&id, Type::UUID), (&owner, Type::TEXT)],
        )
        .await?;
    Ok(row.map(|row| row.get("is_going")))
}
