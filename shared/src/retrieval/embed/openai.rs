//! The embeddings format of `OpenAI`, Azure, Ollama and many others.

use serde::Deserialize;
use serde_json::json;

use super::{Request, Side, Wire, settings::Settings};

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    /// The place among the texts; some servers leave it out and keep the order.
    index: Option<usize>,
    embedding: Vec<f32>,
}

pub(super) fn request(it: &Settings, texts: &[String], side: Side) -> Request {
    let texts: Vec<_> =
        texts.iter().map(|text| format!("{}{text}", task(&it.name, side))).collect();
    let mut body =
        json!({ "model": it.name, "input": texts, "encoding_format": "float" });
    if let Some(dimensions) = it.dimensions {
        body["dimensions"] = dimensions.into();
    }
    let key_header = if it.wire == Wire::Azure { "api-key" } else { "authorization" };
    Request { url: it.url("embeddings"), key_header, body }
}

pub(super) fn decode(answer: &[u8]) -> serde_json::Result<Vec<Vec<f32>>> {
    let Answer { mut data } = serde_json::from_slice(answer)?;
    data.sort_by_key(|it| it.index);
    Ok(data.into_iter().map(|it| it.embedding).collect())
}

/// Nomic's models were trained with the task in front of the text, and find badly without
/// it (their model card); this format has no field for it.
fn task(model: &str, side: Side) -> &'static str {
    match side {
        _ if !model.contains("nomic-embed-text") => "",
        Side::Passage => "search_document: ",
        Side::Question => "search_query: ",
    }
}
