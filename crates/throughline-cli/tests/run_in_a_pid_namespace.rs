//! `throughline run` in a PID namespace, as in a container.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{attribute, only_span};
use throughline_testkit::{Finished, Program, Spool};

const THROUGHLINE: &str = env!("CARGO_BIN_EXE_throughline");
const UNSHARE: [&str; 4] = ["--user", "--pid", "--fork", "--mount-proc"];

/// Runs this as process 1 of a PID namespace; nothing where the machine makes none.
fn as_process_one(spool: &Spool, command: &[&str]) -> Option<Finished> {
    let unshare = |arguments: &[&str]| Program::at("unshare", spool).args(UNSHARE).args(arguments).run();
    let is_possible = unshare(&["true"]).is_ok_and(|finished| finished.code == Some(0));
    if !is_possible {
        assert!(
            std::env::var_os("CI").is_none_or(|value| value != "true"),
            "`unshare {}` does not work here, and with CI=true nothing is skipped",
            UNSHARE.join(" ")
        );
        eprintln!(
            "skipped: `run` in a PID namespace (`unshare {}` does not work here)",
            UNSHARE.join(" ")
        );
        return None;
    }
    Some(unshare(command).unwrap())
}

fn run_as_process_one(spool: &Spool, arguments: &[&str]) -> Option<Finished> {
    as_process_one(spool, &[&[THROUGHLINE, "run"], arguments].concat())
}

#[test]
fn process_one_ends_by_128_and_the_number_of_the_signal() {
    for (signal, number) in [("SEGV", 11), ("TERM", 15), ("KILL", 9), ("INT", 2), ("ABRT", 6)] {
        let spool = Spool::new().unwrap();
        let Some(finished) = run_as_process_one(&spool, &["sh", "-c", &format!("kill -{signal} $$")]) else {
            return;
        };
        assert_eq!(
            (finished.code, finished.signal, &*finished.stderr),
            (Some(128 + number), None, ""),
            "{signal}: {finished}"
        );
        assert_eq!(
            attribute(&only_span(&spool), "process.signal").unwrap(),
            format!("SIG{signal}")
        );
    }
}

#[test]
fn process_one_reaps_orphans() {
    let spool = Spool::new().unwrap();
    // The subshell leaves `sleep` to process 1, which is asked whether a zombie of it remains.
    let script = "(sleep 0.01 & echo $! >orphan); orphan=$(cat orphan); \
                  while [ -e /proc/$orphan ]; do sleep 0.01; done; exit 4";
    let script = format!("cd '{}'; {script}", spool.home().display());
    let Some(finished) = run_as_process_one(&spool, &["sh", "-c", &script]) else {
        return;
    };
    assert_eq!(finished.code, Some(4), "{finished}");
}

#[test]
fn run_stops_with_the_command_in_a_session_from_outside() {
    let spool = Spool::new().unwrap();
    // In here the session, and its id, are 0: `unshare` starts none of its own. With -m each job has a group of its own.
    let script = "set -m; \"$0\" run sh -c 'kill -TSTP $$; exit 7' & run=$!; \
                  until grep -q '^State:.T' /proc/$run/status; do sleep 0.01; done; \
                  kill -CONT $run; code=147; while [ $code = 147 ]; do wait $run; code=$?; done; \
                  echo \"ended by $code\"";
    let Some(finished) = as_process_one(&spool, &["bash", "-c", script, THROUGHLINE]) else {
        return;
    };
    assert_eq!(finished.stdout, "ended by 7\n", "{finished}");
}
