//! What the terminal can do: its width, and colours.

use std::borrow::Cow;
use std::env;
use std::io::stdout;

use anstream::{AutoStream, ColorChoice};

use crate::text::cut;

const DEFAULT_COLUMNS: usize = 100;
const COLUMNS: std::ops::RangeInclusive<usize> = 20..=1000;

/// How wide, and whether in colour.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    pub columns: usize,
    /// Whether longer lines are cut. A file or a pipe takes all of them; `columns` is then what a drawing aims at.
    pub is_limit: bool,
    pub colours: bool,
}

/// What a colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Error,
    Faint,
    Plain,
    Strong,
    Warning,
}

impl Terminal {
    /// The one that stdout is: a terminal's own width, else `COLUMNS`, else 100 and no limit. Colours on a terminal, unless
    /// `NO_COLOR`, `CLICOLOR=0` or `TERM=dumb` say no, and elsewhere where `CLICOLOR_FORCE` says yes.
    pub fn of_stdout() -> Self {
        let terminal = terminal_size::terminal_size_of(stdout()).map(|(width, _)| usize::from(width.0));
        let variable = || env::var("COLUMNS").ok()?.parse().ok().filter(|columns| *columns > 0);
        let columns = terminal.or_else(variable);
        Self {
            columns: columns
                .unwrap_or(DEFAULT_COLUMNS)
                .clamp(*COLUMNS.start(), *COLUMNS.end()),
            is_limit: columns.is_some(),
            colours: AutoStream::choice(&stdout()) != ColorChoice::Never,
        }
    }

    /// The text in at most so many columns, if this terminal has a limit.
    pub fn cut<'a>(&self, text: &'a str, columns: usize) -> Cow<'a, str> {
        if self.is_limit { cut(text, columns) } else { text.into() }
    }

    /// The text in that style, where there are colours.
    pub fn paint(&self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Error => "31",
            Style::Faint => "2",
            Style::Plain => "",
            Style::Strong => "1",
            Style::Warning => "33",
        };
        if self.colours && !code.is_empty() && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
