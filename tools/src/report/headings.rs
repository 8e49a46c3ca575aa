//! Grouping by heading: what the book did not answer well, and what readers thought.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    gaps::{Gap, Kind},
    log::{Feedback, Row},
    tally::{Asked, Shown, most_asked},
};

/// Questions that the book did not answer well and that point to the same place in it.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Cluster {
    /// The breadcrumb of the nearest passage; `None` when nothing in the book is near.
    pub heading: Option<String>,
    /// How many, of all kinds.
    pub questions: usize,
    /// Of them those that are still open for whoever asked: refused, unsupported or disliked.
    pub unresolved: usize,
    /// Refused.
    pub refused: usize,
    /// Answered without a source that held.
    pub unsupported: usize,
    /// Answered, and the reader found the answer no good.
    pub disliked: usize,
    /// Answered from passages that hardly bear on them.
    pub low_score: usize,
    /// The words of those that were asked often enough to be shown, most asked first.
    pub examples: Vec<Asked>,
}

/// What readers thought of the answers that point to one place in the book.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Opinion {
    /// The breadcrumb of the nearest passage; `None` when nothing in the book is near.
    pub heading: Option<String>,
    /// Answers that were found good.
    pub positive: usize,
    /// Answers that were found no good.
    pub negative: usize,
    /// Why, in the readers' words: the negative ones first, each reason once.
    pub reasons: Vec<Reason>,
}

/// Why a reader liked or disliked an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Reason {
    /// `positive` or `negative`.
    pub kind: String,
    /// The words, in one line.
    pub words: String,
}

/// The gaps by heading, the largest first.
pub(super) fn clusters(rows: &[Row], gaps: &[Gap], shown: Shown) -> Vec<Cluster> {
    let is_gap = |it: &&Gap| it.kind.is_some() || rows[it.row].is_disliked();
    let cluster = |(heading, gaps): (Option<&str>, Vec<&Gap>)| {
        let of = |kind| gaps.iter().filter(|it| it.kind == Some(kind)).count();
        let many =
            |of: fn(&Row) -> bool| gaps.iter().filter(|it| of(&rows[it.row])).count();
        Cluster {
            heading: heading.map(str::to_owned),
            questions: gaps.len(),
            unresolved: many(Row::is_unresolved),
            refused: of(Kind::Refused),
            unsupported: of(Kind::Unsupported),
            disliked: many(Row::is_disliked),
            low_score: of(Kind::LowScore),
            examples: most_asked(gaps.iter().map(|it| &rows[it.row]), shown).0,
        }
    };
    let mut clusters: Vec<Cluster> =
        by_heading(gaps.iter().filter(is_gap)).into_iter().map(cluster).collect();
    clusters.sort_by(|a, b| {
        b.questions.cmp(&a.questions).then_with(|| a.heading.cmp(&b.heading))
    });
    clusters
}

/// Feedback by heading, the most disliked first.
pub(super) fn opinions(rows: &[Row], gaps: &[Gap]) -> Vec<Opinion> {
    let judged = gaps.iter().filter(|it| rows[it.row].feedback.is_some());
    let opinion = |(heading, gaps): (Option<&str>, Vec<&Gap>)| {
        let feedback: Vec<&Feedback> =
            gaps.iter().filter_map(|it| rows[it.row].feedback.as_ref()).collect();
        let many = |kind: &str| feedback.iter().filter(|it| it.kind == kind).count();
        let mut reasons: Vec<Reason> =
            feedback.iter().filter_map(|it| reason(it)).collect();
        reasons.sort();
        reasons.dedup();
        Opinion {
            heading: heading.map(str::to_owned),
            positive: many("positive"),
            negative: many("negative"),
            reasons,
        }
    };
    let mut opinions: Vec<Opinion> =
        by_heading(judged).into_iter().map(opinion).collect();
    let rank = |it: &Opinion| std::cmp::Reverse((it.negative, it.positive));
    opinions
        .sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.heading.cmp(&b.heading)));
    opinions
}

fn by_heading<'a>(
    gaps: impl Iterator<Item = &'a Gap>,
) -> BTreeMap<Option<&'a str>, Vec<&'a Gap>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for gap in gaps {
        groups.entry(gap.heading.as_deref()).or_default().push(gap);
    }
    groups
}

/// The reader's words in one line, without what could steer a terminal.
fn reason(feedback: &Feedback) -> Option<Reason> {
    let plain = feedback.reason.as_ref()?.replace(|c: char| c.is_control(), " ");
    let words = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    let kind = feedback.kind.clone();
    (!words.is_empty()).then_some(Reason { kind, words })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(kind: &str, reason: &str) -> Row {
        let reason = Some(reason.to_owned());
        Row { feedback: Some(Feedback { kind: kind.into(), reason }), ..Row::default() }
    }

    fn gap(row: usize, kind: Option<Kind>, heading: &str) -> Gap {
        Gap { row, kind, heading: Some(heading.to_owned()) }
    }

    #[test]
    fn a_question_that_is_open_for_two_reasons_is_open_once() {
        let refused = |mut row: Row| {
            row.metadata = serde_json::json!({ "refused": true });
            row
        };
        let rows = [
            refused(judged("negative", "x")),
            judged("negative", "y"),
            judged("positive", ""),
        ];
        let gaps =
            [gap(0, Some(Kind::Refused), "A"), gap(1, None, "A"), gap(2, None, "A")];
        let clusters = clusters(&rows, &gaps, Shown { min_count: 1, top: 9 });
        let [it] = &clusters[..] else { panic!("{clusters:?}") };
        assert_eq!((it.questions, it.unresolved, it.refused, it.disliked), (2, 2, 1, 2));
    }

    #[test]
    fn reasons_are_told_once_in_one_line_and_steer_no_terminal() {
        let rows = [
            judged("positive", "clear"),
            judged("negative", "too\n short\u{1b}[2J"),
            judged("negative", "too short [2J"),
            judged("negative", "  "),
        ];
        let gaps: Vec<Gap> = (0..4).map(|row| gap(row, None, "A")).collect();
        let opinions = opinions(&rows, &gaps);
        assert_eq!((opinions[0].positive, opinions[0].negative), (1, 3));
        let reasons: Vec<_> = opinions[0]
            .reasons
            .iter()
            .map(|it| (it.kind.as_str(), it.words.as_str()))
            .collect();
        assert_eq!(reasons, [("negative", "too short [2J"), ("positive", "clear")]);
    }
}
