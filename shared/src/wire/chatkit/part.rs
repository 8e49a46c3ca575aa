//! The one part that an answer consists of, and how it grows.

use std::mem;

use serde::Serialize;
use serde_json::{Value, json};

use crate::chat::{Cited, Source, Text};

/// What an answer consists of: its text without markers, and where they stood.
#[derive(Default, Serialize)]
#[serde(tag = "type", rename = "output_text")]
pub(super) struct Part {
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
pub(super) enum Update {
    Delta(String),
    /// With its number.
    Annotation(usize, Value),
}

impl Part {
    /// More of the answer. How it is cut makes no difference to the part.
    pub(super) fn push(&mut self, piece: &Text) -> Vec<Update> {
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
    pub(super) fn finish(&mut self) -> Vec<Update> {
        let spaces = mem::take(&mut self.spaces);
        self.leave(spaces).into_iter().collect()
    }

    /// Nothing that a reader would see.
    pub(super) fn is_blank(&self) -> bool {
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

/// A thing that a page may open (`entities.onClick`) if there is an address for it, which a
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
        "interactive": source.url.is_some(),
        "data": data,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::{super::answer, *};
    use crate::chat::Marker;

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
    fn only_what_has_an_address_can_be_opened() {
        let mut shown = cited(1, 0).source;
        shown.path = Some("whales.md".to_owned());
        assert_eq!(source(&shown)["interactive"], false);
        shown.url = Some("https://book.example/whales.html".to_owned());
        assert_eq!(source(&shown)["interactive"], true);
    }
}
