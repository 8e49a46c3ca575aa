//! The book in one file beside the function, searched in this process.
//!
//! The file is mapped, not read: a passage is decoded when it is asked for, vectors are used
//! where they lie. `format` has the layout, `search` the ranking.

mod coarse;
mod format;
mod place;
mod search;
mod write;

use std::{fs::File, io, ops::Range, path::Path};

use memmap2::Mmap;
use uuid::Uuid;

use self::format::{Contents, PRELUDE, Prelude, Sections};
pub use self::{
    format::{Entry, Header},
    place::Place,
    write::write,
};
use super::{Passage, tokens};
use crate::{Error, Result};

/// Why a file cannot be used as a shelf, in words for the person who runs the tools.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It cannot be opened or mapped.
    #[error("the shelf cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("this file is no shelf")]
    Foreign,
    /// The layout has changed since.
    #[error(
        "the shelf has format {found}, this build reads {}: ingest again",
        format::FORMAT
    )]
    Format {
        /// What the file says.
        found: u32,
    },
    /// Questions would be cut into other tokens than the passages were.
    #[error(
        "the shelf was made by tokeniser {found}, this build has {}: ingest again",
        tokens::VERSION
    )]
    Tokeniser {
        /// What the file says.
        found: u32,
    },
    /// It was cut short, or changed.
    #[error("the shelf is damaged ({0}): ingest again")]
    Damaged(&'static str),
}

/// An open shelf. It never changes: a new version of the book is a new file, renamed over
/// the old one, and an open shelf keeps the old one.
pub struct Shelf {
    map: Mmap,
    header: Header,
    sections: Sections,
}

impl Shelf {
    /// Opens the file for a function. Anything wrong with it is `Misconfigured`; the log
    /// says what, and that the book has to be ingested again.
    pub fn open(path: &Path) -> Result<Self> {
        Self::read(path).map_err(|err| {
            tracing::error!(setting = "BOOK_SHELF", "{err}");
            Error::Misconfigured("BOOK_SHELF")
        })
    }

    /// Opens the file and verifies it: magic, format, length, checksum, tokeniser.
    ///
    /// The checksum covers everything but the dense vectors and their small copy. A first
    /// question reads few of them; reading them all to verify them would cost several times
    /// what it does. Their length is verified, and a flipped bit in them can only move a
    /// passage, never break the process. [`Self::verify_vectors`] checks them where time is
    /// no matter.
    pub fn read(path: &Path) -> Result<Self, Unreadable> {
        let file = File::open(path)?;
        if file.metadata()?.len() < PRELUDE as u64 {
            return Err(Unreadable::Foreign);
        }
        let map = map(&file)?;
        let prelude = Prelude::read(&map)?;
        if prelude.length != map.len() as u64 {
            return Err(Unreadable::Damaged("length"));
        }
        let checked = map.get(PRELUDE..prelude.vectors_at as usize);
        if checked.map(|it| prelude.seal(crc32fast::hash(it))) != Some(prelude.checksum) {
            return Err(Unreadable::Damaged("checksum"));
        }
        let json = map.get(PRELUDE..PRELUDE + prelude.header as usize);
        let contents: Contents = json
            .and_then(|json| serde_json::from_slice(json).ok())
            .ok_or(Unreadable::Damaged("header"))?;
        let Contents { header, sections } = contents;
        if header.tokeniser != tokens::VERSION {
            return Err(Unreadable::Tokeniser { found: header.tokeniser });
        }
        if !sections.fit(&header, &prelude, &map) {
            return Err(Unreadable::Damaged("sections"));
        }
        Ok(Self { map, header, sections })
    }

    /// What the shelf says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How many passages it holds.
    pub fn len(&self) -> usize {
        self.sections.passages as usize
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every passage, by ascending id.
    pub fn passages(&self) -> impl Iterator<Item = Passage> {
        (0..self.len()).filter_map(|at| self.decode(at))
    }

    /// The passage with this id.
    pub fn passage(&self, id: &Uuid) -> Option<Passage> {
        self.decode(self.find(id)?)
    }

    /// The embedding of the passage with this id; `None` without embeddings.
    pub fn vector(&self, id: &Uuid) -> Option<Vec<f32>> {
        let dimension = self.header.dimension as usize;
        let at = self.find(id)? * dimension;
        (dimension > 0)
            .then(|| self.dense_rows().get(at..at + dimension))?
            .map(<[_]>::to_vec)
    }

    /// Reads all dense vectors and compares their checksum.
    pub fn verify_vectors(&self) -> Result<(), Unreadable> {
        let prelude = Prelude::read(&self.map)?;
        let vectors = self.map.get(prelude.vectors_at as usize..);
        if vectors.map(crc32fast::hash) == Some(prelude.vectors_checksum) {
            return Ok(());
        }
        Err(Unreadable::Damaged("vectors"))
    }

    fn find(&self, id: &Uuid) -> Option<usize> {
        self.ids().binary_search(id.as_bytes()).ok()
    }

    fn decode(&self, at: usize) -> Option<Passage> {
        format::decode(*self.ids().get(at)?, self.record(at)?)
    }

    /// The bytes of one passage.
    fn record(&self, at: usize) -> Option<&[u8]> {
        let offsets: &[u64] = self.section(&self.sections.records);
        let [start, end] = *offsets.get(at..at + 2)?.as_array()?;
        let blob: &[u8] = self.section(&self.sections.blob);
        blob.get(start as usize..end as usize)
    }

    fn ids(&self) -> &[[u8; 16]] {
        self.section(&self.sections.ids)
    }

    fn dense_rows(&self) -> &[f32] {
        self.section(&self.sections.vectors)
    }

    /// A section as a slice of numbers; its place, size and alignment were verified.
    fn section<T: bytemuck::AnyBitPattern>(&self, range: &Range<u64>) -> &[T] {
        let bytes = self.map.get(range.start as usize..range.end as usize);
        bytes.and_then(|bytes| bytemuck::try_cast_slice(bytes).ok()).unwrap_or_default()
    }
}

#[expect(
    unsafe_code,
    reason = "mapping a file is unsafe because another process could change it under us; a \
              shelf is only ever replaced by renaming a finished file over it"
)]
fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: see above; nothing writes into a file that once had the shelf's name.
    unsafe { Mmap::map(file) }
}

#[cfg(test)]
mod tests;
