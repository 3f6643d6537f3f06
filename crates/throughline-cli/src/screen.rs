//! What the terminal can do: its width, and colours.

use std::env;
use std::io::{IsTerminal as _, stdout};

const DEFAULT_COLUMNS: usize = 100;
const COLUMNS: std::ops::RangeInclusive<usize> = 20..=1000;

/// How wide, and whether in colour.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    pub columns: usize,
    pub colours: bool,
}

/// What a colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    Error,
    Faint,
    Plain,
    Strong,
    Warning,
}

impl Screen {
    /// The one that stdout is: a terminal's own width, else `COLUMNS`, else 100. Colours only on a terminal, and not
    /// where `NO_COLOR` is set (<https://no-color.org>).
    pub fn of_stdout() -> Self {
        let terminal = terminal_size::terminal_size_of(stdout()).map(|(width, _)| usize::from(width.0));
        let variable = || env::var("COLUMNS").ok()?.parse().ok();
        let columns = terminal.or_else(variable).unwrap_or(DEFAULT_COLUMNS);
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            columns: columns.clamp(*COLUMNS.start(), *COLUMNS.end()),
            colours: stdout().is_terminal() && !refused && !is_dumb,
        }
    }

    /// The text in that ink, where there are colours.
    pub fn paint(&self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Error => "31",
            Ink::Faint => "2",
            Ink::Plain => "",
            Ink::Strong => "1",
            Ink::Warning => "33",
        };
        if self.colours && !code.is_empty() && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
