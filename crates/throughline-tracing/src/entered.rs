//! The spans that are entered on this thread, in the order in which they were.

use std::cell::RefCell;

use throughline::{Span, seam};
use throughline_context::Token;

use crate::slot::Handle;

thread_local! {
    static ENTERED: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

/// One span that was entered; several times if that was often.
struct Frame {
    /// Whose id it is: the key of a table.
    owner: usize,
    id: u64,
    span_id: [u8; 8],
    handle: Handle,
    /// What it has made current; `None` where the span was current already.
    context: Option<Token>,
    /// Whether the handle is of the span itself, not of an ancestor that stands for it.
    is_own: bool,
}

/// Makes a span current on this thread: its own context, or that of the nearest ancestor that has one.
#[inline]
pub(crate) fn enter(owner: usize, id: u64, handle: Handle, is_own: bool) {
    let Some((ids, relay)) = handle.see() else { return };
    let current = throughline_context::ids();
    // Where telemetry is suppressed it stays so: a span that is not recorded there is entered by an ancestor that is.
    let ids = match current.is_suppressed() {
        true => ids.suppressed(),
        false => ids,
    };
    let is_current = current.span_id() == ids.span_id() && current.trace_id() == ids.trace_id();
    let changes = ids.is_sampled() || relay.is_some() || ids.is_span() && !is_current;
    // Entered before anything is borrowed: hooks are called.
    let context = changes.then(|| throughline_context::push(ids, relay));
    let is_noted = ENTERED.try_with(|entered| {
        // It is borrowed by nobody else but where an allocator traces: such a span is not entered.
        let Ok(mut entered) = entered.try_borrow_mut() else {
            return false;
        };
        entered.push(Frame {
            owner,
            id,
            span_id: ids.span_id(),
            handle,
            context,
            is_own,
        });
        true
    });
    if let (Some(context), false) = (context, is_noted == Ok(true)) {
        throughline_context::pop(context);
    }
}

/// Notes that a span is entered which changes nothing, if an entry of it is there already: its exit is not to take that one back.
#[inline]
pub(crate) fn enter_again(owner: usize, id: u64) {
    let _ = ENTERED.try_with(|entered| {
        let Ok(mut entered) = entered.try_borrow_mut() else {
            return;
        };
        let before = entered
            .iter()
            .rfind(|frame| frame.id == id && frame.owner == owner)
            .map(|frame| Frame {
                context: None,
                is_own: false,
                ..*frame
            });
        entered.extend(before);
    });
}

/// Takes back the youngest entry of a span, wherever it stands.
#[inline]
pub(crate) fn exit(owner: usize, id: u64) {
    let left = ENTERED.try_with(|entered| {
        let mut entered = entered.try_borrow_mut().ok()?;
        let is_it = |frame: &Frame| frame.id == id && frame.owner == owner;
        let at = match entered.last() {
            Some(last) if is_it(last) => entered.len() - 1,
            _ => entered.iter().rposition(is_it)?,
        };
        let frame = entered.remove(at);
        Some((frame.is_own.then_some(frame.handle), frame.context))
    });
    if let Ok(Some((own, context))) = left {
        if let Some(handle) = own {
            handle.note_left();
        }
        // Left when nothing is borrowed any more: hooks are called.
        if let Some(context) = context {
            throughline_context::pop(context);
        }
    }
}

/// The span of this id, if it is entered on this thread; the newest entry first.
#[inline]
pub(crate) fn find(span_id: [u8; 8]) -> Option<Handle> {
    let found = ENTERED.try_with(|entered| {
        let entered = entered.try_borrow().ok()?;
        let frame = entered.iter().rev().find(|frame| frame.span_id == span_id)?;
        Some(frame.handle)
    });
    found.ok().flatten()
}

/// Notes that a span is about to start below the current one.
#[inline]
pub(crate) fn note_child(span_id: [u8; 8]) {
    let _ = ENTERED.try_with(|entered| {
        let Ok(entered) = entered.try_borrow() else { return };
        if let Some(top) = entered.last().filter(|frame| frame.span_id == span_id) {
            top.handle.note_child();
        }
    });
}

/// The span that was entered last on this thread, if it is one of this owner and has this span id.
#[inline]
pub(crate) fn top_of(owner: usize, span_id: [u8; 8]) -> Option<Handle> {
    let top = ENTERED.try_with(|entered| {
        let entered = entered.try_borrow().ok()?;
        let top = entered.last()?;
        (top.span_id == span_id && top.owner == owner).then_some(top.handle)
    });
    top.ok().flatten()
}

/// Whether this span was the last one of its owner that was entered on this thread, and one of somebody else was entered since.
pub(crate) fn is_newest_below_another(owner: usize, handle: Handle) -> bool {
    let current = throughline_context::ids();
    let is_below = ENTERED.try_with(|entered| {
        let entered = entered.try_borrow().ok()?;
        let newest = entered.iter().rev().find(|frame| frame.owner == owner)?;
        Some(newest.handle == handle && current.is_span() && newest.span_id != current.span_id())
    });
    is_below.ok().flatten().unwrap_or(false)
}

/// The span of this owner that was entered last on this thread.
pub(crate) fn newest_of(owner: usize) -> Option<Handle> {
    let newest = ENTERED.try_with(|entered| {
        let entered = entered.try_borrow().ok()?;
        let newest = entered.iter().rev().find(|frame| frame.owner == owner)?;
        Some(newest.handle)
    });
    newest.ok().flatten()
}

/// Lets `throughline::current` reach these spans.
pub(crate) struct Bridge;

impl seam::CurrentSpans for Bridge {
    fn with(&self, span_id: [u8; 8], write: &mut dyn FnMut(&mut Span)) -> bool {
        let Some(handle) = find(span_id).filter(|handle| handle.is_recording()) else {
            return false;
        };
        let mut was_written = false;
        handle.write(|span| {
            write(span);
            was_written = true;
        });
        was_written
    }
}
