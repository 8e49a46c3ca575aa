//! Writing a version of the book to Qdrant, so that readers see either the old or the new.
//!
//! The version is written to a collection of its own, `book-<version>`, counted, and only
//! then does the alias `book` point to it. Killed at any moment, the alias still names a
//! whole version; what was left behind is cleared away by the next run.

use std::{collections::HashSet, time::Duration};

use qdrant_client::{
    Qdrant, QdrantError,
    qdrant::{
        CountPointsBuilder, CreateAliasBuilder, CreateCollectionBuilder,
        CreateFieldIndexCollectionBuilder, Distance, FieldType, Modifier, NamedVectors,
        PointStruct, SparseVectorParamsBuilder, SparseVectorsConfigBuilder,
        UpsertPointsBuilder, Vector, VectorParamsBuilder, VectorsConfigBuilder,
    },
};
use shared::{
    config::Env,
    retrieval::{
        qdrant::{self, DENSE, Edition, Settings, payload},
        shelf::{Entry, Header},
    },
};

use crate::Outcome;

/// Points per request: with 3,072 dimensions and long passages still below 1.5 MB.
const BATCH: usize = 64;
/// One write may take this long; a new collection on a busy cluster does.
pub(super) const CALL: Duration = Duration::from_mins(1);
pub(super) const CONNECT: Duration = Duration::from_secs(10);

/// Makes `entries` the book that readers of the collection `QDRANT_COLLECTION` see. Nothing
/// is written when the entries do not fit together or the name is taken by a collection of
/// somebody else.
pub async fn publish(env: &Env, header: &Header, entries: &[Entry]) -> Outcome {
    let settings = Settings::from_env(env)?;
    fits(header, entries)?;
    let target = Target {
        qdrant: settings.client(CALL, CONNECT)?,
        name: format!("{}-{}", settings.collection, header.book_version),
        alias: settings.collection,
        dense: settings.vector.unwrap_or_else(|| DENSE.to_owned()),
        sparse: settings.sparse,
    };
    let (collections, serving) = survey(&target.qdrant, &target.alias).await?;
    if serving.as_ref() == Some(&target.name) && target.count().await? == entries.len() {
        return target.clear(&header.book_version).await;
    }
    // A run that was killed left an unfinished collection of this name; nobody reads it.
    if serving.as_ref() != Some(&target.name) {
        if collections.contains(&target.name) {
            target.delete(&target.name).await?;
        }
        target.create(header).await?;
    }
    target.fill(header, entries).await?;
    let count = target.count().await?;
    if count != entries.len() {
        let wanted = entries.len();
        return Err(format!("Qdrant holds {count} of {wanted} passages").into());
    }
    target.switch().await?;
    target.clear(&header.book_version).await
}

/// The collection of one version, and the alias that shall name it.
struct Target {
    qdrant: Qdrant,
    alias: String,
    name: String,
    dense: String,
    sparse: String,
}

impl Target {
    async fn create(&self, header: &Header) -> Outcome {
        let mut sparse = SparseVectorsConfigBuilder::default();
        sparse.add_named_vector_params(
            &self.sparse,
            SparseVectorParamsBuilder::default().modifier(Modifier::Idf),
        );
        let mut collection =
            CreateCollectionBuilder::new(&self.name).sparse_vectors_config(sparse);
        if header.dimension > 0 {
            let size = u64::from(header.dimension);
            let mut dense = VectorsConfigBuilder::default();
            dense.add_named_vector_params(
                &self.dense,
                VectorParamsBuilder::new(size, Distance::Cosine),
            );
            collection = collection.vectors_config(dense);
        }
        self.qdrant.create_collection(collection).await.map_err(said)?;
        for field in [payload::PREFIXES, payload::SOURCE] {
            let index = CreateFieldIndexCollectionBuilder::new(
                &self.name,
                field,
                FieldType::Keyword,
            );
            self.qdrant.create_field_index(index.wait(true)).await.map_err(said)?;
        }
        Ok(())
    }

    async fn fill(&self, header: &Header, entries: &[Entry]) -> Outcome {
        let edition = Edition {
            version: header.book_version.clone(),
            language: header.language.clone(),
            tokeniser: header.tokeniser,
            embedding_model: header.embedding_model.clone(),
            dimension: header.dimension,
            mean_len: header.mean_len,
        };
        for batch in entries.chunks(BATCH) {
            let points: Vec<_> =
                batch.iter().map(|it| self.point(it, &edition)).collect();
            let batch = UpsertPointsBuilder::new(&self.name, points).wait(true);
            self.qdrant.upsert_points(batch).await.map_err(said)?;
        }
        Ok(())
    }

    fn point(&self, entry: &Entry, edition: &Edition) -> PointStruct {
        let mut vectors = NamedVectors::default();
        // A passage of stop words alone has no sparse vector, and no search finds it by one.
        if !entry.sparse.is_empty() {
            vectors =
                vectors.add_vector(&self.sparse, Vector::from(entry.sparse.as_slice()));
        }
        if let Some(dense) = &entry.dense {
            vectors = vectors.add_vector(&self.dense, Vector::from(dense.as_slice()));
        }
        let payload = payload::write(&entry.passage, edition);
        PointStruct::new(entry.passage.id.to_string(), vectors, payload)
    }

    async fn count(&self) -> Outcome<usize> {
        let all = CountPointsBuilder::new(&self.name).exact(true);
        let count = self.qdrant.count(all).await.map_err(said)?.result;
        Ok(count.map_or(0, |it| it.count as usize))
    }

    /// One operation: an alias that exists is pointed elsewhere by creating it again.
    async fn switch(&self) -> Outcome {
        let alias = CreateAliasBuilder::new(&self.name, &self.alias);
        self.qdrant.create_alias(alias).await.map_err(said)?;
        Ok(())
    }

    /// Deletes the versions that no alias names any more. The book can always be ingested
    /// again, and every version kept would cost the memory of a whole one.
    async fn clear(&self, version: &str) -> Outcome {
        let aliases = self.qdrant.list_aliases().await.map_err(said)?.aliases;
        let used: HashSet<_> = aliases.into_iter().map(|it| it.collection_name).collect();
        let collections = self.qdrant.list_collections().await.map_err(said)?.collections;
        for name in collections.into_iter().map(|it| it.name) {
            if is_version(&name, &self.alias, version) && !used.contains(&name) {
                self.delete(&name).await?;
            }
        }
        Ok(())
    }

    async fn delete(&self, name: &str) -> Outcome {
        self.qdrant.delete_collection(name).await.map_err(said)?;
        Ok(())
    }
}

/// Every collection, and the one that readers see now.
pub(super) async fn survey(
    qdrant: &Qdrant,
    alias: &str,
) -> Outcome<(HashSet<String>, Option<String>)> {
    let collections = qdrant.list_collections().await.map_err(said)?.collections;
    let collections: HashSet<_> = collections.into_iter().map(|it| it.name).collect();
    if collections.contains(alias) {
        return Err(format!(
            "QDRANT_COLLECTION: \"{alias}\" is a collection that Lectern did not make, and \
             an alias of that name cannot stand beside it: choose another name"
        )
        .into());
    }
    let aliases = qdrant.list_aliases().await.map_err(said)?.aliases;
    let serving = aliases.into_iter().find(|it| it.alias_name == alias);
    Ok((collections, serving.map(|it| it.collection_name)))
}

/// Whether a collection is a version of this book: the alias, a dash and something shaped
/// like the present version. `book-notes` is somebody's, and `book-de-9c41…` is the version
/// of a book whose alias is `book-de`.
fn is_version(name: &str, alias: &str, version: &str) -> bool {
    let suffix = name.strip_prefix(alias).and_then(|it| it.strip_prefix('-'));
    let hex = |it: &str| it.len() >= 8 && it.bytes().all(|it| it.is_ascii_hexdigit());
    suffix.is_some_and(|it| it.len() == version.len() && hex(it) && hex(version))
}

/// Whether the entries are one book: some, each with its own id, and dense vectors in all or
/// none of them, of the length that the header says.
pub(super) fn fits(header: &Header, entries: &[Entry]) -> Outcome {
    if entries.is_empty() {
        return Err("the book is empty: there is no passage to write".into());
    }
    let ids: HashSet<_> = entries.iter().map(|it| it.passage.id).collect();
    if ids.len() != entries.len() {
        return Err("two passages have the same id".into());
    }
    let wanted = header.dimension as usize;
    for entry in entries {
        let length = entry.dense.as_ref().map_or(0, Vec::len);
        if length != wanted {
            let path = &entry.passage.path;
            return Err(format!(
                "{path}: a vector of {length} numbers in a book of {wanted}; was \
                 EMBEDDING_MODEL changed?"
            )
            .into());
        }
    }
    Ok(())
}

/// The client's own text would dump the metadata of the call.
#[expect(clippy::needless_pass_by_value, reason = "the shape of `map_err`")]
pub(super) fn said(err: QdrantError) -> String {
    format!("Qdrant: {}", qdrant::explain(&err))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_of_this_book_are_its_versions() {
        let version = "9c41f00dba5eba11";
        assert!(is_version("book-0123456789abcdef", "book", version));
        assert!(is_version("book-9c41f00dba5eba11", "book", version));
        for other in [
            "book",
            "book-",
            "book-notes",
            "book-deadbeef",
            "book-de-0123456789abcdef",
            "bookshop-0123456789abcdef",
            "notebook-0123456789abcdef",
            "book-0123456789abcdeg",
        ] {
            assert!(!is_version(other, "book", version), "{other}");
        }
        assert!(!is_version("book-cafe", "book", "beef"), "too short to be a hash");
    }
}
