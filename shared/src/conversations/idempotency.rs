//! The table `idempotency_keys`: the same key and body is the same exchange, for 24 hours.
//!
//! A key's first request writes down the ids of its exchange before it stores it. A repeat,
//! even one at the same moment, gets those ids back, and storing the same ids twice is
//! storing them once: so no request waits for another, and one that died half way is
//! finished by its repeat.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::{Error, Result, db::Pool};

/// The longest key, in characters.
const MAX_KEY_CHARS: usize = 255;

/// The space of the ids that are derived from keys; drawn once at random.
const SPACE: Uuid = Uuid::from_u128(0x6f3c_1b52_9d0e_4c8a_b7a4_52e8_03d9_71ce);

/// A request that named itself.
pub(super) struct Key {
    caller: String,
    text: String,
    request_hash: Vec<u8>,
}

/// The ids of one exchange, and whether it is known to be stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ids {
    /// The answer's message.
    pub id: Uuid,
    /// The question's message.
    pub question_id: Uuid,
    /// The conversation, if the request named none.
    pub conversation_id: Uuid,
    /// Stored: a repeat has nothing left to do, even if retention took it away since.
    pub done: bool,
}

impl Ids {
    /// For a request without a key, or one whose key has run out.
    pub(super) fn fresh() -> Self {
        let [id, question_id, conversation_id] = std::array::from_fn(|_| Uuid::now_v7());
        Self { id, question_id, conversation_id, done: false }
    }
}

impl Key {
    /// `caller` tells callers apart (the name that `auth` gives them), `header` is what they sent
    /// as `Idempotency-Key`, `body` what the request says.
    pub(super) fn new(
        caller: String,
        header: &[u8],
        body: &impl Serialize,
    ) -> Result<Self> {
        let visible = header.iter().all(u8::is_ascii_graphic);
        let text = String::from_utf8(header.to_vec()).unwrap_or_default();
        if !visible || !(1..=MAX_KEY_CHARS).contains(&text.len()) {
            return Err(Error::invalid(
                "Idempotency-Key",
                format!("must be 1 to {MAX_KEY_CHARS} visible ASCII characters"),
            ));
        }
        let body = serde_json::to_vec(body)
            .map_err(|_| Error::Internal("a body cannot be written as JSON".into()))?;
        Ok(Self { caller, text, request_hash: Sha256::digest(body).to_vec() })
    }

    /// The ids of this key's first exchange. They follow from the key and the body, so that
    /// a repeat is the same exchange also when Postgres was away for the first one and the
    /// exchange still waits in `FALLBACK_STORAGE`.
    pub(super) fn ids(&self) -> Ids {
        let derive = |part: &str| {
            // Neither a caller nor a key contains a line feed.
            let mut name =
                format!("{}\n{}\n{part}\n", self.caller, self.text).into_bytes();
            name.extend(&self.request_hash);
            Uuid::new_v5(&SPACE, &name)
        };
        Ids {
            id: derive("answer"),
            question_id: derive("question"),
            conversation_id: derive("conversation"),
            done: false,
        }
    }

    /// The ids to use: this request's own if it is the first, else those of the first.
    /// [`Error::KeyReused`] when that one had another body.
    pub(super) async fn claim(&self, db: &Pool) -> Result<Ids> {
        let (first, renewed) = (written(&self.ids())?, written(&Ids::fresh())?);
        // A key that has run out starts again, with ids that were never used.
        let row = db
            .query_typed_one(
                "insert into idempotency_keys as held
                   (caller, key, request_hash, response, created_at)
                 values ($1, $2, $3, $4, now())
                 on conflict (caller, key) do update
                 set (request_hash, response, created_at) = (
                   select excluded.request_hash, $5::jsonb, now()
                   where held.created_at < now() - interval '24 hours'
                   union all
                   select held.request_hash, held.response, held.created_at
                   where held.created_at >= now() - interval '24 hours'
                 )
                 returning request_hash, response",
                &[
                    (&self.caller, Type::TEXT),
                    (&self.text, Type::TEXT),
                    (&self.request_hash, Type::BYTEA),
                    (&first, Type::JSONB),
                    (&renewed, Type::JSONB),
                ],
            )
            .await?;
        if row.get::<_, Vec<u8>>(0) != self.request_hash {
            return Err(Error::KeyReused);
        }
        serde_json::from_value(row.get(1)).map_err(|_| {
            Error::Internal("a stored idempotency key cannot be read".into())
        })
    }

    /// Writes down that the exchange is stored.
    pub(super) async fn finish(&self, db: &Pool, ids: &Ids) -> Result<()> {
        let done = written(&Ids { done: true, ..ids.clone() })?;
        db.execute_typed(
            "update idempotency_keys
             set response = $3
             where caller = $1 and key = $2",
            &[(&self.caller, Type::TEXT), (&self.text, Type::TEXT), (&done, Type::JSONB)],
        )
        .await
        .map(drop)
    }

    /// Gives the key back after a request that stored nothing, so that the caller can mend
    /// the request and send it again.
    pub(super) async fn release(&self, db: &Pool) -> Result<()> {
        db.execute_typed(
            "delete from idempotency_keys
             where caller = $1 and key = $2 and response @> '{\"done\": false}'",
            &[(&self.caller, Type::TEXT), (&self.text, Type::TEXT)],
        )
        .await
        .map(drop)
    }
}

fn written(ids: &Ids) -> Result<Value> {
    serde_json::to_value(ids).map_err(|_| Error::Internal("ids cannot be written".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(caller: &str, key: &str, body: &str) -> Ids {
        Key::new(caller.to_owned(), key.as_bytes(), &body).unwrap().ids()
    }

    #[test]
    fn a_repeat_has_the_ids_of_the_first() {
        let first = ids("service", "k", "body");
        assert_eq!(first, ids("service", "k", "body"));
        assert_ne!(first.id, first.question_id);
        assert_ne!(first.id, first.conversation_id);
    }

    #[test]
    fn another_caller_key_or_body_has_other_ids() {
        let reader = "user:1";
        let ids = [
            ids("service", "k", "body"),
            ids(reader, "k", "body"),
            ids("user:2", "k", "body"),
            ids(reader, "k2", "body"),
            ids(reader, "k", "body2"),
        ];
        for (n, one) in ids.iter().enumerate() {
            assert!(!ids[..n].iter().any(|other| other.id == one.id));
        }
    }

    #[test]
    fn a_key_is_visible_ascii_of_at_most_255_characters() {
        let new = |key: &[u8]| Key::new("service".to_owned(), key, &"body");
        assert!(new(&[b'k'; 255]).is_ok());
        for bad in [&[b'k'; 256][..], b"", b"a b", b"a\nb", "ü".as_bytes(), b"\xff"] {
            assert!(matches!(new(bad), Err(Error::Invalid(_))));
        }
    }
}
