//! Spans of the `tracing` crate as spans of Throughline: one tree, ids in log lines, and nothing lost when the program dies.
//!
//! ```
//! use throughline::span;
//! use tracing::{info, info_span};
//! use tracing_subscriber::fmt;
//! use tracing_subscriber::layer::SubscriberExt as _;
//!
//! # let capture = throughline::testing::capture();
//! let _tracing = throughline::init("orders"); // reads OTEL_*; flushes when it is dropped
//! let subscriber = tracing_subscriber::registry()
//!     .with(throughline_tracing::layer())
//!     .with(fmt::layer().map_event_format(throughline_tracing::text_with_ids));
//! # let subscriber = tracing_subscriber::registry().with(throughline_tracing::layer());
//! tracing::subscriber::with_default(subscriber, || {
//!     let _order = info_span!("order", order.id = 7).entered();
//!     let _charge = span!("charge card").enter(); // its child
//!     info_span!("query").in_scope(|| info!("paid")); // and the child of that one
//! });
//! # capture.assert_tree("order {order.id=7}\n  charge card\n    query");
//! ```
//!
//! # What there is
//!
//! * [`layer()`]: a layer for any subscriber that is built on a registry. `docs/tracing.md` says what it records.
//! * [`subscriber()`]: a subscriber that needs no registry, for programs whose only other wish is log lines.
//! * [`SpanExt`]: a parent from another process, a span's context, attributes that no field declares, links.
//! * [`text_with_ids`], [`json_with_ids`]: ids in the lines of `tracing_subscriber::fmt`; [`LogIds`] for `log` and `slog`.
//! * [`events_outside_spans`], [`lost_links`]: what found no place.
//!
//! # Both worlds are one
//!
//! A span of `tracing` that is entered is current for [`throughline::Context::current`], [`throughline::inject`],
//! [`throughline::current`] and new spans of Throughline; one of Throughline that is entered is the parent of the next span of `tracing`.
//!
//! # Under way
//!
//! `Debug` and `Display` of fields run under no lock, and may log, make spans and panic; filters and formatters too. What a field
//! formats to when it panics says so. Nothing here panics, waits, or writes to the standard output. In a forked child, spans of the
//! parent are the parent's.
#![forbid(unsafe_code)]

mod callsite;
mod entered;
mod events;
mod fields;
mod layer;
mod lines;
mod locks;
mod log_ids;
mod registries;
mod settings;
mod slot;
mod span_ext;
mod spans;
mod subscriber;
mod table;
mod with_ids;

pub use events::events_outside_spans;
pub use layer::{Layer, layer};
pub use log_ids::LogIds;
pub use registries::lost_links;
pub use span_ext::{SetParentError, SpanExt};
pub use subscriber::{Subscriber, subscriber};
pub use with_ids::{JsonWithIds, TextWithIds, json_with_ids, text_with_ids};
