//! The API's description: whole, true and readable. That every answer keeps to it, every test's
//! requests show: see `support::openapi`.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::config::Env;

use crate::support::{
    self, database,
    openapi::{allowed, document, event, found, methods, open},
};

/// Every `.route("…"` of the library.
fn routed() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in crate::tidy::files("shared/src", ".rs") {
        let text = crate::tidy::read(&file);
        let paths = text.split(".route(\"").skip(1);
        found.extend(paths.map(|rest| rest.split('"').next().unwrap().to_owned()));
    }
    found
}

#[tokio::test]
async fn every_route_and_method_is_in_the_document_and_nothing_else() {
    let router = support::router(Env::from([]));
    let paths = document()["paths"].as_object().unwrap();
    for path in routed() {
        assert!(paths.contains_key(&path), "{path} is not in the document");
    }
    for (path, item) in paths {
        let path = path.replace(['{', '}'], "");
        let reply = support::call(&router, "TRACE", &path, &[], Value::Null).await;
        assert_eq!(reply.status, 405, "{path} is not served");
        assert_eq!(allowed(&reply.headers), methods(item), "{path}");
    }
}

#[tokio::test]
async fn a_path_that_is_no_text_is_refused_in_the_form_of_its_protocol() {
    let env = Env::from([("ALLOW_GUESTS", "yes")]);
    let router = support::router(env.with("DATABASE_URL", &database::fresh().await));
    for (path, item) in document()["paths"].as_object().unwrap() {
        let parts =
            path.split('/').map(|it| if it.starts_with('{') { "%ff" } else { it });
        let odd = parts.collect::<Vec<_>>().join("/");
        for method in methods(item).iter().filter(|_| odd.contains('%')) {
            let reply = support::call(&router, method, &odd, &[], json!({})).await;
            assert!(reply.status < 500, "{method} {odd}: {}", reply.text);
        }
    }
}

/// Every example with its schema and its place.
fn examples<'a>(
    node: &'a Value,
    place: &str,
    all: &mut Vec<(String, &'a Value, &'a Value)>,
) {
    match node {
        Value::Object(members) => {
            if let Some(schema) = node.get("schema") {
                all.extend(node.get("example").map(|it| (place.to_owned(), schema, it)));
                let named = node["examples"].as_object().into_iter().flatten();
                all.extend(
                    named.map(|(name, it)| {
                        (format!("{place}/{name}"), schema, &it["value"])
                    }),
                );
            }
            for (key, inner) in members {
                examples(inner, &format!("{place}/{key}"), all);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|it| examples(it, place, all)),
        _ => {}
    }
}

#[test]
fn every_example_fits_its_schema() {
    let mut all = Vec::new();
    examples(&document()["paths"], "", &mut all);
    assert!(all.len() > 40, "the examples were not found");
    for (place, schema, example) in all {
        let example = if place.contains("text/event-stream") {
            event(example.as_str().unwrap().split_once(": ").into_iter())
        } else {
            example.clone()
        };
        let wrong = open(schema, &example);
        assert!(wrong.is_empty(), "{place}: {}", wrong.join("\n"));
    }
}

#[test]
fn every_answer_has_an_example() {
    for (path, item) in document()["paths"].as_object().unwrap() {
        // The document is its own example, and so is the page.
        if matches!(path.as_str(), "/openapi.json" | "/docs") {
            continue;
        }
        for (method, operation) in item.as_object().unwrap() {
            for status in ["200", "201"] {
                let content = &operation["responses"][status]["content"];
                for (kind, media) in content.as_object().into_iter().flatten() {
                    let shown = media.get("example").or_else(|| media.get("examples"));
                    assert!(shown.is_some(), "{method} {path}: {kind} has no example");
                }
            }
        }
    }
}

/// What makers of clients cannot make code of.
fn unusable(node: &Value, place: &str, found: &mut Vec<String>) {
    match node {
        Value::Object(members) => {
            let is_array = node["type"] == "array"
                || node["type"].as_array().is_some_and(|it| it.contains(&json!("array")));
            if is_array && node.get("items").is_none() {
                found.push(format!("{place}: a list of what?"));
            }
            if node["const"].is_boolean() {
                found.push(format!("{place}: a constant that is no text or number"));
            }
            let forms = ["oneOf", "anyOf"].iter().filter_map(|it| node[it].as_array());
            if forms.flatten().any(|it| it.get("properties").is_some()) {
                found.push(format!("{place}: a form without a name of its own"));
            }
            for (key, inner) in members {
                unusable(inner, &format!("{place}/{key}"), found);
            }
        }
        Value::Array(elements) => {
            for it in elements {
                unusable(it, place, found);
            }
        }
        _ => {}
    }
}

#[test]
fn code_can_be_made_of_every_schema() {
    let mut found = Vec::new();
    unusable(document(), "", &mut found);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn nothing_is_described_that_nobody_refers_to() {
    let text = document().to_string();
    for (kind, parts) in document()["components"].as_object().unwrap() {
        for name in
            parts.as_object().unwrap().keys().filter(|_| kind != "securitySchemes")
        {
            let place = format!("\"#/components/{kind}/{name}\"");
            assert!(text.contains(&place), "{place} is not used");
        }
    }
}

#[test]
fn every_operation_has_a_name_and_a_group_of_its_own() {
    let groups: Vec<_> =
        document()["tags"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    let mut names = BTreeSet::new();
    for operation in document()["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|it| it.as_object().unwrap().values())
    {
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name), "{name} comes twice");
        assert!(groups.contains(&&operation["tags"][0]), "{name} is in no group");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(found(parameter)["schema"].is_object(), "{name}: {parameter}");
        }
    }
}

#[tokio::test]
async fn the_page_holds_the_document_and_may_load_nothing() {
    let router = support::router(Env::from([]));
    for path in ["/docs", "/docs/"] {
        let page = support::call(&router, "GET", path, &[], Value::Null).await;
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'sha256-"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        let (_, rest) = page.text.split_once(r#"type="application/json">"#).unwrap();
        let (inside, _) = rest.split_once("</script>").unwrap();
        assert_eq!(&serde_json::from_str::<Value>(inside).unwrap(), document());
        for word in [" src=", " url(", "@import", "fetch("] {
            assert!(!page.text.replace(inside, "").contains(word), "the page has {word}");
        }
    }
    let served = support::call(&router, "GET", "/openapi.json/", &[], Value::Null).await;
    assert_eq!(&served.json(), document());
}
