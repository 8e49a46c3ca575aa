//! A small copy of the vectors, which says where it is not worth looking.
//!
//! Reading all vectors is what a dense search costs: memory is slower than the processor.
//! The copy holds each number in one byte, as a step on the scale of its dimension. From it
//! follows an interval in which the exact score must lie; only passages whose interval
//! reaches up to the best are compared exactly. So the result is that of comparing all.

/// Steps on either side of the middle of a dimension's range.
const STEPS: f64 = 127.0;

/// The copy, as it is written.
#[derive(Default)]
pub(super) struct Coarse {
    /// The middle of each dimension.
    pub(super) centres: Vec<f32>,
    /// The width of a step in each dimension.
    pub(super) scales: Vec<f32>,
    /// For each passage, how far its steps are from its numbers: the Euclidean length of
    /// the differences, counted in steps, rounded up.
    pub(super) residues: Vec<f32>,
    /// One byte for each number.
    pub(super) rows: Vec<i8>,
    /// The length of the longest vector, rounded up.
    pub(super) longest: f32,
}

impl Coarse {
    pub(super) fn new<'a>(
        rows: impl Iterator<Item = &'a [f32]> + Clone,
        dimension: usize,
    ) -> Self {
        let mut ranges = vec![(f32::INFINITY, f32::NEG_INFINITY); dimension];
        for row in rows.clone() {
            for ((low, high), number) in ranges.iter_mut().zip(row) {
                (*low, *high) = (low.min(*number), high.max(*number));
            }
        }
        let mut coarse = Self::default();
        for (low, high) in ranges {
            let (low, high) = (f64::from(low), f64::from(high));
            let step = ((high - low) / (2.0 * STEPS)) as f32;
            coarse.centres.push(f64::midpoint(low, high) as f32);
            coarse.scales.push(if high > low {
                step.max(f32::MIN_POSITIVE)
            } else {
                0.0
            });
        }
        for row in rows {
            coarse.push(row);
        }
        coarse
    }

    fn push(&mut self, row: &[f32]) {
        let (mut residue, mut length) = (0.0, 0.0);
        for ((number, centre), scale) in row.iter().zip(&self.centres).zip(&self.scales) {
            let number = f64::from(*number);
            let steps = match f64::from(*scale) {
                0.0 => 0.0,
                scale => (number - f64::from(*centre)) / scale,
            };
            let byte = steps.round().clamp(-STEPS, STEPS);
            residue += (steps - byte) * (steps - byte);
            length += number * number;
            self.rows.push(byte as i8);
        }
        self.residues.push(above(residue.sqrt()));
        self.longest = self.longest.max(above(length.sqrt()));
    }
}

/// A little more than `value`, so that rounding to f32 never makes a bound too small.
fn above(value: f64) -> f32 {
    (value * (1.0 + 1e-6)) as f32
}

/// A question on the scales of the copy.
pub(super) struct Probe {
    /// The question times the scales, in whole steps of `unit`.
    steps: Vec<i16>,
    unit: f64,
    /// What the centres contribute to every score.
    base: f64,
    /// The length of the question times the scales: what one step of residue may be worth.
    reach: f64,
    /// What rounding may be worth: of the question to `steps`, and of the exact score.
    slack: f64,
}

impl Probe {
    pub(super) fn new(
        question: &[f32],
        centres: &[f32],
        scales: &[f32],
        longest: f32,
    ) -> Self {
        let dimension = question.len() as f64;
        let times = |other: &[f32]| -> Vec<f64> {
            let pairs = question.iter().zip(other);
            pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).collect()
        };
        let weighted = times(scales);
        // A sum of `dimension` products stays below 2^31.
        let most = (f64::from(i32::MAX) / (STEPS * dimension)).floor().min(32_767.0);
        let largest = weighted.iter().fold(0.0, |max: f64, it| max.max(it.abs()));
        let unit = if largest > 0.0 { largest / most } else { 1.0 };
        let steps: Vec<i16> =
            weighted.iter().map(|it| (it / unit).round() as i16).collect();
        let lost: f64 = weighted
            .iter()
            .zip(&steps)
            .map(|(a, b)| (a - unit * f64::from(*b)).abs())
            .sum();
        let length =
            |numbers: &[f64]| numbers.iter().map(|it| it * it).sum::<f64>().sqrt();
        let question_length = times(question).iter().sum::<f64>().sqrt();
        // The exact score is a sum of f32 products; each rounds by at most 2^-24 of its size.
        let rounding = (dimension + 8.0)
            * f64::from(f32::EPSILON)
            * question_length
            * f64::from(longest);
        Self {
            steps,
            unit,
            base: times(centres).iter().sum(),
            reach: length(&weighted) * (1.0 + 1e-9),
            slack: STEPS * lost * (1.0 + 1e-9) + rounding + f64::from(f32::MIN_POSITIVE),
        }
    }

    /// The interval in which the exact score of a passage lies.
    pub(super) fn interval(&self, row: &[i8], residue: f32) -> (f64, f64) {
        let middle = self.base + self.unit * f64::from(whole_dot(row, &self.steps));
        let width = self.reach * f64::from(residue) + self.slack;
        (middle - width, middle + width)
    }
}

/// The dot product of bytes and steps. It cannot overflow for the bytes that we write.
fn whole_dot(row: &[i8], steps: &[i16]) -> i32 {
    let (row, row_rest) = row.as_chunks::<32>();
    let (steps, steps_rest) = steps.as_chunks::<32>();
    let mut sum = 0;
    for (row, steps) in row.iter().zip(steps) {
        // A loop of known length over plain arrays is what compilers turn into vectors.
        for lane in 0..32 {
            let product = i32::from(row[lane]) * i32::from(steps[lane]);
            sum = i32::wrapping_add(sum, product);
        }
    }
    let rest = row_rest.iter().zip(steps_rest);
    rest.fold(sum, |sum, (a, b)| sum.wrapping_add(i32::from(*a) * i32::from(*b)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_score_lies_in_its_interval(
            (rows, question) in (1_usize..70).prop_flat_map(|dimension| {
                let number = prop_oneof![-1.0_f32..1.0, -1e-3_f32..1e-3, Just(0.0), Just(0.7)];
                let vector = proptest::collection::vec(number, dimension);
                (proptest::collection::vec(vector.clone(), 1..12), vector)
            }),
        ) {
            let coarse = Coarse::new(rows.iter().map(Vec::as_slice), question.len());
            let probe =
                Probe::new(&question, &coarse.centres, &coarse.scales, coarse.longest);
            for (number, row) in rows.iter().enumerate() {
                let bytes = &coarse.rows[number * row.len()..][..row.len()];
                let (low, high) = probe.interval(bytes, coarse.residues[number]);
                let exact: f64 = row
                    .iter()
                    .zip(&question)
                    .map(|(a, b)| f64::from(*a) * f64::from(*b))
                    .sum();
                let rounded: f32 = row.iter().zip(&question).map(|(a, b)| a * b).sum();
                prop_assert!(low <= exact && exact <= high);
                prop_assert!(low <= f64::from(rounded) && f64::from(rounded) <= high);
            }
        }
    }
}
