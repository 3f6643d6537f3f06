//! What Throughline costs over the lives of whole processes: delivery, starts, rest, and what they leave behind.
//!
//! ```text
//! cargo bench -p throughline-bench --bench life
//! cargo bench -p throughline-bench --bench life -- --quick --case idle
//! ```
//!
//! Every [case](case::Case) runs processes of its own, which are this program again in some [role](role::Role), over a spool
//! on the disk that this program lies on. There are no peers here: they have no spool.

pub mod case;
pub mod dead_directories;
pub mod delivery;
pub mod disk;
pub mod grpc;
pub mod idle;
pub mod otlp;
pub mod outage;
pub mod proc;
pub mod receiver;
pub mod role;
pub mod start;
pub mod table;
pub mod targets;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser as _;

use self::case::Case;
use self::role::Role;
use self::table::Table;
use crate::beside_the_program;
use crate::command_line::{self, Wishes};

/// Measures processes that use Throughline, from their start to what they leave behind.
#[derive(Debug, clap::Parser)]
#[command(name = "life")]
pub struct Options {
    /// How much is measured, and where the results go.
    #[command(flatten)]
    pub wishes: Wishes,

    /// What this process is to do: how the bench calls itself
    #[arg(long, hide = true)]
    role: Option<Role>,

    #[command(flatten)]
    setting: role::Setting,
}

/// The bench's entry point: reads the command line, measures, prints, and says whether it worked.
///
/// A target that is not met is no failure: the table says so.
pub fn main() -> ExitCode {
    command_line::end("life", run(&Options::parse()))
}

fn run(options: &Options) -> io::Result<()> {
    if let Some(role) = options.role {
        return role.play(&options.setting);
    }
    let mut figures = Vec::new();
    for case in chosen(options.wishes.case.as_deref())? {
        let home = tempfile::tempdir_in(beside_the_program()?)?;
        figures.extend(case.run(home.path(), options.wishes.quick)?);
    }
    let table = Table::new(figures);

    options.wishes.show(&table, || table.json())
}

/// The cases whose names contain the wish; without a wish, all.
fn chosen(wish: Option<&str>) -> io::Result<Vec<Case>> {
    let wish = wish.unwrap_or_default();
    let chosen: Vec<_> = Case::ALL
        .into_iter()
        .filter(|case| case.name().contains(wish))
        .collect();
    if chosen.is_empty() {
        let known = Case::ALL.map(Case::name).join("\n  ");
        let message = format!("no case's name contains {wish:?}; there are:\n  {known}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(chosen)
}

/// A new root of a spool, which nobody has used yet.
fn new_root(home: &Path, name: &str) -> io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt as _;
    let root = home.join(name);
    fs::DirBuilder::new().mode(0o700).create(&root)?;
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wish_chooses_by_part_of_the_name() {
        assert_eq!(chosen(Some("dis")).expect("there is one"), [Case::Disk]);
        assert_eq!(chosen(None).expect("there are"), Case::ALL);
        let error = chosen(Some("afterlife")).expect_err("there is none");
        assert!(error.to_string().contains("delivery"), "{error}");
    }
}
