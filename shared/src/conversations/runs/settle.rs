//! The end of runs: of those that have lost their maker, and of those that nobody comes back
//! for.

use time::OffsetDateTime;
use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

use super::{LEASE_SECONDS, columns_so_far, so_far};
use crate::{
    Result,
    conversations::{Owner, Status, account::owner_key, store},
    db::Pool,
};

/// How many runs are brought to their end by one who happens to come by.
const SETTLED_AT_ONCE: i64 = 10;

/// Whose lapsed runs are meant.
#[derive(Clone, Copy, Debug)]
pub enum Lapsed<'a> {
    /// This one, if it is lapsed.
    Run(Uuid),
    /// This owner's.
    Of(&'a Owner),
    /// Everybody's.
    All,
}

/// Keeps what there is of answers that have lost their maker, and closes their runs. Says how
/// many there were. Two who settle the same run do it once.
pub async fn settle(db: &Pool, lapsed: Lapsed<'_>) -> Result<usize> {
    let (id, owner) = match lapsed {
        Lapsed::Run(id) => (Some(id), None),
        // A guest has no history that waits for it.
        Lapsed::Of(Owner::Guest) => return Ok(0),
        Lapsed::Of(owner) => (None, Some(owner_key(owner))),
        Lapsed::All => (None, None),
    };
    // Taking a run renews its lease: should we die too, the next one takes it over.
    let taken = db
        .query_typed(
            concat!(
                "with lapsed as (
                   select id, seen_at
                   from runs
                   where ended_at is null
                     and seen_at < clock_timestamp() - make_interval(secs => $3)
                     and ($1 is null or id = $1)
                     and ($2 is null or owner = $2)
                   order by seen_at
                   limit $4
                   for update skip locked
                 )
                 update runs
                 set is_taken = true, seen_at = clock_timestamp()
                 from lapsed
                 where runs.id = lapsed.id
                 returning runs.id, lapsed.seen_at as broke_off_at, ",
                columns_so_far!()
            ),
            &[
                (&id, Type::UUID),
                (&owner, Type::TEXT),
                (&LEASE_SECONDS, Type::FLOAT8),
                (&SETTLED_AT_ONCE, Type::INT8),
            ],
        )
        .await?;
    for row in &taken {
        // One that cannot be kept now must not stand in the way of the others.
        if let Err(err) = keep(db, row).await {
            tracing::error!(cause = err.chain(), "an interrupted answer was not kept");
        }
    }
    Ok(taken.len())
}

async fn keep(db: &Pool, row: &Row) -> Result<()> {
    let (id, broke_off_at) =
        (row.get("id"), row.get::<_, OffsetDateTime>("broke_off_at"));
    match so_far(row) {
        Ok(mut exchange) => {
            exchange.answered_at = broke_off_at;
            exchange.error_code = Some("interrupted".to_owned());
            if !exchange.answer.is_empty() {
                exchange.status = Status::Interrupted;
            }
            store::save_answer(db, &exchange, Some(broke_off_at)).await?;
        }
        // It would not be read the next time either.
        Err(err) => tracing::error!(cause = err.chain(), "a run is given up"),
    }
    end(db, id).await
}

/// The same for the history of this owner, which is shown in any case.
pub(in crate::conversations) async fn settle_or_log(db: &Pool, owner: &Owner) -> usize {
    settle(db, Lapsed::Of(owner)).await.unwrap_or_else(|err| {
        tracing::error!(cause = err.chain(), "interrupted answers were not looked for");
        0
    })
}

async fn end(db: &Pool, id: Uuid) -> Result<()> {
    db.execute_typed(
        "update runs
         set ended_at = clock_timestamp(),
           request_key = case
             when exchange ->> 'replaces' is not null
               or exists (select 1 from messages where messages.id = runs.id) then request_key
           end,
           exchange = case when is_deleted then '{}' else exchange end
         where id = $1",
        &[(&id, Type::UUID)],
    )
    .await
    .map(drop)
}

/// Deletes the runs that ended more than an hour ago: nobody comes back for them. Says how
/// many there were.
pub async fn forget(db: &Pool) -> Result<u64> {
    db.execute_typed("delete from runs where ended_at < now() - interval '1 hour'", &[])
        .await
}
