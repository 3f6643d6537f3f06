//! A queue of jobs on disk.
//!
//! A job is a file: the trace context of whoever put it there as lines `name: value`, an empty line, the payload. It is
//! written aside, synced and renamed, so that nobody sees half a job. Whoever takes it moves it to `taken`, and removes
//! it when the work is done; what a dead worker has left there is put back by the next. One worker works at a time.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

const WAITING: &str = "waiting";
const TAKEN: &str = "taken";

/// A queue in a directory.
#[derive(Clone, Debug)]
pub struct Queue {
    directory: PathBuf,
}

/// A job that was taken.
#[derive(Debug)]
pub struct Job {
    pub id: String,
    /// 1 for the first time it is taken.
    pub attempt: u32,
    pub headers: Vec<(String, String)>,
    pub payload: Vec<u8>,
    /// How long it had been in the queue, since it was first put there.
    pub waited: Duration,
    path: PathBuf,
}

impl Queue {
    /// Makes a queue.
    pub fn create(directory: &Path) -> io::Result<Self> {
        fs::create_dir(directory)?;
        for place in [WAITING, TAKEN] {
            fs::create_dir(directory.join(place))?;
        }
        Ok(Self::at(directory))
    }

    /// The queue that was made there.
    pub fn at(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    /// Puts a job into the queue; when this returns it is on the disk.
    pub fn put(&self, id: &str, headers: &[(String, String)], payload: &[u8]) -> io::Result<()> {
        let aside = self.directory.join(id);
        let mut file = File::create_new(&aside)?;
        for (name, value) in headers {
            writeln!(file, "{name}: {value}")?;
        }
        file.write_all(b"\n")?;
        file.write_all(payload)?;
        file.sync_all()?;
        let waiting = self.directory.join(WAITING);
        fs::rename(&aside, waiting.join(format!("{id}.1")))?;
        // Windows, which has no such call, writes names down by itself.
        if cfg!(unix) {
            File::open(waiting)?.sync_all()?;
        }
        Ok(())
    }

    /// Takes the next job, if there is one.
    pub fn take(&self) -> io::Result<Option<Job>> {
        let Some((id, attempt)) = self.jobs(WAITING)?.into_iter().next() else {
            return Ok(None);
        };
        let path = self.file(TAKEN, &id, attempt);
        fs::rename(self.file(WAITING, &id, attempt), &path)?;
        let entry = fs::read(&path)?;
        let written = fs::metadata(&path)?.modified()?;
        // Where the empty line begins: at once, if there is no context.
        let end = match entry.first() {
            Some(b'\n') => 0,
            _ => entry.windows(2).position(|pair| pair == b"\n\n").map_or(0, |at| at + 1),
        };
        let lines = String::from_utf8_lossy(&entry[..end]);
        let headers = lines.lines().filter_map(|line| line.split_once(": "));
        let headers = headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Ok(Some(Job {
            id,
            attempt,
            headers,
            payload: entry[(end + 1).min(entry.len())..].to_vec(),
            waited: written.elapsed().unwrap_or_default(),
            path,
        }))
    }

    /// Puts back what a worker before this one took and did not finish.
    pub fn put_back(&self) -> io::Result<()> {
        for (id, attempt) in self.jobs(TAKEN)? {
            fs::rename(self.file(TAKEN, &id, attempt), self.file(WAITING, &id, attempt + 1))?;
        }
        Ok(())
    }

    fn file(&self, place: &str, id: &str, attempt: u32) -> PathBuf {
        self.directory.join(place).join(format!("{id}.{attempt}"))
    }

    /// Ids and attempts of the jobs there, in order.
    fn jobs(&self, place: &str) -> io::Result<Vec<(String, u32)>> {
        let mut jobs = Vec::new();
        for entry in fs::read_dir(self.directory.join(place))? {
            let name = entry?.file_name();
            let job = name.to_str().and_then(|name| name.rsplit_once('.'));
            jobs.extend(job.and_then(|(id, attempt)| Some((id.to_owned(), attempt.parse().ok()?))));
        }
        jobs.sort();
        Ok(jobs)
    }
}

impl Job {
    /// The work is done.
    pub fn done(self) -> io::Result<()> {
        fs::remove_file(self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_comes_out_of_the_queue_as_it_went_in() {
        let directory = tempfile::tempdir().unwrap();
        let queue = Queue::create(&directory.path().join("queue")).unwrap();
        let headers = vec![("traceparent".to_owned(), "00-1-2-03".to_owned())];
        for (headers, payload) in [
            (&headers[..], &b"\n\npayload\n\n"[..]),
            (&[], b""),
            (&[], b"\n"),
            (&headers, b"x"),
        ] {
            queue.put("job", headers, payload).unwrap();
            let job = queue.take().unwrap().unwrap();
            assert_eq!((job.id.as_str(), job.attempt), ("job", 1));
            assert_eq!((&job.headers[..], &job.payload[..]), (headers, payload));
            assert!(queue.take().unwrap().is_none());
            job.done().unwrap();
        }
    }

    #[test]
    fn unfinished_job_is_taken_again_and_a_finished_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let queue = Queue::create(&directory.path().join("queue")).unwrap();
        for id in ["a", "b", "c"] {
            queue.put(id, &[], id.as_bytes()).unwrap();
        }
        queue.take().unwrap().unwrap().done().unwrap();
        drop(queue.take().unwrap().unwrap());
        let queue = Queue::at(&directory.path().join("queue"));
        queue.put_back().unwrap();
        let jobs = [queue.take().unwrap().unwrap(), queue.take().unwrap().unwrap()];
        assert_eq!(
            jobs.map(|job| (job.id, job.attempt)),
            [("b".to_owned(), 2), ("c".to_owned(), 1)]
        );
        assert!(queue.take().unwrap().is_none());
    }
}
