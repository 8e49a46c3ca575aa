//! The passage that a reader has marked.

use serde_json::{Value, json};

use super::{STREAM, ask, last};
use crate::support::{
    house::{self, OIL, asking},
    model::{Fake, Reply as Said},
};

#[tokio::test]
async fn a_selection_is_the_first_source_wherever_it_comes_from() {
    let (env, _) = house::bundle(&[]).await;
    let model = Fake::start();
    let env = asking(env, &model);
    for (selected, path) in [
        ("A keeper trims the\n wick every four hours", json!("lamps/oil.md")),
        ("Words of another book", Value::Null),
    ] {
        model.reply(Said::says(&["So it says [1]."]));
        let body = json!({
            "query_text": OIL, "context_mode": "selected-text", "selected_text": selected,
        });
        let whole = last(&ask(&env, STREAM, body).await);
        let source = &whole["sources"][0];
        assert_eq!(source["n"], 1);
        assert_eq!(source["path"], path);
        assert_eq!(source["url"].is_null(), path.is_null());
        let asked = model.requests().pop().unwrap().body.to_string();
        assert!(asked.contains(&selected.replace('\n', "\\n")), "{asked}");
    }
}
