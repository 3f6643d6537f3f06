//! `throughline::testing`: each test sees its own spans, and a tree that is another one is shown as a difference.

mod captures;
mod carried_context;
mod processes;
mod traced_closures;
mod traced_streams;
mod trees;
