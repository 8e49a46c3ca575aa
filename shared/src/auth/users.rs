//! The `users` table.

use time::OffsetDateTime;
use tokio_postgres::{error::SqlState, types::Type};
use uuid::Uuid;

use super::{
    email,
    password::{self, Cost},
};
use crate::{
    Error, Result,
    config::Env,
    db::{self, Pool},
};

/// An account as login needs it.
pub struct Account {
    /// `users.id`.
    pub id: Uuid,
    /// The address as it is stored, in lower case.
    pub email: String,
    /// Bcrypt's; `None` for an account that somebody else signs in.
    pub password_hash: Option<String>,
}

/// The account with this address, which is already in lower case.
pub async fn find_by_email(db: &Pool, email: &str) -> Result<Option<Account>> {
    let found = db
        .query_typed_opt(
            "select id, email::text, password_hash::text
             from users
             where lower(email) = $1",
            &[(&email, Type::TEXT)],
        )
        .await?;
    Ok(found.map(|row| Account {
        id: row.get(0),
        email: row.get(1),
        password_hash: row.get(2),
    }))
}

/// A new account of our own, and when it was made. [`Error::EmailTaken`] when the unique
/// index on the address says so, and for no other reason. The id is ours, so a second try
/// after a lost connection finds its own row.
pub async fn create(
    db: &Pool,
    id: Uuid,
    email: &str,
    password_hash: &str,
) -> Result<OffsetDateTime> {
    let made = db::retry(|| async {
        let client = db.client().await?;
        let row = client
            .query_typed_one(
                "insert into users (id, issuer, subject, email, password_hash, created_at)
                 values ($1, 'lectern', $1::text, $2, $3, now())
                 on conflict (id) do update
                 set id = excluded.id
                 returning created_at",
                &[(&id, Type::UUID), (&email, Type::TEXT), (&password_hash, Type::TEXT)],
            )
            .await
            .map_err(|err| match err.as_db_error() {
                Some(said)
                    if *said.code() == SqlState::UNIQUE_VIOLATION
                        && said.constraint() == Some("users_email_key") =>
                {
                    Error::EmailTaken
                }
                _ => err.into(),
            })?;
        Ok(row)
    });
    Ok(made.await?.get(0))
}

/// Whether this account is still there; a token may outlive it.
pub async fn exists(db: &Pool, id: Uuid) -> Result<bool> {
    let row = db
        .query_typed_one(
            "select exists (select 1 from users where id = $1)",
            &[(&id, Type::UUID)],
        )
        .await?;
    Ok(row.get(0))
}

/// Gives the account with this address another password. [`Error::Invalid`] for a password
/// that we would not take at registration, [`Error::NotFound`] for an unknown address.
pub async fn set_password(
    env: &Env,
    db: &Pool,
    email: &str,
    password: String,
) -> Result<()> {
    password::check(&password).map_err(|refused| Error::Invalid(vec![refused]))?;
    let email = email::normalise(email).ok_or(Error::NotFound("account"))?;
    let hash = password::hash(password, Cost::from_env(env)?).await?;
    let changed = db
        .execute_typed(
            "update users
             set password_hash = $2
             where lower(email) = $1",
            &[(&email, Type::TEXT), (&hash, Type::TEXT)],
        )
        .await?;
    if changed == 0 { Err(Error::NotFound("account")) } else { Ok(()) }
}
