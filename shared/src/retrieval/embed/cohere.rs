//! Cohere's embeddings, version 2 of its API.

use serde::Deserialize;
use serde_json::json;

use super::{Request, Side, settings::Settings};

#[derive(Deserialize)]
struct Answer {
    embeddings: ByType,
}

#[derive(Deserialize)]
struct ByType {
    float: Vec<Vec<f32>>,
}

pub(super) fn request(it: &Settings, texts: &[String], side: Side) -> Request {
    let input_type = match side {
        Side::Passage => "search_document",
        Side::Question => "search_query",
    };
    let mut body = json!({
        "model": it.name,
        "texts": texts,
        "input_type": input_type,
        "embedding_types": ["float"],
        "truncate": "END",
    });
    if let Some(dimensions) = it.dimensions {
        body["output_dimension"] = dimensions.into();
    }
    Request { url: it.url("embed"), key_header: "authorization", body }
}

pub(super) fn decode(answer: &[u8]) -> serde_json::Result<Vec<Vec<f32>>> {
    Ok(serde_json::from_slice::<Answer>(answer)?.embeddings.float)
}
