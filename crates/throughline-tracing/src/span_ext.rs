//! What a span of `tracing` cannot do by itself: its context, a parent from elsewhere, attributes that nobody declared.

use std::fmt;
use std::sync::Arc;

use throughline::{Context, Parent, ToValue};
use tracing::Span;
use tracing_core::{Dispatch, span::Id};

use crate::callsite::Callsite;
use crate::fields::Fields;
use crate::layer::{forget_stand_in_of, is_stand_in_seen, parent_in, see_stand_in};
use crate::registries::{self, Spans};
use crate::settings::Settings;
use crate::slot::{self, Handle, Refused};
use crate::spans;
use crate::subscriber::{self, Subscriber};

/// More that a [`tracing::Span`] can do where its spans are recorded.
///
/// All of it works behind `reload` and per-layer filters. On a span that is not recorded nothing happens, and nothing is formatted.
///
/// ```
/// use throughline_tracing::SpanExt as _;
/// use tracing::info_span;
/// # use tracing_subscriber::layer::SubscriberExt as _;
/// # let capture = throughline::testing::capture();
/// # let _default = tracing::subscriber::set_default(tracing_subscriber::registry().with(throughline_tracing::layer()));
///
/// let headers = [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")];
/// let request = info_span!("request", otel.kind = "server");
/// request.set_parent(throughline::extract(headers))?;
/// request.in_scope(|| {
///     tracing::Span::current().set_attribute("user.id", 7);
///     let headers: std::collections::HashMap<String, String> = throughline::inject(Default::default());
///     assert!(headers["traceparent"].starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
/// });
/// # Ok::<(), throughline_tracing::SetParentError>(())
/// ```
pub trait SpanExt: sealed::Sealed {
    /// Makes the span the child of `parent`: what [`throughline::extract`] has read, any [`Context`], or a span of Throughline. An
    /// empty context, or `None`, makes it a root: the trace begins anew.
    ///
    /// It is for a span that has just been made. Whether it is recorded is decided anew. A root that was not sampled keeps its
    /// fields for that; of a child that was not, the fields that were given at its start are lost.
    ///
    /// # Errors
    ///
    /// [`SetParentError`] when it cannot be done: nothing is changed then. After a span was entered, had a child, or was asked for its
    /// [`context`](Self::context), somebody may know its ids.
    fn set_parent<'p>(&self, parent: impl Into<Parent<'p>>) -> Result<(), SetParentError>;

    /// The span's context. Of a span that is not recorded, that of the nearest one that stands for it; empty where there is none.
    fn context(&self) -> Context;

    /// Sets an attribute, which no field has to be declared for. A key that was set before gets the new value.
    fn set_attribute(&self, key: &str, value: impl ToValue);

    /// Links another span: one that caused this one without being its parent.
    fn add_link(&self, to: &Context);
}

/// Why a parent could not be set; see [`SpanExt::set_parent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetParentError {
    /// The span is disabled, or a filter keeps it from the layer.
    Disabled,
    /// The span's subscriber has no layer of Throughline.
    NoLayer,
    /// The span was entered, had a child, or was asked for its context before: set the parent right after the span was made.
    TooLate,
}

impl fmt::Display for SetParentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disabled => "the span has no parent set: it is disabled, or a filter keeps it from the layer",
            Self::NoLayer => "the span has no parent set: its subscriber has no layer of throughline-tracing",
            Self::TooLate => {
                "the span has no parent set: it was entered, had a child, or was asked for its context before; \
                 set the parent right after the span was made"
            }
        })
    }
}

impl std::error::Error for SetParentError {}

mod sealed {
    pub trait Sealed {}

    impl Sealed for tracing::Span {}
}

impl SpanExt for Span {
    fn set_parent<'p>(&self, parent: impl Into<Parent<'p>>) -> Result<(), SetParentError> {
        let parent = parent.into();
        let parent = parent.by_ref();
        let metadata = self.metadata().ok_or(SetParentError::Disabled)?;
        let set = self.with_subscriber(|(id, dispatch)| match locate(dispatch, id)? {
            Place::Kept(handle, settings) => {
                spans::set_parent(handle, metadata, parent, &settings).map_err(|refused| match refused {
                    Refused::Ended => SetParentError::Disabled,
                    Refused::Seen => SetParentError::TooLate,
                })
            }
            Place::StandIn(spans) => {
                let callsite = Callsite::of(metadata);
                let span = spans::start_held(&Fields::default(), callsite, metadata, parent, spans.settings());
                match slot::keep(span, callsite) {
                    Some(slot) if spans.table.insert(id.into_u64(), slot) => {
                        forget_stand_in_of(&spans, id.into_u64());
                        Ok(())
                    }
                    _ => Err(SetParentError::Disabled),
                }
            }
        });
        set.unwrap_or(Err(SetParentError::Disabled))
    }

    fn context(&self) -> Context {
        let context = self.with_subscriber(|(id, dispatch)| {
            let handle = match dispatch.downcast_ref::<Subscriber>() {
                Some(_) => subscriber::handle(id),
                None => nearest(&*registries::find(dispatch, id)?, id, dispatch),
            };
            let (ids, relay) = handle?.see()?;
            Some(throughline::seam::context(ids, relay))
        });
        context.flatten().unwrap_or_default()
    }

    fn set_attribute(&self, key: &str, value: impl ToValue) {
        if let Some(handle) = recorded(self) {
            value.with_value(|value| handle.write(|span| span.set(key, *value)));
        }
    }

    fn add_link(&self, to: &Context) {
        if let Some(handle) = recorded(self) {
            handle.write(|span| span.link(to, []));
        }
    }
}

/// Where a span is.
enum Place {
    Kept(Handle, Settings),
    /// The last one that was started on this thread: it stands for its parent so far.
    StandIn(Arc<Spans>),
}

fn locate(dispatch: &Dispatch, id: &Id) -> Result<Place, SetParentError> {
    if let Some(subscriber) = dispatch.downcast_ref::<Subscriber>() {
        let handle = subscriber::handle(id).ok_or(SetParentError::Disabled)?;
        return Ok(Place::Kept(handle, subscriber.settings().clone()));
    }
    let spans = registries::find(dispatch, id).ok_or(SetParentError::NoLayer)?;
    match spans.find(id) {
        Some(handle) => Ok(Place::Kept(handle, spans.settings().clone())),
        None => match is_stand_in_seen(&spans, id.into_u64()) {
            Some(false) => Ok(Place::StandIn(spans)),
            Some(true) => Err(SetParentError::TooLate),
            None => Err(SetParentError::Disabled),
        },
    }
}

fn recorded(span: &Span) -> Option<Handle> {
    let found = span.with_subscriber(|(id, dispatch)| match locate(dispatch, id) {
        Ok(Place::Kept(handle, _)) => Some(handle),
        _ => None,
    });
    found.flatten().filter(|handle| handle.is_recording())
}

/// The span, or its nearest ancestor that is kept.
fn nearest(spans: &Spans, id: &Id, dispatch: &Dispatch) -> Option<Handle> {
    spans.find(id).or_else(|| {
        see_stand_in(spans, id);
        let registry = dispatch.downcast_ref()?;
        spans.find_above(id, |id| parent_in(registry, id))
    })
}
