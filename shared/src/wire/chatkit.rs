//! OpenAI's ChatKit: threads, their items, and the events of one turn.
//!
//! Its readers validate strictly, so a member without a value is left out. Its page draws a
//! mark of its own for each source, so our markers are taken out of the text.

use std::mem;

use serde::Serialize;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use crate::chat::{Cited, Event, Failure, Marker, Source, Text};

/// A part of a list.
#[derive(Default, Serialize)]
pub struct Page {
    data: Vec<Value>,
    has_more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Value>,
}

impl Page {
    /// Threads or items, and whether there are more behind them.
    pub fn new(data: Vec<Value>, has_more: bool) -> Self {
        let after = data.last().filter(|_| has_more).map(|it| it["id"].clone());
        Self { data, has_more, after }
    }
}

/// A conversation. Until its first turn is over it has no title.
pub fn thread(id: Uuid, title: &str, created_at: OffsetDateTime, items: &Page) -> Value {
    let mut thread = json!({
        "id": id,
        "created_at": stamp(id, created_at),
        "status": { "type": "active" },
        "metadata": {},
        "items": items,
    });
    if !title.is_empty() {
        thread["title"] = title.into();
    }
    thread
}

/// A question: as its client wrote it, or, where that was another than `ChatKit`, its text.
pub fn question(
    thread: Uuid,
    id: Uuid,
    created_at: OffsetDateTime,
    written: Option<&Value>,
    text: &str,
) -> Value {
    let mut item = item(thread, id, created_at, "user_message");
    item["content"] = json!([{ "type": "input_text", "text": text }]);
    item["inference_options"] = json!({});
    for key in ["content", "quoted_text", "inference_options"] {
        if let Some(value) = written.and_then(|it| it.get(key)) {
            item[key] = value.clone();
        }
    }
    item["attachments"] = json!([]);
    item
}

/// An answer, or what there is of it; nothing if it is blank.
pub fn answer(
    thread: Uuid,
    id: Uuid,
    created_at: OffsetDateTime,
    content: &str,
    markers: &[Marker],
    sources: &[Source],
) -> Option<Value> {
    let stands = |it: &&Marker| content.get(it.at..)?.strip_prefix(&it.text());
    let cited = markers.iter().filter(|it| stands(it).is_some()).filter_map(|marker| {
        let source = sources.iter().find(|it| it.n == marker.n)?.clone();
        Some(Cited { marker: *marker, source })
    });
    let text = Text { text: content.to_owned(), cited: cited.collect() };
    let mut part = Part::default();
    part.push(&text);
    part.finish();
    let mut item = item(thread, id, created_at, "assistant_message");
    item["content"] = json!([part]);
    (!part.is_blank()).then_some(item)
}

fn item(thread: Uuid, id: Uuid, created_at: OffsetDateTime, kind: &str) -> Value {
    json!({
        "id": id,
        "thread_id": thread,
        "created_at": stamp(id, created_at),
        "type": kind,
    })
}

/// When a row was made. A stream names it before it is stored, so the time is taken from its
/// id; an id that somebody else made knows none, or one that cannot be right.
fn stamp(id: Uuid, stored: OffsetDateTime) -> String {
    let of_id = id.get_timestamp().filter(|_| id.get_version_num() == 7);
    let of_id = of_id.and_then(|it| {
        let (seconds, nanos) = it.to_unix();
        let time = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?);
        time.ok()?.replace_nanosecond(nanos).ok()
    });
    let time = of_id.filter(|it| (stored - *it).abs() < Duration::DAY).unwrap_or(stored);
    time.format(&Rfc3339).unwrap_or_default()
}

/// One turn, as events. Nothing follows the last, not even `[DONE]`.
pub struct Turn {
    thread: Uuid,
    answer: Uuid,
    began: OffsetDateTime,
    is_open: bool,
    part: Part,
}

impl Turn {
    /// Of the thread and its next answer, by their ids.
    pub fn new(thread: Uuid, answer: Uuid, began: OffsetDateTime) -> Self {
        let (is_open, part) = <_>::default();
        Self { thread, answer, began, is_open, part }
    }

    /// What is said before the answer: the thread if it is new, and the question unless it was
    /// there before.
    pub fn opening(&self, is_new: bool, question: Option<Value>) -> Vec<String> {
        let created = is_new.then(|| self.thread("thread.created", ""));
        let asked = question.map(|it| json!({ "type": "thread.item.done", "item": it }));
        let options = json!({
            "type": "stream_options",
            "stream_options": { "allow_cancel": true },
        });
        let opening = created.into_iter().chain(asked).chain([options]);
        opening.map(|it| it.to_string()).collect()
    }

    /// What becomes of one event.
    pub fn event(&mut self, event: &Event) -> Vec<String> {
        let mut told = Vec::new();
        match event {
            Event::Searching => told.push(json!({
                "type": "progress_update",
                "icon": "search",
                "text": "Searching the book…",
            })),
            Event::Asking(_) => {}
            Event::Text(text) => {
                let updates = self.part.push(text);
                self.write(updates, &mut told);
            }
            Event::Done(answer) => {
                self.close(&mut told);
                told.extend(notice(&answer.degraded));
            }
            Event::Failed(failure) => {
                self.close(&mut told);
                told.push(error(*failure));
            }
        }
        told.into_iter().map(|it| it.to_string()).collect()
    }

    /// The thread has a name.
    pub fn titled(&self, title: &str) -> String {
        self.thread("thread.updated", title).to_string()
    }

    fn write(&mut self, updates: Vec<Update>, told: &mut Vec<Value>) {
        for update in updates {
            if !mem::replace(&mut self.is_open, true) {
                told.push(self.item("thread.item.added", &json!([])));
                let empty = json!({ "content": Part::default() });
                told.push(self.updated("added", empty));
            }
            told.push(match update {
                Update::Delta(delta) => {
                    self.updated("text_delta", json!({ "delta": delta }))
                }
                Update::Annotation(index, annotation) => self.updated(
                    "annotation_added",
                    json!({ "annotation_index": index, "annotation": annotation }),
                ),
            });
        }
    }

    /// The item as it is kept, broken off or not.
    fn close(&mut self, told: &mut Vec<Value>) {
        let rest = self.part.finish();
        self.write(rest, told);
        if !self.part.is_blank() {
            told.push(self.updated("done", json!({ "content": self.part })));
            told.push(self.item("thread.item.done", &json!([self.part])));
        }
    }

    fn thread(&self, kind: &str, title: &str) -> Value {
        let thread = thread(self.thread, title, self.began, &Page::default());
        json!({ "type": kind, "thread": thread })
    }

    fn item(&self, kind: &str, content: &Value) -> Value {
        let mut item = item(self.thread, self.answer, self.began, "assistant_message");
        item["content"] = content.clone();
        json!({ "type": kind, "item": item })
    }

    fn updated(&self, kind: &str, mut update: Value) -> Value {
        update["type"] = format!("assistant_message.content_part.{kind}").into();
        update["content_index"] = 0.into();
        json!({ "type": "thread.item.updated", "item_id": self.answer, "update": update })
    }
}

/// What an answer consists of: its text without markers, and where they stood.
#[derive(Default, Serialize)]
#[serde(tag = "type", rename = "output_text")]
struct Part {
    text: String,
    annotations: Vec<Value>,
    /// Code points of `text`.
    #[serde(skip)]
    chars: usize,
    /// Bytes of the answer that were read, markers and all.
    #[serde(skip)]
    read: usize,
    /// Spaces that go with the marker, if one follows.
    #[serde(skip)]
    spaces: String,
}

/// What is new in a part.
enum Update {
    Delta(String),
    /// With its number.
    Annotation(usize, Value),
}

impl Part {
    /// More of the answer. How it is cut makes no difference to the part.
    fn push(&mut self, piece: &Text) -> Vec<Update> {
        let mut updates = Vec::new();
        let mut rest = piece.text.as_str();
        let mut at = self.read;
        for Cited { marker, source } in &piece.cited {
            let (before, after) = rest.split_at(marker.at - at);
            updates.extend(self.take(before));
            self.spaces.clear();
            let annotation = annotation(source, self.chars);
            updates.push(Update::Annotation(self.annotations.len(), annotation.clone()));
            self.annotations.push(annotation);
            rest = &after[marker.text().len()..];
            at = marker.at + marker.text().len();
        }
        updates.extend(self.take(rest));
        self.read += piece.text.len();
        updates
    }

    /// The answer has ended.
    fn finish(&mut self) -> Vec<Update> {
        let spaces = mem::take(&mut self.spaces);
        self.leave(spaces).into_iter().collect()
    }

    fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    fn take(&mut self, text: &str) -> Option<Update> {
        let words = text.trim_end_matches(' ');
        if words.is_empty() {
            self.spaces.push_str(text);
            return None;
        }
        let spaces = text[words.len()..].to_owned();
        let delta = mem::replace(&mut self.spaces, spaces) + words;
        self.leave(delta)
    }

    fn leave(&mut self, delta: String) -> Option<Update> {
        self.text.push_str(&delta);
        self.chars += delta.chars().count();
        (!delta.is_empty()).then_some(Update::Delta(delta))
    }
}

/// A citation at this place of the text, in code points.
fn annotation(cited: &Source, index: usize) -> Value {
    json!({ "type": "annotation", "index": index, "source": source(cited) })
}

/// A thing that a page may open (`entities.onClick`) or show (`onRequestPreview`), which a
/// `file` is not. The client's type wants nothing but texts in `data`.
fn source(source: &Source) -> Value {
    let number = source.n.to_string();
    let mut data = json!({ "n": number, "quote": source.quote });
    for (key, value) in [("href", &source.url), ("path", &source.path)] {
        if let Some(value) = value {
            data[key] = value.as_str().into();
        }
    }
    json!({
        "type": "entity",
        "id": source.id.map_or_else(|| "selection".to_owned(), |it| it.to_string()),
        "title": source.title,
        "description": source.quote,
        "icon": "book-open",
        "inline_label": number,
        "interactive": source.path.is_some(),
        "data": data,
    })
}

/// What a reader should know of an answer that is less than it could be.
fn notice(degraded: &[String]) -> Option<Value> {
    let is_down = |what: &str| degraded.iter().any(|it| it == what);
    let model = is_down("llm").then_some(
        "The model is away, so these are passages of the book as they stand there.",
    );
    let database = is_down("database")
        .then_some("The history is away: this answer may be missing there later.");
    let message: Vec<_> = model.into_iter().chain(database).collect();
    (!message.is_empty()).then(
        || json!({ "type": "notice", "level": "warning", "message": message.join(" ") }),
    )
}

/// Its reader knows two codes: one with words for the reader, one without.
fn error(failure: Failure) -> Value {
    if failure.is_retryable() {
        json!({
            "type": "error",
            "code": "custom",
            "message": failure.sentence(),
            "allow_retry": true,
        })
    } else {
        json!({ "type": "error", "code": "stream.error", "allow_retry": true })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cited(n: usize, at: usize) -> Cited {
        let source = Source {
            n,
            id: None,
            title: String::new(),
            url: None,
            path: None,
            quote: String::new(),
            start: None,
            end: None,
            score: None,
        };
        Cited { marker: Marker { n, at }, source }
    }

    /// An answer of words and the markers behind them; no marker is cut in two.
    fn pieces(said: &[(String, Option<usize>, bool)]) -> Vec<Text> {
        let (mut pieces, mut at) = (vec![Text::default()], 0);
        for (words, marker, is_cut) in said {
            if *is_cut {
                pieces.push(Text::default());
            }
            let piece = pieces.last_mut().unwrap();
            piece.text.push_str(words);
            at += words.len();
            if let Some(n) = marker {
                let cited = cited(*n, at);
                piece.text.push_str(&cited.marker.text());
                at += cited.marker.text().len();
                piece.cited.push(cited);
            }
        }
        pieces
    }

    fn part(pieces: &[Text]) -> Part {
        let (mut part, mut told) = (Part::default(), String::new());
        let mut places = Vec::new();
        let updates: Vec<_> = pieces.iter().flat_map(|it| part.push(it)).collect();
        for update in updates.into_iter().chain(part.finish()) {
            match update {
                Update::Delta(delta) => told.push_str(&delta),
                Update::Annotation(n, it) => {
                    assert_eq!(
                        (n, &it["index"]),
                        (places.len(), &json!(told.chars().count()))
                    );
                    places.push(it);
                }
            }
        }
        assert_eq!((&told, &places), (&part.text, &part.annotations));
        part
    }

    #[test]
    fn a_marker_goes_with_the_spaces_before_it() {
        for (said, text, places) in [
            (vec![("A 🐋 is white", Some(1)), (".", None)], "A 🐋 is white.", vec![12]),
            (
                vec![("Two  ", Some(1)), ("", Some(2)), (" and", None)],
                "Two and",
                vec![3, 3],
            ),
            (vec![("", Some(1)), (" is first", Some(2))], " is first", vec![0, 9]),
            (vec![("v[1] stays ", None), (" \n", Some(1))], "v[1] stays  \n", vec![13]),
            (vec![("The end ", None)], "The end ", vec![]),
        ] {
            let said: Vec<_> =
                said.into_iter().map(|(words, n)| (words.to_owned(), n, true)).collect();
            let part = part(&pieces(&said));
            let found: Vec<_> = part.annotations.iter().map(|it| &it["index"]).collect();
            assert_eq!(part.text, text);
            assert_eq!(json!(found), json!(places), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_stream_and_what_is_kept_of_it_are_the_same(
            said in prop::collection::vec(
                ("[a-c \\[\\]1🐋\n]{0,6}", prop::option::of(1_usize..12), any::<bool>()), 0..12,
            ),
        ) {
            let pieces = pieces(&said);
            let streamed = part(&pieces);
            let content: String = pieces.iter().map(|it| it.text.as_str()).collect();
            let cited: Vec<_> = pieces.into_iter().flat_map(|it| it.cited).collect();
            let markers: Vec<_> = cited.iter().map(|it| it.marker).collect();
            let sources: Vec<_> = cited.into_iter().map(|it| it.source).collect();
            let (thread, id) = (Uuid::nil(), Uuid::now_v7());
            let now = OffsetDateTime::now_utc();
            let kept = answer(thread, id, now, &content, &markers, &sources);
            prop_assert_eq!(kept.is_none(), streamed.text.trim().is_empty());
            if let Some(kept) = kept {
                prop_assert_eq!(&kept["content"][0], &json!(streamed));
            }
        }
    }

    #[test]
    fn a_time_is_that_of_an_id_that_is_ours() {
        let stored = OffsetDateTime::from_unix_timestamp(1_767_323_045).unwrap();
        let ours = Uuid::new_v7(uuid::Timestamp::from_unix_time(
            1_767_323_044,
            250_000_000,
            0,
            0,
        ));
        assert_eq!(stamp(ours, stored), "2026-01-02T03:04:04.25Z");
        // By chance of this version.
        let carried = Uuid::from_u128(0x3c59_dc04_8e88_7024_83b8_079a_5c74_d079);
        for theirs in [Uuid::nil(), carried] {
            assert_eq!(stamp(theirs, stored), "2026-01-02T03:04:05Z");
        }
    }
}
