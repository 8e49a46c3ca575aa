//! Writing a shelf: whole and at once, or not at all.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Seek, SeekFrom, Write},
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    coarse::Coarse,
    format::{Contents, Entry, Header, PRELUDE, Prelude, Sections, encode},
};
use crate::{Error, Result};

/// Writes the shelf to a temporary file beside `path` and renames it when it is complete and
/// on the disk, so that readers see the old book or the new one. The same input gives the
/// same bytes, in whatever order the entries come.
///
/// `Internal` when two entries share an id, a weight is not finite or an embedding has not
/// `header.dimension` numbers (all have to have one, or none with dimension 0),
/// `Unavailable` (service `storage`) when the disk refuses.
pub fn write(path: &Path, header: &Header, entries: &[Entry]) -> Result<()> {
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by_key(|it| it.passage.id);
    if sorted.windows(2).any(|pair| pair[0].passage.id == pair[1].passage.id) {
        return Err(Error::Internal("two passages share an id".into()));
    }
    let numbers = |entry: &Entry| entry.dense.as_ref().map_or(0, Vec::len);
    if let Some(odd) = sorted.iter().find(|it| numbers(it) != header.dimension as usize) {
        let (found, expected) = (numbers(odd), header.dimension);
        let words = format!("an embedding has {found} numbers, the book {expected}");
        return Err(Error::Internal(words));
    }
    let is_finite = |it: &&Entry| {
        let dense = it.dense.iter().flatten();
        it.sparse.iter().map(|it| &it.1).chain(dense).all(|it| it.is_finite())
    };
    if !sorted.iter().all(is_finite) {
        return Err(Error::Internal("a weight or an embedding is no number".into()));
    }
    let temporary = beside(path);
    let written = write_file(&temporary, header, &sorted)
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| sync_folder(path));
    if written.is_err() {
        // It may never have come to be; the first error is the one to report.
        fs::remove_file(&temporary).ok();
    }
    written.map_err(|err| Error::unavailable("storage", err))
}

/// The name is unique to this process, so that two ingests never write into one file.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

/// A renamed file is safe only once its folder is on the disk too.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn write_file(path: &Path, header: &Header, entries: &[&Entry]) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    let body = Body::new(entries, header.dimension as usize);
    let (json, sections) = body.layout(header)?;

    let mut out =
        Checked { out: BufWriter::new(file), at: 0, crc: crc32fast::Hasher::new() };
    out.put(&[0; PRELUDE])?;
    out.crc = crc32fast::Hasher::new();
    out.put(&json)?;
    let mut content = None;
    for (bytes, range) in body.parts(&sections) {
        out.pad_to(range.start)?;
        if range.start == sections.centres.start && content.is_none() {
            content = Some(std::mem::take(&mut out.crc).finalize());
        }
        out.put(bytes)?;
    }
    out.pad_to(sections.vectors.start)?;
    for numbers in entries.iter().filter_map(|it| it.dense.as_deref()) {
        out.put(bytemuck::cast_slice(numbers))?;
    }
    let mut prelude = Prelude {
        header: json.len() as u32,
        length: out.at,
        vectors_at: sections.centres.start,
        checksum: 0,
        vectors_checksum: out.crc.finalize(),
    };
    prelude.checksum = prelude.seal(content.unwrap_or_default());
    let mut file = out.out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&prelude.to_bytes())?;
    file.sync_all()
}

/// Everything but the header and the dense vectors, as bytes.
struct Body {
    passages: u32,
    ids: Vec<u8>,
    records: Vec<u64>,
    blob: Vec<u8>,
    dimensions: Vec<u32>,
    starts: Vec<u32>,
    documents: Vec<u32>,
    weights: Vec<f32>,
    coarse: Coarse,
    /// Bytes of the dense vectors, which are written from where they are.
    vectors: u64,
}

impl Body {
    fn new(entries: &[&Entry], dimension: usize) -> Self {
        let mut postings = BTreeMap::<u32, Vec<(u32, f32)>>::new();
        let (mut ids, mut records, mut blob) = (Vec::new(), vec![0], Vec::new());
        for (number, entry) in (0_u32..).zip(entries) {
            ids.extend(entry.passage.id.as_bytes());
            encode(&entry.passage, &mut blob);
            records.push(blob.len() as u64);
            for (dimension, weight) in &entry.sparse {
                postings.entry(*dimension).or_default().push((number, *weight));
            }
        }
        let (mut dimensions, mut starts) = (Vec::new(), vec![0]);
        let (mut documents, mut weights) = (Vec::new(), Vec::new());
        for (dimension, list) in postings {
            dimensions.push(dimension);
            documents.extend(list.iter().map(|it| it.0));
            weights.extend(list.iter().map(|it| it.1));
            starts.push(documents.len() as u32);
        }
        let passages = entries.len() as u32;
        let rows = entries.iter().filter_map(|it| it.dense.as_deref());
        let coarse = Coarse::new(rows, dimension);
        let vectors = coarse.rows.len() as u64 * 4;
        Self {
            passages,
            ids,
            records,
            blob,
            dimensions,
            starts,
            documents,
            weights,
            coarse,
            vectors,
        }
    }

    /// The sections' bytes in the order of the file.
    fn parts<'a>(&'a self, at: &Sections) -> [(&'a [u8], Range<u64>); 11] {
        [
            (&self.ids, at.ids.clone()),
            (bytemuck::cast_slice(&self.records), at.records.clone()),
            (&self.blob, at.blob.clone()),
            (bytemuck::cast_slice(&self.dimensions), at.dimensions.clone()),
            (bytemuck::cast_slice(&self.starts), at.starts.clone()),
            (bytemuck::cast_slice(&self.documents), at.documents.clone()),
            (bytemuck::cast_slice(&self.weights), at.weights.clone()),
            (bytemuck::cast_slice(&self.coarse.centres), at.centres.clone()),
            (bytemuck::cast_slice(&self.coarse.scales), at.scales.clone()),
            (bytemuck::cast_slice(&self.coarse.residues), at.residues.clone()),
            (bytemuck::cast_slice(&self.coarse.rows), at.coarse.clone()),
        ]
    }

    /// The header's JSON and where the sections lie behind it. The offsets depend on the
    /// length of the JSON, which depends on the offsets: the JSON is padded with spaces to
    /// a length that holds them.
    fn layout(&self, header: &Header) -> io::Result<(Vec<u8>, Sections)> {
        let sizes = self.parts(&Sections::default()).map(|(bytes, _)| bytes.len() as u64);
        let draft = Contents { header: header.clone(), sections: Sections::default() };
        // Twenty-six numbers of at most 20 digits each.
        let room = serde_json::to_vec(&draft)?.len() + 26 * 20;
        let mut end = (PRELUDE + room) as u64;
        let mut place = |size: u64| {
            let start = end.next_multiple_of(PRELUDE as u64);
            end = start + size;
            start..end
        };
        let [
            ids,
            records,
            blob,
            dimensions,
            starts,
            documents,
            weights,
            centres,
            scales,
            residues,
            coarse,
        ] = sizes.map(&mut place);
        let vectors = place(self.vectors);
        let passages = self.passages;
        let sections = Sections {
            passages,
            ids,
            records,
            blob,
            dimensions,
            starts,
            documents,
            weights,
            centres,
            scales,
            residues,
            coarse,
            vectors,
            longest: self.coarse.longest,
        };
        let contents = Contents { header: header.clone(), sections: sections.clone() };
        let mut json = serde_json::to_vec(&contents)?;
        json.resize(room, b' ');
        Ok((json, sections))
    }
}

/// Counts and sums what goes through.
struct Checked<W> {
    out: W,
    at: u64,
    crc: crc32fast::Hasher,
}

impl<W: Write> Checked<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc.update(bytes);
        self.at += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    fn pad_to(&mut self, start: u64) -> io::Result<()> {
        let gap = start.saturating_sub(self.at) as usize;
        self.put(&[0; PRELUDE][..gap.min(PRELUDE)])
    }
}
