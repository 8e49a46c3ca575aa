//! The measures of a ranking, and what two rankings have to do with each other.

use std::collections::{BTreeMap, HashSet};

/// Resamples of the bootstrap.
const RESAMPLES: usize = 1000;
/// The same intervals at every run.
const SEED: u64 = 7;

/// The measures of one question, or their means.
pub(super) type Measures = BTreeMap<&'static str, f64>;

/// The names of all [`Measures`], best known first.
pub(super) const NAMES: [&str; 5] =
    ["ndcg@10", "recall@5", "recall@10", "mrr@10", "hit@1"];

/// The measures of one ranking.
///
/// `relevant` has the gain of each relevant document; `ranked` is best first, and a document
/// that stands twice counts once, at its first place. nDCG has a linear gain and the
/// discount `1 / log2(rank + 1)`, as `trec_eval`'s `ndcg_cut`; recall@k is the share of
/// relevant documents among the first k; MRR@10 is 1/rank of the first relevant one.
pub(super) fn measure(ranked: &[String], relevant: &BTreeMap<String, f64>) -> Measures {
    let ranked = once(ranked);
    let gain = |name: &&String| relevant.get(*name).copied().unwrap_or(0.0);
    let recall = |k: usize| {
        let found = ranked.iter().take(k).filter(|it| relevant.contains_key(**it));
        found.count() as f64 / relevant.len() as f64
    };
    let dcg = |gains: &mut dyn Iterator<Item = f64>| -> f64 {
        (2_u32..).zip(gains.take(10)).map(|(at, gain)| gain / f64::from(at).log2()).sum()
    };
    let mut ideal: Vec<f64> = relevant.values().copied().collect();
    ideal.sort_by(|a, b| b.total_cmp(a));
    let best = first(&ranked, relevant);
    Measures::from([
        ("ndcg@10", dcg(&mut ranked.iter().map(gain)) / dcg(&mut ideal.into_iter())),
        ("recall@5", recall(5)),
        ("recall@10", recall(10)),
        ("mrr@10", best.filter(|it| *it <= 10).map_or(0.0, |it| 1.0 / it as f64)),
        ("hit@1", f64::from(u8::from(best == Some(1)))),
    ])
}

/// The rank of the first relevant document, from 1.
pub(super) fn best_rank(
    ranked: &[String],
    relevant: &BTreeMap<String, f64>,
) -> Option<usize> {
    first(&once(ranked), relevant)
}

fn first(ranked: &[&String], relevant: &BTreeMap<String, f64>) -> Option<usize> {
    ranked.iter().position(|it| relevant.contains_key(*it)).map(|at| at + 1)
}

fn once(ranked: &[String]) -> Vec<&String> {
    let mut seen = HashSet::new();
    ranked.iter().filter(|it| seen.insert(it.as_str())).collect()
}

/// How much better one run is than another on the same questions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Difference {
    /// The mean difference.
    pub mean: f64,
    /// Where 95 % of the resampled means lie.
    pub interval: (f64, f64),
}

impl Difference {
    /// Whether the interval leaves out zero.
    pub(super) fn is_clear(&self) -> bool {
        self.interval.0 > 0.0 || self.interval.1 < 0.0
    }
}

/// The paired bootstrap: questions are drawn with replacement, each with its difference.
pub(super) fn compare(differences: &[f64]) -> Option<Difference> {
    if differences.is_empty() {
        return None;
    }
    let count = differences.len() as f64;
    let mut dice = Dice(SEED);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let drawn =
                differences.iter().map(|_| differences[dice.below(differences.len())]);
            drawn.sum::<f64>() / count
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |share: usize| means[RESAMPLES * share / 1000];
    Some(Difference {
        mean: differences.iter().sum::<f64>() / count,
        interval: (at(25), at(974)),
    })
}

/// `SplitMix64` (Steele, Lea and Flood 2014): small, and the same on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        ((u128::from(mixed) * sides as u128) >> 64) as usize
    }
}

/// The chance that a random answerable question scores above a random unanswerable one; a
/// tie counts half. `None` unless there are both.
pub(super) fn auroc(answerable: &[f64], unanswerable: &[f64]) -> Option<f64> {
    let pairs = answerable.len() as f64 * unanswerable.len() as f64;
    if pairs == 0.0 {
        return None;
    }
    let mut won = 0.0;
    for yes in answerable {
        for no in unanswerable {
            won += match yes.total_cmp(no) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            };
        }
    }
    Some(won / pairs)
}

/// The value below which `share` of the values lie (nearest rank); `None` without values.
pub(crate) fn percentile<T: Copy + Ord>(values: &[T], share: f64) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (share * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(names: &[&str]) -> Vec<String> {
        names.iter().map(|it| (*it).to_owned()).collect()
    }

    fn relevant(names: &[(&str, f64)]) -> BTreeMap<String, f64> {
        names.iter().map(|(name, gain)| ((*name).to_owned(), *gain)).collect()
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    }

    #[test]
    fn one_relevant_page_at_the_third_place() {
        let found = measure(&ranked(&["x", "y", "a"]), &relevant(&[("a", 1.0)]));
        close(found["ndcg@10"], 0.5); // 1 / log2(4)
        close(found["mrr@10"], 1.0 / 3.0);
        close(found["recall@5"], 1.0);
        close(found["hit@1"], 0.0);
    }

    #[test]
    fn two_of_three_relevant_pages_at_the_first_and_the_sixth_place() {
        let run = ranked(&["a", "1", "2", "3", "4", "b"]);
        let found = measure(&run, &relevant(&[("a", 1.0), ("b", 1.0), ("c", 1.0)]));
        // (1 + 1/log2(7)) / (1 + 1/log2(3) + 1/2)
        close(found["ndcg@10"], 1.356_207_187_108_022_2 / 2.130_929_753_571_457_4);
        close(found["recall@5"], 1.0 / 3.0);
        close(found["recall@10"], 2.0 / 3.0);
        close(found["mrr@10"], 1.0);
        close(found["hit@1"], 1.0);
    }

    #[test]
    fn gains_are_linear() {
        let found =
            measure(&ranked(&["low", "high"]), &relevant(&[("high", 3.0), ("low", 1.0)]));
        // (1 + 3/log2(3)) / (3 + 1/log2(3))
        close(found["ndcg@10"], 2.892_789_260_714_372 / 3.630_929_753_571_457_6);
    }

    #[test]
    fn a_page_that_stands_twice_counts_once_at_its_first_place() {
        let run = ranked(&["x", "x", "x", "a", "a"]);
        let wanted = relevant(&[("a", 1.0)]);
        assert_eq!(best_rank(&run, &wanted), Some(2));
        close(measure(&run, &wanted)["recall@5"], 1.0);
        close(measure(&run, &wanted)["ndcg@10"], 1.0 / 3_f64.log2());
    }

    #[test]
    fn what_is_past_the_tenth_place_or_missing_scores_nothing() {
        let mut run: Vec<String> = (0..10).map(|it| it.to_string()).collect();
        let wanted = relevant(&[("a", 1.0)]);
        assert!(measure(&[], &wanted).values().all(|it| *it == 0.0));
        run.push("a".to_owned());
        assert!(measure(&run, &wanted).values().all(|it| *it == 0.0));
        assert_eq!(best_rank(&run, &wanted), Some(11));
    }

    #[test]
    fn a_bootstrap_tells_a_gain_from_noise_and_is_the_same_every_time() {
        let noise: Vec<f64> = (0..100).map(|it| f64::from(it % 2) - 0.5).collect();
        let difference = compare(&noise).unwrap();
        assert!(!difference.is_clear(), "{difference:?}");
        assert_eq!(compare(&noise), Some(difference));
        let gain: Vec<f64> = noise.iter().map(|it| it + 0.4).collect();
        let difference = compare(&gain).unwrap();
        close(difference.mean, 0.4);
        assert!(difference.is_clear(), "{difference:?}");
        // The standard error of the mean is 0.05, so 95 % lie within about twice that.
        assert!((0.28..0.34).contains(&difference.interval.0), "{difference:?}");
        assert!((0.46..0.52).contains(&difference.interval.1), "{difference:?}");
        assert_eq!(compare(&[]), None);
    }

    #[test]
    fn auroc_counts_the_pairs_in_order() {
        close(auroc(&[3.0, 2.0], &[1.0, 2.0]).unwrap(), 0.875); // 3 won, 1 tie of 4
        assert_eq!(auroc(&[], &[1.0]), None);
    }

    #[test]
    fn a_percentile_is_a_value_that_was_there() {
        let hundred: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(percentile(&hundred, 0.5), Some(50));
        assert_eq!(percentile(&hundred, 0.95), Some(95));
        assert_eq!(percentile(&[7], 0.95), Some(7));
        assert_eq!(percentile::<u64>(&[], 0.5), None);
    }
}
