//! Tells which paragraphs a book has said before, in the same words or nearly so.
//!
//! A paragraph is taken as the sequence of its sentences, and a sentence as the sequence of
//! its words without what makes no difference: case, punctuation, markup, and the few words
//! of [`LITTLE`]. It repeats an earlier paragraph that has all of its sentences in their
//! order and little else: containment 1 and a resemblance of [`RESEMBLANCE`] in the sense
//! of Broder, “On the resemblance and containment of documents” (1997), with sentences for
//! shingles. So another number, name, sign, link, piece of code or “not” always keeps a paragraph:
//! nothing goes that the earlier one does not say.
//!
//! What is decided about a paragraph depends on those before it and on no other, and it is
//! compared with those alone that have its rarest sentence.

use std::collections::HashMap;

use pulldown_cmark::{Event, Parser, Tag};
use sha2::{Digest, Sha256};
use shared::retrieval::tokens::is_invisible;
use unicode_normalization::UnicodeNormalization;

use super::markdown::{Block, DIALECT, Kind};

/// Paragraphs of so many code points are said once in a book; shorter ones may repeat, as
/// notes and warnings do.
const LONG: usize = 200;

/// The share of the earlier paragraph's letters that the later one must have. Below it the two
/// are a summary and its text rather than one paragraph twice.
const RESEMBLANCE: f64 = 0.8;

/// Lines and ornaments have fewer letters than this.
const FEWEST_LETTERS: usize = 100;

/// English words that come and go without a change of meaning. “Only”, “some” and “now” are
/// none of them, and neither is anything that may deny.
#[rustfmt::skip]
const LITTLE: [&str; 14] = [
    "a", "also", "an", "furthermore", "hence", "indeed", "moreover", "please", "that", "the",
    "therefore", "these", "this", "thus",
];

/// The paragraphs that a book has said, in the order of reading.
#[derive(Default)]
pub(super) struct Said {
    paragraphs: Vec<Vec<Sentence>>,
    /// In which paragraphs a sentence stands.
    places: HashMap<u128, Vec<usize>>,
    /// How many paragraphs were marked.
    pub repeats: usize,
}

/// What a sentence says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sentence {
    hash: u128,
    letters: usize,
}

impl Said {
    /// Marks a paragraph that was said before, and remembers any other.
    pub(super) fn look_at(&mut self, text: &str, block: &mut Block) {
        let text = text[block.range.clone()].trim();
        if block.kind != Kind::Prose || text.chars().count() < LONG {
            return;
        }
        let sentences = sentences(text);
        if letters(&sentences) < FEWEST_LETTERS {
            return;
        }
        if self.has(&sentences) {
            block.kind = Kind::Repeat;
            self.repeats += 1;
        } else {
            self.remember(sentences);
        }
    }

    fn has(&self, sentences: &[Sentence]) -> bool {
        let places = sentences.iter().map(|it| self.places.get(&it.hash));
        let rarest = places.min_by_key(|it| it.map_or(0, Vec::len)).flatten();
        rarest.into_iter().flatten().any(|at| is_part(sentences, &self.paragraphs[*at]))
    }

    fn remember(&mut self, sentences: Vec<Sentence>) {
        let at = self.paragraphs.len();
        for sentence in &sentences {
            let places = self.places.entry(sentence.hash).or_default();
            if places.last() != Some(&at) {
                places.push(at);
            }
        }
        self.paragraphs.push(sentences);
    }
}

/// Whether `whole` has the sentences of `part` in their order and little else.
fn is_part(part: &[Sentence], whole: &[Sentence]) -> bool {
    let mut rest = whole.iter();
    letters(part) as f64 >= RESEMBLANCE * letters(whole) as f64
        && part.iter().all(|sentence| rest.any(|it| it == sentence))
}

fn letters(sentences: &[Sentence]) -> usize {
    sentences.iter().map(|it| it.letters).sum()
}

/// The sentences of a paragraph of Markdown. Code in lines of its own and HTML are one
/// sentence, as they stand.
fn sentences(paragraph: &str) -> Vec<Sentence> {
    let mut shown = String::with_capacity(paragraph.len());
    for event in Parser::new_ext(paragraph, DIALECT) {
        match event {
            Event::Start(Tag::CodeBlock(_) | Tag::HtmlBlock) => {
                return vec![Sentence::of(&paragraph.split(' ').collect::<Vec<_>>())];
            }
            Event::Text(text) => {
                shown.extend(
                    text.chars().filter(|c| !is_invisible(*c)).nfc().map(straight),
                );
            }
            // Verbatim, and one word whatever blanks it has.
            Event::Code(code)
            | Event::InlineHtml(code)
            | Event::FootnoteReference(code) => {
                shown.extend(["`", &code.replace(char::is_whitespace, "\0"), "`"]);
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                shown.extend([" `", &dest_url.replace(char::is_whitespace, "\0"), "` "]);
            }
            Event::TaskListMarker(is_done) => {
                shown.push_str(if is_done { "`x` " } else { "`o` " });
            }
            Event::SoftBreak | Event::HardBreak | Event::Start(Tag::Item) => {
                shown.push(' ');
            }
            _ => {}
        }
    }
    let mut sentences = Vec::new();
    let mut said: Vec<String> = Vec::new();
    for run in shown.split_whitespace().flat_map(runs) {
        let word = bare(run);
        let lower =
            if word.contains('`') { word.to_owned() } else { word.to_lowercase() };
        // An article does not stand in capitals inside a sentence: `plan A` has a name.
        let is_name = word == "A" && !said.is_empty();
        if !word.is_empty() && (is_name || !LITTLE.contains(&lower.as_str())) {
            said.push(if is_name { word.to_owned() } else { lower });
        }
        if let Some(mark) = end(run) {
            if mark == '?' {
                said.push("?".to_owned());
            }
            sentences.extend(finished(&mut said));
        }
    }
    sentences.extend(finished(&mut said));
    sentences
}

/// Word processors bend what keyboards have.
fn straight(c: char) -> char {
    if c == '’' { '\'' } else { c }
}

fn finished(said: &mut Vec<String>) -> Option<Sentence> {
    let said = std::mem::take(said);
    let words: Vec<&str> = said.iter().map(String::as_str).collect();
    (!words.is_empty()).then(|| Sentence::of(&words))
}

impl Sentence {
    fn of(words: &[&str]) -> Self {
        let hash = Sha256::digest(words.join(" "));
        let (half, _) = hash.split_first_chunk().expect("32 bytes have 16");
        Self {
            hash: u128::from_be_bytes(*half),
            letters: words.iter().map(|it| it.chars().count()).sum(),
        }
    }
}

/// Scripts without spaces end their sentences inside what looks like one word.
fn runs(word: &str) -> impl Iterator<Item = &str> {
    let is_code = word.contains('`');
    word.split_inclusive(move |c| !is_code && matches!(c, '。' | '！' | '？' | '｡'))
}

/// A word without the punctuation around it. Signs stay: `-5`, `!=` and `--all` are no 5,
/// `=` and all, and 5', 5" and 5! are three things.
fn bare(run: &str) -> &str {
    let begun = run.trim_start_matches(OPENING);
    let word = begun.trim_end_matches(CLOSING);
    if word.chars().all(|c| "-–—*_".contains(c)) {
        return "";
    }
    let is_sign = word.ends_with(char::is_numeric)
        && begun[word.len()..].starts_with(['\'', '"', '!']);
    &begun[..word.len() + usize::from(is_sign)]
}

/// What may stand before a word and says nothing.
const OPENING: [char; 14] =
    ['"', '\'', '(', '[', '{', '¡', '¿', '«', '“', '‘', '„', '「', '『', '（'];

/// What may stand behind it.
const CLOSING: [char; 29] = [
    '"', '\'', ')', ']', '}', ',', '.', ':', ';', '!', '?', '»', '”', '’', '…', '–', '—',
    '」', '』', '）', '，', '、', '。', '！', '：', '；', '？', '।', '॥',
];

/// The mark with which a run ends its sentence.
fn end(run: &str) -> Option<char> {
    let run = run.trim_end_matches(['"', '\'', ')', ']', '”', '’', '»', '」', '』', '*']);
    let last = run.chars().next_back()?;
    match last {
        '?' | '？' | '؟' => Some('?'),
        '.' | '!' | '…' | '。' | '！' | '｡' | '।' | '॥' | '۔' => Some('.'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ingest::markdown;

    const LONG_ONE: &str = "Before the first frost the keeper closes the lower entrance of \
        every hive. A strip of `7 mm` mesh keeps the mice out and lets the bees pass. The \
        roof is weighed down with two stones, because the winter storms come from the \
        west. Nothing else has to be done until March.";

    /// Which of the paragraphs are left out.
    fn left_out(paragraphs: &[&str]) -> Vec<bool> {
        let mut said = Said::default();
        let is_left_out = |text: &&str| {
            let mut blocks = markdown::blocks(text, 0);
            said.look_at(text, &mut blocks[0]);
            blocks[0].kind == Kind::Repeat
        };
        paragraphs.iter().map(is_left_out).collect()
    }

    fn repeats(first: &str, second: &str) -> bool {
        left_out(&[first, second]) == [false, true]
    }

    #[test]
    fn what_says_nothing_makes_no_difference() {
        for (from, to) in [
            ("frost the keeper", "Frost, the\nkeeper"),
            ("every hive.", "**every** hive!"),
            ("because the winter", "because these winter"),
            ("storms come", "sto\u{200b}rms come"),
            ("Nothing else has to be done until March.", ""),
            ("west. Nothing", "west…  \nNothing"),
            ("The roof", "\u{201c}The\u{201d} roof"),
        ] {
            let other = LONG_ONE.replace(from, to);
            assert_ne!(other, LONG_ONE, "{from}");
            assert!(repeats(LONG_ONE, &other), "{other}");
        }
    }

    #[test]
    fn what_says_something_keeps_its_paragraph() {
        for (from, to) in [
            ("two stones", "three stones"),
            ("the mice out", "[mice](https://mice.example) out"),
            ("two stones", "2\" stones"),
            ("`7 mm`", "`8 mm`"),
            ("`7 mm`", "7 mm"),
            ("`7 mm`", "-7 mm"),
            ("mesh keeps", "mesh never keeps"),
            ("has to be done", "has not to be done"),
            ("March.", "March?"),
            ("March.", "April."),
            ("lower", "upper"),
            ("hive.", "hive that has one."),
            ("every hive", "hive A"),
            ("out and lets", "out != lets"),
            ("west. Nothing", "west. The mesh stays on. Nothing"),
        ] {
            let other = LONG_ONE.replace(from, to);
            assert_ne!(other, LONG_ONE, "{from}");
            assert!(!repeats(LONG_ONE, &other), "{other}");
        }
        for (one, other) in [
            ("=", "!="),
            ("plan A", "plan"),
            ("5'", "5\""),
            ("-5", "5"),
            ("–5", "5"),
            ("`a—B—c`", "`a—b—c`"),
        ] {
            let [one, other] = [one, other].map(|it| LONG_ONE.replace("stones", it));
            assert!(!repeats(&one, &other), "{one}");
        }
    }

    #[test]
    fn a_summary_is_no_repeat_and_neither_are_sentences_in_another_order() {
        let sentences: Vec<_> = LONG_ONE.split_inclusive(". ").collect();
        let whole = LONG_ONE.to_owned() + " " + &LONG_ONE.replace("hive", "house");
        assert!(!repeats(&whole, LONG_ONE));
        assert!(!repeats(LONG_ONE, &sentences.iter().rev().copied().collect::<String>()));
        let short = "Only a note that is not long enough to matter.";
        assert_eq!(left_out(&[short, short]), [false, false]);
        let line = "- - - ".repeat(60);
        assert_eq!(left_out(&[&line, &line]), [false, false]);
    }

    #[test]
    fn code_and_html_repeat_to_the_letter_or_not_at_all() {
        let block = format!("<div>{LONG_ONE}</div>");
        assert!(repeats(&block, &block));
        assert!(!repeats(&block, &block.replace("the mice", "mice")));
        let code = format!("    {LONG_ONE}");
        assert!(!repeats(&code, &code.replace("The roof", "the roof")));
    }

    #[test]
    fn scripts_without_spaces_are_told_apart_by_their_sentences() {
        let text = "第一次霜冻之前，养蜂人关闭每个蜂箱的下部入口。金属网把老鼠挡在外面，让蜜蜂通过。\
                    屋顶用两块石头压住，因为冬天的风暴来自西方。三月之前什么都不用做。"
            .repeat(3);
        assert!(repeats(&text, &format!("**{text}**")));
        assert!(!repeats(&text, &text.replacen("两块", "三块", 1)));
    }

    /// A sentence of words that say something.
    fn sentence() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("[b-z]{3,9}", 5..12)
    }

    fn written(sentences: &[Vec<String>]) -> String {
        sentences.iter().map(|it| it.join(" ") + ".").collect::<Vec<_>>().join(" ")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn one_other_word_keeps_a_paragraph(
            sentences in prop::collection::vec(sentence(), 8..20),
            place in any::<prop::sample::Index>(),
            word in "[0-9]{1,3}|not|never|no|`x = 1`|std::io|HttpClient|-1|A|μ|server",
            is_added in any::<bool>(),
        ) {
            let mut other = sentences.clone();
            let at = place.index(other.len());
            if is_added { other[at].insert(1, word) } else { other[at][1] = word }
            let (first, second) = (written(&sentences), written(&other));
            prop_assert!(!repeats(&first, &second));
            prop_assert!(!repeats(&second, &first));
        }

        #[test]
        fn little_words_capitals_and_a_sentence_less_do_not(
            sentences in prop::collection::vec(sentence(), 12..20),
            place in any::<prop::sample::Index>(),
            little in prop::sample::select(&LITTLE[1..]),
        ) {
            let mut other = sentences.clone();
            let at = place.index(other.len());
            other[at].insert(2, little.to_owned());
            other.remove((at + 1) % sentences.len());
            let second = written(&other).to_uppercase().replace(". ", "!\n");
            prop_assert!(repeats(&written(&sentences), &second));
        }

        #[test]
        fn what_comes_later_changes_nothing_before_it(
            picks in prop::collection::vec(prop::collection::vec(0..6_usize, 4..7), 1..10),
        ) {
            let stock: Vec<String> = (0..6)
                .map(|n| format!("Sentence {n} says at some length what no other sentence here does."))
                .collect();
            let texts: Vec<String> = picks
                .iter()
                .map(|it| it.iter().map(|n| stock[*n].as_str()).collect::<Vec<_>>().join(" "))
                .collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let all = left_out(&texts);
            for count in 0..texts.len() {
                prop_assert_eq!(&left_out(&texts[..count])[..], &all[..count]);
            }
            // The oracle looks at every pair.
            for (at, is_repeat) in all.iter().enumerate() {
                let before = (0..at).filter(|it| !all[*it]);
                let found = before
                    .into_iter()
                    .any(|it| is_part(&super::sentences(texts[at]), &super::sentences(texts[it])));
                prop_assert_eq!(found, *is_repeat);
            }
        }
    }
}
