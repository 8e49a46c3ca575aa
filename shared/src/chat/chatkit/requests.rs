//! What ChatKit's page may send: one address, a word for what is wanted, and its parameters.

use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::ask::{QUESTION, SELECTION, check};
use crate::{Error, Result, conversations::history::FeedbackKind};

/// What our page is asked for. Members that we do not know are ignored, as ChatKit's own
/// server does.
#[derive(Deserialize)]
#[serde(tag = "type", content = "params")]
pub(super) enum Request {
    #[serde(rename = "threads.create")]
    Create { input: Input },
    #[serde(rename = "threads.add_user_message")]
    AddUserMessage { thread_id: String, input: Input },
    #[serde(rename = "threads.retry_after_item")]
    RetryAfterItem { thread_id: String, item_id: String },
    #[serde(rename = "threads.get_by_id")]
    GetById { thread_id: String },
    #[serde(rename = "threads.list")]
    List(Wanted),
    #[serde(rename = "threads.update")]
    Update { thread_id: String, title: String },
    #[serde(rename = "threads.delete")]
    Delete { thread_id: String },
    #[serde(rename = "items.list")]
    ListItems {
        thread_id: String,
        #[serde(flatten)]
        wanted: Wanted,
    },
    #[serde(rename = "items.feedback")]
    Feedback { thread_id: String, item_ids: Vec<String>, kind: FeedbackKind },
    #[serde(rename = "attachments.create", alias = "attachments.delete")]
    Attachments(IgnoredAny),
    #[serde(
        rename = "threads.custom_action",
        alias = "threads.sync_custom_action",
        alias = "threads.add_client_tool_output",
        alias = "threads.add_structured_input",
        alias = "input.transcribe"
    )]
    NotOurs(IgnoredAny),
}

/// The rooms in which a reader's own way of writing is kept, in bytes of JSON.
const WRITTEN: usize = 64 * 1024;

/// A message on its way in. It is kept as it is, so that the page gets back what it sent.
#[derive(Deserialize, Serialize)]
pub(super) struct Input {
    content: Vec<Content>,
    #[serde(skip_serializing)]
    attachments: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quoted_text: Option<String>,
    inference_options: InferenceOptions,
}

#[derive(Deserialize, Serialize)]
#[serde(tag = "type")]
enum Content {
    #[serde(rename = "input_text")]
    Text { text: String },
    /// A mention, such as of a chapter.
    #[serde(rename = "input_tag")]
    Tag {
        id: String,
        text: String,
        data: serde_json::Map<String, Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        group: Option<String>,
        #[serde(default)]
        interactive: bool,
    },
}

/// What the reader chose of the page's tools and models. We have one of each, so that it only
/// comes back.
#[derive(Deserialize, Serialize)]
struct InferenceOptions {
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<ToolChoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct ToolChoice {
    id: String,
}

/// A message that can be asked.
pub(super) struct Message {
    /// The reader's words, those of mentions among them.
    pub question: String,
    /// The passage that they reply to.
    pub selection: Option<String>,
    /// As it was sent.
    pub written: Value,
}

/// The passage that a kept message replies to.
pub(super) fn quoted(written: &Value) -> Option<String> {
    let text = written["quoted_text"].as_str().filter(|it| !it.trim().is_empty());
    text.map(str::to_owned)
}

impl Input {
    pub(super) fn read(self) -> Result<Message> {
        if !self.attachments.is_empty() {
            // Nobody can have uploaded one.
            return Err(Error::NotFound("attachment"));
        }
        let written = json!(self);
        if written.to_string().len() > WRITTEN {
            let most = format!("must be at most {WRITTEN} bytes");
            return Err(Error::invalid("params.input", most));
        }
        let mut question = String::new();
        for part in self.content {
            let (Content::Text { text } | Content::Tag { text, .. }) = part;
            // The page may draw a mention apart from the words beside it.
            if question.ends_with(char::is_alphanumeric)
                && text.starts_with(char::is_alphanumeric)
            {
                question.push(' ');
            }
            question.push_str(&text);
        }
        check("params.input.content", &question, &QUESTION)?;
        let selection = quoted(&written);
        if let Some(text) = &selection {
            check("params.input.quoted_text", text, &SELECTION)?;
        }
        Ok(Message { question, selection, written })
    }
}

/// Things on a page, when nobody says how many.
const USUAL_LIMIT: usize = 20;
/// The most: the page asks for 9999 threads.
const MAX_LIMIT: usize = 100;

/// Which part of a list. A null is as good as nothing.
#[derive(Default, Deserialize)]
pub(super) struct Wanted {
    limit: Option<usize>,
    order: Option<Order>,
    after: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Order {
    Asc,
    #[default]
    Desc,
}

impl Wanted {
    /// The first of a list, the oldest first.
    pub(super) fn first() -> Self {
        Self { order: Some(Order::Asc), ..Self::default() }
    }

    /// This part of what there is, the oldest first, and whether there is more behind it.
    /// [`Error::NotFound`] if `after` is not in it.
    pub(super) fn of(&self, mut all: Vec<Value>) -> Result<(Vec<Value>, bool)> {
        if self.order.unwrap_or_default() == Order::Desc {
            all.reverse();
        }
        if let Some(after) = &self.after {
            let at = all.iter().position(|it| it["id"] == **after);
            all.drain(..=at.ok_or(Error::NotFound("item"))?);
        }
        let limit = match self.limit {
            None | Some(0) => USUAL_LIMIT,
            Some(limit) => limit.min(MAX_LIMIT),
        };
        let has_more = all.len() > limit;
        all.truncate(limit);
        Ok((all, has_more))
    }
}

/// An id of ours: any other text names nothing.
pub(super) fn parse_id(id: &str, thing: &'static str) -> Result<Uuid> {
    Uuid::try_parse(id).map_err(|_| Error::NotFound(thing))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn things(count: usize) -> Vec<Value> {
        (0..count).map(|n| json!({ "id": n.to_string() })).collect()
    }

    proptest! {
        #[test]
        fn the_parts_of_a_list_are_the_list(count in 0_usize..70, limit in 1_usize..30) {
            let mut all = things(count);
            for order in [Order::Asc, Order::Desc] {
                let (mut parts, mut after, mut has_more) = (Vec::new(), None, true);
                while has_more {
                    let wanted = Wanted { limit: Some(limit), order: Some(order), after };
                    let part;
                    (part, has_more) = wanted.of(things(count)).unwrap();
                    after = part.last().map(|it| it["id"].as_str().unwrap().to_owned());
                    parts.push(part);
                }
                prop_assert_eq!(parts.concat(), all.clone());
                prop_assert_eq!(parts.len(), count.div_ceil(limit).max(1));
                all.reverse();
            }
        }
    }

    #[test]
    fn a_limit_is_held_to_what_we_give() {
        for (limit, given) in
            [(None, 20), (Some(0), 20), (Some(1), 1), (Some(100), 100), (Some(9999), 100)]
        {
            let wanted = Wanted { limit, ..Wanted::default() };
            assert_eq!(wanted.of(things(150)).unwrap().0.len(), given);
        }
        let wanted = Wanted { after: Some("150".to_owned()), ..Wanted::default() };
        assert!(matches!(wanted.of(things(150)), Err(Error::NotFound("item"))));
    }
}
