//! BM25 as sparse vectors: weights of documents and of questions, in Qdrant's wire format.

use std::collections::{BTreeMap, HashSet};

use super::tokens::Tokeniser;

/// How soon a repeated word stops counting.
const K1: f64 = 1.2;
/// How much a long passage is held against its words.
const B: f64 = 0.75;
/// The last turn of a conversation counts twice as much as the turn before it.
const LAST_TURN: f32 = 2.0;
/// The turn before the last.
const PREVIOUS_TURN: f32 = 1.0;

/// The dimension of a token: the magnitude of its murmur3 hash read as a signed number, as
/// Qdrant's own `qdrant/bm25` has it.
pub fn dimension(token: &str) -> u32 {
    murmur3(token.as_bytes()).cast_signed().unsigned_abs()
}

/// The weights of a passage, by ascending dimension:
/// `tf·(k1 + 1) / (tf + k1·(1 − b + b·len/mean_len))` with `len` tokens in the passage.
/// `mean_len` must be the true mean of the book: a guess costs more rank than any other
/// constant here. The inverse document frequency is applied when the index is asked.
pub fn document(tokens: &[String], mean_len: f32) -> Vec<(u32, f32)> {
    let mut counts = BTreeMap::<u32, u32>::new();
    for token in tokens {
        *counts.entry(dimension(token)).or_default() += 1;
    }
    // An empty book has no mean; its passages have no tokens either.
    let mean_len = if mean_len > 0.0 { f64::from(mean_len) } else { 1.0 };
    let length = K1 * (1.0 - B + B * tokens.len() as f64 / mean_len);
    counts
        .into_iter()
        .map(|(dimension, count)| {
            let tf = f64::from(count);
            (dimension, (tf * (K1 + 1.0) / (tf + length)) as f32)
        })
        .collect()
}

/// The weights of a question, by ascending dimension. Each distinct token of a turn counts
/// once: 1.0 for a question alone; in a conversation 2.0 for the last turn, plus 1.0 for the
/// previous question.
pub fn query(
    tokeniser: &Tokeniser,
    text: &str,
    history: Option<&str>,
) -> Vec<(u32, f32)> {
    let mut weights = BTreeMap::<u32, f32>::new();
    let mut add = |turn: &str, weight: f32| {
        let tokens = tokeniser.tokens(turn);
        let distinct: HashSet<u32> = tokens.iter().map(|it| dimension(it)).collect();
        for dimension in distinct {
            *weights.entry(dimension).or_default() += weight;
        }
    };
    match history {
        None => add(text, 1.0),
        Some(previous) => {
            add(text, LAST_TURN);
            add(previous, PREVIOUS_TURN);
        }
    }
    weights.into_iter().collect()
}

/// `murmur3_x86_32` with seed 0.
fn murmur3(bytes: &[u8]) -> u32 {
    const C1: u32 = 0xcc9e_2d51;
    const C2: u32 = 0x1b87_3593;
    let scramble = |block: u32| block.wrapping_mul(C1).rotate_left(15).wrapping_mul(C2);
    let mut hash = 0_u32;
    let (blocks, tail) = bytes.as_chunks::<4>();
    for block in blocks {
        hash = (hash ^ scramble(u32::from_le_bytes(*block))).rotate_left(13);
        hash = hash.wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let mut last = [0; 4];
    last[..tail.len()].copy_from_slice(tail);
    hash ^= scramble(u32::from_le_bytes(last));
    hash ^= bytes.len() as u32;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Qdrant's default, with which its published vectors were made.
    const MEAN_LEN: f32 = 256.0;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn assert_weights(actual: &[(u32, f32)], expected: &[(u32, f32)]) {
        let mut expected = expected.to_vec();
        expected.sort_by_key(|it| it.0);
        assert_eq!(actual, expected);
    }

    #[test]
    fn the_worked_vectors_of_the_wire_format_come_out_to_the_bit() {
        let english = Tokeniser::new("eng");
        let tokens = english.tokens("the quick brown foxes jumped running run");
        assert_weights(
            &document(&tokens, MEAN_LEN),
            &[
                (771_291_085, 1.665_286_8),
                (741_580_288, 1.665_286_8),
                (1_621_867_415, 1.665_286_8),
                (1_913_189_942, 1.665_286_8),
                (243_905_464, 1.895_658),
            ],
        );
        let tokens = english.tokens("Don't panic: ownership moves, ownership borrows.");
        assert_weights(
            &document(&tokens, MEAN_LEN),
            &[
                (1_317_337_968, 1.669_730_2),
                (1_924_722_870, 1.898_533_6),
                (837_348_331, 1.669_730_2),
                (36_234_414, 1.669_730_2),
            ],
        );
        // Our tokeniser keeps `user_id` as well; the wire format knows the parts only.
        assert_weights(
            &document(&words("naïv 北京 c 3 14 user id"), MEAN_LEN),
            &[
                (756_638_508, 1.660_867),
                (666_955_079, 1.660_867),
                (516_762_017, 1.660_867),
                (264_741_300, 1.660_867),
                (1_749_031_367, 1.660_867),
                (1_785_447_155, 1.660_867),
                (1_737_061_407, 1.660_867),
            ],
        );
    }

    #[test]
    fn a_question_alone_weighs_each_distinct_token_once() {
        let english = Tokeniser::new("eng");
        let alone = query(&english, "ownership and ownership moves", None);
        assert_weights(&alone, &[(1_924_722_870, 1.0), (837_348_331, 1.0)]);
        assert!(query(&english, "the of and", None).is_empty());
    }

    #[test]
    fn the_last_turn_of_a_conversation_weighs_twice_the_previous_one() {
        let english = Tokeniser::new("eng");
        let weights = query(&english, "what about moves?", Some("ownership moves"));
        assert_weights(&weights, &[(1_924_722_870, 1.0), (837_348_331, 3.0)]);
    }

    /// The formula read off the page, token by token, with nothing shared but the hash.
    fn naive(tokens: &[String], mean_len: f64) -> Vec<(u32, f32)> {
        let mut weights = Vec::new();
        for token in tokens {
            let tf = tokens.iter().filter(|it| *it == token).count() as f64;
            let norm = 1.0 - 0.75 + 0.75 * tokens.len() as f64 / mean_len;
            let weight = (tf * (1.2 + 1.0) / (tf + 1.2 * norm)) as f32;
            weights.push((dimension(token), weight));
        }
        weights.sort_by_key(|it| it.0);
        weights.dedup();
        weights
    }

    proptest! {
        #[test]
        fn weights_agree_with_a_naive_count(
            tokens in proptest::collection::vec("[a-e]{1,2}", 0..60),
            mean_len in 1.0_f32..300.0,
        ) {
            let expected = naive(&tokens, f64::from(mean_len));
            prop_assert_eq!(document(&tokens, mean_len), expected);
        }
    }
}
