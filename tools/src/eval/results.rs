//! What an evaluation found, as `results.json` keeps it.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    answers::{Answered, SHARES, Summary},
    metrics::{self, Difference, NAMES},
    search::{Rank, Shown},
};
use crate::Outcome;

/// The form of the file; another one cannot be compared.
const FORMAT: u32 = 1;

/// How well answerable questions are told from others.
const AUROC: &str = "answerability_auroc";

/// Measures of a ranking by name.
pub(super) type Means = BTreeMap<String, f64>;

/// Everything but the times is the same whenever the same book is asked the same questions.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Results {
    /// [`FORMAT`].
    pub format: u32,
    /// The version of the book.
    pub book_version: Option<String>,
    /// The ranking that readers get: its measures are meant when no other is named.
    pub main: String,
    /// Passages that were asked for.
    pub top_k: usize,
    /// Questions in all.
    pub questions: usize,
    /// Questions with something relevant: only these measure a ranking.
    pub judged: usize,
    /// Questions that nobody has looked at since they were drafted.
    pub drafts: usize,
    /// What the labels name and the book does not have.
    pub missing: Vec<String>,
    /// The means, by ranking, then `page` or `passage`, then name.
    pub metrics: BTreeMap<String, BTreeMap<String, Means>>,
    /// How well the first passage's lead tells answerable questions from others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answerability_auroc: Option<f64>,
    /// What the answers are worth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<Summary>,
    /// Each question, in the order of the file.
    pub per_question: Vec<PerQuestion>,
    /// Milliseconds; they differ from run to run.
    pub took: BTreeMap<String, u64>,
}

/// One question in the file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PerQuestion {
    /// Its id.
    pub id: String,
    /// The reader's words.
    pub text: String,
    /// Its labels, as written.
    pub relevant: Vec<String>,
    /// Whether the book answers it, as labelled.
    pub answerable: Option<bool>,
    /// See [`Rank`]; empty when nothing is relevant.
    pub ranks: BTreeMap<String, Rank>,
    /// What the main ranking found first.
    pub found: Vec<Shown>,
    /// How far the first passage stands out.
    pub confidence: f64,
    /// What was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answered>,
}

impl Results {
    /// The number of the form.
    pub(super) const FORMAT: u32 = FORMAT;

    /// Reads a file that an earlier evaluation wrote.
    pub(super) fn read(file: &Path) -> Outcome<Self> {
        let name = file.display();
        let text = fs::read_to_string(file).map_err(|err| format!("{name}: {err}"))?;
        let results: Self = serde_json::from_str(&text).map_err(|err| {
            format!("{name}: these are no results of `lectern eval`: {err}")
        })?;
        if results.format != FORMAT {
            return Err(
                format!("{name}: written by another version: run it again").into()
            );
        }
        Ok(results)
    }

    /// The means of each ranking.
    pub(super) fn means(
        all: &[PerQuestion],
    ) -> BTreeMap<String, BTreeMap<String, Means>> {
        let mut means = BTreeMap::<String, BTreeMap<String, Means>>::new();
        let names: Vec<String> = all
            .iter()
            .find(|it| !it.ranks.is_empty())
            .map_or(Vec::new(), |it| it.ranks.keys().cloned().collect());
        for ranking in names {
            let ranks = || all.iter().filter_map(|it| it.ranks.get(&ranking));
            let levels = BTreeMap::from([
                ("page".to_owned(), mean(ranks().map(|it| &it.pages))),
                ("passage".to_owned(), mean(ranks().map(|it| &it.passages))),
            ]);
            means.insert(ranking, levels);
        }
        means
    }

    /// A number by its name: `ndcg@10` (the main ranking's pages), `passage:ndcg@10`,
    /// `lexical:recall@5`, `dense:passage:mrr@10`, `citation_precision`, …
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        if name == AUROC {
            return self.answerability_auroc;
        }
        let share = self.answers.as_ref().and_then(|it| it.shares.get(name));
        if let Some(share) = share {
            return Some(*share);
        }
        let (ranking, level, measure) = parts(name, &self.main)?;
        self.metrics.get(ranking)?.get(level)?.get(measure).copied()
    }

    /// Every name that [`Self::number`] knows here.
    pub(super) fn names(&self) -> Vec<String> {
        let legs = self.metrics.keys().filter(|it| **it != self.main);
        let mut names = names(legs.map(String::as_str));
        names.extend(self.answerability_auroc.map(|_| AUROC.to_owned()));
        names.extend(self.answers.iter().flat_map(|it| it.shares.keys().cloned()));
        names
    }

    /// How each measure of the main ranking differs from an earlier run, over the questions
    /// that both have; how many these are.
    pub(super) fn compare(
        &self,
        before: &Self,
    ) -> (usize, Vec<(&'static str, Difference)>) {
        let old: BTreeMap<&str, &Rank> = before
            .per_question
            .iter()
            .filter_map(|it| Some((it.id.as_str(), it.ranks.get(&before.main)?)))
            .collect();
        let pairs: Vec<(&Rank, &Rank)> = self
            .per_question
            .iter()
            .filter_map(|it| Some((it.ranks.get(&self.main)?, *old.get(it.id.as_str())?)))
            .collect();
        let difference = |name: &'static str| {
            let of = |rank: &Rank| rank.pages.get(name).copied().unwrap_or(0.0);
            let differences: Vec<f64> =
                pairs.iter().map(|(new, old)| of(new) - of(old)).collect();
            Some((name, metrics::compare(&differences)?))
        };
        let compared = ["ndcg@10", "recall@5", "mrr@10"];
        (pairs.len(), compared.into_iter().filter_map(difference).collect())
    }
}

/// Whether `name` can be a number of these rankings, the main one first, and of answers if
/// they are asked for. Fails with the names that can.
pub(super) fn check(name: &str, rankings: &[&str], has_answers: bool) -> Outcome {
    let shares = if has_answers { &SHARES[..] } else { &[] };
    let main = rankings.first().copied().unwrap_or_default();
    let is_measure = parts(name, main).is_some_and(|(ranking, _, measure)| {
        rankings.contains(&ranking) && NAMES.contains(&measure)
    });
    if is_measure || name == AUROC || shares.contains(&name) {
        return Ok(());
    }
    let mut names = names(rankings.iter().skip(1).copied());
    names.extend([AUROC].iter().chain(shares).map(|it| (*it).to_owned()));
    Err(format!("there is no \"{name}\" here; there are {}", names.join(", ")).into())
}

/// The ranking, the level and the measure that a name means.
fn parts<'a>(name: &'a str, main: &'a str) -> Option<(&'a str, &'a str, &'a str)> {
    let mut parts: Vec<&str> = name.split(':').collect();
    let measure = parts.pop()?;
    let level = parts.pop_if(|it| matches!(*it, "page" | "passage")).unwrap_or("page");
    let ranking = parts.pop().unwrap_or(main);
    parts.is_empty().then_some((ranking, level, measure))
}

/// The names of the measures: of the main ranking, and of its legs.
fn names<'a>(legs: impl Iterator<Item = &'a str>) -> Vec<String> {
    let prefixes = ["", "passage:"].map(str::to_owned).into_iter();
    let prefixes = prefixes.chain(legs.map(|it| format!("{it}:")));
    prefixes.flat_map(|it| NAMES.map(|name| format!("{it}{name}"))).collect()
}

fn mean<'a>(all: impl Iterator<Item = &'a Means>) -> Means {
    let mut means = Means::new();
    let mut count = 0_u32;
    for one in all {
        count += 1;
        for (name, value) in one {
            *means.entry(name.clone()).or_default() += value;
        }
    }
    for value in means.values_mut() {
        *value /= f64::from(count);
    }
    means
}
