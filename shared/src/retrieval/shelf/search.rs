//! The two legs on a shelf, both exact: every passage is compared.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use uuid::Uuid;

use super::{Shelf, coarse::Probe, format};
use crate::retrieval::{Filter, Leg, passage::has_prefix};

/// Running sums of a dot product. They make the order of additions fixed (so that a score is
/// the same on every machine) and independent (so that the processor adds them side by side).
const LANES: usize = 16;

impl Shelf {
    /// The passages nearest to `question` by the cosine, added in f64 and then rounded, so that
    /// it is the same however it was added; best first, ties by id. Empty when the dimension is not the book's. Exact: the small
    /// copy of the vectors only tells which passages need no comparison.
    pub fn dense(&self, question: &[f32], filter: &Filter, limit: usize) -> Leg {
        if question.is_empty() || question.len() != self.header.dimension as usize {
            return Leg::new();
        }
        let centres: &[f32] = self.section(&self.sections.centres);
        let scales: &[f32] = self.section(&self.sections.scales);
        let residues: &[f32] = self.section(&self.sections.residues);
        let coarse: &[i8] = self.section(&self.sections.coarse);
        let probe = Probe::new(question, centres, scales, self.sections.longest);
        // How high each passage may score, and how high at least `limit` of them do.
        let mut highest = Vec::with_capacity(self.len());
        let mut lowest = Best::new(limit);
        let rows = coarse.chunks_exact(question.len()).zip(residues);
        for (number, (row, residue)) in (0_u32..).zip(rows) {
            let (low, high) = probe.interval(row, *residue);
            let low = low as f32;
            if lowest.wants(low, number) && self.admits(filter, number) {
                lowest.put(low, number);
            }
            highest.push(high);
        }
        let floor = lowest.floor();
        let rows = self.dense_rows().chunks_exact(question.len());
        let length = dot(question, question);
        let mut best = Best::new(limit);
        for ((number, row), high) in (0_u32..).zip(rows).zip(highest) {
            if high >= floor && self.admits(filter, number) {
                let score = cosine(dot(question, row), length, dot(row, row));
                if best.wants(score, number) {
                    best.put(score, number);
                }
            }
        }
        self.leg(best)
    }

    /// The passages that share tokens with the question, by the sum of
    /// `question weight · idf · passage weight` with
    /// `idf = ln(1 + (N − df + 0.5) / (df + 0.5))` over all N passages, whatever the filter;
    /// best first, ties by id. The terms are added in f32 by ascending dimension, as Qdrant
    /// adds them.
    pub fn lexical(&self, question: &[(u32, f32)], filter: &Filter, limit: usize) -> Leg {
        let mut scores = vec![0.0_f32; self.len()];
        for (dimension, weight) in question {
            let Some((documents, weights)) = self.postings(*dimension) else { continue };
            let (n, df) = (self.len() as f32, documents.len() as f32);
            let weight = weight * (1.0 + (n - df + 0.5) / (df + 0.5)).ln();
            for (number, there) in documents.iter().zip(weights) {
                if let Some(score) = scores.get_mut(*number as usize) {
                    *score += weight * there;
                }
            }
        }
        let mut best = Best::new(limit);
        for (number, score) in (0_u32..).zip(scores) {
            let found = score > 0.0 && best.wants(score, number);
            if found && self.admits(filter, number) {
                best.put(score, number);
            }
        }
        self.leg(best)
    }

    /// Which passages hold a token, and with which weights.
    fn postings(&self, dimension: u32) -> Option<(&[u32], &[f32])> {
        let dimensions: &[u32] = self.section(&self.sections.dimensions);
        let at = dimensions.binary_search(&dimension).ok()?;
        let starts: &[u32] = self.section(&self.sections.starts);
        let range = *starts.get(at)? as usize..*starts.get(at + 1)? as usize;
        let documents: &[u32] = self.section(&self.sections.documents);
        let weights: &[f32] = self.section(&self.sections.weights);
        Some((documents.get(range.clone())?, weights.get(range)?))
    }

    fn admits(&self, filter: &Filter, number: u32) -> bool {
        // An empty prefix is the whole book.
        let prefix = filter.path_prefix.as_deref().filter(|it| !it.is_empty());
        if prefix.is_none() && filter.source.is_none() {
            return true;
        }
        let record = self.record(number as usize);
        let Some((path, source)) = record.and_then(format::decode_place) else {
            return false;
        };
        prefix.is_none_or(|prefix| has_prefix(path, prefix))
            && filter.source.as_deref().is_none_or(|wanted| source == wanted)
    }

    fn leg(&self, best: Best) -> Leg {
        let ids = self.ids();
        let ranked = best.heap.into_sorted_vec();
        ranked
            .into_iter()
            .map(|Reverse(it)| (Uuid::from_bytes(ids[it.number as usize]), it.score))
            .collect()
    }
}

/// The cosine of two vectors with these squared lengths, which normalising has made 1 but for
/// its rounding; 0 for a vector without a direction.
fn cosine(dot: f64, one: f64, other: f64) -> f32 {
    let lengths = (one * other).sqrt();
    if lengths > 0.0 { (dot / lengths) as f32 } else { 0.0 }
}

/// The dot product in [`LANES`] running sums, which are added pairwise at the end.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0_f64; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += f64::from(a[lane]) * f64::from(b[lane]);
        }
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
    }
    let rest = a_rest.iter().zip(b_rest);
    rest.fold(sums[0], |sum, (a, b)| sum + f64::from(*a) * f64::from(*b))
}

/// A score and the number of its passage; greater is better. Numbers follow the order of
/// ids, so the smaller number wins a tie.
#[derive(PartialEq)]
struct Scored {
    score: f32,
    number: u32,
}

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.number.cmp(&self.number))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Scored {}

/// The best few so far, the worst of them on top of the heap.
struct Best {
    limit: usize,
    heap: BinaryHeap<Reverse<Scored>>,
}

impl Best {
    fn new(limit: usize) -> Self {
        Self { limit, heap: BinaryHeap::with_capacity(limit.min(1024) + 1) }
    }

    /// Whether a score would get a place: asked before the dearer filter.
    fn wants(&self, score: f32, number: u32) -> bool {
        let full = self.heap.len() >= self.limit;
        !full || self.heap.peek().is_some_and(|worst| Scored { score, number } > worst.0)
    }

    /// At least `limit` scores are not below this, which allows for their rounding to f32.
    fn floor(&self) -> f64 {
        let full = self.heap.len() >= self.limit;
        let worst = self.heap.peek().filter(|_| full).map(|it| f64::from(it.0.score));
        worst.map_or(f64::NEG_INFINITY, |it| it - it.abs() * 1e-6)
    }

    fn put(&mut self, score: f32, number: u32) {
        self.heap.push(Reverse(Scored { score, number }));
        if self.heap.len() > self.limit {
            self.heap.pop();
        }
    }
}
