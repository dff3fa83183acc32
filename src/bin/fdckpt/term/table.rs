//! Tables.

use std::io::{self, Write};

/// Rows of aligned columns. Rows are printed in batches, so that a list of any length takes little memory.
pub struct Table {
    /// Whether a column is aligned to the right.
    right: &'static [bool],
    widths: Vec<usize>,
    rows: Vec<Vec<String>>,
}

const ROWS_PER_FLUSH: usize = 2000;

impl Table {
    pub fn new(right: &'static [bool], titles: &[&str]) -> Self {
        let rows = vec![titles.iter().map(|title| (*title).to_owned()).collect()];
        Self { right, widths: vec![0; titles.len()], rows }
    }

    pub fn row(&mut self, out: &mut impl Write, row: Vec<String>) -> io::Result<()> {
        self.rows.push(row);
        if self.rows.len() > ROWS_PER_FLUSH { self.print(out) } else { Ok(()) }
    }

    pub fn finish(mut self, out: &mut impl Write) -> io::Result<()> {
        self.print(out)
    }

    fn print(&mut self, out: &mut impl Write) -> io::Result<()> {
        for row in &self.rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for row in self.rows.drain(..) {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(&self.widths).zip(self.right) {
                let padding = " ".repeat(width - cell.chars().count());
                let (before, after) = if *right { (padding.as_str(), "") } else { ("", padding.as_str()) };
                line.push_str("  ");
                line.push_str(before);
                line.push_str(cell);
                line.push_str(after);
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
