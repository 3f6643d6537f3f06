//! Traced HTTP and RPC servers and clients.
