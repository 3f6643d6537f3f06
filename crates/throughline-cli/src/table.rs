//! Tables that fit the terminal.

use crate::screen::{Ink, Screen};
use crate::text::{cut, fit, width};

/// Rows of cells under headings. The last column gives way when there is too little room.
pub struct Table<const COLUMNS: usize> {
    headings: [&'static str; COLUMNS],
    is_right: [bool; COLUMNS],
    rows: Vec<(Ink, [String; COLUMNS])>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub fn new(headings: [&'static str; COLUMNS]) -> Self {
        Self {
            headings,
            is_right: [false; COLUMNS],
            rows: Vec::new(),
        }
    }

    /// The same with a column whose cells end at the same place: numbers.
    pub fn right_aligned(mut self, column: usize) -> Self {
        self.is_right[column] = true;
        self
    }

    /// Adds a row. Text from elsewhere must have been escaped.
    pub fn row(&mut self, ink: Ink, cells: [String; COLUMNS]) {
        self.rows.push((ink, cells));
    }

    pub fn draw(&self, screen: Screen) -> String {
        let headings = (Ink::Faint, self.headings.map(str::to_owned));
        let rows = || std::iter::once(&headings).chain(&self.rows);
        let mut widths = [0; COLUMNS];
        for (_, cells) in rows() {
            for (widest, cell) in widths.iter_mut().zip(cells) {
                *widest = width(cell).max(*widest);
            }
        }
        let line = |(ink, cells): &(Ink, [String; COLUMNS])| {
            let cells = cells
                .iter()
                .enumerate()
                .map(|(column, cell)| match self.is_right[column] {
                    true => format!("{:missing$}{cell}", "", missing = widths[column] - width(cell)),
                    false => fit(cell, widths[column]),
                });
            let line = cells.collect::<Vec<_>>().join("  ");
            screen.paint(*ink, &cut(line.trim_end(), screen.columns)) + "\n"
        };
        rows().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells_and_the_last_gives_way() {
        let mut table = Table::new(["n", "name"]).right_aligned(0);
        for (number, name) in [("1", "漢字"), ("100", "a long name")] {
            table.row(Ink::Plain, [number.to_owned(), name.to_owned()]);
        }
        for (columns, drawn) in [
            (80, "  n  name\n  1  漢字\n100  a long name\n"),
            (10, "  n  name\n  1  漢字\n100  a lo…\n"),
        ] {
            assert_eq!(
                table.draw(Screen {
                    columns,
                    colours: false
                }),
                drawn
            );
        }
    }
}
