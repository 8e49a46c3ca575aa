//! A conversation as a file to keep.

use std::fmt::Write;

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    Role,
    history::{FullConversation, Message},
    own::Opened,
};
use crate::{
    Error, Result,
    http::{Route, extract::Params},
    wire::markdown::{address, plain, quote},
};

/// `GET /api/v1/conversations/{id}/export`.
pub fn route() -> Route {
    Route::new().route("/api/v1/conversations/{id}/export", get(export))
}

async fn export(params: Params, Opened { whole, .. }: Opened) -> Result<Response> {
    let ending = match params.of(&["format"]) {
        None | Some("md") => "md",
        Some("json") => "json",
        Some(_) => return Err(Error::invalid("format", "must be md or json")),
    };
    let (kind, text) = if ending == "md" {
        ("text/markdown; charset=utf-8", markdown(&whole))
    } else {
        let text = serde_json::to_string_pretty(&whole).map_err(|err| {
            Error::Internal(format!("an export was not written: {err}"))
        })?;
        ("application/json", text + "\n")
    };
    let name = file_name(&whole, ending);
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}\""))
        .expect("a file name is of ASCII letters, digits and hyphens");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    Ok((headers, text).into_response())
}

/// Characters of a title that go into a file's name.
const NAME_CHARS: usize = 60;

/// `what-is-a-move-2026-01-31.md`: the title's ASCII letters and digits, and the day that the
/// conversation began. Nothing in it means anything to a shell, a path or a header, and the
/// day keeps it from being a name that some system reserves (`con`, `nul`).
fn file_name(whole: &FullConversation, ending: &str) -> String {
    let mut name = String::new();
    for c in whole.conversation.title.chars().take(NAME_CHARS) {
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    let name = name.trim_end_matches('-');
    let name = if name.is_empty() { "conversation" } else { name };
    format!("{name}-{}.{ending}", whole.conversation.created_at.date())
}

/// A file in which nothing that was said can pass for another part of it: texts stand in block
/// quotes.
fn markdown(whole: &FullConversation) -> String {
    let title = whole.conversation.title.as_str();
    let title = if title.is_empty() { "Conversation" } else { title };
    let mut text = format!("# {}\n", plain(title));
    for message in &whole.messages {
        section(&mut text, message);
    }
    text
}

fn section(text: &mut String, message: &Message) {
    let who = if message.role == Role::User { "Reader" } else { "Lectern" };
    let cut = match message.status.as_str() {
        "complete" => String::new(),
        status => format!(" ({status})"),
    };
    let time = stamp(message.created_at);
    write!(text, "\n## {who}, {time}{cut}\n\n").ok();
    text.push_str(&quote(message.content.trim(), ""));
    let sources: Vec<_> = message.sources.as_array().into_iter().flatten().collect();
    if !sources.is_empty() {
        text.push_str("\nSources:\n\n");
    }
    for source in sources {
        let word = |key: &str| source[key].as_str().unwrap_or_default();
        let n = source["n"].as_i64().unwrap_or_default();
        let title = plain(word("title"));
        match source.get("url").and_then(Value::as_str) {
            Some(url) => writeln!(text, "- [{n}] [{title}](<{}>)", address(url)).ok(),
            None => writeln!(text, "- [{n}] {title}").ok(),
        };
        text.push_str(&quote(word("quote"), "  "));
    }
}

fn stamp(time: OffsetDateTime) -> String {
    let whole = time.replace_nanosecond(0).unwrap_or(time);
    whole.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use uuid::Uuid;

    use super::{super::history::Conversation, *};

    fn whole(title: &str) -> FullConversation {
        let at = datetime!(2026-01-31 10:00:00.25 UTC);
        let conversation = Conversation {
            id: Uuid::nil(),
            title: title.to_owned(),
            created_at: at,
            last_message_at: at,
            message_count: 0,
            is_untitled: false,
        };
        FullConversation { conversation, messages: Vec::new() }
    }

    #[test]
    fn a_file_name_is_safe_whatever_the_title() {
        for (title, name) in [
            ("What is a move?", "what-is-a-move-2026-01-31.md"),
            ("../../etc/passwd", "etc-passwd-2026-01-31.md"),
            ("a\"; filename=\"b.exe", "a-filename-b-exe-2026-01-31.md"),
            ("CON", "con-2026-01-31.md"),
            ("所有权是什么", "conversation-2026-01-31.md"),
            ("", "conversation-2026-01-31.md"),
        ] {
            assert_eq!(file_name(&whole(title), "md"), name);
        }
        assert!(file_name(&whole(&"x ".repeat(100)), "md").len() <= NAME_CHARS + 14);
    }
}
