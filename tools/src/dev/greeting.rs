//! What a person who started `lectern dev` wants to know.

use std::path::Path;

use shared::{App, llm::Llm};

use super::reading::Reading;
use crate::{cluster::Cluster, ingest::Summary};

/// What to open, what to curl, and what answers.
pub(super) fn print(
    address: &str,
    data: &Path,
    book: &Reading,
    app: &App,
    cluster: Option<&Cluster>,
) {
    let Summary { pages, passages, model: embeddings, .. } = &book.summary;
    let search = match (app.env().get("QDRANT_URL"), embeddings) {
        (Some(_), _) => "; Qdrant is searched".to_owned(),
        (None, Some(model)) => format!("; searched by words and with {model}"),
        (None, None) => "; searched by words".to_owned(),
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
  read      {address}/book/   ({}, {}{search})
  model     {}
  database  {database}
  key       {data}/internal-api-key   (for servers: X-API-Key)

  curl -N {address}/api/v1/chat/stream \\
    -H 'content-type: application/json' \\
    -d '{{\"message\":{{\"content\":\"How do I ingest a book?\"}}}}'
",
        counted(*pages, "page"),
        counted(*passages, "passage"),
        model(app),
    );
    if let Some(why) = &book.lacks_embeddings {
        println!(
            "warning: the embeddings cannot be had ({why}); until the next start the book \
             is searched by words alone\n"
        );
    }
}

fn counted(number: usize, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}

fn model(app: &App) -> String {
    match Llm::from_env(app.env(), app.http()) {
        Ok(llm) if llm.is_extractive() => {
            "none: the best passages are quoted (to have answers written, set \
             OPENAI_API_KEY\n            or GEMINI_API_KEY, or start Ollama)"
                .to_owned()
        }
        Ok(llm) => llm.model().to_owned(),
        Err(err) => format!("cannot be used: {err}"),
    }
}
