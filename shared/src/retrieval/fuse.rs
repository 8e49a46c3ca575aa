//! One ranking out of two legs: reciprocal rank fusion, the same for every index.

use std::{cmp::Ordering, collections::HashMap};

use uuid::Uuid;

use super::Leg;
use crate::{Error, Result, config::Env};

/// How the legs are weighed: `score = Σ weight / (k + rank)`, rank from 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fusion {
    /// How little the first places stand out. 60 is the constant of the paper (Cormack,
    /// Clarke and Büttcher 2009); Qdrant, which counts ranks from 0, calls the same 61.
    pub k: f64,
    /// The weight of the dense leg.
    pub dense: f64,
    /// The weight of the lexical leg.
    pub lexical: f64,
}

impl Default for Fusion {
    fn default() -> Self {
        Self { k: 60.0, dense: 1.0, lexical: 1.0 }
    }
}

impl Fusion {
    /// Reads `FUSION_K`, `FUSION_DENSE_WEIGHT` and `FUSION_LEXICAL_WEIGHT`. A number that is
    /// negative or not finite is `Misconfigured`.
    pub fn from_env(env: &Env) -> Result<Self> {
        let read = |name: &'static str, default: f64| {
            let value: f64 = env.parse(name, default)?;
            let usable = value.is_finite() && value >= 0.0;
            usable.then_some(value).ok_or(Error::Misconfigured(name))
        };
        let plain = Self::default();
        Ok(Self {
            k: read("FUSION_K", plain.k)?,
            dense: read("FUSION_DENSE_WEIGHT", plain.dense)?,
            lexical: read("FUSION_LEXICAL_WEIGHT", plain.lexical)?,
        })
    }
}

/// Everything that either leg found, best first, equal scores by ascending id. An empty leg
/// adds nothing, so one leg alone is ranked by the same formula. The order inside the legs
/// is made here: an index may return equal scores in any order.
pub fn rank(dense: &Leg, lexical: &Leg, fusion: &Fusion) -> Vec<(Uuid, f64)> {
    let mut scores = HashMap::<Uuid, f64>::with_capacity(dense.len() + lexical.len());
    for (leg, weight) in [(dense, fusion.dense), (lexical, fusion.lexical)] {
        let leg = settle(leg.clone(), usize::MAX);
        for (place, (id, _)) in leg.iter().enumerate() {
            *scores.entry(*id).or_default() += weight / (fusion.k + (place + 1) as f64);
        }
    }
    let mut ranked: Vec<_> = scores.into_iter().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    ranked
}

/// What two implementations may make of the same score: sums of 1,536 products in `f32` differ
/// by about a millionth, relative to the score.
const NOISE: f32 = 2e-6;

/// How many more than wanted an index is asked for, so that equals at the cut are settled.
pub const SLACK: usize = 16;

/// The first `limit` of a leg, best first. Scores that only rounding tells apart count as
/// equal and are ordered by id: otherwise the same book would be ranked differently in Qdrant
/// and on the shelf.
pub fn settle(mut leg: Leg, limit: usize) -> Leg {
    leg.sort_by(best_first);
    for equals in
        leg.chunk_by_mut(|a, b| a.1 - b.1 <= NOISE * a.1.abs().max(f32::MIN_POSITIVE))
    {
        equals.sort_by_key(|it| it.0);
    }
    leg.truncate(limit);
    leg
}

/// By descending score, then by ascending id: the order of every leg.
pub(crate) fn best_first(a: &(Uuid, f32), b: &(Uuid, f32)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::float_cmp,
        reason = "equal sums in equal order are equal to the bit"
    )]

    use proptest::prelude::*;

    use super::*;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    #[test]
    fn a_passage_that_both_legs_found_comes_first() {
        let dense = vec![(id(1), 0.9), (id(2), 0.8)];
        let lexical = vec![(id(3), 12.0), (id(2), 7.0)];
        let ranked = rank(&dense, &lexical, &Fusion::default());
        assert_eq!(
            ranked,
            [(id(2), 1.0 / 62.0 + 1.0 / 62.0), (id(1), 1.0 / 61.0), (id(3), 1.0 / 61.0),]
        );
    }

    #[test]
    fn one_leg_alone_keeps_its_order_and_gets_the_same_formula() {
        let lexical = vec![(id(9), 3.0), (id(4), 2.0), (id(7), 1.0)];
        let ranked = rank(&Leg::new(), &lexical, &Fusion::default());
        assert_eq!(
            ranked,
            [(id(9), 1.0 / 61.0), (id(4), 1.0 / 62.0), (id(7), 1.0 / 63.0)]
        );
    }

    #[test]
    fn what_only_rounding_tells_apart_is_ordered_by_id() {
        let leg = vec![(id(9), 0.500_000_1), (id(4), 0.5), (id(7), 0.499), (id(1), 0.9)];
        let ids: Vec<_> = settle(leg, 3).into_iter().map(|it| it.0).collect();
        assert_eq!(ids, [id(1), id(4), id(9)]);
    }

    #[test]
    fn weights_lift_a_leg() {
        let fusion = Fusion { lexical: 3.0, ..Fusion::default() };
        let ranked = rank(&vec![(id(1), 0.9)], &vec![(id(2), 1.0)], &fusion);
        assert_eq!(ranked[0], (id(2), 3.0 / 61.0));
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let env = Env::from([("FUSION_K", "-1")]);
        assert!(matches!(Fusion::from_env(&env), Err(Error::Misconfigured("FUSION_K"))));
        let env = Env::from([("FUSION_DENSE_WEIGHT", "NaN")]);
        assert!(Fusion::from_env(&env).is_err());
        assert_eq!(Fusion::from_env(&Env::default()).unwrap(), Fusion::default());
    }

    /// Few scores for many passages, so that there are ties; each passage once.
    fn leg() -> impl Strategy<Value = Leg> {
        let scored = (0..30_u128, 0..4_u8);
        proptest::collection::vec(scored, 0..20).prop_map(|pairs| {
            let distinct: HashMap<_, _> = pairs.into_iter().collect();
            distinct.into_iter().map(|(n, s)| (id(n), f32::from(s))).collect()
        })
    }

    proptest! {
        #[test]
        fn the_order_in_which_equals_arrive_does_not_matter(
            (dense, shuffled) in leg().prop_flat_map(|it| (Just(it.clone()), Just(it).prop_shuffle())),
            lexical in leg(),
        ) {
            let fusion = Fusion::default();
            let ranked = rank(&dense, &lexical, &fusion);
            prop_assert_eq!(&ranked, &rank(&shuffled, &lexical, &fusion));
            let sorted = |a: &(Uuid, f64), b: &(Uuid, f64)| a.1 > b.1 || a.1 == b.1 && a.0 < b.0;
            prop_assert!(ranked.is_sorted_by(sorted));
        }

        #[test]
        fn scores_agree_with_the_formula_written_out(dense in leg(), lexical in leg()) {
            let place = |leg: &Leg, id: Uuid| {
                let score = leg.iter().find(|it| it.0 == id)?.1;
                let ahead = |it: &&(Uuid, f32)| it.1 > score || it.1 == score && it.0 < id;
                Some(1.0 / (61.0 + leg.iter().filter(ahead).count() as f64))
            };
            for (id, score) in rank(&dense, &lexical, &Fusion::default()) {
                let expected = place(&dense, id).unwrap_or(0.0) + place(&lexical, id).unwrap_or(0.0);
                prop_assert_eq!(score, expected);
            }
        }
    }
}
