//! Tables that fit the terminal.

use crate::terminal::{Style, Terminal};
use crate::text::{fit, width};

/// Rows of cells under headings. Where there is too little room, the last columns give way.
pub struct Table<const COLUMNS: usize> {
    headings: [String; COLUMNS],
    is_right: [bool; COLUMNS],
    /// How narrow a column may become.
    narrowest: [Option<usize>; COLUMNS],
    rows: Vec<(Style, [String; COLUMNS])>,
}

const GAP: usize = 2;

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub fn new(headings: [&str; COLUMNS]) -> Self {
        Self {
            headings: headings.map(str::to_owned),
            is_right: [false; COLUMNS],
            narrowest: [None; COLUMNS],
            rows: Vec::new(),
        }
    }

    /// The same with a column whose cells end at the same place: numbers.
    pub fn right_aligned(mut self, column: usize) -> Self {
        self.is_right[column] = true;
        self
    }

    /// The same with a column that gives way, down to so many columns of the terminal; of several the last gives way first.
    pub fn shrinking(mut self, column: usize, narrowest: usize) -> Self {
        self.narrowest[column] = Some(narrowest);
        self
    }

    /// Adds a row. Text from elsewhere must have been escaped.
    pub fn row(&mut self, style: Style, cells: [String; COLUMNS]) {
        self.rows.push((style, cells));
    }

    pub fn draw(&self, terminal: Terminal) -> String {
        let headings = (Style::Faint, self.headings.clone());
        let rows = || std::iter::once(&headings).chain(&self.rows);
        let mut widths = [0; COLUMNS];
        for (_, cells) in rows() {
            for (widest, cell) in widths.iter_mut().zip(cells) {
                *widest = width(cell).max(*widest);
            }
        }
        if terminal.is_limit {
            self.shrink(&mut widths, terminal.columns);
        }
        let line = |(style, cells): &(Style, [String; COLUMNS])| {
            let cells = cells
                .iter()
                .enumerate()
                .map(|(column, cell)| match self.is_right[column] {
                    true => format!("{:missing$}{cell}", "", missing = widths[column] - width(cell)),
                    false => fit(cell, widths[column]),
                });
            let line = cells.collect::<Vec<_>>().join("  ");
            terminal.paint(*style, &terminal.cut(line.trim_end(), terminal.columns)) + "\n"
        };
        rows().map(line).collect()
    }

    fn shrink(&self, widths: &mut [usize; COLUMNS], columns: usize) {
        let total = widths.iter().sum::<usize>() + GAP * COLUMNS.saturating_sub(1);
        let mut excess = total.saturating_sub(columns);
        for (width, narrowest) in widths.iter_mut().zip(self.narrowest).rev() {
            let gives = excess.min(width.saturating_sub(narrowest.unwrap_or(*width)));
            *width -= gives;
            excess -= gives;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(is_limit: bool, columns: usize) -> String {
        let mut table = Table::new(["n", "name", "more"])
            .right_aligned(0)
            .shrinking(1, 6)
            .shrinking(2, 3);
        for (number, name, more) in [("1", "漢字", "x"), ("100", "a long name", "y, z, and w")] {
            table.row(Style::Plain, [number.to_owned(), name.to_owned(), more.to_owned()]);
        }
        table.draw(Terminal {
            columns,
            is_limit,
            colours: false,
        })
    }

    #[test]
    fn columns_are_as_wide_as_their_cells_and_the_last_give_way_first() {
        let whole = "  n  name         more\n  1  漢字         x\n100  a long name  y, z, and w\n";
        assert_eq!(drawn(true, 80), whole);
        assert_eq!(drawn(false, 10), whole);
        assert_eq!(
            drawn(true, 22),
            "  n  name         more\n  1  漢字         x\n100  a long name  y, …\n"
        );
        assert_eq!(
            drawn(true, 17),
            "  n  name     mo…\n  1  漢字     x\n100  a long…  y,…\n"
        );
        assert_eq!(drawn(true, 10), "  n  name…\n  1  漢字…\n100  a lo…\n");
    }
}
