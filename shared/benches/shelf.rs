//! How long a large book takes on one core: 10,000 passages with vectors of 1,536 numbers.
//!
//! `cargo bench -p shared --bench shelf` prints the processor time of a warm query, and of a
//! fresh process that opens the shelf and answers once. With `--max-warm-ms` and
//! `--max-first-ms` it fails when a limit is passed. The median on the clock is printed too;
//! on a machine that is busy with something else it says nothing.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::{
    env, error::Error, fmt::Write as _, fs, path::Path, process::Command, time::Instant,
};

use shared::retrieval::{
    Filter, Passage, bm25, fuse,
    shelf::{self, Entry, Header, Shelf},
    tokens::{self, Tokeniser},
};
use uuid::Uuid;

const PASSAGES: u64 = 10_000;
const DIMENSION: usize = 1536;
const WARM_QUERIES: usize = 100;
const FRESH_PROCESSES: usize = 11;
const LEG: usize = 50;
/// Tells the child what it is.
const CHILD: &str = "--first-query-of";

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let arguments: Vec<String> = env::args().collect();
    let after = |name: &str| {
        let at = arguments.iter().position(|it| it == name)?;
        arguments.get(at + 1).map(String::as_str)
    };
    if let Some(path) = after(CHILD) {
        return first_query(Path::new(path));
    }
    let name = format!("lectern-bench-{}.shelf", std::process::id());
    let path = env::temp_dir().join(name);
    shelf::write(&path, &header(), &entries())?;
    let measured = measure(&path);
    fs::remove_file(&path)?;
    let (warm, first) = measured?;
    for (limit, value) in [("--max-warm-ms", warm), ("--max-first-ms", first)] {
        if let Some(most) = after(limit)
            && value > most.parse()?
        {
            return Err(format!("{value:.2} ms is over {limit} {most}").into());
        }
    }
    Ok(())
}

/// Milliseconds for a warm query, and for opening with the first query.
fn measure(path: &Path) -> Result<(f64, f64), Box<dyn Error>> {
    let shelf = Shelf::open(path)?;
    let size = fs::metadata(path)?.len() / 1_000_000;
    println!("shelf: {PASSAGES} passages × {DIMENSION} dimensions, {size} MB");
    ask(&shelf, 0);
    let mut clock = Vec::new();
    let before = processor_ms()?;
    for number in 1..=WARM_QUERIES {
        let begin = Instant::now();
        ask(&shelf, number as u64);
        clock.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    let warm = (processor_ms()? - before) / WARM_QUERIES as f64;
    let mut first = Vec::new();
    for _ in 0..FRESH_PROCESSES {
        let child = Command::new(env::current_exe()?).arg(CHILD).arg(path).output()?;
        first.push(String::from_utf8(child.stdout)?.trim().parse()?);
    }
    let (clock, first) = (median(clock), median(first));
    println!("warm query, CPU, mean of {WARM_QUERIES}: {warm:.2} ms");
    println!("warm query, clock, median of {WARM_QUERIES}: {clock:.2} ms");
    println!(
        "open + first query, CPU, median of {FRESH_PROCESSES} processes: {first:.2} ms"
    );
    Ok((warm, first))
}

/// The child: opens, asks once, and prints the processor time of the whole process in
/// milliseconds, the start of the process included.
fn first_query(path: &Path) -> Outcome {
    ask(&Shelf::open(path)?, 7);
    println!("{}", processor_ms()?);
    Ok(())
}

/// Milliseconds that this process, which has one thread, was on a processor.
fn processor_ms() -> Result<f64, Box<dyn Error>> {
    // The kernel brings the count up to date when a thread gives way.
    std::thread::yield_now();
    let spent = fs::read_to_string("/proc/self/schedstat")?;
    let nanoseconds: f64 = spent.split(' ').next().unwrap_or_default().parse()?;
    Ok(nanoseconds / 1e6)
}

/// What one question of a reader costs: both legs, fusion, and the passages of the best.
fn ask(shelf: &Shelf, number: u64) {
    let mut random = Random(number + 1);
    let tokeniser = Tokeniser::new("eng");
    let question = bm25::query(&tokeniser, &random.text(8), None);
    let dense = shelf.dense(&random.direction(), &Filter::default(), LEG);
    let lexical = shelf.lexical(&question, &Filter::default(), LEG);
    let ranked = fuse::rank(&dense, &lexical, &fuse::Fusion::default());
    let passages = ranked.iter().take(5).filter_map(|(id, _)| shelf.passage(id));
    assert_eq!(passages.count(), 5);
}

fn header() -> Header {
    Header {
        book_version: "bench".into(),
        language: "eng".into(),
        tokeniser: tokens::VERSION,
        embedding_model: Some("random".into()),
        dimension: DIMENSION as u32,
        mean_len: 150.0,
    }
}

fn entries() -> Vec<Entry> {
    let tokeniser = Tokeniser::new("eng");
    let mut random = Random(42);
    (0..PASSAGES)
        .map(|number| {
            let text = random.text(150);
            let passage = Passage {
                id: Uuid::from_u64_pair(random.next(), number),
                path: format!("ch{:02}/page{number}.md", number % 40),
                anchor: "section".into(),
                link: format!("ch{:02}/page{number}.html#section", number % 40),
                title: format!("Chapter {} > Section {number}", number % 40),
                start: 0,
                end: text.chars().count() as u32,
                lead: 0,
                source: "bench".into(),
                text,
            };
            let tokens = tokeniser.tokens(&passage.indexed_text());
            let sparse = bm25::document(&tokens, 150.0);
            Entry { passage, sparse, dense: Some(random.direction()) }
        })
        .collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// `SplitMix64`: the same book in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Between 0 and 1.
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Words of a vocabulary of 20,000, frequent ones first as in a language (Zipf).
    fn text(&mut self, words: usize) -> String {
        let mut text = String::new();
        for _ in 0..words {
            let rank = 20_000_f64.powf(self.fraction()) as u64;
            // Writing into a string cannot fail.
            write!(text, "word{rank} ").ok();
        }
        text
    }

    /// A vector of length 1.
    fn direction(&mut self) -> Vec<f32> {
        let numbers: Vec<f64> = (0..DIMENSION).map(|_| self.fraction() - 0.5).collect();
        let length = numbers.iter().map(|it| it * it).sum::<f64>().sqrt();
        numbers.into_iter().map(|it| (it / length) as f32).collect()
    }
}
