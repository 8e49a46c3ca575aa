//! The book in a Qdrant collection: two ranked lists in one round trip.
//!
//! It also reads a collection that somebody else filled: read-only, dense only, with field
//! names from the settings and whatever is missing done without.

pub mod payload;
mod settings;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use qdrant_client::{
    Qdrant, QdrantError,
    qdrant::{
        BatchResult, Condition, Filter as QdrantFilter, Query, QueryBatchPointsBuilder,
        QueryPoints, QueryPointsBuilder, ScrollPointsBuilder, VectorInput,
    },
};
use uuid::Uuid;

pub use self::{
    payload::Edition,
    settings::{DENSE, Fields, Settings},
};
use super::{Filter, Leg, Passage, tokens};
use crate::{Error, Result, config::Env};

/// One call, and connecting. The client repeats a failed call once on a new connection, so
/// the worst case is twice the one plus the other.
const CALL: Duration = Duration::from_secs(2);
const WORST: Duration = Duration::from_secs(6);
/// Nothing tells a thawed process that its connection died, so after such a pause it takes
/// a new one. Building a client costs microseconds.
const PAUSE: Duration = Duration::from_mins(1);
/// Qdrant returns equal scores in any order. A few more than asked are fetched, so that
/// equals around the limit are cut by id, as the shelf cuts them.
const TIES: usize = 16;

/// A collection, asked over gRPC.
pub struct Collection {
    settings: Box<Settings>,
    client: Mutex<Option<(Qdrant, SystemTime)>>,
    info: Mutex<Option<Arc<Info>>>,
}

/// What one point tells about its collection.
#[derive(Clone, Debug, PartialEq)]
pub struct Info {
    /// The book's version; `None` for a collection that Lectern did not write, which has no
    /// lexical leg then.
    pub edition: Option<Edition>,
    /// The dense vector: its name (empty for the unnamed one) and its length.
    pub dense: Option<(String, usize)>,
}

/// What a search found.
#[derive(Debug, Default)]
pub struct Legs {
    /// By cosine.
    pub dense: Leg,
    /// By BM25.
    pub lexical: Leg,
    /// Every passage of both legs.
    pub passages: HashMap<Uuid, Passage>,
    /// The version that was searched; `None` for a collection that Lectern did not write.
    pub book_version: Option<String>,
}

impl Collection {
    /// Reads `QDRANT_URL` and the other `QDRANT_*`. Opens no connection.
    pub fn from_env(env: &Env) -> Result<Self> {
        let settings = Box::new(Settings::from_env(env)?);
        Ok(Self { settings, client: Mutex::default(), info: Mutex::default() })
    }

    /// What the collection is: one round trip for the first caller, none for later ones.
    ///
    /// `Unavailable` also when it is empty or was written by another tokeniser.
    pub async fn info(&self) -> Result<Arc<Info>> {
        if let Some(known) = lock(&self.info).clone() {
            return Ok(known);
        }
        let info = Arc::new(self.look().await?);
        *lock(&self.info) = Some(info.clone());
        Ok(info)
    }

    /// Both legs in one request, each sorted by (score descending, id ascending). A leg
    /// without a question (`dense` none, `sparse` empty) or without a vector in the
    /// collection is empty.
    ///
    /// A dense vector that does not fit the collection is a misconfigured `EMBEDDING_MODEL`;
    /// a filter on a field that a foreign collection lacks is an invalid `filter`.
    pub async fn legs(
        &self,
        dense: Option<&[f32]>,
        sparse: &[(u32, f32)],
        filter: &Filter,
        limit: usize,
    ) -> Result<Legs> {
        let info = self.info().await?;
        let filter = self.conditions(filter, info.edition.is_some())?;
        let leg = |name: &str, query| self.leg(name, query, filter.as_ref(), limit);

        let mut queries = Vec::with_capacity(2);
        let dense = dense.zip(info.dense.as_ref());
        if let Some((question, (name, length))) = dense {
            if question.len() != *length {
                return Err(Error::Misconfigured("EMBEDDING_MODEL"));
            }
            queries.push(leg(name, Query::new_nearest(question.to_vec())));
        }
        let lexical = info.edition.is_some() && !sparse.is_empty();
        if lexical {
            let (indices, values): (Vec<_>, Vec<_>) = sparse.iter().copied().unzip();
            let question = VectorInput::new_sparse(indices, values);
            queries.push(leg(&self.settings.sparse, Query::new_nearest(question)));
        }

        let version = |info: &Info| info.edition.as_ref().map(|it| it.version.clone());
        let mut found = Legs { book_version: version(&info), ..Legs::default() };
        if queries.is_empty() {
            return Ok(found);
        }
        let batch = QueryBatchPointsBuilder::new(&self.settings.collection, queries)
            .timeout(CALL.as_secs());
        let client = self.client()?;
        let mut answers = self.ask(client.query_batch(batch)).await?.result.into_iter();
        if dense.is_some() {
            found.dense = self.read(answers.next(), limit, &info, &mut found);
        }
        if lexical {
            found.lexical = self.read(answers.next(), limit, &info, &mut found);
        }
        let listed = |id: &Uuid| {
            found.dense.iter().chain(&found.lexical).any(|(listed, _)| listed == id)
        };
        found.passages.retain(|id, _| listed(id));
        Ok(found)
    }

    /// Asks whether the collection answers, in at most 2 s.
    pub async fn check(&self) -> Result<()> {
        match tokio::time::timeout(CALL, self.look()).await {
            Ok(answer) => answer.map(|_| ()),
            Err(_) => Err(Error::unavailable("qdrant", "no answer within 2 s")),
        }
    }

    /// Any one point tells all: its payload is the edition's, its vectors are the
    /// collection's.
    async fn look(&self) -> Result<Info> {
        let any = ScrollPointsBuilder::new(&self.settings.collection)
            .limit(1)
            .with_payload(true)
            .with_vectors(true)
            .timeout(CALL.as_secs());
        let client = self.client()?;
        let point = self.ask(client.scroll(any)).await?.result.into_iter().next();
        let point = point
            .ok_or_else(|| Error::unavailable("qdrant", "the collection is empty"))?;
        let edition = payload::edition(&point.payload);
        if edition.as_ref().is_some_and(|it| it.tokeniser != tokens::VERSION) {
            let why = "another version of Lectern wrote this collection: ingest again";
            return Err(Error::unavailable("qdrant", why));
        }
        let vectors = point.vectors.and_then(|it| it.vectors_options);
        let vectors = vectors.map(payload::dense_vectors).unwrap_or_default();
        Ok(Info { edition, dense: choose(self.settings.vector.as_deref(), &vectors)? })
    }

    fn leg(
        &self,
        vector: &str,
        query: Query,
        filter: Option<&QdrantFilter>,
        limit: usize,
    ) -> QueryPoints {
        let mut leg = QueryPointsBuilder::new(&self.settings.collection)
            .query(query)
            .limit((limit + TIES) as u64)
            .with_payload(true);
        if !vector.is_empty() {
            leg = leg.using(vector);
        }
        if let Some(filter) = filter {
            leg = leg.filter(filter.clone());
        }
        leg.into()
    }

    fn conditions(&self, filter: &Filter, ours: bool) -> Result<Option<QdrantFilter>> {
        let mut must = Vec::new();
        if let Some(prefix) = filter.path_prefix.as_ref().filter(|it| !it.is_empty()) {
            if !ours {
                let why = "is not possible in a collection that Lectern did not write";
                return Err(Error::invalid("filter.path_prefix", why));
            }
            must.push(Condition::matches(payload::PREFIXES, prefix.clone()));
        }
        if let Some(source) = &filter.source {
            let field = match (&self.settings.fields.source, ours) {
                (_, true) => payload::SOURCE,
                (Some(named), false) => named,
                (None, false) => {
                    let why = "needs QDRANT_SOURCE_FIELD in a collection that Lectern did \
                               not write";
                    return Err(Error::invalid("filter.source", why));
                }
            };
            must.push(Condition::matches(field, source.clone()));
        }
        Ok((!must.is_empty()).then(|| QdrantFilter::must(must)))
    }

    /// One answered leg; its passages join the others'. When the alias was switched since
    /// the last question, the points say so, and what is known about the collection with
    /// them.
    fn read(
        &self,
        answer: Option<BatchResult>,
        limit: usize,
        info: &Info,
        found: &mut Legs,
    ) -> Leg {
        let mut leg = Leg::new();
        for point in answer.map(|it| it.result).unwrap_or_default() {
            let Some(id) = payload::id(point.id) else { continue };
            if leg.is_empty() {
                let edition = payload::edition(&point.payload);
                if edition != info.edition {
                    found.book_version = edition.map(|it| it.version);
                    *lock(&self.info) = None;
                }
            }
            let fields = &self.settings.fields;
            let Some(passage) = payload::passage(id, &point.payload, fields) else {
                continue;
            };
            leg.push((id, point.score));
            found.passages.entry(id).or_insert(passage);
        }
        leg.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
        leg.truncate(limit);
        leg
    }

    fn client(&self) -> Result<Qdrant> {
        let mut kept = lock(&self.client);
        let now = SystemTime::now();
        let fresh = kept.take().filter(|(_, used)| {
            // A clock that went backwards says nothing about the connection.
            now.duration_since(*used).is_ok_and(|pause| pause < PAUSE)
        });
        let client = match fresh {
            Some((client, _)) => client,
            None => self.settings.client(CALL, CALL)?,
        };
        *kept = Some((client.clone(), now));
        Ok(client)
    }

    /// Bounds a call. After a failure nothing that was known about the collection is taken
    /// for granted: it may have been written anew with other vectors.
    async fn ask<T>(
        &self,
        call: impl Future<Output = Result<T, QdrantError>>,
    ) -> Result<T> {
        let why = match tokio::time::timeout(WORST, call).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(err)) => explain(&err),
            Err(_) => "no answer in time".to_owned(),
        };
        *lock(&self.info) = None;
        Err(Error::unavailable("qdrant", why))
    }
}

/// Code and message of a failed call, for the log. The error's own `Display` would dump the
/// metadata, and the text of a failed connect holds the address.
pub fn explain(err: &QdrantError) -> String {
    match err {
        QdrantError::ResponseError { status }
        | QdrantError::ResourceExhaustedError { status, .. } => {
            if status.message().starts_with("Failed to connect") {
                return "cannot connect".to_owned();
            }
            let message: String = status.message().chars().take(200).collect();
            format!("{:?}: {message}", status.code())
        }
        QdrantError::Io(err) => format!("i/o: {:?}", err.kind()),
        _ => "the client refused the request".to_owned(),
    }
}

/// The dense vector to ask: the one that is named, else ours, the unnamed or the only one.
fn choose(
    named: Option<&str>,
    vectors: &[(String, usize)],
) -> Result<Option<(String, usize)>> {
    let unclear = Error::Misconfigured("QDRANT_VECTOR");
    let wanted: &[&str] = match &named {
        Some(name) => std::slice::from_ref(name),
        None => &[DENSE, ""],
    };
    let found = wanted.iter().find_map(|name| vectors.iter().find(|it| it.0 == *name));
    match (found, vectors) {
        (Some(vector), _) => Ok(Some(vector.clone())),
        (None, []) => Ok(None),
        (None, [only]) if named.is_none() => Ok(Some(only.clone())),
        (None, _) => Err(unclear),
    }
}

fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
