//! The current trace context of a thread.
//!
//! This crate exists so that two versions of Throughline in one build make **one** tree: both read and write the
//! thread's current context here, and Cargo picks one copy of a 1.x crate. It therefore stays 1.x for good, depends on
//! nothing, and knows nothing of spans, clocks or exporters: ids, flags, and the two header strings that travel along.
//!
//! Most programs never name this crate; they use `throughline::Context`.
//!
//! ```
//! use throughline_context::{Ids, current, enter};
//!
//! assert!(current().is_empty());
//! let ids = Ids::new([7; 16], [8; 8], 1);
//! {
//!     let _entered = enter(ids, None);
//!     assert_eq!(current().ids(), ids);
//! }
//! assert!(current().is_empty());
//! ```

mod hook;
mod ids;
mod relay;
mod stack;

pub use hook::{Hook, TooManyHooks, add_hook};
pub use ids::Ids;
pub use relay::Relay;
pub use stack::{Context, Entered, Token, current, enter, ids, is_empty, pop, push, scope, suppress};
