//! Which language a book is written in.

use shared::retrieval::Passage;
use whatlang::Lang;

use crate::Outcome;

/// Code points of each passage that are looked at, and of all of them.
const OF_EACH: usize = 300;
const OF_ALL: usize = 60_000;

/// The ISO 639-3 code of a language that was named as `en` or `eng`.
pub(super) fn named(code: &str) -> Outcome<String> {
    let code = code.to_ascii_lowercase();
    let name = SHORT.iter().find(|(short, _)| *short == code).map_or(&*code, |it| it.1);
    match Lang::from_code(name) {
        Some(lang) => Ok(lang.code().to_owned()),
        None => Err(format!(
            "--language {code}: not a known ISO 639 code, such as en, eng, de or zh"
        )
        .into()),
    }
}

/// The language of most of the text, as ISO 639-3; English when there is too little to tell.
pub(super) fn detected(passages: &[Passage]) -> String {
    let step = (passages.len() * OF_EACH).div_ceil(OF_ALL).max(1);
    let mut sample = String::new();
    for passage in passages.iter().step_by(step) {
        sample.extend(passage.text.chars().take(OF_EACH));
        sample.push('\n');
    }
    let found = whatlang::detect(&sample).filter(whatlang::Info::is_reliable);
    found.map_or(Lang::Eng, |it| it.lang()).code().to_owned()
}

/// ISO 639-1 codes of the languages that are told apart most often.
const SHORT: [(&str, &str); 32] = [
    ("ar", "ara"),
    ("bn", "ben"),
    ("cs", "ces"),
    ("da", "dan"),
    ("de", "deu"),
    ("el", "ell"),
    ("en", "eng"),
    ("es", "spa"),
    ("fa", "pes"),
    ("fi", "fin"),
    ("fr", "fra"),
    ("he", "heb"),
    ("hi", "hin"),
    ("hu", "hun"),
    ("id", "ind"),
    ("it", "ita"),
    ("ja", "jpn"),
    ("ko", "kor"),
    ("nb", "nob"),
    ("nl", "nld"),
    ("no", "nob"),
    ("pl", "pol"),
    ("pt", "por"),
    ("ro", "ron"),
    ("ru", "rus"),
    ("sv", "swe"),
    ("ta", "tam"),
    ("th", "tha"),
    ("tr", "tur"),
    ("uk", "ukr"),
    ("ur", "urd"),
    ("zh", "cmn"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::{
        plan,
        read::{Format, Page},
    };

    fn language_of(text: &str) -> String {
        let page = Page::new("a.md".into(), text.into(), Format::Markdown);
        detected(&plan::passages(&[page], "book").0)
    }

    #[test]
    fn a_book_is_read_in_its_own_language() {
        let german = "Wer ein Buch schreibt, der möchte, dass es gelesen und verstanden wird, \
                      und nicht nur von denen, die es schon kennen.";
        assert_eq!(language_of(german), "deu");
        assert_eq!(language_of("这本书告诉读者怎样种树，怎样照顾树木。"), "cmn");
        assert_eq!(language_of("पेड़ों की देखभाल कैसे करें, यह किताब बताती है।"), "hin");
        assert_eq!(language_of("ok"), "eng");
    }

    #[test]
    fn codes_are_understood_long_and_short() {
        assert_eq!(named("EN").unwrap(), "eng");
        assert_eq!(named("hin").unwrap(), "hin");
        assert!(named("english").is_err());
        for (short, long) in SHORT {
            assert_eq!(named(short).unwrap(), long);
        }
    }
}
