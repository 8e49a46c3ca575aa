//! Anchors of headings, by the rule of the generator that shows them.

use std::collections::HashMap;

use unicode_normalization::char::is_combining_mark;

/// Whose rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Slugs {
    /// GitHub's, as most tools follow it.
    #[default]
    GitHub,
    /// mdBook's: only ASCII becomes lower case, every blank becomes a hyphen, and two
    /// anchors may be the same.
    MdBook,
    /// GitHub's, but headings of the first level are counted and get none.
    Docusaurus,
    /// None: a heading has the id that its page gives it, or no anchor.
    Written,
}

/// Gives each heading of one page its own anchor.
#[derive(Debug, Default)]
pub struct Anchors {
    seen: HashMap<String, usize>,
    rule: Slugs,
}

impl Anchors {
    /// For one page of a book with this rule.
    pub(super) fn by(rule: Slugs) -> Self {
        Self { seen: HashMap::new(), rule }
    }

    /// The anchor of the next heading, which has this level.
    pub(super) fn at(&mut self, level: u8, heading: &str, id: Option<&str>) -> String {
        match self.rule {
            Slugs::GitHub => self.next(heading, id),
            Slugs::Written => id.unwrap_or_default().to_owned(),
            Slugs::MdBook => match id {
                Some(id) => id.to_owned(),
                None => self.next_of_mdbook(heading),
            },
            Slugs::Docusaurus => {
                // An explicit id is taken as it is and hinders no slug.
                let anchor = id.map_or_else(|| self.next(heading, None), str::to_owned);
                if level == 1 { String::new() } else { anchor }
            }
        }
    }

    fn next_of_mdbook(&mut self, heading: &str) -> String {
        let base = slug_of_mdbook(heading);
        if base.is_empty() {
            return base;
        }
        let count = self.seen.entry(base.clone()).or_default();
        *count += 1;
        if *count == 1 { base } else { format!("{base}-{}", *count - 1) }
    }

    /// The anchor of the next heading: its explicit id, else its slug, and `-1`, `-2` … for
    /// repeats (as the npm package `github-slugger` counts them). A heading without a letter
    /// has none.
    pub fn next(&mut self, heading: &str, id: Option<&str>) -> String {
        if let Some(id) = id {
            self.seen.entry(id.to_owned()).or_default();
            return id.to_owned();
        }
        let base = slug(heading);
        if base.is_empty() {
            return base;
        }
        let mut anchor = base.clone();
        while self.seen.contains_key(&anchor) {
            let repeats = self.seen.entry(base.clone()).or_default();
            *repeats += 1;
            anchor = format!("{base}-{repeats}");
        }
        self.seen.insert(anchor.clone(), 0);
        anchor
    }
}

/// Letters and numbers of every script stay, but not their marks, which Rust counts as
/// neither.
fn slug_of_mdbook(heading: &str) -> String {
    let slugged = heading.trim().chars().filter_map(|c| match c {
        '_' | '-' => Some(c),
        c if c.is_alphanumeric() => Some(c.to_ascii_lowercase()),
        c if c.is_whitespace() => Some('-'),
        _ => None,
    });
    slugged.collect()
}

/// Lower case, spaces to hyphens, punctuation dropped; letters, marks and digits of every
/// script stay. Fractions, superscripts and numbers in circles count as punctuation.
fn slug(heading: &str) -> String {
    let kept = |c: &char| {
        let is_word = c.is_alphanumeric() && !is_other_number(*c);
        is_word || is_combining_mark(*c) || matches!(c, '-' | '_' | ' ' | '\u{203F}')
    };
    let lower = heading.trim().to_lowercase();
    lower.chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The Latin part of Unicode's category No: numbers that are no digits.
fn is_other_number(c: char) -> bool {
    matches!(c,
        '\u{B2}' | '\u{B3}' | '\u{B9}' | '\u{BC}'..='\u{BE}' | '\u{2070}'..='\u{2079}'
        | '\u{2080}'..='\u{2089}' | '\u{2150}'..='\u{215F}' | '\u{2460}'..='\u{249B}'
        | '\u{24EA}'..='\u{24FF}' | '\u{2776}'..='\u{2793}')
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
            ("10 km² of ½", "10-km-of-"),
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

    #[test]
    fn mdbook_has_a_rule_of_its_own() {
        let mut anchors = Anchors::by(Slugs::MdBook);
        for (heading, id, expected) in [
            ("What Is Ownership?", None, "what-is-ownership"),
            ("Über  uns", None, "Über--uns"),
            ("Notes", None, "notes"),
            ("`Notes`", Some("mine"), "mine"),
            ("Notes", None, "notes-1"),
            ("Notes 1", None, "notes-1"),
            ("स्वामित्व", None, "सवामितव"),
            ("???", None, ""),
        ] {
            assert_eq!(anchors.at(2, heading, id), expected, "{heading}");
        }
    }

    #[test]
    fn docusaurus_counts_the_first_level_and_shows_no_id_there() {
        let mut anchors = Anchors::by(Slugs::Docusaurus);
        assert_eq!(anchors.at(1, "Notes", None), "");
        assert_eq!(anchors.at(2, "Notes", None), "notes-1");
        assert_eq!(anchors.at(2, "Own", Some("Mine")), "Mine");
        assert_eq!(anchors.at(3, "mine", None), "mine");
    }
}
