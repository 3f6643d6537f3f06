//! Requests over keep-alive connections, as fast as they are answered.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use super::server::Server;

const CONNECTIONS: usize = 32;
/// What an ordinary client sends.
const REQUEST: &[u8] =
    b"GET /hello/world?lang=en HTTP/1.1\r\nhost: localhost:8080\r\nuser-agent: bench/1.0\r\naccept: */*\r\n\r\n";

/// What one turn came to.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    requests: u64,
    took: Duration,
    cpu: Duration,
}

impl Turn {
    /// Requests per second.
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64()
    }

    /// Nanoseconds of processor time per request.
    pub fn cost(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.requests as f64
    }
}

/// Sends requests for this long.
///
/// # Errors
///
/// Those of sockets, and of a server that stops to answer.
pub fn turn(server: &Server, length: Duration) -> io::Result<Turn> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let requests = Rc::new(Cell::new(0));
    let (begun, cpu) = (Instant::now(), server.cpu_time()?);
    LocalSet::new().block_on(&runtime, async {
        let mut connections = JoinSet::new();
        for _ in 0..CONNECTIONS {
            connections.spawn_local(connection(
                server.address().to_owned(),
                begun + length,
                requests.clone(),
            ));
        }
        while let Some(done) = connections.join_next().await {
            done.map_err(io::Error::other)??;
        }
        io::Result::Ok(())
    })?;
    Ok(Turn {
        requests: requests.get(),
        took: begun.elapsed(),
        cpu: server.cpu_time()? - cpu,
    })
}

async fn connection(address: String, until: Instant, requests: Rc<Cell<u64>>) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut answer = [0; 1024];
    while Instant::now() < until {
        stream.write_all(REQUEST).await?;
        let mut read = 0;
        // The body is the same for all, and the last that comes.
        while !answer[..read].ends_with(b"hello, world") {
            match stream.read(&mut answer[read..]).await? {
                0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                more => read += more,
            }
        }
        requests.set(requests.get() + 1);
    }
    Ok(())
}
