//! A loopback port that stays ours while nobody listens on it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// A port of 127.0.0.1, chosen by the system and kept until this is dropped.
///
/// It is bound but does not listen, so whoever connects is refused. Because it is bound with
/// `SO_REUSEADDR`, another socket that sets the same option may bind it too and listen: ours, in
/// a receiver, or that of a child process (every Go server sets it). Meanwhile the system gives
/// the port to nobody who asks for a free one, so a receiver can stop and come back to it.
#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    _reserved: TcpSocket,
}

impl Port {
    /// Reserves a free port.
    ///
    /// # Errors
    ///
    /// Those of making a socket.
    pub fn reserve() -> io::Result<Self> {
        let reserved = reusing()?;
        reserved.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        Ok(Self {
            address: reserved.local_addr()?,
            _reserved: reserved,
        })
    }

    /// The address with this port, `127.0.0.1:<port>`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to listen. Must be called inside a Tokio runtime.
    pub(crate) fn listen(&self) -> io::Result<TcpListener> {
        let socket = reusing()?;
        socket.bind(self.address)?;
        socket.listen(1024)
    }
}

fn reusing() -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    Ok(socket)
}
