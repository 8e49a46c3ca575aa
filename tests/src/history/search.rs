//! Words that are found in titles and messages, in every script.

use std::collections::HashSet;

use serde_json::json;

use super::{ALL, House, Reader, ids};

async fn found(house: &House, reader: &Reader, words: &str) -> HashSet<String> {
    let encoded: String =
        words.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"));
    let page = house.see(reader, &format!("{ALL}?limit=50&q={encoded}")).await;
    ids(&page).into_iter().collect()
}

#[tokio::test]
async fn search_finds_words_in_titles_and_messages_in_every_script() {
    let house = House::new().await;
    let (reader, other) = (house.reader().await, house.reader().await);
    let exchanges = [
        ("rust", ["What is Ownership?", "Values have one owner; see docs.rs/tokio."]),
        ("hindi", ["स्वामित्व क्या है?", "हर मान का एक स्वामी होता है।"]),
        ("chinese", ["所有权是什么？", "每个值都有一个所有者，用Rust写。"]),
        (
            "percent",
            ["Is 100% of it \"it's\" safe_mode?", "A \\d path: C:\\tmp and (a|b)."],
        ),
        ("german", ["Was heißt „Übergabe“?", "Der Wert zieht um — restart nicht nötig."]),
        ("parts", ["E\u{301}tude or re\u{301}sume\u{301}?", "\u{1112}\u{1161}\u{11ab}."]),
        ("wholes", ["Résumé or étude?", "한 and ष\u{958}."]),
    ];
    let mut names = std::collections::HashMap::new();
    for (name, words) in exchanges {
        names.insert(house.say(&reader, None, words).await.conversation, name);
        house.say(&other, None, words).await;
    }
    let titled = house.create(&reader, "Lifetimes").await;
    names.insert(titled, "titled");
    for (words, expected) in [
        ("ownership", &["rust"][..]),
        ("OWN", &["rust"]),
        ("wnership", &[]),
        ("art", &[]),
        ("start", &[]),
        ("restart", &["german"]),
        ("tokio", &["rust"]),
        ("rust", &["chinese"]),
        // Each word may be in another place.
        ("values what", &["rust"]),
        ("values lifetimes", &[]),
        ("lifetime", &["titled"]),
        ("स्वामित्व", &["hindi"]),
        ("स्वामी मान", &["hindi"]),
        ("所有", &["chinese"]),
        ("有权", &["chinese"]),
        ("所有者　rust", &["chinese"]),
        ("übergabe", &["german"]),
        ("ÜBERGABE", &["german"]),
        // Composed or not; `क़` has no composed form of its own in NFC.
        ("étude", &["parts", "wholes"]),
        ("E\u{301}TUDE", &["parts", "wholes"]),
        ("한", &["parts", "wholes"]),
        ("\u{1112}\u{1161}\u{11ab}", &["parts", "wholes"]),
        ("क\u{93c}", &["wholes"]),
        ("sum", &[]),
        ("sumé", &[]),
        ("100%", &["percent"]),
        ("10%", &[]),
        ("%", &["percent"]),
        ("_", &["percent"]),
        ("safe_mode", &["percent"]),
        ("mode", &["percent"]),
        ("safexmode", &[]),
        ("it's", &["percent"]),
        ("'", &["percent"]),
        ("\"it's\"", &["percent"]),
        ("c:\\tmp", &["percent"]),
        ("(a|b)", &["percent"]),
        ("\\d", &["percent"]),
        (".*", &[]),
        ("';--", &[]),
        ("***:x", &[]),
        ("(?i)x", &[]),
        ("[", &[]),
    ] {
        let found = found(&house, &reader, words).await;
        let found: HashSet<_> = found.iter().map(|it| names[it]).collect();
        assert_eq!(found, expected.iter().copied().collect(), "{words}");
    }
    assert_eq!(found(&house, &reader, " \t").await.len(), 8, "nothing is asked for");
    // Pages of what was found.
    let page = house.see(&reader, &format!("{ALL}?q=%20&limit=4")).await;
    assert_eq!((ids(&page).len(), &page["has_more"]), (4, &json!(true)));
}
