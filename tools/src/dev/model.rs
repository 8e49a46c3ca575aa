//! Is there a model on this machine?

use std::time::Duration;

use serde::Deserialize;
use shared::{config::Env, llm::ollama};

/// A local port that listens answers at once; one that does not must not delay the start.
const PATIENCE: Duration = Duration::from_millis(500);

#[derive(Deserialize)]
struct Tags {
    models: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
}

/// Chooses Ollama when nothing else is configured and it runs with a model that chats.
pub(super) async fn find(env: Env) -> Env {
    let named = ["LLM_PROVIDER", "LLM_BASE_URL", "OPENAI_API_KEY", "GEMINI_API_KEY"];
    if named.iter().any(|name| env.get(name).is_some()) {
        return env;
    }
    let asked = tokio::time::timeout(PATIENCE, first_model(&ollama(&env))).await;
    match asked.ok().flatten() {
        Some(model) => env.with("LLM_PROVIDER", "ollama").or("LLM_MODEL", &model),
        None => env,
    }
}

async fn first_model(address: &str) -> Option<String> {
    let client = shared::tls::http_client();
    let reply = client.get(format!("{address}/api/tags")).send().await.ok()?;
    let tags: Tags = reply.json().await.ok()?;
    let chats = |it: &Tag| !it.name.contains("embed");
    tags.models.into_iter().find(chats).map(|it| it.name)
}
