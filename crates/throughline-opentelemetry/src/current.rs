//! One current context for both worlds.
//!
//! [`install`](crate::install) sets it up. From then on, on each thread:
//!
//! * A native context that becomes current (a span that is entered, a context, one poll of a future) is attached as a context of the API
//!   too, on top of what is there: its span, `tracestate`, baggage, and whether telemetry is suppressed. What the API's own code sets on
//!   [`Context::span`](opentelemetry::trace::TraceContextExt::span) goes to the native span, as long as that is current there.
//! * A context of the API that was attached later is the parent of native spans, and what `throughline::inject` writes. Its span is what
//!   `throughline::current` and `event!` write to, if a [`Tracer`](crate::Tracer) has started it.
//! * So the API's stack has all contexts in the order in which they became current, and whichever is on top counts for both. Guards of
//!   both may be dropped in any order.
//!
//! # Limits
//!
//! * The API has no more than 65,534 contexts inside each other on a thread. Native contexts beyond that are current natively only.
//! * Inside [`Context::map_current`](opentelemetry::Context::map_current) and `get_active_span` the API lets nobody attach a context: a
//!   native span that is entered there is current natively only. The attempt prints a message where panics do, and does no harm; with
//!   `panic = "abort"` do not enter spans there.
//! * A future of the API's `with_context` that is cancelled is dropped outside its context: use
//!   [`in_context`](throughline::InSpanExt::in_context) with [`to_throughline`](crate::to_throughline).
//! * A native context that was current on a thread before [`install`](crate::install) is not known to the API.
//! * Natively, a context costs about 2 allocations more to enter.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use opentelemetry::baggage::BaggageExt;
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, ContextGuard};
use throughline::seam;
use throughline_context::{Hook, add_hook};

use crate::context::{native, shown};
use crate::reachable::Bridge;

/// Shares it from now on.
pub(crate) fn share() {
    static SHARED: Once = Once::new();
    SHARED.call_once(|| {
        if let Err(error) = add_hook(&Shared) {
            eprintln!("throughline: spans of the OpenTelemetry API are not in one tree with others: {error}");
        }
        seam::set_bridge(&Bridge);
    });
}

thread_local! {
    /// Whether the API lends its current context to us: nothing can be attached meanwhile.
    static IS_LENT: Cell<bool> = const { Cell::new(false) };
    static FRAMES: RefCell<Frames> = RefCell::new(Frames::new());
}

/// The native contexts of a thread that have not ended.
struct Frames {
    /// In the order in which they became current.
    frames: Vec<Frame>,
    /// Contexts that are over, and stay attached: the API did not let go of them.
    stuck: Vec<Identity>,
    /// Whether the API's own memory of this thread is there.
    is_alive: bool,
}

struct Frame {
    number: u64,
    context: throughline_context::Context,
    /// `None`: the API did not take it.
    attached: Option<(Identity, ContextGuard)>,
}

/// Tells contexts apart, those that live at the same time: by the addresses of what they hold, and whether they suppress telemetry.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity(usize, usize, bool);

impl Identity {
    fn of(context: &Context) -> Self {
        let span = std::ptr::from_ref(context.span().span_context()).addr();
        let baggage = std::ptr::from_ref(context.baggage()).addr();
        Self(span, baggage, context.is_telemetry_suppressed())
    }
}

impl Frames {
    /// A thread's memory goes in the opposite order in which it came: what the API has on this thread is touched first, so that it is
    /// still there as long as this is.
    fn new() -> Self {
        Self {
            frames: Vec::new(),
            stuck: Vec::new(),
            is_alive: read(|_| ()).is_some(),
        }
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        // The thread ends, and the API's contexts with it: maybe they are gone before, on a system with another order.
        self.frames.drain(..).for_each(|frame| std::mem::forget(frame.attached));
    }
}

/// Asks for the API's current context. `None` where it is being changed at this moment, or is gone with its thread.
fn read<R>(f: impl FnOnce(&Context) -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(|| Context::map_current(f))).ok()
}

/// While it lives, native contexts are not attached to the API.
pub(crate) fn lent() -> Lent {
    Lent {
        was_lent: IS_LENT.replace(true),
    }
}

pub(crate) struct Lent {
    was_lent: bool,
}

impl Drop for Lent {
    fn drop(&mut self) {
        IS_LENT.set(self.was_lent);
    }
}

/// The native context of this one; where it is the API's current one, and a native context is newer, that.
pub(crate) fn newest(context: &Context) -> throughline::Context {
    let identity = Identity::of(context);
    let known = FRAMES.try_with(|frames| {
        let frames = frames.borrow();
        let top = frames.frames.last()?;
        let is_top = match &top.attached {
            Some((attached, _)) => *attached == identity,
            None => read(Identity::of) == Some(identity),
        };
        is_top.then(|| top.context.clone())
    });
    known.ok().flatten().unwrap_or_else(|| native(context)).into()
}

struct Shared;

impl Hook for Shared {
    fn entered(&self, number: u64, context: &throughline_context::Context) {
        let can_attach = FRAMES.try_with(|frames| frames.borrow().is_alive && !IS_LENT.get());
        let Ok(can_attach) = can_attach else { return };
        let frame = Frame {
            number,
            context: context.clone(),
            attached: if can_attach { attach(context) } else { None },
        };
        let _ = FRAMES.try_with(|frames| frames.borrow_mut().frames.push(frame));
    }

    fn exited(&self, number: u64, current: &throughline_context::Context) {
        let ended = FRAMES.try_with(|frames| frames.borrow_mut().end(number, current));
        let Ok((frame, inside)) = ended else { return };
        // Nothing is borrowed any more: what is dropped with a context may be anybody's.
        inside.into_iter().chain(frame).for_each(detach);
    }

    fn current(&self, _: &throughline_context::Context) -> Option<throughline_context::Context> {
        let newer = FRAMES.try_with(|frames| {
            let frames = frames.try_borrow().ok().filter(|frames| frames.is_alive)?;
            let top = match frames.frames.last() {
                None => None,
                Some(frame) => Some(frame.attached.as_ref()?.0),
            };
            read(|context| {
                let identity = Identity::of(context);
                let is_ours = match top {
                    Some(top) => identity == top,
                    None => !context.has_active_span() && context.baggage().is_empty() && !identity.2,
                };
                (!is_ours && !frames.stuck.contains(&identity)).then(|| native(context))
            })
            .flatten()
        });
        newer.ok().flatten()
    }
}

impl Frames {
    /// Takes out a frame that has ended, and those that have ended with it: a scope that ends is told of, what was left in it is not.
    fn end(&mut self, number: u64, current: &throughline_context::Context) -> (Option<Frame>, Vec<Frame>) {
        let at = self.frames.iter().rposition(|frame| frame.number == number);
        let frame = at.map(|at| self.frames.remove(at));
        let mut inside = Vec::new();
        while self
            .frames
            .last()
            .is_some_and(|top| top.number > number && top.context != *current)
        {
            inside.extend(self.frames.pop());
        }
        (frame, inside)
    }
}

fn attach(context: &throughline_context::Context) -> Option<(Identity, ContextGuard)> {
    let attached = catch_unwind(|| {
        let context = Context::map_current(|base| shown(base, context));
        let identity = Identity::of(&context);
        (identity, context.attach())
    });
    // Where there are too many, it has not become current.
    let attached = attached.ok()?;
    (read(Identity::of) == Some(attached.0)).then_some(attached)
}

fn detach(frame: Frame) {
    let Some((identity, guard)) = frame.attached else {
        return;
    };
    if catch_unwind(AssertUnwindSafe(|| drop(guard))).is_err() {
        let _ = FRAMES.try_with(|frames| frames.borrow_mut().stuck.push(identity));
    }
}
