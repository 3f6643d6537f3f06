//! `docs/variables.md` is made from the table in the code. After a change of that table:
//!
//! `UPDATE=1 cargo test -p throughline --test settings_reference`

use std::fmt::Write;
use std::fs;
use std::path::Path;

#[path = "../src/config/reference.rs"]
mod reference;

use reference::{GROUPS, Variable};

const HEAD: &str = "# Settings by environment variables

<!-- Made from crates/throughline/src/config/reference.rs by
     `UPDATE=1 cargo test -p throughline --test settings_reference`. Do not edit. -->

What is said in code beats every variable; the method in the last column is that of `throughline::builder(..)`. Where a row has several
names, the first one with a usable value counts. An empty variable is an unset one. A value that cannot be used is ignored; one line
on stderr says which value, why, and what is used instead. With `Builder::variable_prefixes` the same names with a prefix beat those without. A list is separated by commas; names in it are taken in any case.

The variables of destinations need the feature `otlp` of the crate, which is on by default. A destination that is made in code takes nothing
from them but the proxy.
";

const TAIL: &str = "
## Read elsewhere

| variable | who reads it | what for |
|---|---|---|
| one of your own | `builder(..).switch_variable(\"ORDERS_TRACING\")` | switches tracing off with `0`, `false`, `no`, `none` or `off` |
| `XDG_STATE_HOME`, `HOME`; on Windows `LOCALAPPDATA` | library and command | the default place of the spool |
| `SSL_CERT_FILE`, `SSL_CERT_DIR` | library | where the system's certificate authorities are, unless `OTEL_EXPORTER_OTLP_CERTIFICATE` is set |
| `TRACEPARENT`, `TRACESTATE`, `BAGGAGE` | `throughline run`, `throughline span`, and programs that call `extract` | the caller's context |
| `THROUGHLINE_SPOOL_DIR` | command | the spool that is shown; the option `--spool` beats it |
| `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE`, `TERM` | command | whether output is coloured |
| `COLUMNS` | command | the width of the output, where it is not a terminal |
";

#[test]
fn page_of_variables_is_made_from_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/variables.md");
    let page = page();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &page).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page,
        "docs/variables.md is stale: run UPDATE=1 cargo test -p throughline --test settings_reference"
    );
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for group in GROUPS {
        let _infallible = write!(
            page,
            "\n## {}\n\n| variable | what it sets | values | default | in code |\n|---|---|---|---|---|\n",
            group.title
        );
        group
            .variables
            .iter()
            .for_each(|variable| push_row(&mut page, variable));
    }
    page.push_str(TAIL);
    page
}

fn push_row(page: &mut String, variable: &Variable) {
    let names: Vec<_> = variable.names.iter().map(|name| format!("`{name}`")).collect();
    let code = match variable.code {
        "" => String::new(),
        code => format!("`{code}`"),
    };
    let Variable {
        sets, values, default, ..
    } = variable;
    let _infallible = writeln!(
        page,
        "| {} | {sets} | {values} | {default} | {code} |",
        names.join(", ")
    );
}
