//! How one answer is spelt for a client.

pub mod ai;
pub mod chatkit;
pub mod markdown;
pub mod openai;
pub mod simple;
pub mod ui;

use crate::chat::{Answer, Source};

/// Every marker whose source is known, with its source and its place in the answer, counted in
/// the client's units. One walk over the text: the markers stand in order.
fn placed(
    answer: &Answer,
    units: fn(&str) -> usize,
) -> impl Iterator<Item = (&Source, std::ops::Range<usize>)> {
    let (mut from, mut start) = (0, 0);
    answer.markers.iter().filter_map(move |marker| {
        start += units(&answer.content[from..marker.at]);
        from = marker.at;
        let source = answer.sources.iter().find(|it| it.n == marker.n)?;
        Some((source, start..start + marker.text().len()))
    })
}
