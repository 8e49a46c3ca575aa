//! From bytes to code points.

/// Every so many bytes the count is written down.
const STEP: usize = 256;

/// Answers how many code points stand before a byte, without counting from the start.
pub(super) struct Positions<'a> {
    source: &'a [u8],
    counts: Vec<usize>,
}

impl<'a> Positions<'a> {
    /// Counts `source` once.
    pub(super) fn new(source: &'a str) -> Self {
        let source = source.as_bytes();
        let counts = source
            .chunks(STEP)
            .scan(0, |sum, bytes| {
                let before = *sum;
                *sum += code_points(bytes);
                Some(before)
            })
            .collect();
        Self { source, counts }
    }

    /// The code points before the byte `at`, which must be a border of characters.
    pub(super) fn at(&self, at: usize) -> usize {
        let step = (at / STEP).min(self.counts.len().saturating_sub(1));
        let before = self.counts.get(step).copied().unwrap_or(0);
        before + code_points(&self.source[step * STEP..at])
    }
}

/// Bytes that begin a character: all but UTF-8's continuation bytes.
fn code_points(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xC0 != 0x80).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn positions_agree_with_counting(source in "\\PC{0,600}") {
            let positions = Positions::new(&source);
            let borders = source.char_indices().map(|(at, _)| at).chain([source.len()]);
            for (count, at) in borders.enumerate() {
                prop_assert_eq!(positions.at(at), count);
            }
        }
    }
}
