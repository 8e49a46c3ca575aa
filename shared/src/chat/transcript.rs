//! A conversation as a client tells it, as the vendors' protocols do: what the reader said last
//! is the question, and what was said before it is history that nobody vouches for.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor, value::SeqAccessDeserializer},
};

use super::ask::{HISTORY_CHARS, HISTORY_TURNS, QUESTION, check};
use crate::{
    Error, Result,
    conversations::{Role, store::Turn},
};

/// Who said it, by the vendors' word for it. A system's, a developer's or a tool's words are
/// nobody's: they come from the client, and so count for nothing.
pub(super) fn role(name: &str) -> Option<Role> {
    if name == "model" { Some(Role::Assistant) } else { Role::named(name) }
}

/// One message.
pub(super) struct Message {
    /// See [`role`].
    pub role: Option<Role>,
    /// Its text.
    pub text: String,
    /// Whether it holds anything that is no text, such as an image.
    pub holds_more: bool,
}

/// What a message says, in the form that the vendors' clients share: a text, or a list of parts.
#[derive(Default)]
pub(super) struct Content(pub Vec<Part>);

/// A part of it; a text alone is one without a kind.
#[derive(Deserialize)]
pub(super) struct Part {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub text: Option<String>,
}

/// By hand, because an untagged enum would take an array for a part.
impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(Whole)
    }
}

struct Whole;

impl<'de> Visitor<'de> for Whole {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of parts")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Content, E> {
        Ok(Content(vec![Part { kind: None, text: Some(text.to_owned()) }]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> Result<Content, A::Error> {
        Deserialize::deserialize(SeqAccessDeserializer::new(parts)).map(Content)
    }
}

/// The question, and the earlier turns: as many of the newest as a guest may send. `field` is
/// where the messages stand in the body.
pub(super) fn read(field: &str, messages: Vec<Message>) -> Result<(String, Vec<Turn>)> {
    let Some(last) = messages.iter().rposition(|it| it.role == Some(Role::User)) else {
        return Err(Error::invalid(field, "must hold a message of the role user"));
    };
    let mut earlier = messages;
    earlier.truncate(last + 1);
    let question = earlier.pop().expect("it was just found");
    let field = format!("{field}[{last}]");
    if question.holds_more {
        return Err(Error::invalid(field, "must hold nothing but text"));
    }
    check(&field, &question.text, &QUESTION)?;
    Ok((question.text, newest(earlier)))
}

/// As many of the newest messages as a guest may send, oldest first.
pub(super) fn newest(messages: Vec<Message>) -> Vec<Turn> {
    let mut room = HISTORY_CHARS;
    let said = messages.into_iter().rev().filter_map(|it| Some((it.role?, it.text)));
    let fitting = said.filter(|(_, text)| !text.trim().is_empty()).take(HISTORY_TURNS);
    let fitting = fitting.map_while(|(role, text)| {
        room = room.checked_sub(text.chars().count())?;
        Some(Turn { role, text: text.replace('\0', "") })
    });
    let mut turns: Vec<Turn> = fitting.collect();
    turns.reverse();
    turns
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(name: &str, text: &str) -> Message {
        Message { role: role(name), text: text.to_owned(), holds_more: false }
    }

    fn turn(role: Role, text: &str) -> Turn {
        Turn { role, text: text.to_owned() }
    }

    #[test]
    fn the_readers_last_words_are_the_question() {
        let said = vec![
            message("system", "Obey."),
            message("user", "One?"),
            message("assistant", "Two."),
            message("tool", "{}"),
            message("assistant", " "),
            message("user", "Three?"),
            message("assistant", "A beginning that the client made up"),
        ];
        let (question, history) = read("messages", said).unwrap();
        assert_eq!(question, "Three?");
        assert_eq!(history, [turn(Role::User, "One?"), turn(Role::Assistant, "Two.")]);
    }

    #[test]
    fn without_a_question_there_is_nothing_to_answer() {
        let image = Message { holds_more: true, ..message("user", "What is this?") };
        for (said, field) in [
            (vec![], "messages"),
            (vec![message("system", "x")], "messages"),
            (vec![message("user", "x"), message("user", " ")], "messages[1]"),
            (vec![message("user", &"x".repeat(4001))], "messages[0]"),
            (vec![image], "messages[0]"),
        ] {
            let Err(Error::Invalid(fields)) = read("messages", said) else {
                panic!("{field} was taken");
            };
            assert_eq!(fields[0].field, field);
        }
    }

    proptest! {
        #[test]
        fn history_is_the_newest_that_fits(lengths in prop::collection::vec(0_usize..5000, 0..30)) {
            let mut said: Vec<_> = lengths.iter().enumerate().map(|(n, length)| {
                message(["user", "assistant"][n % 2], &"é".repeat(*length))
            }).collect();
            said.push(message("user", "And now?"));
            let (_, history) = read("messages", said).unwrap();
            let chars = |it: &[Turn]| it.iter().map(|it| it.text.chars().count()).sum::<usize>();
            prop_assert!(history.len() <= HISTORY_TURNS && chars(&history) <= HISTORY_CHARS);
            let lengths: Vec<_> = lengths.into_iter().filter(|it| *it > 0).collect();
            let kept: Vec<_> = history.iter().map(|it| it.text.chars().count()).collect();
            prop_assert!(lengths.ends_with(&kept));
            let next = lengths.len().checked_sub(kept.len() + 1).map(|at| lengths[at]);
            let full = history.len() == HISTORY_TURNS
                || next.is_none_or(|it| chars(&history) + it > HISTORY_CHARS);
            prop_assert!(full, "there was room");
        }
    }
}
