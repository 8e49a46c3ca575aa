//! Cuts text into the tokens that BM25 counts, the same for pages and for questions.

use rust_stemmers::{Algorithm, Stemmer};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Changes whenever the same text may give other tokens: an index made by another version
/// has to be made again.
pub const VERSION: u32 = 1;

/// A run of letters is cut into pieces of this many code points. No word is longer, but a
/// line of base64 is; the cut bounds the work for each token and loses no text.
const LONGEST: usize = 64;

/// Turns text into tokens by the rules of one language.
///
/// 1. Invisible characters are dropped and the rest is normalised (NFKC).
/// 2. Runs of letters, numbers and marks are words. An identifier (`user_id`, `HttpClient`)
///    gives its whole and its parts.
/// 3. Scripts that put no spaces between words (Han, kana, Thai …; Hangul too) give
///    overlapping bigrams of characters. The script decides, not the language of the book,
///    so that a book in two languages is searched in both.
/// 4. Words are lower-cased, English stop words dropped, the rest stemmed (Snowball).
#[derive(Clone, Copy, Debug)]
pub struct Tokeniser {
    stemming: Option<Algorithm>,
    drops_stop_words: bool,
}

impl Tokeniser {
    /// `language` is an ISO 639-3 code, as `whatlang` prints it. One for which Snowball has
    /// no algorithm (`hin`, `cmn`, anything unknown) is not stemmed.
    pub fn new(language: &str) -> Self {
        Self { stemming: algorithm(language), drops_stop_words: language == "eng" }
    }

    /// The tokens in the order of the text, with repeats. Takes time linear in the text.
    pub fn tokens(self, text: &str) -> Vec<String> {
        let mut run =
            Run { tokeniser: self, word: Vec::new(), unspaced: None, out: Vec::new() };
        for c in text.chars().filter(|c| !is_invisible(*c)).nfkc() {
            run.push(c);
        }
        run.end();
        run.out
    }

    fn emit(self, word: &[char], out: &mut Vec<String>) {
        let word = word.iter().collect::<String>().to_lowercase();
        if self.drops_stop_words && is_stop_word(&word) {
            return;
        }
        let stem = match self.stemming {
            Some(algorithm) => Stemmer::create(algorithm).stem(&word).into_owned(),
            None => word,
        };
        if !stem.is_empty() {
            out.push(stem);
        }
    }
}

/// English, for a collection that does not say which language it is in.
impl Default for Tokeniser {
    fn default() -> Self {
        Self::new("eng")
    }
}

/// The run of characters that is being read: a word, or unspaced text, never both.
struct Run {
    tokeniser: Tokeniser,
    word: Vec<char>,
    /// The last character of unspaced text, and whether it already is part of a bigram.
    unspaced: Option<(char, bool)>,
    out: Vec<String>,
}

impl Run {
    fn push(&mut self, c: char) {
        if is_optional_mark(c) {
            return;
        }
        let is_mark = is_combining_mark(c);
        if is_unspaced(c) && (!is_mark || self.unspaced.is_some()) {
            self.end_word();
            if let Some((last, _)) = self.unspaced {
                self.out.push([last, c].iter().collect());
            }
            self.unspaced = Some((c, self.unspaced.is_some()));
        } else if is_mark {
            // A mark belongs to the letter before it; without one it is no text.
            if !self.word.is_empty() {
                self.push_to_word(c);
            }
        } else if c.is_alphanumeric() {
            self.end_unspaced();
            self.push_to_word(c);
        } else if c == '_' && !self.word.is_empty() {
            self.push_to_word(c);
        } else {
            self.end();
        }
    }

    fn push_to_word(&mut self, c: char) {
        self.word.push(c);
        if self.word.len() == LONGEST {
            self.end_word();
        }
    }

    fn end(&mut self) {
        self.end_word();
        self.end_unspaced();
    }

    fn end_unspaced(&mut self) {
        if let Some((alone, false)) = self.unspaced.take() {
            self.out.push(alone.to_string());
        }
    }

    fn end_word(&mut self) {
        while self.word.last() == Some(&'_') {
            self.word.pop();
        }
        if self.word.is_empty() {
            return;
        }
        let parts = parts(&self.word);
        if parts.len() > 1 {
            self.tokeniser.emit(&self.word, &mut self.out);
        }
        for part in parts {
            self.tokeniser.emit(part, &mut self.out);
        }
        self.word.clear();
    }
}

/// `user_id` → `user`, `id`; `HTTPServer` → `HTTP`, `Server`; `utf8Text` → `utf8`, `Text`;
/// `URLs` stays whole.
fn parts(word: &[char]) -> Vec<&[char]> {
    let mut parts = Vec::new();
    let mut start = 0;
    for at in 1..word.len() {
        let (before, here) = (word[at - 1], word[at]);
        let lower = |ahead: usize| word.get(at + ahead).is_some_and(|c| c.is_lowercase());
        let border = here == '_'
            || before == '_'
            || here.is_uppercase()
                && (before.is_lowercase()
                    || before.is_numeric() && lower(1)
                    || before.is_uppercase() && lower(1) && lower(2));
        if border {
            parts.push(&word[start..at]);
            start = at;
        }
    }
    parts.push(&word[start..]);
    parts.retain(|part| part[0] != '_');
    parts
}

/// Scripts whose words are not parted by spaces, and Hangul, whose words carry particles.
fn is_unspaced(c: char) -> bool {
    let is_letter = || c.is_alphanumeric() || is_combining_mark(c);
    match c {
        // Thai, Lao, Myanmar, Khmer: the blocks hold digits and punctuation too.
        '\u{0E01}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}' => {
            is_letter() && !c.is_numeric()
        }
        // 々 〆 〇, kana with its phonetic extensions and marks.
        '\u{3005}'..='\u{3007}'
        | '\u{3041}'..='\u{309F}'
        | '\u{30A1}'..='\u{30FF}'
        | '\u{31F0}'..='\u{31FF}' => c != '\u{30FB}' && is_letter(),
        // Hangul letters and syllables; ideographs in all planes.
        '\u{1100}'..='\u{11FF}'
        | '\u{3131}'..='\u{318E}'
        | '\u{A960}'..='\u{A97C}'
        | '\u{AC00}'..='\u{D7FB}'
        | '\u{3400}'..='\u{4DBF}'
        | '\u{4E00}'..='\u{9FFF}'
        | '\u{F900}'..='\u{FAD9}'
        | '\u{20000}'..='\u{3FFFF}' => true,
        _ => false,
    }
}

/// Vowel signs that Arabic and Hebrew readers seldom type, and the stroke that only
/// stretches a word.
fn is_optional_mark(c: char) -> bool {
    match c {
        '\u{0640}' => true,
        '\u{0591}'..='\u{05C7}'
        | '\u{0610}'..='\u{061A}'
        | '\u{064B}'..='\u{065F}'
        | '\u{0670}'
        | '\u{06D6}'..='\u{06ED}' => is_combining_mark(c),
        _ => false,
    }
}

/// Characters that take no room on the page: zero-width, bidirectional control, soft
/// hyphen, variation selectors, tags. They may hide text from a reader.
pub fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
        | '\u{FFA0}' | '\u{FFF9}'..='\u{FFFB}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}')
}

/// The languages of Snowball by their ISO 639-3 codes; `nor` is the macrolanguage of the
/// two Norwegians.
fn algorithm(language: &str) -> Option<Algorithm> {
    Some(match language {
        "ara" => Algorithm::Arabic,
        "dan" => Algorithm::Danish,
        "nld" => Algorithm::Dutch,
        "eng" => Algorithm::English,
        "fin" => Algorithm::Finnish,
        "fra" => Algorithm::French,
        "deu" => Algorithm::German,
        "ell" => Algorithm::Greek,
        "hun" => Algorithm::Hungarian,
        "ita" => Algorithm::Italian,
        "nob" | "nno" | "nor" => Algorithm::Norwegian,
        "por" => Algorithm::Portuguese,
        "ron" => Algorithm::Romanian,
        "rus" => Algorithm::Russian,
        "spa" => Algorithm::Spanish,
        "swe" => Algorithm::Swedish,
        "tam" => Algorithm::Tamil,
        "tur" => Algorithm::Turkish,
        _ => return None,
    })
}

fn is_stop_word(word: &str) -> bool {
    STOP_WORDS.binary_search(&word).is_ok()
}

/// The English list of Qdrant's server-side BM25, without the words that hold an apostrophe:
/// those never survive the cut. Compared before stemming. Sorted.
#[rustfmt::skip]
const STOP_WORDS: [&str; 153] = [
    "a", "about", "above", "after", "again", "against", "ain", "all", "am", "an", "and",
    "any", "are", "aren", "as", "at", "be", "because", "been", "before", "being", "below",
    "between", "both", "but", "by", "can", "couldn", "d", "did", "didn", "do", "does",
    "doesn", "doing", "don", "down", "during", "each", "few", "for", "from", "further",
    "had", "hadn", "has", "hasn", "have", "haven", "having", "he", "her", "here", "hers",
    "herself", "him", "himself", "his", "how", "i", "if", "in", "into", "is", "isn", "it",
    "its", "itself", "just", "ll", "m", "ma", "me", "mightn", "more", "most", "mustn",
    "my", "myself", "needn", "no", "nor", "not", "now", "o", "of", "off", "on", "once",
    "only", "or", "other", "our", "ours", "ourselves", "out", "over", "own", "re", "s",
    "same", "shan", "she", "should", "shouldn", "so", "some", "such", "t", "than", "that",
    "the", "their", "theirs", "them", "themselves", "then", "there", "these", "they",
    "this", "those", "through", "to", "too", "under", "until", "up", "ve", "very", "was",
    "wasn", "we", "were", "weren", "what", "when", "where", "which", "while", "who",
    "whom", "why", "will", "with", "won", "wouldn", "y", "you", "your", "yours",
    "yourself", "yourselves",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(language: &str, text: &str) -> String {
        Tokeniser::new(language).tokens(text).join(" ")
    }

    #[test]
    fn english_is_lower_cased_stopped_and_stemmed() {
        assert_eq!(
            cut("eng", "the quick brown foxes jumped running run"),
            "quick brown fox jump run run"
        );
        assert_eq!(
            cut("eng", "Don't panic: ownership moves, ownership borrows."),
            "panic ownership move ownership borrow"
        );
    }

    #[test]
    fn the_stop_words_are_sorted_and_found() {
        assert!(STOP_WORDS.is_sorted());
        assert!(STOP_WORDS.iter().all(|word| is_stop_word(word)));
        assert!(!is_stop_word("ownership"));
    }

    #[test]
    fn identifiers_are_kept_whole_and_split() {
        assert_eq!(cut("eng", "user_id"), "user_id user id");
        assert_eq!(cut("eng", "__init__"), "init");
        assert_eq!(cut("zho", "HTTPServer"), "httpserver http server");
        assert_eq!(cut("zho", "utf8Text"), "utf8text utf8 text");
        assert_eq!(cut("zho", "URLs of std::mem::swap"), "urls of std mem swap");
        assert_eq!(
            cut("zho", "snake_caseAndCamel"),
            "snake_caseandcamel snake case and camel"
        );
    }

    #[test]
    fn text_without_spaces_becomes_bigrams_in_any_book() {
        assert_eq!(cut("eng", "naïve 北京 C++ 3.14"), "naïv 北京 c 3 14");
        assert_eq!(cut("cmn", "北京大学"), "北京 京大 大学");
        assert_eq!(cut("jpn", "カタカナで書く"), "カタ タカ カナ ナで で書 書く");
        assert_eq!(cut("jpn", "ｶﾞ"), "ガ", "half-width kana is normalised first");
        assert_eq!(cut("kor", "한국어 책"), "한국 국어 책");
        assert_eq!(cut("eng", "用Rust写2本书"), "用 rust 写 2 本书");
        assert_eq!(cut("tha", "ไทย"), "ไท ทย");
    }

    #[test]
    fn marks_stay_with_their_letters() {
        assert_eq!(cut("hin", "स्वामित्व, उधार।"), "स्वामित्व उधार");
        assert_eq!(cut("eng", "cafe\u{301}"), cut("eng", "café"));
        assert_eq!(cut("eng", "\u{301} ❤\u{FE0F}"), "");
    }

    #[test]
    fn what_cannot_be_seen_changes_nothing() {
        assert_eq!(
            cut("eng", "owner\u{200B}ship \u{202E}moves\u{202C}"),
            "ownership move"
        );
        assert_eq!(cut("urd", "کِتاب"), cut("urd", "کتاب"));
    }

    #[test]
    fn other_languages_keep_their_stop_words_and_use_their_stemmer() {
        assert_eq!(cut("deu", "die Bücher"), "die buch");
        assert_eq!(cut("xyz", "books Books"), "books books");
    }

    #[test]
    fn a_word_without_end_is_cut_into_pieces() {
        let tokens = Tokeniser::new("eng").tokens(&"x".repeat(1_000_000));
        assert_eq!(tokens.len(), 1_000_000_usize.div_ceil(LONGEST));
        assert!(tokens.iter().all(|token| token.chars().count() <= LONGEST));
    }

    const LANGUAGES: [&str; 19] = [
        "ara", "dan", "nld", "eng", "fin", "fra", "deu", "ell", "hun", "ita", "nob",
        "por", "ron", "rus", "spa", "swe", "tam", "tur", "hin",
    ];

    proptest! {
        #[test]
        fn any_text_gives_tokens_without_spaces(
            text in "(\\PC|[a-zà-ÿα-ωа-яء-يஅ-ஹäöüß_' ]){0,80}",
            language in proptest::sample::select(&LANGUAGES[..]),
        ) {
            for token in Tokeniser::new(language).tokens(&text) {
                prop_assert!(!token.is_empty());
                prop_assert!(!token.contains(char::is_whitespace));
            }
        }

        #[test]
        fn words_are_cut_alike_alone_and_in_a_sentence(
            words in proptest::collection::vec("[a-zA-Z0-9_北京ไทย]{1,12}", 0..8),
        ) {
            let tokeniser = Tokeniser::new("eng");
            let alone: Vec<_> = words.iter().flat_map(|it| tokeniser.tokens(it)).collect();
            prop_assert_eq!(tokeniser.tokens(&words.join(" ")), alone);
        }
    }
}
