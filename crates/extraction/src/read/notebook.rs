//! Jupyter notebooks: the text of Markdown cells and the source of code cells. Outputs are left
//! out: they repeat, and may be images.

use serde::Deserialize;

use super::{broken, encoding, markdown};
use crate::Failure;
use crate::sink::Sink;

#[derive(Deserialize)]
struct Notebook {
    nbformat: u32,
    #[serde(default)]
    cells: Vec<Cell>,
    /// Where format 3 has its cells.
    #[serde(default)]
    worksheets: Vec<Worksheet>,
}

#[derive(Deserialize)]
struct Worksheet {
    #[serde(default)]
    cells: Vec<Cell>,
}

#[derive(Deserialize)]
struct Cell {
    cell_type: String,
    #[serde(default, alias = "input")]
    source: Source,
}

/// One string or a list of lines.
#[derive(Deserialize)]
#[serde(untagged)]
enum Source {
    Whole(String),
    Lines(Vec<String>),
}

impl Default for Source {
    fn default() -> Self {
        Self::Whole(String::new())
    }
}

pub(super) fn read(bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), Failure> {
    let text = encoding::decode(bytes)?;
    let notebook: Notebook = serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .map_err(|error| broken(format!("not a notebook: {error}")))?;
    if notebook.nbformat < 3 {
        return Err(broken("a notebook format before 3"));
    }
    sink.begin_page(0)?;
    let sheets = notebook
        .worksheets
        .into_iter()
        .flat_map(|sheet| sheet.cells);
    for cell in notebook.cells.into_iter().chain(sheets) {
        let source = match cell.source {
            Source::Whole(text) => text,
            Source::Lines(lines) => lines.concat(),
        };
        match cell.cell_type.as_str() {
            "markdown" => markdown::blocks(&source, sink)?,
            "heading" => sink.heading(&source)?,
            _ => sink.lines(&source)?,
        }
    }
    Ok(())
}
