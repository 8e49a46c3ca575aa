//! How a statement finds an owner's row in `users`, and their runs.

use tokio_postgres::{
    Row,
    error::SqlState,
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::{Owner, nul::clean};
use crate::{
    Error, Result,
    db::{self, Params, Pool},
};

/// Begins a statement: `$1` and `$2` are what [`key`] says.
macro_rules! with_owner {
    ($($rest:expr),+) => {
        concat!(
            "with owner as (
               select id from users where id = $1
               union all
               select id from users where issuer = 'service' and subject = $2
               limit 1
             )",
            $($rest),+
        )
    };
}
pub(super) use with_owner;

/// The two ways to find an owner's row: by id, or by the subject of a trusted server, which
/// may also be one of our ids. `None` for a guest.
pub(super) fn key(owner: &Owner) -> Result<Option<(Option<Uuid>, Option<&str>)>> {
    match owner {
        Owner::User(id) => Ok(Some((Some(*id), None))),
        Owner::Named(name) if name.contains('\0') => {
            Err(Error::invalid("user_id", "must not contain a NUL character"))
        }
        Owner::Named(name) => Ok(Some((Uuid::try_parse(name).ok(), Some(name)))),
        Owner::Guest => Ok(None),
    }
}

/// The same in one word, as `runs.owner` has it: guests share the empty one.
pub(super) fn owner_key(owner: &Owner) -> String {
    match owner {
        Owner::User(id) => id.to_string(),
        // A trusted server may also name a user by our own id.
        Owner::Named(name) => {
            Uuid::try_parse(name).map_or_else(|_| clean(name), |id| id.to_string())
        }
        Owner::Guest => String::new(),
    }
}

/// A user that a trusted server names for the first time gets an account, with the id `$3`.
pub(super) const ACCOUNT: &str = "
insert into users (id, issuer, subject)
select $3, 'service', $2
where $2 is not null and not exists (select 1 from users where id = $1)
on conflict (issuer, subject) do nothing";

/// Saves of one user queue up here. It must be a statement of its own: the next one takes its
/// snapshot after the lock was granted, and so sees what it waited for. The lock leaves the
/// foreign keys of other inserts alone.
pub(super) const LOCK: &str = "
select 1
from users
where id = coalesce(
  (select id from users where id = $1),
  (select id from users where issuer = 'service' and subject = $2))
for no key update";

/// Sends a statement whose parameters go on behind the owner's two, and whose rows say
/// whether the owner is `known` and the thing `found`.
///
/// [`Error::Unauthorized`] for an account that is gone. A name that is new has no history
/// yet: its list is empty, and nothing in it is found.
pub(super) async fn ask(
    db: &Pool,
    owner: &Owner,
    sql: &str,
    params: Params<'_>,
    thing: &'static str,
) -> Result<Vec<Row>> {
    let Some((user_id, subject)) = key(owner)? else {
        return Err(Error::Unauthorized);
    };
    let mut all: Vec<(&(dyn ToSql + Sync), Type)> =
        vec![(&user_id, Type::UUID), (&subject, Type::TEXT)];
    all.extend(params.iter().cloned());
    let rows = db::retry(|| async {
        let client = db.client().await?;
        client.query_typed(sql, &all).await.map_err(|err| match err.code() {
            // Its conversation was deleted at this very moment.
            Some(code) if *code == SqlState::FOREIGN_KEY_VIOLATION => {
                Error::NotFound(thing)
            }
            _ => err.into(),
        })
    })
    .await?;
    found(owner, rows, thing)
}

/// The rows of such a statement, unless the owner is not known or the thing not found.
pub(super) fn found(
    owner: &Owner,
    rows: Vec<Row>,
    thing: &'static str,
) -> Result<Vec<Row>> {
    let row = rows.first().ok_or_else(|| Error::Internal("no row came back".into()))?;
    let (known, found): (bool, bool) = (row.get("known"), row.get("found"));
    match owner {
        Owner::User(_) if !known => Err(Error::Unauthorized),
        _ if !found => Err(Error::NotFound(thing)),
        _ => Ok(rows),
    }
}
