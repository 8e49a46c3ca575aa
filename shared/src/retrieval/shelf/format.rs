//! The layout of a shelf.
//!
//! ```text
//! prelude    64 bytes: magic, format, lengths and checksums, little-endian
//! header     JSON: the header and where the sections lie
//! ids        16 bytes each, ascending: a passage's number is its place in the order of ids
//! records    u64 offsets into the blob, one more than passages
//! blob       passages, each: nine u32, then six strings
//! dimensions u32 ascending: the tokens of the book
//! starts     u32 offsets into the postings, one more than dimensions
//! documents  u32 numbers of passages, ascending within a dimension
//! weights    f32 BM25 weights beside them
//! centres    f32, the middle of each dimension's range
//! scales     f32, the step of each dimension
//! residues   f32, one for each passage: see `coarse`
//! coarse     i8, one row of `dimension` numbers for each passage
//! vectors    f32, one row of `dimension` numbers for each passage
//! ```
//! Sections start at multiples of 64 bytes, so that they can be used where they are mapped.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Unreadable;
use crate::retrieval::Passage;

// The numbers are used as they lie in the file.
const _: () = assert!(cfg!(target_endian = "little"));

/// The first bytes of every shelf.
pub(super) const MAGIC: [u8; 8] = *b"LECSHELF";
/// Changes with the layout.
pub(super) const FORMAT: u32 = 1;
/// The size of the prelude in bytes, and what sections are aligned to.
pub(super) const PRELUDE: usize = 64;

/// What a shelf says of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the book.
    pub book_version: String,
    /// ISO 639-3, as `whatlang` prints it: the rules for cutting questions into tokens.
    pub language: String,
    /// [`tokens::VERSION`](crate::retrieval::tokens::VERSION) at the time of writing.
    pub tokeniser: u32,
    /// The model that made the dense vectors; `None` without embeddings.
    pub embedding_model: Option<String>,
    /// Numbers in a dense vector; 0 without embeddings.
    pub dimension: u32,
    /// Mean number of tokens in a passage, with which the weights were made.
    pub mean_len: f32,
}

/// A passage with its vectors, to be written.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The passage.
    pub passage: Passage,
    /// Its BM25 weights, from [`bm25::document`](crate::retrieval::bm25::document).
    pub sparse: Vec<(u32, f32)>,
    /// Its embedding, normalised to length 1.
    pub dense: Option<Vec<f32>>,
}

/// The JSON after the prelude.
#[derive(Serialize, Deserialize)]
pub(super) struct Contents {
    pub(super) header: Header,
    pub(super) sections: Sections,
}

/// Where the sections lie, as byte ranges of the file.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Sections {
    pub(super) passages: u32,
    pub(super) ids: Range<u64>,
    pub(super) records: Range<u64>,
    pub(super) blob: Range<u64>,
    pub(super) dimensions: Range<u64>,
    pub(super) starts: Range<u64>,
    pub(super) documents: Range<u64>,
    pub(super) weights: Range<u64>,
    pub(super) centres: Range<u64>,
    pub(super) scales: Range<u64>,
    pub(super) residues: Range<u64>,
    pub(super) coarse: Range<u64>,
    pub(super) vectors: Range<u64>,
    /// The length of the longest vector.
    pub(super) longest: f32,
}

impl Sections {
    /// Whether every section lies in the file, is aligned and has the size that the counts
    /// ask for.
    pub(super) fn fit(&self, header: &Header, prelude: &Prelude, map: &[u8]) -> bool {
        let size = |range: &Range<u64>| {
            let aligned = range.start.is_multiple_of(PRELUDE as u64);
            let inside = range.start <= range.end && range.end <= map.len() as u64;
            (aligned && inside).then(|| range.end - range.start)
        };
        let passages = u64::from(self.passages);
        let numbers = u64::from(header.dimension);
        let (dimensions, starts) = (size(&self.dimensions), size(&self.starts));
        size(&self.ids) == Some(passages * 16)
            && size(&self.records) == Some((passages + 1) * 8)
            && size(&self.blob).is_some()
            && dimensions.is_some_and(|it| it % 4 == 0)
            && starts == dimensions.map(|it| it + 4)
            && size(&self.documents).is_some_and(|it| it % 4 == 0)
            && size(&self.documents) == size(&self.weights)
            && size(&self.centres) == Some(numbers * 4)
            && size(&self.scales) == Some(numbers * 4)
            && size(&self.residues) == Some(if numbers > 0 { passages * 4 } else { 0 })
            && size(&self.coarse) == Some(passages * numbers)
            && size(&self.vectors) == Some(passages * numbers * 4)
            && self.centres.start == prelude.vectors_at
    }
}

/// The fixed start of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Prelude {
    /// Bytes of the header's JSON.
    pub(super) header: u32,
    /// Bytes of the whole file.
    pub(super) length: u64,
    /// Where the sections of the dense vectors start, the last ones.
    pub(super) vectors_at: u64,
    /// [`Self::seal`] of everything between the prelude and the dense vectors.
    pub(super) checksum: u32,
    /// CRC-32 of the sections of the dense vectors.
    pub(super) vectors_checksum: u32,
}

impl Prelude {
    /// CRC-32 of the format and the lengths in the prelude together with the CRC-32 of the
    /// bytes between prelude and vectors.
    pub(super) fn seal(&self, content: u32) -> u32 {
        let mut sum = crc32fast::Hasher::new();
        sum.update(&self.to_bytes()[8..32]);
        sum.update(&content.to_le_bytes());
        sum.finalize()
    }

    pub(super) fn to_bytes(&self) -> [u8; PRELUDE] {
        let mut bytes = [0; PRELUDE];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.header.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.length.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.vectors_at.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.checksum.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.vectors_checksum.to_le_bytes());
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let bytes = bytes.first_chunk::<PRELUDE>().ok_or(Unreadable::Foreign)?;
        if bytes[..8] != MAGIC {
            return Err(Unreadable::Foreign);
        }
        let long = |at: usize| {
            u64::from(u32_at(bytes, at + 4)) << 32 | u64::from(u32_at(bytes, at))
        };
        let found = u32_at(bytes, 8);
        if found != FORMAT {
            return Err(Unreadable::Format { found });
        }
        Ok(Self {
            header: u32_at(bytes, 12),
            length: long(16),
            vectors_at: long(24),
            checksum: u32_at(bytes, 32),
            vectors_checksum: u32_at(bytes, 36),
        })
    }
}

/// Nine numbers before the strings: six lengths in bytes, then start, end and lead.
const FIELDS: usize = 9;

/// The bytes of a passage, without its id. Path and source come first: filters read them.
pub(super) fn encode(passage: &Passage, blob: &mut Vec<u8>) {
    let strings = [
        &passage.path,
        &passage.source,
        &passage.anchor,
        &passage.link,
        &passage.title,
        &passage.text,
    ];
    for string in strings {
        blob.extend((string.len() as u32).to_le_bytes());
    }
    for number in [passage.start, passage.end, passage.lead] {
        blob.extend(number.to_le_bytes());
    }
    for string in strings {
        blob.extend(string.as_bytes());
    }
}

/// The passage again; `None` for bytes that are none.
pub(super) fn decode(id: [u8; 16], record: &[u8]) -> Option<Passage> {
    let mut strings = strings(record)?;
    let mut next = || strings.next()?.map(str::to_owned);
    let (path, source, anchor) = (next()?, next()?, next()?);
    let (link, title, text) = (next()?, next()?, next()?);
    let number = |field: usize| u32_at(record, field * 4);
    Some(Passage {
        id: Uuid::from_bytes(id),
        path,
        anchor,
        link,
        title,
        text,
        source,
        start: number(6),
        end: number(7),
        lead: number(8),
    })
}

/// Path and source alone.
pub(super) fn decode_place(record: &[u8]) -> Option<(&str, &str)> {
    let mut strings = strings(record)?;
    Some((strings.next()??, strings.next()??))
}

/// The strings of a record in their order, each `None` when it does not lie in the record.
fn strings(record: &[u8]) -> Option<impl Iterator<Item = Option<&str>>> {
    let mut rest = record.get(FIELDS * 4..)?;
    Some((0..6).map(move |field| {
        let (string, after) = rest.split_at_checked(u32_at(record, field * 4) as usize)?;
        rest = after;
        std::str::from_utf8(string).ok()
    }))
}

/// Little-endian; the caller knows that four bytes are there.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
