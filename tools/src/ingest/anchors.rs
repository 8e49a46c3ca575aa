//! Anchors of headings, by GitHub's rule.

use std::collections::HashMap;

use unicode_normalization::char::is_combining_mark;

/// Gives each heading of one page its own anchor.
#[derive(Debug, Default)]
pub struct Anchors(HashMap<String, usize>);

impl Anchors {
    /// The anchor of the next heading: its explicit id, else its slug, and `-1`, `-2` … for
    /// repeats (as the npm package `github-slugger` counts them). A heading without a letter
    /// has none.
    pub fn next(&mut self, heading: &str, id: Option<&str>) -> String {
        if let Some(id) = id {
            self.0.entry(id.to_owned()).or_default();
            return id.to_owned();
        }
        let base = slug(heading);
        if base.is_empty() {
            return base;
        }
        let mut anchor = base.clone();
        while self.0.contains_key(&anchor) {
            let repeats = self.0.entry(base.clone()).or_default();
            *repeats += 1;
            anchor = format!("{base}-{repeats}");
        }
        self.0.insert(anchor.clone(), 0);
        anchor
    }
}

/// Lower case, spaces to hyphens, punctuation dropped; letters, marks and numbers of every
/// script stay.
fn slug(heading: &str) -> String {
    let kept = |c: &char| {
        c.is_alphanumeric() || is_combining_mark(*c) || matches!(c, '-' | '_' | ' ')
    };
    let lower = heading.trim().to_lowercase();
    lower.chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_follow_github() {
        for (heading, expected) in [
            ("What Is Ownership?", "what-is-ownership"),
            ("`Rc<T>`, the Reference", "rct-the-reference"),
            ("snake_case & kebab-case", "snake_case--kebab-case"),
            ("Überschrift Größe", "überschrift-größe"),
            ("स्वामित्व क्या है?", "स्वामित्व-क्या-है"),
            ("所有权 是什么？", "所有权-是什么"),
            ("🎉 Done", "-done"),
            ("???", ""),
        ] {
            assert_eq!(slug(heading), expected, "{heading}");
        }
    }

    #[test]
    fn repeats_are_numbered_and_never_collide() {
        let mut anchors = Anchors::default();
        let given: Vec<_> = ["Notes", "Notes", "Notes 1", "Notes", "???", "???"]
            .map(|heading| anchors.next(heading, None))
            .into();
        assert_eq!(given, ["notes", "notes-1", "notes-1-1", "notes-2", "", ""]);
        assert_eq!(anchors.next("Else", Some("Here")), "Here");
        assert_eq!(anchors.next("Here", None), "here");
    }
}
