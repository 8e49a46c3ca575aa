//! What each provider is asked, how its answer is read, and which settings lead to which.

use insta::assert_json_snapshot;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn settings<const N: usize>(pairs: [(&str, &str); N]) -> Result<Option<Settings>> {
    Settings::from_env(&Env::from(pairs))
}

fn embedder<const N: usize>(pairs: [(&str, &str); N]) -> Embedder {
    Embedder { http: reqwest_client(), settings: settings(pairs).unwrap().unwrap() }
}

fn reqwest_client() -> reqwest::Client {
    crate::tls::http_client()
}

fn asked(embedder: &Embedder, side: Side) -> Value {
    let mut texts = vec!["Moves end a loan.".to_owned()];
    if side == Side::Passage {
        texts.push("A value has one owner.".to_owned());
    }
    let request = embedder.request(&texts, side);
    json!({ "url": request.url.as_str(), "key": request.key_header, "body": request.body })
}

#[test]
fn openai_is_asked_for_floats() {
    let embedder = embedder([("OPENAI_API_KEY", "k"), ("EMBEDDING_DIMENSIONS", "256")]);
    assert_json_snapshot!(asked(&embedder, Side::Passage), @r#"
    {
      "body": {
        "dimensions": 256,
        "encoding_format": "float",
        "input": [
          "Moves end a loan.",
          "A value has one owner."
        ],
        "model": "text-embedding-3-small"
      },
      "key": "authorization",
      "url": "https://api.openai.com/v1/embeddings"
    }
    "#);
}

#[test]
fn azure_keeps_the_version_behind_the_path() {
    let base =
        "https://name.openai.azure.com/openai/deployments/small?api-version=2024-10-21";
    let embedder = embedder([
        ("EMBEDDING_PROVIDER", "azure"),
        ("EMBEDDING_BASE_URL", base),
        ("AZURE_OPENAI_API_KEY", "k"),
    ]);
    assert_json_snapshot!(asked(&embedder, Side::Question), @r#"
    {
      "body": {
        "encoding_format": "float",
        "input": [
          "Moves end a loan."
        ],
        "model": "text-embedding-3-small"
      },
      "key": "api-key",
      "url": "https://name.openai.azure.com/openai/deployments/small/embeddings?api-version=2024-10-21"
    }
    "#);
}

#[test]
fn ollama_needs_no_key_and_its_usual_model_is_told_the_task() {
    let embedder = embedder([("EMBEDDING_PROVIDER", "ollama")]);
    assert!(embedder.settings.key.is_none());
    assert_json_snapshot!(asked(&embedder, Side::Question), @r#"
    {
      "body": {
        "encoding_format": "float",
        "input": [
          "search_query: Moves end a loan."
        ],
        "model": "nomic-embed-text"
      },
      "key": "authorization",
      "url": "http://localhost:11434/v1/embeddings"
    }
    "#);
}

#[test]
fn gemini_is_asked_for_passages_in_a_batch() {
    let embedder = embedder([("GEMINI_API_KEY", "k"), ("EMBEDDING_DIMENSIONS", "768")]);
    assert_json_snapshot!(asked(&embedder, Side::Passage), @r#"
    {
      "body": {
        "requests": [
          {
            "content": {
              "parts": [
                {
                  "text": "Moves end a loan."
                }
              ]
            },
            "model": "models/gemini-embedding-001",
            "outputDimensionality": 768,
            "taskType": "RETRIEVAL_DOCUMENT"
          },
          {
            "content": {
              "parts": [
                {
                  "text": "A value has one owner."
                }
              ]
            },
            "model": "models/gemini-embedding-001",
            "outputDimensionality": 768,
            "taskType": "RETRIEVAL_DOCUMENT"
          }
        ]
      },
      "key": "x-goog-api-key",
      "url": "https://generativelanguage.googleapis.com/v1beta/models/gemini-embedding-001:batchEmbedContents"
    }
    "#);
}

#[test]
fn gemini_is_asked_for_a_question_alone() {
    let embedder = embedder([("GEMINI_API_KEY", "k")]);
    assert_json_snapshot!(asked(&embedder, Side::Question), @r#"
    {
      "body": {
        "content": {
          "parts": [
            {
              "text": "Moves end a loan."
            }
          ]
        },
        "model": "models/gemini-embedding-001",
        "taskType": "RETRIEVAL_QUERY"
      },
      "key": "x-goog-api-key",
      "url": "https://generativelanguage.googleapis.com/v1beta/models/gemini-embedding-001:embedContent"
    }
    "#);
}

#[test]
fn cohere_is_told_which_side_it_embeds() {
    let embedder = embedder([("COHERE_API_KEY", "k"), ("EMBEDDING_DIMENSIONS", "512")]);
    assert_json_snapshot!(asked(&embedder, Side::Passage), @r#"
    {
      "body": {
        "embedding_types": [
          "float"
        ],
        "input_type": "search_document",
        "model": "embed-v4.0",
        "output_dimension": 512,
        "texts": [
          "Moves end a loan.",
          "A value has one owner."
        ],
        "truncate": "END"
      },
      "key": "authorization",
      "url": "https://api.cohere.com/v2/embed"
    }
    "#);
    assert_eq!(asked(&embedder, Side::Question)["body"]["input_type"], "search_query");
}

#[test]
fn a_shorter_vector_goes_by_another_name() {
    let long = embedder([("OPENAI_API_KEY", "k")]);
    let short = embedder([("OPENAI_API_KEY", "k"), ("EMBEDDING_DIMENSIONS", "256")]);
    assert_eq!(long.model(), "text-embedding-3-small");
    assert_eq!(short.model(), "text-embedding-3-small@256");
}

#[test]
fn answers_are_read_in_the_order_of_the_texts() {
    let openai = br#"{"object":"list","data":[
        {"object":"embedding","index":1,"embedding":[0,1]},
        {"object":"embedding","index":0,"embedding":[1,0]}],
        "model":"m","usage":{"prompt_tokens":2,"total_tokens":2}}"#;
    assert_eq!(openai::decode(openai).unwrap(), [[1.0, 0.0], [0.0, 1.0]]);
    let batch = br#"{"embeddings":[{"values":[1,0]},{"values":[0,1]}]}"#;
    assert_eq!(gemini::decode(batch, Side::Passage).unwrap(), [[1.0, 0.0], [0.0, 1.0]]);
    let one = br#"{"embedding":{"values":[1,0]}}"#;
    assert_eq!(gemini::decode(one, Side::Question).unwrap(), [[1.0, 0.0]]);
    let cohere = br#"{"id":"x","embeddings":{"float":[[1,0],[0,1]]},"texts":["a","b"],
        "meta":{"api_version":{"version":"2"}}}"#;
    assert_eq!(cohere::decode(cohere).unwrap(), [[1.0, 0.0], [0.0, 1.0]]);
}

#[test]
fn the_provider_is_guessed_from_the_address_and_then_from_the_keys() {
    let wire = |found: Result<Option<Settings>>| found.unwrap().map(|it| it.wire);
    assert_eq!(wire(settings([])), None);
    assert_eq!(
        wire(settings([("EMBEDDING_PROVIDER", "none"), ("OPENAI_API_KEY", "k")])),
        None
    );
    assert_eq!(wire(settings([("COHERE_API_KEY", "k")])), Some(Wire::Cohere));
    let both = [("COHERE_API_KEY", "k"), ("GEMINI_API_KEY", "k")];
    assert_eq!(wire(settings(both)), Some(Wire::Gemini));
    let local = [
        ("GEMINI_API_KEY", "k"),
        ("EMBEDDING_BASE_URL", "http://127.0.0.1:1/v1"),
        ("EMBEDDING_MODEL", "m"),
    ];
    let found = settings(local).unwrap().unwrap();
    assert_eq!((found.wire, found.key), (Wire::OpenAi, None));
}

#[test]
fn a_setting_that_is_missing_or_unreadable_is_named() {
    let wrong: [(&[(&str, &str)], &str); 7] = [
        (&[("EMBEDDING_PROVIDER", "opnai")], "EMBEDDING_PROVIDER"),
        (&[("EMBEDDING_PROVIDER", "openai")], "OPENAI_API_KEY"),
        (&[("EMBEDDING_PROVIDER", "azure")], "EMBEDDING_BASE_URL"),
        (&[("EMBEDDING_BASE_URL", "localhost")], "EMBEDDING_BASE_URL"),
        (
            &[("OPENAI_API_KEY", "k"), ("EMBEDDING_DIMENSIONS", "0")],
            "EMBEDDING_DIMENSIONS",
        ),
        (&[("OPENAI_API_KEY", "k"), ("EMBEDDING_TIMEOUT", "-1")], "EMBEDDING_TIMEOUT"),
        (&[("OPENAI_API_KEY", "a\nb")], "EMBEDDING_API_KEY"),
    ];
    for (pairs, named) in wrong {
        let env = pairs.iter().fold(Env::default(), |env, (k, v)| env.with(k, v));
        let found = Settings::from_env(&env).map(|_| ());
        assert!(matches!(found, Err(Error::Misconfigured(it)) if it == named), "{named}");
    }
}

#[test]
fn a_wrong_answer_is_an_error_and_no_vector() {
    let refused = |vectors, wanted| checked(vectors, wanted).is_err();
    assert!(refused(vec![vec![1.0]], 2));
    assert!(refused(vec![vec![1.0], vec![1.0, 0.0]], 2));
    assert!(refused(vec![vec![]], 1));
    assert!(refused(vec![vec![0.0, 0.0]], 1));
    assert!(refused(vec![vec![f32::NAN, 1.0]], 1));
    assert!(refused(vec![vec![f32::INFINITY, 1.0]], 1));
}

proptest! {
    #[test]
    fn vectors_keep_their_direction_and_get_length_one(
        vector in prop::collection::vec(-1.0e3_f32..1.0e3, 1..50),
    ) {
        prop_assume!(vector.iter().any(|it| it.abs() > 1.0e-3));
        let unit = checked(vec![vector.clone()], 1).unwrap().remove(0);
        let length: f64 = unit.iter().map(|it| f64::from(*it).powi(2)).sum();
        prop_assert!((length - 1.0).abs() < 1.0e-5);
        let largest = (0..vector.len()).max_by(|a, b| vector[*a].abs().total_cmp(&vector[*b].abs()));
        let scale = f64::from(vector[largest.unwrap()]) / f64::from(unit[largest.unwrap()]);
        for (was, is) in vector.iter().zip(&unit) {
            prop_assert!((f64::from(*was) - f64::from(*is) * scale).abs() < 1.0e-2);
        }
    }
}
