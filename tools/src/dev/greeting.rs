//! What a person who started `lectern dev` wants to know.

use std::path::Path;

use shared::{App, llm::Llm};

use crate::{cluster::Cluster, ingest::Summary};

/// What to open, what to curl, and what answers.
pub(super) fn print(
    address: &str,
    data: &Path,
    book: &Summary,
    app: &App,
    cluster: Option<&Cluster>,
) {
    let Summary { pages, passages, .. } = book;
    let search = match (app.env().get("QDRANT_URL"), &book.model) {
        (Some(_), _) => "; Qdrant is searched".to_owned(),
        (None, Some(model)) => format!("; by words and by {model}"),
        (None, None) => "; by words".to_owned(),
    };
    let data = data.display();
    let database = match cluster {
        None => "your own, from DATABASE_URL".to_owned(),
        Some(it) if it.is_ours() => format!("private, in {data}/postgres"),
        Some(_) => format!(
            "in {data}/postgres, and of another `lectern dev`: when that ends, it ends"
        ),
    };
    println!(
        "
  ask       {address}/
  read      {address}/book/   ({pages} pages, {passages} passages{search})
  model     {}
  database  {database}
  key       {data}/internal-api-key   (for servers: X-API-Key)

  curl -N {address}/api/v1/chat/stream \\
    -H 'content-type: application/json' \\
    -d '{{\"message\":{{\"content\":\"How do I ingest a book?\"}}}}'
",
        model(app),
    );
}

fn model(app: &App) -> String {
    match Llm::from_env(app.env(), app.http()) {
        Ok(llm) if llm.is_extractive() => {
            "none: the best passages are quoted (to have answers written, set \
             OPENAI_API_KEY\n            or GEMINI_API_KEY, or start Ollama)"
                .to_owned()
        }
        Ok(llm) => llm.model().to_owned(),
        Err(err) => format!("none: {err}"),
    }
}
