//! The house rules that a compiler cannot check.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::support::binaries::repository;

/// Every file under `folder` with this ending, relative to the repository.
pub(crate) fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    fn walk(dir: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && name != "node_modules" && name != "target" {
                walk(&path, ending, found);
            } else if name.ends_with(ending) {
                found.push(path.strip_prefix(repository()).unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(&repository().join(folder), ending, &mut found);
    found.sort();
    found
}

pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = repository().join(path);
    fs::read_to_string(&path).unwrap_or_else(|err| panic!("{}: {err}", path.display()))
}

fn bins() -> Vec<(String, String)> {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let text = |bin: &toml::Value, key: &str| bin[key].as_str().unwrap().to_owned();
    let bins = manifest["bin"].as_array().unwrap();
    bins.iter().map(|bin| (text(bin, "name"), text(bin, "path"))).collect()
}

#[test]
fn every_function_is_a_doorbell_with_its_own_bin() {
    let bins = bins();
    let functions = files("api", ".rs");
    assert!(functions.len() <= 12, "Vercel's Hobby plan takes twelve functions");
    assert_eq!(functions.len(), bins.len());
    for file in &functions {
        let path = file.to_str().unwrap();
        assert_eq!(bins.iter().filter(|(_, it)| it == path).count(), 1, "{path}");
        let text = read(file);
        assert!(text.lines().count() <= 12, "{path} does more than ring the bell");
        let route =
            text.split_once('`').and_then(|(_, rest)| rest.split_once('`')).unwrap();
        assert!(route.0.contains(" /"), "{path} does not say its method and path");
    }
}

#[test]
fn every_bin_is_a_function_on_both_platforms() {
    let template = read("template.yaml");
    for (name, path) in bins() {
        assert!(
            template.contains(&format!("Binary: {name}}}")),
            "{name} is not on Lambda"
        );
        assert!(Path::new(&path).starts_with("api"), "{path}");
    }
    let vercel: serde_json::Value = serde_json::from_str(&read("vercel.json")).unwrap();
    assert!(vercel["framework"].is_null() && vercel.get("framework").is_some());
    assert_eq!(vercel["outputDirectory"], "public");
    assert!(repository().join("public/index.html").is_file());
}

#[test]
fn the_release_profile_leaves_nothing_to_cargo_lambda() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let release = manifest["profile"]["release"].as_table().unwrap();
    for key in ["opt-level", "lto", "codegen-units", "strip", "panic"] {
        assert!(release.contains_key(key), "{key}");
    }
    assert_eq!(release["panic"].as_str(), Some("unwind"));
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    for folder in ["api", "shared", "tools", "tests"] {
        for file in files(folder, ".rs") {
            assert!(read(&file).starts_with("//! "), "{}", file.display());
        }
    }
}

/// Which rooms a room may call, itself aside. Whatever else stands beside the rooms (`config`,
/// `error`, `call`, …) calls none, but for `lib`, which lists the routes.
const RIGHT_OF: [(&str, &[&str]); 9] = [
    ("http", &["auth", "wire"]),
    ("wire", &["chat"]),
    ("chat", &["conversations", "retrieval", "llm", "auth", "db"]),
    ("conversations", &["db"]),
    ("retrieval", &[]),
    ("llm", &[]),
    ("auth", &["db"]),
    ("db", &[]),
    // The handles are what the rooms open.
    ("app", &["auth", "db", "llm", "retrieval"]),
];

/// What a route file may call besides: it knows who asks, and how the answer is spelt.
const RIGHT_OF_ROUTES: [&str; 3] = ["http", "auth", "wire"];

fn is_route_file(text: &str) -> bool {
    text.contains("pub fn route() -> Route")
}

/// What a file takes from the root of its crate, as `crate::name` or in a group.
fn taken_from_root(text: &str) -> BTreeSet<String> {
    let code: String = text.split_whitespace().collect();
    let code = code.split("#[cfg(test)]modtests").next().unwrap();
    let is_of_name = |c: &char| c.is_alphanumeric() || *c == '_';
    let first = |text: &str| text.chars().take_while(is_of_name).collect::<String>();
    let mut taken = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            taken.insert(first(rest));
            continue;
        };
        taken.insert(first(group));
        let mut depth = 1;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 1 => break,
                '}' => depth -= 1,
                ',' if depth == 1 => {
                    taken.insert(first(&group[at + 1..]));
                }
                _ => {}
            }
        }
    }
    taken
}

#[test]
fn rooms_call_only_to_the_right() {
    for file in files("shared/src", ".rs") {
        let room = file.components().nth(2).unwrap().as_os_str().to_str().unwrap();
        let room = room.trim_end_matches(".rs");
        if room == "lib" {
            continue;
        }
        let text = read(&file);
        let row = RIGHT_OF.iter().find(|(it, _)| *it == room);
        let mut allowed = row.map_or(Vec::new(), |(_, right)| right.to_vec());
        if is_route_file(&text) {
            allowed.extend(RIGHT_OF_ROUTES);
        }
        for (other, _) in RIGHT_OF.iter().filter(|(it, _)| *it != room) {
            let calls = taken_from_root(&text).contains(*other);
            assert!(
                !calls || allowed.contains(other),
                "{} calls {other}",
                file.display()
            );
        }
    }
}

#[test]
fn calls_are_seen_however_they_are_written() {
    for text in [
        "use crate::{App, auth::Caller};",
        "use crate::{\n    App,\n    auth,\n};",
        "use crate::{App, db::{self, Pool}, auth::{Access, Caller}};",
        "fn f() { crate::auth::verify() }",
    ] {
        assert!(taken_from_root(text).contains("auth"), "{text}");
    }
    let others = "use crate::{chat::{auth, Answer}, Error};\nuse axum::{auth::X};\n\
                  #[cfg(test)]\nmod tests {\n    use crate::auth;\n}";
    let others = taken_from_root(others);
    assert_eq!(others, ["Error", "chat"].map(str::to_owned).into());
}

#[test]
fn only_the_edge_and_route_files_speak_http() {
    for file in files("shared/src", ".rs") {
        let text = read(&file);
        let edge = file.starts_with("shared/src/http");
        assert!(
            edge || is_route_file(&text) || !text.contains("axum"),
            "{} speaks HTTP",
            file.display()
        );
    }
}

#[test]
fn every_statement_is_one_unnamed_round_trip() {
    let rooms = ["auth", "conversations", "chat", "db"];
    for file in rooms.iter().flat_map(|it| files(&format!("shared/src/{it}"), ".rs")) {
        let text = read(&file);
        for call in [
            ".query(",
            ".query_one(",
            ".query_opt(",
            ".execute(",
            ".prepare",
            ".transaction(",
        ] {
            assert!(!text.contains(call), "{}: {call}", file.display());
        }
    }
}

/// Names in quotes that look like a variable and stand where settings are read.
fn variables() -> BTreeSet<String> {
    let words_of_others = [
        "WARN",
        "INFO",
        "UTF8",
        "STOP",
        "SAFETY",
        "RECITATION",
        "MAX_TOKENS",
        "LECSHELF",
        "ON_DEMAND",
        "CHANGED",
        "RETRIEVAL_DOCUMENT",
        "RETRIEVAL_QUERY",
        "NOT_IN_THE_BOOK",
        "INVALID_ARGUMENT",
        "RESOURCE_EXHAUSTED",
        "CARGO_PKG_VERSION",
        "CARGO_MANIFEST_DIR",
        "OUT_DIR",
        "DEBIAN_FRONTEND",
    ];
    let mut found = BTreeSet::new();
    for folder in ["shared/src", "tools/src"] {
        for file in files(folder, ".rs") {
            let text = read(&file);
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            for word in code.split('"').skip(1).step_by(2) {
                let looks = word.len() > 1
                    && word.starts_with(|c: char| c.is_ascii_uppercase())
                    && word.chars().all(|c| {
                        c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'
                    });
                if looks
                    && !words_of_others.contains(&word)
                    && (word.len() > 3 || word == "CI")
                {
                    found.insert(word.to_owned());
                }
            }
        }
    }
    found
}

#[test]
fn every_variable_is_in_the_example_and_in_the_manual() {
    let (example, manual) = (read(".env.example"), read("docs/settings.md"));
    let variables = variables();
    assert!(variables.contains("JWT_SECRET_KEY"), "the variables were not found");
    for name in &variables {
        let line = |it: &str| it.trim_start_matches("# ").split('=').next() == Some(name);
        assert!(example.lines().any(line), "{name} is not in .env.example");
        assert!(
            manual.contains(&format!("`{name}`")),
            "{name} is not in docs/settings.md"
        );
    }
}

#[test]
fn every_dependency_comes_from_the_public_registry() {
    let lock = read("Cargo.lock");
    let sources: BTreeSet<_> =
        lock.lines().filter(|it| it.starts_with("source = ")).collect();
    assert_eq!(sources.len(), 1, "{sources:?}");
    assert!(sources.iter().all(|it| it.ends_with("/crates.io-index\"")), "{sources:?}");
}
