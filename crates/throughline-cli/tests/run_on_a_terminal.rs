//! `throughline run` on a terminal: keys reach the command as they do without it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::fs;

use common::terminal::Terminal;
use common::{attribute, only_span};
use throughline_testkit::Spool;

const THROUGHLINE: &str = env!("CARGO_BIN_EXE_throughline");

/// The example that counts signals.
fn counter() -> String {
    let binary = std::path::Path::new(THROUGHLINE);
    let counter = binary.parent().unwrap().join("examples/count_signals");
    assert!(counter.is_file(), "{} is not built", counter.display());
    counter.to_str().unwrap().to_owned()
}

/// The process id of `run`, which is the parent of the command.
fn send_term_to_run(terminal: &Terminal) {
    let shown = terminal.shown();
    let run: i32 = shown.lines().next().unwrap().trim().parse().unwrap();
    let run = rustix::process::Pid::from_raw(run).unwrap();
    rustix::process::kill_process(run, rustix::process::Signal::TERM).unwrap();
}

#[test]
fn ctrl_c_reaches_the_command_once_whatever_stdin_is() {
    for stdin in ["", "</dev/null"] {
        for (key, name) in [("\x03", "SIGINT"), ("\x1c", "SIGQUIT")] {
            let spool = Spool::new().unwrap();
            let script = format!("echo $$; exec '{THROUGHLINE}' run -- '{}' {stdin}", counter());
            let terminal = Terminal::run(&spool, "sh", &["-c", &script]);
            terminal.wait_for("ready");
            terminal.type_in(key);
            terminal.wait_for(&format!("{name} 1"));
            // Whatever else `run` passes on comes before this one.
            send_term_to_run(&terminal);
            let (code, shown) = terminal.finish();
            assert_eq!(code, Some(7), "{shown}");
            assert!(!shown.contains(&format!("{name} 2")), "stdin {stdin:?}: {shown}");
            assert_eq!(attribute(&only_span(&spool), "process.exit.code").unwrap(), "7");
        }
    }
}

#[test]
fn ctrl_z_stops_the_job_and_fg_continues_it() {
    let spool = Spool::new().unwrap();
    let script = format!(
        "'{THROUGHLINE}' run -- sh -c 'echo ready; read line; echo \"read $line\"; exit 5'; \
         echo \"stopped $?\"; fg >/dev/null; echo \"ended $?\""
    );
    let terminal = Terminal::run(&spool, "sh", &["-m", "-c", &script]);
    terminal.wait_for("ready");
    terminal.type_in("\x1a");
    terminal.wait_for("stopped 147"); // by SIGSTOP, where the command itself was stopped by SIGTSTP (148)
    terminal.type_in("words\n");
    terminal.wait_for("ended 5");
    let (_, shown) = terminal.finish();
    assert!(shown.contains("read words"), "{shown}");
}

#[test]
fn fg_continues_the_command_with_one_sigcont() {
    let spool = Spool::new().unwrap();
    let script = format!(
        "'{THROUGHLINE}' run -- sh -c 'echo run $PPID; exec {}'; echo stopped; fg >/dev/null; echo \"ended $?\"",
        counter()
    );
    let terminal = Terminal::run(&spool, "sh", &["-m", "-c", &script]);
    terminal.wait_for("ready");
    terminal.type_in("\x1a");
    terminal.wait_for("stopped");
    terminal.wait_for("SIGCONT 1");
    let shown = terminal.shown();
    let run = shown.lines().find_map(|line| line.trim().strip_prefix("run ")).unwrap();
    let run = rustix::process::Pid::from_raw(run.parse().unwrap()).unwrap();
    rustix::process::kill_process(run, rustix::process::Signal::TERM).unwrap();
    terminal.wait_for("ended 7");
    let (_, shown) = terminal.finish();
    assert!(!shown.contains("SIGCONT 2"), "{shown}");
}

#[test]
fn terminal_modes_and_process_group_are_as_without_run() {
    let script = "stty -echo -icanon min 3; stty -a; cut -d' ' -f5-8 /proc/self/stat | sed s/$(cut -d' ' -f5 /proc/$$/stat)/group/g";
    let outputs = ["", THROUGHLINE].map(|binary| {
        let spool = Spool::new().unwrap();
        let (program, arguments) = match binary {
            "" => ("sh", vec!["-c", script]),
            binary => (binary, vec!["run", "sh", "-c", script]),
        };
        let terminal = Terminal::run(&spool, program, &arguments);
        let (code, shown) = terminal.finish();
        assert_eq!(code, Some(0), "{shown}");
        // The minor number of the terminal is another for each.
        let shown: Vec<_> = shown.split_whitespace().map(str::to_owned).collect();
        shown[..shown.len() - 2].join(" ")
    });
    assert_eq!(outputs[0], outputs[1]);
}

#[test]
fn stopped_command_without_job_control_leaves_run_awake() {
    // No shell watches a job here: whoever stops and continues the command knows nothing of us.
    let spool = Spool::new().unwrap();
    let script = "echo ready; kill -STOP $$; echo continued; exit 3";
    let terminal = Terminal::run(&spool, THROUGHLINE, &["run", "sh", "-c", script]);
    terminal.wait_for("ready");
    let command = common::only_child(terminal.id());
    common::wait_until("the command to stop", || common::state(command) == 'T');
    let pid = rustix::process::Pid::from_raw(i32::try_from(command).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    let (code, shown) = terminal.finish();
    assert_eq!(code, Some(3), "{shown}");
    assert!(fs::metadata(spool.path()).is_ok());
}
