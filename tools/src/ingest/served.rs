//! The version of the book that Qdrant serves now, before a new one takes its place.

use qdrant_client::{
    Qdrant,
    qdrant::{
        PointId, ScrollPointsBuilder, VectorsSelector, vector_output,
        vectors_output::VectorsOptions,
    },
};
use shared::{
    config::Env,
    retrieval::{
        qdrant::{DENSE, Edition, Fields, Settings, payload},
        shelf::{Entry, Header},
    },
};

use super::collection::{CALL, CONNECT, fits, said, survey};
use crate::Outcome;

/// Points that are read at once.
const SCROLLED: u32 = 256;

/// Fails before anything is written if `publish` could not make these entries the book: they
/// do not fit together, the name is taken, or the book that is served has vectors of another
/// length from the same model, so that questions would be embedded wrongly (`is_forced`
/// takes that for intended).
pub(super) async fn check(
    env: &Env,
    header: &Header,
    entries: &[Entry],
    is_forced: bool,
) -> Outcome {
    fits(header, entries)?;
    let Some(served) = Served::find(env).await? else { return Ok(()) };
    let Some(there) = served.edition().await?.filter(|_| !is_forced) else {
        return Ok(());
    };
    let is_same_model = there.embedding_model == header.embedding_model;
    if is_same_model && there.dimension != header.dimension {
        let model = header.embedding_model.as_deref().unwrap_or("no model");
        return Err(format!(
            "QDRANT_COLLECTION: the book that is served has vectors of {} numbers, the new \
             one of {}, and both are said to be of {model}: check EMBEDDING_BASE_URL, \
             EMBEDDING_MODEL and EMBEDDING_DIMENSIONS, or say --force; the old book is \
             untouched",
            there.dimension, header.dimension
        )
        .into());
    }
    Ok(())
}

/// The texts of the book that is served and their vectors, if `model` made them: a shelf that
/// was lost is no reason to embed everything again.
pub(super) async fn vectors(env: &Env, model: &str) -> Outcome<Vec<(String, Vec<f32>)>> {
    let Some(served) = Served::find(env).await? else { return Ok(Vec::new()) };
    let edition = served.edition().await?;
    if edition.and_then(|it| it.embedding_model).as_deref() != Some(model) {
        return Ok(Vec::new());
    }
    served.vectors().await
}

/// The version that readers get now.
struct Served {
    qdrant: Qdrant,
    name: String,
    dense: String,
    fields: Fields,
}

impl Served {
    /// `None` when no alias names one yet. An alias cannot stand beside a collection of its
    /// name.
    async fn find(env: &Env) -> Outcome<Option<Self>> {
        let settings = Settings::from_env(env)?;
        let qdrant = settings.client(CALL, CONNECT)?;
        let (_, serving) = survey(&qdrant, &settings.collection).await?;
        let dense = settings.vector.unwrap_or_else(|| DENSE.to_owned());
        let fields = settings.fields;
        Ok(serving.map(|name| Self { qdrant, name, dense, fields }))
    }

    /// What the book says of itself; every passage says it.
    async fn edition(&self) -> Outcome<Option<Edition>> {
        let one = ScrollPointsBuilder::new(&self.name).limit(1).with_payload(true);
        let found = self.qdrant.scroll(one).await.map_err(said)?.result;
        Ok(found.first().and_then(|it| payload::edition(&it.payload)))
    }

    async fn vectors(&self) -> Outcome<Vec<(String, Vec<f32>)>> {
        let mut found = Vec::new();
        let mut from = None;
        loop {
            let mut page = ScrollPointsBuilder::new(&self.name)
                .limit(SCROLLED)
                .with_payload(true)
                .with_vectors(VectorsSelector { names: vec![self.dense.clone()] });
            if let Some(from) = from.take() {
                page = page.offset::<PointId>(from);
            }
            let page = self.qdrant.scroll(page).await.map_err(said)?;
            for point in page.result {
                let Some(id) = payload::id(point.id) else { continue };
                let passage = payload::passage(id, &point.payload, &self.fields);
                let options = point.vectors.and_then(|it| it.vectors_options);
                let dense = options.and_then(|it| dense(it, &self.dense));
                found.extend(passage.map(|it| it.indexed_text()).zip(dense));
            }
            let Some(next) = page.next_page_offset else { return Ok(found) };
            from = Some(next);
        }
    }
}

/// The dense vector of this name.
fn dense(options: VectorsOptions, name: &str) -> Option<Vec<f32>> {
    let VectorsOptions::Vectors(mut them) = options else { return None };
    match them.vectors.remove(name)?.into_vector() {
        vector_output::Vector::Dense(it) => Some(it.data),
        _ => None,
    }
}
