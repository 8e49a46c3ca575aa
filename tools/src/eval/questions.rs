//! The questions to measure with: our own lines, or a folder in the form of BEIR's sets.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    path::Path,
};

use serde::Deserialize;
use serde_json::Value;
use shared::conversations::{Role, store::Turn};

use crate::Outcome;

/// One question, with what it should find.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Question {
    /// Its name in all output.
    pub id: String,
    /// The reader's words.
    pub text: String,
    /// Page, page and anchor, or passage id, each with its gain; as written.
    pub relevant: BTreeMap<String, f64>,
    /// Earlier turns, oldest first.
    pub history: Vec<Turn>,
    /// Whether the book answers it; `None` when nobody said.
    pub answerable: Option<bool>,
    /// A draft of `--init` that nobody has looked at.
    pub is_draft: bool,
    /// Where it was read.
    pub line: usize,
}

/// What a line of our own may say. Sets of others say more, and are read as they are.
const KEYS: [&str; 7] =
    ["id", "text", "question", "relevant", "history", "answerable", "draft"];

/// All questions of a file or a folder.
#[derive(Debug)]
pub(super) struct Questions {
    /// In the order of the file.
    pub all: Vec<Question>,
    /// The names of documents, when a folder gives them; a run names pages so.
    pub documents: Option<HashSet<String>>,
}

#[derive(Deserialize)]
struct Said {
    role: Role,
    text: Option<String>,
    content: Option<String>,
}

/// Reads a file of questions, or a folder with `queries.jsonl` and `qrels.jsonl`.
pub(super) fn read(path: &Path) -> Outcome<Questions> {
    let is_folder = path.is_dir();
    let file = if is_folder { path.join("queries.jsonl") } else { path.to_owned() };
    let name = file.display().to_string();
    let mut all = Vec::new();
    let mut seen = HashMap::new();
    for (line, value) in lines(&file)? {
        let unknown = value.as_object().into_iter().flat_map(|it| it.keys());
        let unknown = unknown.filter(|_| !is_folder).find(|it| !KEYS.contains(&&***it));
        let question = match unknown {
            Some(key) => Err(format!("{key}: is unknown; there are {}", KEYS.join(", "))),
            None => question(&value, line),
        };
        let question =
            question.map_err(|wrong| format!("{name}, line {line}: {wrong}"))?;
        if let Some(before) = seen.insert(question.id.clone(), line) {
            let id = &question.id;
            return Err(format!(
                "{name}, line {line}: id: \"{id}\" is that of line {before} already"
            )
            .into());
        }
        all.push(question);
    }
    if all.is_empty() {
        return Err(format!("{name}: there is no question in it").into());
    }
    let mut documents = None;
    if is_folder {
        judge(&path.join("qrels.jsonl"), &mut all)?;
        documents = names(&path.join("docs.jsonl"))?;
    }
    Ok(Questions { all, documents })
}

/// Every line that holds something, as JSON, with its number.
fn lines(file: &Path) -> Outcome<Vec<(usize, Value)>> {
    let name = file.display();
    let bytes = fs::read(file).map_err(|err| format!("{name}: {err}"))?;
    let text = String::from_utf8(bytes).map_err(|err| {
        let good = err.as_bytes().iter().take(err.utf8_error().valid_up_to());
        let line = good.filter(|byte| **byte == b'\n').count() + 1;
        format!("{name}, line {line}: this is not UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut found = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        if text.trim().is_empty() {
            continue;
        }
        let value: Value = serde_json::from_str(text)
            .map_err(|err| format!("{name}, line {line}: this is not JSON: {err}"))?;
        if !value.is_object() {
            return Err(format!("{name}, line {line}: this is not an object").into());
        }
        found.push((line, value));
    }
    Ok(found)
}

fn question(value: &Value, line: usize) -> Result<Question, String> {
    let text = match (&value["text"], &value["question"]) {
        (Value::String(text), _) | (Value::Null, Value::String(text)) => text.trim(),
        (Value::Null, Value::Null) => return Err("text: is missing".to_owned()),
        _ => return Err("text: must be a text".to_owned()),
    };
    if text.is_empty() {
        return Err("text: must not be empty".to_owned());
    }
    let id = match &value["id"] {
        Value::Null => format!("line-{line}"),
        id => name(id).ok_or("id: must be a text or a number")?,
    };
    let answerable = match &value["answerable"] {
        Value::Null => None,
        Value::Bool(it) => Some(*it),
        _ => return Err("answerable: must be true, false or null".to_owned()),
    };
    let mut relevant = BTreeMap::new();
    match &value["relevant"] {
        Value::Null => {}
        Value::Array(names) => {
            for it in names {
                let label = it.as_str().map(str::trim).filter(|it| !it.is_empty());
                let label = label.ok_or("relevant: must hold only texts, none empty")?;
                relevant.insert(label.to_owned(), 1.0);
            }
        }
        _ => return Err("relevant: must be a list".to_owned()),
    }
    Ok(Question {
        id,
        text: text.to_owned(),
        relevant,
        history: history(&value["history"])?,
        answerable,
        is_draft: value["draft"] == true,
        line,
    })
}

/// Earlier turns, or only the earlier questions.
fn history(value: &Value) -> Result<Vec<Turn>, String> {
    let said = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(said) => said,
        _ => return Err("history: must be a list".to_owned()),
    };
    let turn = |it: &Value| match it {
        Value::String(text) => Some(Turn { role: Role::User, text: text.clone() }),
        it => {
            let said = Said::deserialize(it).ok()?;
            Some(Turn { role: said.role, text: said.text.or(said.content)? })
        }
    };
    let turns: Option<Vec<_>> = said.iter().map(turn).collect();
    turns.ok_or_else(|| {
        "history: must hold questions, or {\"role\": \"user\" or \"assistant\", \"text\"}"
            .to_owned()
    })
}

/// Puts the judgements of `qrels.jsonl` on the questions.
fn judge(file: &Path, all: &mut [Question]) -> Outcome {
    let name_of_file = file.display();
    let at: HashMap<String, usize> =
        all.iter().enumerate().map(|(at, it)| (it.id.clone(), at)).collect();
    for (line, value) in lines(file)? {
        let wrong = |what: &str| format!("{name_of_file}, line {line}: {what}");
        let qid = name(&value["qid"]).ok_or_else(|| wrong("qid: is missing"))?;
        let docid = name(&value["docid"]).ok_or_else(|| wrong("docid: is missing"))?;
        let gain = match &value["rel"] {
            Value::Null => 1.0,
            rel => rel.as_f64().ok_or_else(|| wrong("rel: must be a number"))?,
        };
        let at = at.get(&qid).ok_or_else(|| wrong("qid: there is no such question"))?;
        if gain > 0.0 {
            all[*at].relevant.insert(docid, gain);
        }
    }
    Ok(())
}

fn names(file: &Path) -> Outcome<Option<HashSet<String>>> {
    if !file.is_file() {
        return Ok(None);
    }
    let mut found = HashSet::new();
    for (line, value) in lines(file)? {
        let id = name(&value["id"])
            .ok_or_else(|| format!("{}, line {line}: id: is missing", file.display()))?;
        found.insert(id);
    }
    Ok(Some(found))
}

fn name(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_lines(text: &[u8]) -> Outcome<Questions> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("q.jsonl");
        fs::write(&file, text).unwrap();
        read(&file)
    }

    #[test]
    fn both_spellings_of_a_question_are_read() {
        let all = read_lines(
            "\u{feff}{\"text\":\" What moves? \",\"relevant\":[\"a.md#x\"],\"draft\":true}\r\n\
             \n\
             {\"id\":7,\"question\":\"And then?\",\"answerable\":false,\
             \"history\":[\"What moves?\",{\"role\":\"assistant\",\"text\":\"All.\"}]}\n"
                .as_bytes(),
        );
        let all = all.unwrap().all;
        assert_eq!((all[0].id.as_str(), all[0].text.as_str()), ("line-1", "What moves?"));
        assert!(all[0].is_draft && all[0].relevant.contains_key("a.md#x"));
        assert_eq!((all[1].id.as_str(), all[1].answerable), ("7", Some(false)));
        let roles: Vec<_> = all[1].history.iter().map(|it| it.role).collect();
        assert_eq!(roles, [Role::User, Role::Assistant]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_field() {
        for (text, place) in [
            (&b"{\"text\":\"a\"}\n{\"text\":5}"[..], "line 2: text: must be a text"),
            (b"{}", "line 1: text: is missing"),
            (b"\n{\"text\":\" \"}", "line 2: text: must not be empty"),
            (b"{\"text\":\"a\"", "line 1: this is not JSON"),
            (b"[1]", "line 1: this is not an object"),
            (b"{\"text\":\"a\"}\n\xff", "line 2: this is not UTF-8"),
            (b"{\"text\":\"a\",\"relevant\":\"p\"}", "line 1: relevant: must be a list"),
            (b"{\"text\":\"a\",\"relevant\":[1]}", "line 1: relevant: must hold"),
            (b"{\"text\":\"a\",\"answerable\":1}", "line 1: answerable: must be"),
            (b"{\"text\":\"a\",\"history\":{}}", "line 1: history: must be a list"),
            (b"{\"text\":\"a\",\"history\":[{\"role\":\"x\"}]}", "line 1: history: must"),
            (b"{\"text\":\"a\",\"relevent\":[]}", "line 1: relevent: is unknown"),
            (b"{\"id\":[],\"text\":\"a\"}", "line 1: id: must be"),
            (
                b"{\"id\":1,\"text\":\"a\"}\n{\"id\":1,\"text\":\"b\"}",
                "line 2: id: \"1\"",
            ),
            (b"\n", "there is no question in it"),
        ] {
            let wrong = read_lines(text).unwrap_err().to_string();
            assert!(wrong.contains(place), "{wrong}");
        }
    }

    #[test]
    fn a_folder_has_its_judgements_beside_its_questions() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).unwrap();
        };
        write("queries.jsonl", "{\"id\":\"q\",\"text\":\"a\",\"metadata\":{}}\n");
        write(
            "qrels.jsonl",
            "{\"qid\":\"q\",\"docid\":\"d\",\"rel\":2}\n\
             {\"qid\":\"q\",\"docid\":\"e\",\"rel\":0}\n",
        );
        let read_it = || read(folder.path());
        let questions = read_it().unwrap();
        assert_eq!(questions.all[0].relevant, BTreeMap::from([("d".to_owned(), 2.0)]));
        assert_eq!(questions.documents, None);
        write("docs.jsonl", "{\"id\":\"d\"}\n");
        assert!(read_it().unwrap().documents.unwrap().contains("d"));
        write("qrels.jsonl", "{\"qid\":\"z\",\"docid\":\"d\"}\n");
        let wrong = read_it().unwrap_err().to_string();
        assert!(wrong.contains("line 1: qid: there is no such question"), "{wrong}");
    }
}
