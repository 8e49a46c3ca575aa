//! Puts the API's description together: one compact JSON document out of the YAML files that
//! people write, and the page that shows it.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The parts, in the order in which a reader meets them. The first one is the frame.
const PARTS: [&str; 10] = [
    "lectern", "asking", "history", "accounts", "openai", "ui", "chatkit", "ai", "older",
    "service",
];

#[expect(clippy::disallowed_methods, reason = "Cargo says so where a build may write")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=openapi");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("openapi.json"), document()?)?;

    let read = |name: &str| fs::read_to_string(Path::new("openapi").join(name));
    let (style, script) = (read("page.css")?, read("page.js")?);
    let page = read("page.html")?.replace("{style}", &style).replace("{script}", &script);
    let (head, tail) =
        page.split_once("{document}").ok_or("no place for the document")?;
    fs::write(out.join("page_head.html"), head)?;
    fs::write(out.join("page_tail.html"), tail)?;
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'self'",
        source(&script),
        source(&style),
    );
    fs::write(out.join("page_policy.txt"), policy)?;
    Ok(())
}

/// The whole document. `<` is escaped, so that it can stand inside a page.
fn document() -> Result<String, Box<dyn Error>> {
    let mut document = Map::new();
    for name in PARTS {
        let path = format!("openapi/{name}.yaml");
        let mut part: Map<String, Value> =
            serde_saphyr::from_str(&fs::read_to_string(&path)?)
                .map_err(|err| format!("{path}: {err}"))?;
        // What YAML's anchors needed a place for is no part of the document.
        part.remove("anchors");
        merge(&mut document, part).map_err(|key| format!("{path}: {key} comes twice"))?;
    }
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    Ok(serde_json::to_string(&document)?.replace('<', "\\u003c"))
}

/// Adds what a part says to the document; a key that says two things is an error.
fn merge(into: &mut Map<String, Value>, part: Map<String, Value>) -> Result<(), String> {
    for (key, value) in part {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new)?,
            (Some(_), _) => return Err(key),
            (None, value) => {
                into.insert(key, value);
            }
        }
    }
    Ok(())
}

/// How a policy names an inline script or style: by its hash.
fn source(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)))
}
