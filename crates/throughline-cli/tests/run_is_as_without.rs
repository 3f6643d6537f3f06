//! `throughline run COMMAND` beside `COMMAND`: what the command inherits is the same.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use common::{only_span, run, throughline, wait_until};
use throughline_testkit::{Finished, Program, Signal, Spool};

const THROUGHLINE: &str = env!("CARGO_BIN_EXE_throughline");

/// Runs the shell script with `$RUN` empty, and with it as `throughline run`.
fn without_and_with(spool: &Spool, script: &str) -> [Finished; 2] {
    ["", &format!("{THROUGHLINE} run")].map(|run| {
        Program::at("sh", spool)
            .args(["-c", script])
            .env("RUN", run)
            .current_dir(spool.home())
            .run()
            .unwrap()
    })
}

#[test]
fn inherited_state_is_as_without_run() {
    const SIGNALS: &str = "grep -E '^Sig(Blk|Ign)' /proc/self/status";
    for script in [
        &format!("$RUN {SIGNALS}"),
        // systemd's default for services.
        &format!("env --ignore-signal=PIPE $RUN {SIGNALS}"),
        &format!("env --ignore-signal=CHLD $RUN {SIGNALS}"),
        &format!("env --ignore-signal=HUP,INT,QUIT,TERM,USR1,TSTP,TTIN,TTOU $RUN {SIGNALS}"),
        &format!("env --block-signal=USR1,TERM,CHLD,PIPE $RUN {SIGNALS}"),
        &format!("nohup $RUN {SIGNALS}"),
        &format!("umask 027; ulimit -c 0; $RUN {SIGNALS}"),
        // Process group and session.
        "$RUN cut -d' ' -f5,6 /proc/self/stat | sed \"s/$$/shell/g\"; cut -d' ' -f5 /proc/$$/stat | sed \"s/$$/shell/g\"",
        "umask 027; $RUN sh -c umask",
        "$RUN sh -c 'ulimit -a'",
        "$RUN cat /proc/self/cmdline",
        "$RUN sh -c 'ls /proc/$$/fd'",
        "$RUN sh -c 'ls /proc/$$/fd' <&-",
        "$RUN sh -c 'ls /proc/$$/fd' 2>&-",
        "exec 7</dev/null; $RUN sh -c 'ls /proc/$$/fd'",
        "$RUN env | grep -v -E '^(TRACEPARENT|RUN|_)='",
        "$RUN pwd",
        "env --ignore-signal=CHLD $RUN sh -c 'exit 3'; echo $?",
        "$RUN sh -c 'kill -9 $$'; echo $?",
        "$RUN yes | head -n 1",
        "(env --ignore-signal=PIPE $RUN yes; echo $? >&2) 2>&1 >/dev/full | tail -n 1",
    ] {
        let spool = Spool::new().unwrap();
        let [without, with] = without_and_with(&spool, script);
        assert_eq!(without, with, "{script}");
        assert!(!without.stdout.is_empty(), "{script}: {without}");
    }
}

#[test]
fn blocked_signal_waits_in_the_command_until_it_is_unblocked() {
    let spool = Spool::new().unwrap();
    let program = Program::at("env", &spool).args([
        "--block-signal=TERM",
        THROUGHLINE,
        "run",
        "tail",
        "-f",
        "-n",
        "+1",
        "/proc/self/stat",
    ]);
    let running = program.spawn().unwrap();
    running.wait_for_stdout("(tail)").unwrap();
    running.signal(Signal::TERM).unwrap();
    let command = common::only_child(running.id());
    wait_until("the signal to wait in the command", || {
        let status = fs::read_to_string(format!("/proc/{command}/status")).unwrap_or_default();
        status.lines().any(|line| line == "ShdPnd:\t0000000000004000")
    });
    running.kill9().unwrap();
}

#[test]
fn script_without_an_interpreter_line_is_run_by_sh() {
    let spool = Spool::new().unwrap();
    let home = spool.home();
    for (file, content) in [("script", "echo script $1; exit 9\n"), ("empty", "")] {
        fs::write(home.join(file), content).unwrap();
        fs::set_permissions(home.join(file), fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::create_dir(home.join("first")).unwrap();
    fs::write(home.join("first/script"), "not executable").unwrap();
    for script in [
        "$RUN ./script x",
        "PATH=$PWD:$PATH; $RUN script x",
        "PATH=:$PATH; $RUN true x",
        "PATH=no-such-directory::$PATH; $RUN true x",
        "PATH=first:no-such-directory::$PATH; $RUN script x",
        "$RUN ./empty",
    ] {
        let [without, with] = without_and_with(&spool, script);
        assert_eq!(without, with, "{script}");
        assert!(without.stderr.is_empty(), "{without}");
    }
}

#[test]
fn file_on_the_path_that_may_not_be_executed_is_126() {
    let spool = Spool::new().unwrap();
    fs::write(spool.home().join("plain"), "").unwrap();
    // As bash and env(1) have it; dash says 127.
    let [_, with] = without_and_with(&spool, "PATH=$PWD:$PATH; $RUN plain");
    assert_eq!(with.code, Some(126), "{with}");
}

#[test]
fn exit_codes_tell_usage_not_executable_and_not_found() {
    let spool = Spool::new().unwrap();
    let home = spool.home();
    for (file, mode, content) in [
        ("plain", 0o644, "echo no\n"),
        ("orphan", 0o755, "#!/no/such/interpreter\n"),
    ] {
        fs::write(home.join(file), content).unwrap();
        fs::set_permissions(home.join(file), fs::Permissions::from_mode(mode)).unwrap();
    }
    for (arguments, code, said) in [
        (&["run"][..], 125, "<COMMAND>"),
        (&["run", "--nam", "x", "--", "true"], 125, "--nam"),
        (&["run", "--name", "", "--", "true"], 125, "--name"),
        (&["run", "-x"], 125, "-x"),
        (&["run", "--", "-x"], 127, "-x: command not found"),
        (&["--spool", "x", "run", "--nam"], 125, "--nam"),
        (&["run", "./plain"], 126, "./plain: cannot be run: Permission denied"),
        (&["run", "."], 126, ".: cannot be run: "),
        (&["run", "./plain/x"], 126, "./plain/x: cannot be run: Not a directory"),
        (
            &["run", "./orphan"],
            126,
            "./orphan: cannot be run: its interpreter (the line `#!`) is not found",
        ),
        (&["run", "no-such-command"], 127, "no-such-command: command not found"),
        (&["run", "./no-such-file"], 127, "./no-such-file: command not found"),
        (&["run", ""], 127, ": command not found"),
    ] {
        let finished = throughline(&spool, arguments).current_dir(&home).run().unwrap();
        assert_eq!(
            (finished.code, &*finished.stdout),
            (Some(code), ""),
            "{arguments:?}: {finished}"
        );
        assert!(finished.stderr.contains(said), "{arguments:?}: {finished}");
        assert_eq!(finished.stderr.lines().count(), 1, "{finished}");
    }
}

#[test]
fn spool_option_is_handed_to_the_command() {
    let [spool, used] = [Spool::new().unwrap(), Spool::new().unwrap()];
    fs::create_dir_all(used.state_home()).unwrap();
    let inner = format!("'{THROUGHLINE}' run --name inner true; echo $THROUGHLINE_SPOOL_DIR");
    // A relative path means the same wherever the command goes.
    let finished = throughline(
        &spool,
        &["--spool", "throughline", "run", "sh", "-c", &format!("cd /; {inner}")],
    )
    .current_dir(used.state_home())
    .run()
    .unwrap()
    .expect_success();
    assert_eq!(finished.stdout, format!("{}\n", used.path().display()), "{finished}");
    assert_eq!(common::spans(&used).len(), 2);

    // Without the option the variable stays what it is.
    let shown = run(&spool, &["run", "sh", "-c", "echo ${THROUGHLINE_SPOOL_DIR-unset}"]).stdout;
    assert_eq!(shown, "unset\n");
    assert_eq!(only_span(&spool)["name"], "sh");
}
