//! Tables as Markdown has them: one header, and every row with every column.

use super::{
    content::Content,
    tree::{Id, Visit},
};

/// More columns than this are cut off.
const MOST_COLUMNS: usize = 100;

/// Longer cells are not repeated where they span rows or columns.
const LONGEST_REPEATED: usize = 200;

/// A cell with more letters than this makes the table one that only places its text.
const LONGEST_CELL: usize = 1_500;

/// The rows of a table.
#[derive(Debug)]
pub(super) struct Table {
    caption: Option<Id>,
    rows: Vec<Row>,
}

#[derive(Debug, Default)]
struct Row {
    is_head: bool,
    cells: Vec<Id>,
}

impl Table {
    /// The rows of `table`; none if it has what Markdown's cells cannot hold, or is no table
    /// but one column or one row that places its text.
    pub(super) fn read(content: &Content<'_>, table: Id) -> Option<Self> {
        if content.is_layout(table) {
            return None;
        }
        let tree = content.tree;
        let mut read = Self { caption: None, rows: Vec::new() };
        let mut in_head = false;
        tree.walk(
            table,
            |id| !content.is_dropped(id),
            |step| match step {
                Visit::Enter(id) => match tree.name(id) {
                    "caption" => read.caption = Some(id),
                    "thead" => in_head = true,
                    "tr" => {
                        read.rows.push(Row { is_head: in_head, cells: Vec::new() });
                    }
                    "td" | "th" => {
                        if read.rows.is_empty() {
                            read.rows.push(Row::default());
                        }
                        read.rows.last_mut().expect("one was added").cells.push(id);
                    }
                    _ => {}
                },
                Visit::Leave(id) => in_head &= tree.name(id) != "thead",
            },
        );
        read.rows.retain(|row| !row.cells.is_empty());
        let names_columns = |row: &Row| {
            row.cells.len() > 1 && row.cells.iter().all(|id| tree.name(*id) == "th")
        };
        if let Some(first) = read.rows.first_mut().filter(|row| names_columns(row)) {
            first.is_head = true;
        }
        let columns = read.rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
        let is_long = |id: &Id| content.letters(*id) > LONGEST_CELL;
        let is_table = columns > 1
            && read.rows.len() > 1
            && !read.rows.iter().flat_map(|row| &row.cells).any(is_long);
        is_table.then_some(read)
    }

    /// Its caption.
    pub(super) fn caption(&self) -> Option<Id> {
        self.caption
    }

    /// The table in Markdown; `words` makes the text of a cell.
    pub(super) fn markdown(
        &self,
        content: &Content<'_>,
        words: impl Fn(Id) -> String,
    ) -> String {
        let grid = self.grid(content, words);
        let columns = grid.iter().map(Vec::len).max().unwrap_or(0);
        let heads = self.rows.iter().take_while(|row| row.is_head).count();
        let mut header = vec![String::new(); columns];
        for row in &grid[..heads] {
            for (name, cell) in header.iter_mut().zip(row) {
                if name.is_empty() {
                    name.clone_from(cell);
                } else if !cell.is_empty() && name != cell {
                    *name = format!("{name} / {cell}");
                }
            }
        }
        let mut lines =
            vec![line(&header, columns), format!("|{}", "---|".repeat(columns))];
        lines.extend(
            grid[heads..]
                .iter()
                .filter(|row| row.iter().any(|cell| !cell.is_empty()))
                .map(|row| line(row, columns)),
        );
        lines.join("\n")
    }

    /// The cells by row and column. What spans rows stands in each, as does a header over
    /// several columns.
    fn grid(
        &self,
        content: &Content<'_>,
        words: impl Fn(Id) -> String,
    ) -> Vec<Vec<String>> {
        /// A cell that reaches into the rows below.
        struct Hanging {
            rows: usize,
            text: String,
        }
        let mut grid = Vec::with_capacity(self.rows.len());
        let mut hanging: Vec<Option<Hanging>> = Vec::new();
        for row in &self.rows {
            let mut line: Vec<String> = Vec::new();
            let mut cells = row.cells.iter().copied().peekable();
            while line.len() < MOST_COLUMNS {
                let at = line.len();
                let above = hanging.get_mut(at).and_then(Option::take);
                if let Some(Hanging { rows, text }) = above {
                    if rows > 1 {
                        hanging[at] =
                            Some(Hanging { rows: rows - 1, text: text.clone() });
                    }
                    line.push(text);
                    continue;
                }
                let Some(cell) = cells.next() else {
                    if hanging.iter().skip(at).all(Option::is_none) {
                        break;
                    }
                    line.push(String::new());
                    continue;
                };
                let text = words(cell);
                let columns = span(content, cell, "colspan").min(MOST_COLUMNS - at);
                let rows = span(content, cell, "rowspan");
                let again =
                    if text.len() > LONGEST_REPEATED { "" } else { text.as_str() };
                let is_header = content.tree.name(cell) == "th" || row.is_head;
                for column in 0..columns {
                    let repeated = if column == 0 || is_header { again } else { "" };
                    if rows > 1 {
                        if hanging.len() <= at + column {
                            hanging.resize_with(at + column + 1, || None);
                        }
                        hanging[at + column] =
                            Some(Hanging { rows: rows - 1, text: repeated.to_owned() });
                    }
                    line.push(if column == 0 {
                        text.clone()
                    } else {
                        repeated.to_owned()
                    });
                }
            }
            // What is beyond the last column is still text of this row.
            if let Some(last) = line.last_mut() {
                for cell in cells {
                    last.push(' ');
                    last.push_str(&words(cell));
                }
            }
            grid.push(line);
        }
        grid
    }
}

fn span(content: &Content<'_>, cell: Id, name: &str) -> usize {
    let value = content.tree.attribute(cell, name).and_then(|it| it.trim().parse().ok());
    value.unwrap_or(1).clamp(1, 65_534)
}

fn line(cells: &[String], columns: usize) -> String {
    let mut line = String::from("|");
    for at in 0..columns {
        let cell = cells.get(at).map_or("", String::as_str);
        line.push(' ');
        line.push_str(cell);
        line.push_str(if cell.is_empty() { "|" } else { " |" });
    }
    line
}
