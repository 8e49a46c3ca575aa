//! Quotes, and their places in the source.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn english() -> Tokeniser {
    Tokeniser::new("eng")
}

/// A passage that was cut out of `source`, with `lead` put before it.
fn cut(source: &str, range: Range<usize>, lead: &str) -> Passage {
    let body: String = source.chars().skip(range.start).take(range.len()).collect();
    Passage {
        id: Uuid::nil(),
        path: "page.md".into(),
        anchor: String::new(),
        link: "page.html".into(),
        title: "Book > Page".into(),
        text: format!("{lead}{body}\n```"),
        source: "book".into(),
        start: range.start as u32,
        end: (range.start + body.chars().count()) as u32,
        lead: lead.chars().count() as u32,
    }
}

fn quoted(source: &str, words: &str) -> Option<String> {
    cut(source, 0..source.chars().count(), "").quote(words, english()).map(|it| it.text)
}

#[test]
fn the_sentence_that_shares_the_most_words_is_quoted() {
    let source = "# Moves\n\nA value has one owner. When it is moved, e.g. into a \
                  function,\nthe first variable is no longer valid! Copies stay.";
    assert_eq!(
        quoted(source, "Is the variable still valid after it moved?").unwrap(),
        "When it is moved, e.g. into a function,\nthe first variable is no longer valid!"
    );
    assert_eq!(
        quoted(source, "moves").unwrap(),
        "When it is moved, e.g. into a function,\nthe first variable is no longer valid!"
    );
    assert_eq!(quoted(source, "weather in Lima"), None);
}

#[test]
fn offsets_count_code_points_of_the_source_behind_the_lead() {
    let source = "Überschrift 😀.\nEin Satz. Noch ein längerer Satz.";
    let passage = cut(source, 15..48, "# Kopf\n");
    let quote = passage.quote("längerer", Tokeniser::new("deu")).unwrap();
    assert_eq!(
        quote,
        Quote { text: "Noch ein längerer Satz.".into(), start: 25, end: 48, shared: 1 }
    );
    assert_eq!(passage.opening().unwrap().text, "Ein Satz.");
}

#[test]
fn chinese_hindi_and_urdu_have_sentences_too() {
    let source = "所有权是核心概念。变量移动后不再有效。借用不移动。";
    assert_eq!(quoted(source, "移动后变量有效吗").unwrap(), "变量移动后不再有效。");
    let source = "यह पहला वाक्य है। स्वामित्व एक नियम है।";
    assert_eq!(quoted(source, "स्वामित्व").unwrap(), "स्वामित्व एक नियम है।");
    let source = "یہ پہلا جملہ ہے۔ ملکیت ایک اصول ہے۔";
    assert_eq!(quoted(source, "ملکیت").unwrap(), "ملکیت ایک اصول ہے۔");
}

#[test]
fn lines_of_code_lists_and_tables_stand_for_themselves() {
    let source = "Run:\n\n```sh\ncargo build --release\ncargo bench\n```\n\n\
                  - first `make dev`\n- then `make test`\n\n| key | value |\n|---|---|\n| port | 3000 |\n";
    assert_eq!(quoted(source, "release").unwrap(), "cargo build --release");
    assert_eq!(quoted(source, "test").unwrap(), "then `make test`");
    assert_eq!(quoted(source, "port").unwrap(), "| port | 3000 |");
    assert_eq!(quoted(source, "sh"), None, "the name of a fence's language is no text");
}

#[test]
fn code_behind_a_fence_that_was_opened_again_is_quoted_by_lines() {
    let passage = cut("let a = 1;\nlet b = moved(a);", 0..28, "```rust\n");
    assert_eq!(passage.quote("moved", english()).unwrap().text, "let b = moved(a);");
    assert_eq!(passage.quote("rust", english()), None);
}

#[test]
fn two_sentences_are_quoted_when_both_are_needed() {
    let source = "Cats sleep. Moves invalidate. Borrows do not. Dogs bark.";
    assert_eq!(
        quoted(source, "moves borrows").unwrap(),
        "Moves invalidate. Borrows do not."
    );
}

#[test]
fn a_selection_is_located_whatever_its_white_space_and_markup() {
    let source = "# Moves\n\nA **move** ends the\nfirst `variable`.\n";
    let passage = cut(source, 9..source.len(), "");
    let found = passage.locate("move ends  the first variable").unwrap();
    let from = source.chars().skip(found.start as usize);
    let text: String = from.take((found.end - found.start) as usize).collect();
    assert_eq!(text, "move** ends the\nfirst `variable");
    assert_eq!(text, found.text);
    assert_eq!(passage.locate("another book"), None);
    assert_eq!(passage.locate("—"), None);
}

#[test]
fn a_comment_is_never_quoted() {
    let source = "Moves <!-- secret moves --> invalidate variables.";
    assert_eq!(quoted(source, "secret moves").unwrap(), "Moves");
}

#[test]
fn a_passage_without_offsets_counts_as_its_own_source() {
    let mut passage = cut("One. Two moves.", 0..15, "");
    passage.text = "One. Two moves.".into();
    passage.end = 0;
    let quote = passage.quote("moves", english()).unwrap();
    assert_eq!((quote.text.as_str(), quote.start, quote.end), ("Two moves.", 5, 15));
}

#[test]
fn words_are_compared_by_the_rules_of_the_books_language() {
    let quoted = |language: &str, source: &str, words: &str| {
        let passage = cut(source, 0..source.chars().count(), "");
        passage.quote(words, Tokeniser::new(language)).map(|it| it.text)
    };
    // Stemmed in German, but not in English.
    let german = "Die Uhr geht. Zwei Wärter tragen Lampen.";
    assert_eq!(quoted("deu", german, "Lampe").unwrap(), "Zwei Wärter tragen Lampen.");
    assert_eq!(quoted("eng", german, "Lampe"), None);
    // Words that English drops and German means.
    let german = "Der Eimer ist leer. Was will der Wärter?";
    assert_eq!(quoted("deu", german, "will").unwrap(), "Was will der Wärter?");
    assert_eq!(quoted("eng", german, "will"), None);
}

#[test]
fn what_can_be_quoted_does_not_depend_on_what_is_asked() {
    for bare in
        ["---\n", "<!-- the wick -->", "| | |\n|---|---|\n", "```sh\n```", "\u{3164}"]
    {
        let passage = cut(bare, 0..bare.chars().count(), "");
        assert_eq!(passage.quote("the wick sh \u{3164}", english()), None, "{bare}");
        assert_eq!(passage.opening(), None, "{bare}");
    }
    let picture = cut("![](lamp.png)", 0..13, "");
    assert_eq!(picture.opening().unwrap().text, "![](lamp.png)");
}

fn source() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-zA-Z]{1,9}",
        Just(" ".to_owned()),
        Just(". ".to_owned()),
        Just("\n".to_owned()),
        Just("\n\n".to_owned()),
        Just("```\n".to_owned()),
        Just("- ".to_owned()),
        Just("> ".to_owned()),
        Just("12. ".to_owned()),
        Just("| a |\n".to_owned()),
        Just("<!--".to_owned()),
        Just("-->".to_owned()),
        Just("所有权。变量".to_owned()),
        Just("x".repeat(400)),
        Just("é\u{301}".repeat(200)),
        Just("# Title\n".to_owned()),
        Just("😀".to_owned()),
        "\\PC{0,6}",
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_quote_equals_the_source_at_its_offsets(
        source in source(),
        (from, length) in (0_usize..60, 0_usize..900),
        lead in prop_oneof![Just(""), Just("```rust\n"), Just("é😀\n")],
        words in "([a-e]{1,3} |所有权|变量|x){0,5}",
    ) {
        let chars: Vec<char> = source.chars().collect();
        let from = from.min(chars.len());
        let until = (from + length).min(chars.len());
        prop_assume!(from < until);
        let passage = cut(&source, from..until, lead);
        let is_quotable = passage.opening().is_some();
        prop_assert!(is_quotable || passage.quote(&words, english()).is_none());
        for quote in passage.quote(&words, english()).into_iter().chain(passage.opening()) {
            let slice: String =
                chars[quote.start as usize..quote.end as usize].iter().collect();
            prop_assert_eq!(&slice, &quote.text);
            prop_assert!(quote.start >= passage.start && quote.end <= passage.end);
            prop_assert!(quote.text.chars().count() <= LONGEST);
            prop_assert_eq!(quote.text.trim(), quote.text.as_str());
        }
    }
}
