//! The API's description, held against what goes through the tests' door.
//!
//! Every answer of the router must be one that the document describes (status, content type,
//! headers, body, each event of a stream), and every request that was taken must be one that the
//! document allows. So no test can pass while code and document differ.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{LazyLock, Mutex, PoisonError},
};

use axum::http::HeaderMap;
use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::Reply;

/// The document as it is served.
pub(crate) fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
        serde_json::from_str(shared::http::openapi::DOCUMENT).expect("JSON")
    });
    &DOCUMENT
}

/// The methods of an item of `paths`, as a request has them.
pub(crate) fn methods(item: &Value) -> BTreeSet<String> {
    item.as_object().unwrap().keys().map(|it| it.to_uppercase()).collect()
}

/// The same node, or what it refers to.
pub(crate) fn found(node: &Value) -> &Value {
    match node["$ref"].as_str() {
        Some(place) => {
            document().pointer(&place[1..]).expect("what is referred to is there")
        }
        None => node,
    }
}

/// Fails unless the document describes this exchange.
pub(crate) fn check(method: &str, path: &str, sent: &[u8], it: &Reply) {
    // A preflight is the browser's affair, and a head is a `GET` without its body.
    if matches!(method, "OPTIONS" | "HEAD") {
        return;
    }
    let place = format!("{method} {path} → {}", it.status);
    let path = path.trim_end_matches('/');
    let Some(item) = item(path) else {
        assert_eq!(it.status, 404, "{place}: no such path in the document");
        return;
    };
    let Some(operation) = item.get(method.to_lowercase()) else {
        assert_eq!(it.status, 405, "{place}: no such method in the document");
        assert_eq!(allowed(&it.headers), methods(item), "{place}: Allow");
        return;
    };
    let responses = &operation["responses"];
    let class = format!("{}XX", it.status / 100);
    let response = responses.get(it.status.to_string()).or_else(|| responses.get(class));
    let response = found(response.unwrap_or_else(|| panic!("{place}: {}", it.text)));
    check_headers(&place, &response["headers"], &it.headers);
    check_body(&place, &response["content"], it);
    if it.status < 300 {
        check_request(&place, &operation["requestBody"], sent);
    }
}

/// What `Allow` names, but for `HEAD`, which comes with `GET` everywhere.
pub(crate) fn allowed(headers: &HeaderMap) -> BTreeSet<String> {
    let allow = headers["allow"].to_str().unwrap();
    allow.split(',').map(|it| it.trim().to_owned()).filter(|it| it != "HEAD").collect()
}

/// The item of `paths` that this path is: one without parameters wins.
fn item(path: &str) -> Option<&'static Value> {
    let paths = document()["paths"].as_object().unwrap();
    let fits = |template: &str| {
        let (mut left, mut right) = (template.split('/'), path.split('/'));
        left.by_ref().zip(right.by_ref()).all(|(part, given)| {
            part == given || part.starts_with('{') && !given.is_empty()
        }) && template.split('/').count() == path.split('/').count()
    };
    paths.get(path).or_else(|| paths.iter().find(|(it, _)| fits(it)).map(|(_, it)| it))
}

fn check_headers(place: &str, described: &Value, given: &HeaderMap) {
    for (name, header) in described.as_object().into_iter().flatten() {
        let header = found(header);
        let Some(value) = given.get(name).map(|it| it.to_str().unwrap()) else {
            assert_ne!(header["required"], true, "{place}: the header {name} is missing");
            continue;
        };
        // A header is text; what its schema calls a number is one of digits.
        let value = match header["schema"]["type"].as_str() {
            Some("integer") => value.parse::<i64>().unwrap().into(),
            _ => Value::from(value),
        };
        assert_fits(&format!("{place}, {name}"), &header["schema"], &value);
    }
}

fn check_body(place: &str, content: &Value, it: &Reply) {
    let Some(content) = content.as_object() else {
        assert_eq!(it.text, "", "{place}: a body that nobody described");
        return;
    };
    let kind = it.headers["content-type"].to_str().unwrap();
    let media = content.get(kind).unwrap_or_else(|| panic!("{place}: {kind}"));
    let schema = &media["schema"];
    match kind {
        "text/event-stream" => {
            for lines in it.text.split_terminator("\n\n") {
                let fields = lines.lines().filter(|line| !line.starts_with(':'));
                let fields = fields.map(|line| line.split_once(": ").unwrap());
                assert_fits(place, schema, &event(fields));
            }
        }
        kind if kind.ends_with("json") => {
            let body = it.json();
            assert_fits(place, schema, &body);
            // Problem details repeat the status.
            if body["status"].is_number() {
                assert_eq!(body["status"], it.status, "{place}");
            }
        }
        _ => assert_fits(place, schema, &it.text.as_str().into()),
    }
}

fn check_request(place: &str, described: &Value, sent: &[u8]) {
    if sent.is_empty() {
        assert_ne!(described["required"], true, "{place}: taken without a body");
        return;
    }
    let Some(media) = described.pointer("/content/application~1json") else { return };
    let body: Value = serde_json::from_slice(sent).unwrap();
    let wrong = open(&media["schema"], &body);
    assert!(
        wrong.is_empty(),
        "{place}: the document forbids {body}\n{}",
        wrong.join("\n")
    );
}

/// Fails unless this value is one of the schema's, with no member that the schema does not name.
fn assert_fits(place: &str, schema: &Value, value: &Value) {
    let wrong = errors(schema, value, true);
    assert!(wrong.is_empty(), "{place}: {value}\n{}", wrong.join("\n"));
}

/// What is wrong with a value that may have members of its own: a request's, an example's.
pub(crate) fn open(schema: &Value, value: &Value) -> Vec<String> {
    errors(schema, value, false)
}

fn errors(schema: &Value, value: &Value, closed: bool) -> Vec<String> {
    static KNOWN: LazyLock<Mutex<HashMap<String, &'static Validator>>> =
        LazyLock::new(Mutex::default);
    let name = format!("{closed} {schema}");
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(&name).copied();
    let validator = known.unwrap_or_else(|| {
        let new: &Validator = Box::leak(Box::new(validator(schema, closed)));
        KNOWN.lock().unwrap_or_else(PoisonError::into_inner).insert(name, new);
        new
    });
    let errors = validator.iter_errors(value);
    errors.map(|it| format!("{it}, at {}", it.instance_path())).collect()
}

fn validator(schema: &Value, closed: bool) -> Validator {
    let mut schema = json!({ "allOf": [schema], "components": document()["components"] });
    prepare(&mut schema, closed);
    let options = jsonschema::draft202012::options().should_validate_formats(true);
    options.build(&schema).unwrap_or_else(|err| panic!("{schema}: {err}"))
}

/// Looks into the JSON of an event's `data` ([`event`] does the same with the value).
///
/// Clients must pass over members that they do not know, so the document leaves its objects
/// open. What we send ourselves, it must name: then they are `closed`.
fn prepare(schema: &mut Value, closed: bool) {
    match schema {
        Value::Object(members) => {
            if let Some(inner) = members.remove("contentSchema") {
                *schema = inner;
                return prepare(schema, closed);
            }
            if closed
                && members.contains_key("type")
                && members.contains_key("properties")
            {
                members.entry("additionalProperties").or_insert(false.into());
            }
            members.values_mut().for_each(|it| prepare(it, closed));
        }
        Value::Array(elements) => elements.iter_mut().for_each(|it| prepare(it, closed)),
        _ => {}
    }
}

/// An event by its fields, with the JSON of its `data`. Comments are no event.
pub(crate) fn event<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    let fields = fields.map(|(name, text)| {
        let json = (name == "data").then(|| serde_json::from_str(text).ok()).flatten();
        (name.to_owned(), json.unwrap_or_else(|| text.into()))
    });
    fields.collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::{super::Reply, check};

    const ID: &str = "0199f3a2-7c1e-7d30-9b5a-4f2e8c6d1a70";

    fn reply(status: u16, kind: &str, text: &str) -> Reply {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", ID.parse().unwrap());
        headers.insert("content-type", kind.parse().unwrap());
        Reply { status, headers, text: text.to_owned() }
    }

    fn passes(path: &str, sent: &str, reply: &Reply) -> bool {
        std::panic::catch_unwind(|| check("POST", path, sent.as_bytes(), reply)).is_ok()
    }

    #[test]
    fn what_the_document_does_not_describe_does_not_pass() {
        let (path, sent) = (
            "/api/v1/auth/register",
            r#"{"email":"a@b.example","password":"longer than 8"}"#,
        );
        let made = format!(
            r#"{{"id":"{ID}","email":"a@b.example","created_at":"2026-01-31T09:30:00Z"}}"#
        );
        let json = |status, text: &str| reply(status, "application/json", text);
        assert!(passes(path, sent, &json(201, &made)));
        assert!(passes("/api/v1/auth/register/", sent, &json(201, &made)));
        for wrong in [
            json(200, &made),
            json(201, &made.replace("id\"", "no\"")),
            json(201, &made.replace(ID, "7")),
            json(201, &made.replace('}', r#","password":"longer than 8"}"#)),
            reply(201, "text/plain", &made),
            Reply { headers: HeaderMap::new(), ..json(201, &made) },
        ] {
            assert!(!passes(path, sent, &wrong), "{} {}", wrong.status, wrong.text);
        }
        assert!(!passes(path, r#"{"email":"a@b.example"}"#, &json(201, &made)));
        assert!(!passes("/api/v1/auth/nowhere", sent, &json(201, &made)));
    }

    #[test]
    fn every_event_of_a_stream_is_looked_at() {
        let sent = r#"{"query_text":"Why?"}"#;
        let stream = |text: &str| {
            let mut reply = reply(200, "text/event-stream", text);
            for (name, value) in [
                ("x-message-id", ID),
                ("cache-control", "no-cache, no-transform"),
                ("x-accel-buffering", "no"),
            ] {
                reply.headers.insert(name, value.parse().unwrap());
            }
            reply
        };
        let partial = "data: {\"content\":\"So.\",\"status\":\"partial\"}\n\n";
        let path = "/api/v1/chat/stream";
        assert!(passes(path, sent, &stream(&format!("{partial}: ping\n{partial}"))));
        assert!(!passes(path, sent, &stream(&partial.replace("partial", "other"))));
        assert!(!passes(path, sent, &stream(&format!("{partial}data: {{}}\n\n"))));
        assert!(!passes(path, sent, &stream("event: x\ndata: {}\n\n")));
    }
}
