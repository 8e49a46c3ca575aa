//! What a point of the collection carries: a passage, and the edition that it belongs to.

use std::collections::HashMap;

use qdrant_client::qdrant::{
    PointId, Value, point_id::PointIdOptions, value::Kind, vectors_output::VectorsOptions,
};
use uuid::Uuid;

use super::{Fields, Passage};
use crate::retrieval::passage;

/// A point's payload, as the client gives it.
pub type Payload = HashMap<String, Value>;

/// The field with every prefix of the path, for `path_prefix` filters.
pub const PREFIXES: &str = "path_prefixes";
/// The field with the label of the ingest.
pub const SOURCE: &str = "source";
const EDITION: &str = "book";

/// One version of a book, as its ingest wrote it. Every point carries it: then any point
/// tells which version was searched, even while an alias is switched between two questions,
/// and no extra point changes the number of documents in Qdrant's IDF.
#[derive(Clone, Debug, PartialEq)]
pub struct Edition {
    /// The version of the book.
    pub version: String,
    /// ISO 639-3, for the tokeniser (`eng`).
    pub language: String,
    /// The version of the tokeniser that made the sparse vectors.
    pub tokeniser: u32,
    /// The model that made the dense vectors; `None` without embeddings.
    pub embedding_model: Option<String>,
    /// Numbers per dense vector; 0 without embeddings.
    pub dimension: u32,
    /// Mean length of the passages, in tokens, as the sparse weights assume it.
    pub mean_len: f32,
}

/// The payload of a passage of our own.
pub fn write(it: &Passage, edition: &Edition) -> Payload {
    let text = |it: &str| Value::from(it);
    let number = |it: u32| Value::from(i64::from(it));
    let mut book = vec![
        ("version", text(&edition.version)),
        ("language", text(&edition.language)),
        ("tokeniser", number(edition.tokeniser)),
        ("dimension", number(edition.dimension)),
        ("mean_len", Value::from(f64::from(edition.mean_len))),
    ];
    if let Some(model) = &edition.embedding_model {
        book.push(("embedding_model", text(model)));
    }
    let fields = [
        ("path", text(&it.path)),
        ("anchor", text(&it.anchor)),
        ("link", text(&it.link)),
        ("title", text(&it.title)),
        ("text", text(&it.text)),
        (SOURCE, text(&it.source)),
        ("start", number(it.start)),
        ("end", number(it.end)),
        ("lead", number(it.lead)),
        (PREFIXES, Value::from(passage::prefixes(&it.path))),
        (EDITION, Value::from(book)),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The edition that a point belongs to; `None` when Lectern did not write it.
pub fn edition(payload: &Payload) -> Option<Edition> {
    let Kind::StructValue(book) = payload.get(EDITION)?.kind.as_ref()? else {
        return None;
    };
    let words = |name: &str| book.fields.get(name)?.as_str().cloned();
    let number = |name: &str| book.fields.get(name)?.as_integer()?.try_into().ok();
    Some(Edition {
        version: words("version")?,
        language: words("language")?,
        tokeniser: number("tokeniser")?,
        embedding_model: words("embedding_model"),
        dimension: number("dimension")?,
        mean_len: book.fields.get("mean_len")?.as_double()? as f32,
    })
}

/// The passage of a point, whoever wrote it; `None` when it has no text. A field that is
/// missing is empty, and a passage without a known place has `start` and `end` 0.
pub fn passage(id: Uuid, payload: &Payload, fields: &Fields) -> Option<Passage> {
    let first = |names: &[String]| names.iter().find_map(|it| words(payload.get(it)?));
    let number = |name: &str| {
        let whole = payload.get(name).and_then(Value::as_integer);
        whole.and_then(|it| u32::try_from(it).ok()).unwrap_or_default()
    };
    let path = first(&fields.path).unwrap_or_default();
    let mut title: Vec<_> =
        fields.title.iter().filter_map(|it| words(payload.get(it)?)).collect();
    title.dedup();
    let title = if title.is_empty() { path.clone() } else { title.join(" > ") };
    let source = fields.source.as_deref().unwrap_or(SOURCE);
    Some(Passage {
        id,
        text: first(&fields.text)?,
        title,
        path,
        anchor: first(&fields.anchor).unwrap_or_default(),
        link: first(&fields.link).unwrap_or_default(),
        source: payload.get(source).and_then(words).unwrap_or_default(),
        start: number("start"),
        end: number("end"),
        lead: number("lead"),
    })
}

/// Text, or a number that serves as a heading (`"chapter": 4`); blank counts as missing.
fn words(value: &Value) -> Option<String> {
    match value.kind.as_ref()? {
        Kind::StringValue(it) if !it.trim().is_empty() => Some(it.clone()),
        Kind::IntegerValue(it) => Some(it.to_string()),
        _ => None,
    }
}

/// A point's id as ours. Collections of others often count: then the `UUIDv5` of the number.
pub fn id(given: Option<PointId>) -> Option<Uuid> {
    match given?.point_id_options? {
        PointIdOptions::Uuid(it) => Uuid::parse_str(&it).ok(),
        PointIdOptions::Num(it) => {
            Some(Uuid::new_v5(&Uuid::NAMESPACE_OID, it.to_string().as_bytes()))
        }
    }
}

/// The dense vectors of a point: name (empty for the unnamed one) and length.
pub fn dense_vectors(given: VectorsOptions) -> Vec<(String, usize)> {
    use qdrant_client::qdrant::vector_output::Vector;
    let named = match given {
        VectorsOptions::Vector(it) => vec![(String::new(), it)],
        VectorsOptions::Vectors(them) => them.vectors.into_iter().collect(),
    };
    let length = |it| match it {
        Vector::Dense(it) => Some(it.data.len()),
        Vector::Sparse(_) | Vector::MultiDense(_) => None,
    };
    named
        .into_iter()
        .filter_map(|(name, it)| Some((name, length(it.into_vector())?)))
        .collect()
}
