//! Threads and their items, as they are kept and as they come in a stream.

use serde::Serialize;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use super::part::Part;
use crate::chat::{Cited, Marker, Source, Text};

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

/// A conversation. Until its first whole answer, or until its reader names it, it has no title.
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

pub(super) fn item(
    thread: Uuid,
    id: Uuid,
    created_at: OffsetDateTime,
    kind: &str,
) -> Value {
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

#[cfg(test)]
mod tests {
    use super::*;

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
