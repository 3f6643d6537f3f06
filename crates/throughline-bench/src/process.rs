//! Cases that need a process of their own, since tracing is configured once per process.
//!
//! The hot path's bench starts itself again and asks for a sample whenever it is that case's turn,
//! so that the case still takes turns with the others. A line in asks, a line out answers:
//! nanoseconds and allocations. The other benches start themselves with [`again`] for a single
//! answer, by [`answer_within`].

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use crate::allocations;
use crate::measure::{Case, Effort};

/// The case of that name, run by another process.
///
/// # Errors
///
/// If the process cannot be started.
pub fn elsewhere(name: &str) -> io::Result<Case> {
    let mut process = Process::start(name)?;
    Ok(Case::of_process(move || process.sample()))
}

/// Answers for a case until nobody asks any more.
///
/// # Errors
///
/// If the answers cannot be written.
pub fn answer(case: &mut Case, questions: impl BufRead, mut answers: impl Write) -> io::Result<()> {
    for question in questions.lines() {
        question?;
        let mut effort = Effort::default();
        let count = allocations::counted(|| effort = case.sample());
        case.drain();
        writeln!(
            answers,
            "{} {}",
            effort.time.as_nanos(),
            count + effort.allocations_elsewhere
        )?;
        answers.flush()?;
    }
    Ok(())
}

/// This program once more, as `wrapper` followed by its own path; no wrapper, no more than that.
///
/// What the environment says about tracing is left out: a bench measures its own settings.
///
/// # Errors
///
/// If this program cannot be found.
pub fn again(wrapper: &[&OsStr]) -> io::Result<Command> {
    let program = std::env::current_exe()?;
    let mut words = wrapper.iter().copied().chain([program.as_os_str()]);
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    for (name, _) in std::env::vars_os() {
        let is_setting = |prefix| name.as_encoded_bytes().starts_with(prefix);
        if is_setting(b"OTEL_") || is_setting(b"THROUGHLINE_") {
            command.env_remove(name);
        }
    }
    Ok(command)
}

/// Runs a program to its end and returns what it writes to its standard output.
///
/// # Errors
///
/// If it cannot be started, fails, or takes longer than `limit`: then it is killed.
pub fn answer_within(limit: Duration, command: &mut Command) -> io::Result<String> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let (send, receive) = sync_channel(1);
    // It ends with the other end of the pipe, and may then find nobody there who waits.
    thread::spawn(move || _ = send.send(io::read_to_string(output)));
    let text = match receive.recv_timeout(limit) {
        Ok(text) => text?,
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            child.kill()?;
            child.wait()?;
            let message = format!("a process of the bench did not end within {limit:?}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
    };
    let status = child.wait()?;
    match status.success() {
        true => Ok(text),
        false => Err(io::Error::other(format!("a process of the bench failed: {status}"))),
    }
}

struct Process {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Kept, so that asking does not allocate.
    answer: String,
}

impl Process {
    fn start(name: &str) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--callee", name, "--answer"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let questions = child.stdin.take();
        let answers = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self {
            child,
            questions,
            answers: BufReader::new(answers),
            answer: String::with_capacity(64),
        })
    }

    /// # Panics
    ///
    /// If the process has gone: a figure without it would be an invention.
    fn sample(&mut self) -> Effort {
        self.ask().expect("the process that runs the case answers");
        parse(&self.answer).expect("the process answers with two numbers")
    }

    fn ask(&mut self) -> io::Result<()> {
        let mut questions = self.questions.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        questions.write_all(b"sample\n")?;
        self.answer.clear();
        self.answers.read_line(&mut self.answer)?;
        Ok(())
    }
}

impl Drop for Process {
    /// Hangs up, which ends the process, and waits for that.
    fn drop(&mut self) {
        self.questions = None;
        // There is nothing left to do for it if this fails.
        let _ = self.child.wait();
    }
}

fn parse(answer: &str) -> Option<Effort> {
    let (nanoseconds, allocations) = answer.trim_end().split_once(' ')?;
    let time = Duration::from_nanos(nanoseconds.parse().ok()?);
    Some(Effort {
        time,
        allocations_elsewhere: allocations.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::ROOTS;
    use std::hint::black_box;

    #[test]
    fn question_gets_an_answer_with_time_and_allocations() {
        let mut case = Case::new(|| drop(black_box(Box::new(1))));
        let mut answers = Vec::new();
        answer(&mut case, b"sample\nsample\n".as_slice(), &mut answers).expect("memory can be written");
        let answers: Vec<_> = answers
            .lines()
            .map(|line| parse(&line.expect("UTF-8")).expect("two numbers"))
            .collect();
        assert_eq!(answers.len(), 2);
        for effort in answers {
            assert_eq!(effort.allocations_elsewhere, u64::from(ROOTS));
            assert!(!effort.time.is_zero());
        }
    }

    #[test]
    fn process_that_does_not_end_is_killed() {
        let mut command = Command::new("sleep");
        let error = answer_within(Duration::from_millis(1), command.arg("60")).expect_err("it sleeps longer");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn process_that_fails_gives_no_answer() {
        assert!(answer_within(Duration::from_secs(60), &mut Command::new("false")).is_err());
    }

    #[test]
    fn answer_that_is_no_pair_of_numbers_is_refused() {
        for answer in ["", "1", "1 ", "x 1", "1 2 3"] {
            assert!(parse(answer).is_none(), "{answer:?}");
        }
    }
}
