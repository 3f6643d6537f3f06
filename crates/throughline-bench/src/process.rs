//! Cases that need a process of their own, since tracing is configured once per process.
//!
//! The bench starts itself again and asks for a sample whenever it is that case's turn, so that
//! the case still takes turns with the others. A line in asks, a line out answers: nanoseconds and
//! allocations.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
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
    fn a_question_gets_an_answer_with_time_and_allocations() {
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
    fn an_answer_that_is_no_pair_of_numbers_is_refused() {
        for answer in ["", "1", "1 ", "x 1", "1 2 3"] {
            assert!(parse(answer).is_none(), "{answer:?}");
        }
    }
}
