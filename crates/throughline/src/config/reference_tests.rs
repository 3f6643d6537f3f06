//! The table of variables names those that are read, and no others.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsString;

use super::reference::GROUPS;
use super::*;

/// Variables that choose which others are read: each way through the configuration is gone once.
const ENVIRONMENTS: &[&[(&str, &str)]] = &[
    &[],
    &[
        ("OTEL_TRACES_EXPORTER", "otlp,otlp_file,console"),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://backend.example"),
    ],
    &[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://backend.example:4318"),
        ("REQUEST_METHOD", "GET"),
    ],
    &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://backend.example:4318")],
];

fn names_that_are_read() -> BTreeSet<String> {
    let names = RefCell::new(BTreeSet::new());
    for environment in ENVIRONMENTS {
        let lookup = |name: &str| {
            names.borrow_mut().insert(name.to_owned());
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let _config = read(&Settings::default(), &lookup, Some("app"));
    }
    names.into_inner()
}

#[test]
fn variables_in_the_table_are_those_that_are_read() {
    let in_the_table: BTreeSet<String> = GROUPS
        .iter()
        .flat_map(|group| group.variables)
        .flat_map(|variable| variable.names)
        .map(|name| (*name).to_owned())
        .collect();
    assert_eq!(in_the_table, names_that_are_read());
}

#[test]
fn default_in_the_table_changes_nothing_when_it_is_set() {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://backend.example:4318");
    let shown = |more: Option<(&str, &str)>| {
        let lookup = |name: &str| {
            let found = more.into_iter().chain([endpoint]).find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let (config, wrong_settings) = read(&Settings::default(), &lookup, Some("app"));
        (
            format!("{:?} {:?} {:?}", config.enabled, config.destinations, config.batch),
            format!("{:?} {:?}", config.sampler, config.propagators),
            // An unset limit, and one that is set to its default, are not the same value, and mean the same.
            wrong_settings.len(),
        )
    };
    let mut checked = 0;
    for variable in GROUPS.iter().flat_map(|group| group.variables) {
        let literal = variable
            .default
            .strip_prefix('`')
            .and_then(|text| text.strip_suffix('`'));
        let Some(value) =
            literal.filter(|text| !text.contains('`') && !text.ends_with("_PROXY") && !text.starts_with("OTEL_"))
        else {
            continue;
        };
        for name in variable.names {
            assert_eq!(shown(Some((name, value))), shown(None), "{name}={value}");
            checked += 1;
        }
    }
    assert!(checked > 10, "{checked}");
}

#[test]
fn row_of_the_table_says_what_its_variable_sets() {
    for group in GROUPS {
        assert!(!group.title.is_empty() && !group.variables.is_empty());
        for variable in group.variables {
            let is_said = [variable.sets, variable.values, variable.default]
                .iter()
                .all(|cell| !cell.is_empty() && !cell.contains('|'));
            assert!(is_said, "{:?}", variable.names);
            // `REQUEST_METHOD` is set by others.
            let has_no_method = variable.code.is_empty();
            assert!(
                !has_no_method || variable.names == ["REQUEST_METHOD"],
                "{:?}",
                variable.names
            );
        }
    }
}
