//! Texts as Postgres can hold them.

use serde_json::Value;

/// Postgres cannot hold U+0000, which JSON can write; a reader who sends one is answered like
/// any other, and loses that character.
pub(super) fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The same for every text inside a JSON value.
pub(super) fn clean_json(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(clean(text)),
        Value::Array(items) => items.iter().map(clean_json).collect(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| (clean(key), clean_json(value))).collect()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_postgres_cannot_hold_is_replaced_at_every_depth() {
        let value = json!({"a\0": ["b\0", {"c": "\0"}], "n": 1});
        let clean = clean_json(&value);
        assert_eq!(clean, json!({"a\u{fffd}": ["b\u{fffd}", {"c": "\u{fffd}"}], "n": 1}));
    }
}
