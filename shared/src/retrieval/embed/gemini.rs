//! Gemini's embeddings.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Request, Side, settings::Settings};

#[derive(Deserialize)]
struct One {
    embedding: Embedding,
}

#[derive(Deserialize)]
struct Batch {
    embeddings: Vec<Embedding>,
}

#[derive(Deserialize)]
struct Embedding {
    values: Vec<f32>,
}

pub(super) fn request(it: &Settings, texts: &[String], side: Side) -> Request {
    let model = it.name.strip_prefix("models/").unwrap_or(&it.name);
    let content = |text: &String, task: &str| -> Value {
        let mut content = json!({
            "model": format!("models/{model}"),
            "content": { "parts": [{ "text": text }] },
            "taskType": task,
        });
        if let Some(dimensions) = it.dimensions {
            content["outputDimensionality"] = dimensions.into();
        }
        content
    };
    let (method, body) = match side {
        Side::Question => ("embedContent", content(&texts[0], "RETRIEVAL_QUERY")),
        Side::Passage => {
            let requests: Vec<_> =
                texts.iter().map(|text| content(text, "RETRIEVAL_DOCUMENT")).collect();
            ("batchEmbedContents", json!({ "requests": requests }))
        }
    };
    let url = it.url(&format!("models/{model}:{method}"));
    Request { url, key_header: "x-goog-api-key", body }
}

pub(super) fn decode(answer: &[u8], side: Side) -> serde_json::Result<Vec<Vec<f32>>> {
    Ok(match side {
        Side::Question => vec![serde_json::from_slice::<One>(answer)?.embedding.values],
        Side::Passage => {
            let Batch { embeddings } = serde_json::from_slice(answer)?;
            embeddings.into_iter().map(|it| it.values).collect()
        }
    })
}
