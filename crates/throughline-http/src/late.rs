//! What is learnt of a server's request while it is handled: its route, or a name.

use std::borrow::Cow;
use std::cell::Cell;

/// What was said on this thread since the poll of the request began.
#[derive(Debug, Default)]
pub(crate) struct Late {
    pub route: Option<Cow<'static, str>>,
    pub name: Option<Cow<'static, str>>,
}

enum Here {
    Outside,
    /// A server's request is polled on this thread.
    Inside(Option<Box<Late>>),
}

thread_local! {
    static HERE: Cell<Here> = const { Cell::new(Here::Outside) };
}

/// Names the route of the request that this code serves: a template such as `/orders/{id}`, known only here.
///
/// For fallbacks, mounted services and routers of one's own. The SERVER span gets it as `http.route`, and the name
/// `{method} {route}`, also when the code runs in a span of its own below it. `false`: no request is served here, as in a task
/// that was spawned, or the request was filtered out.
///
/// ```
/// async fn fallback() -> &'static str {
///     throughline_http::set_route("/files/{*path}");
///     "a file"
/// }
/// ```
pub fn set_route(route: impl Into<Cow<'static, str>>) -> bool {
    with(|late| late.route = Some(route.into()))
}

/// Gives the SERVER span of the request that this code serves another name. Few and fixed: a class of requests, not one request.
///
/// `false`: as of [`set_route`].
///
/// ```
/// async fn dispatch() -> &'static str {
///     throughline_http::set_name("webhook");
///     "taken"
/// }
/// ```
pub fn set_name(name: impl Into<Cow<'static, str>>) -> bool {
    with(|late| late.name = Some(name.into()))
}

/// Whether a server's request is polled on this thread.
pub(crate) fn is_inside() -> bool {
    let is_inside = HERE.try_with(|here| {
        let found = here.replace(Here::Outside);
        let is_inside = matches!(found, Here::Inside(_));
        here.set(found);
        is_inside
    });
    is_inside.unwrap_or(false)
}

fn with(write: impl FnOnce(&mut Late)) -> bool {
    let found = HERE.try_with(|here| here.replace(Here::Outside));
    let Ok(Here::Inside(mut late)) = found else {
        return false;
    };
    write(late.get_or_insert_default());
    HERE.try_with(|here| here.set(Here::Inside(late))).is_ok()
}

/// Runs `f` as a part of a server's request; returns what was said there.
pub(crate) fn inside<R>(f: impl FnOnce() -> R) -> (R, Option<Box<Late>>) {
    let outer = Restored::replacing(Here::Inside(None));
    let result = f();
    (result, outer.restore())
}

/// Runs `f` as a part of a client's call: a server that answers in this process is another request.
pub(crate) fn outside<R>(f: impl FnOnce() -> R) -> R {
    let _outer = Restored::replacing(Here::Outside);
    f()
}

/// What was here before comes back, also after a panic.
struct Restored(Option<Here>);

impl Restored {
    fn replacing(new: Here) -> Self {
        Self(HERE.try_with(|here| here.replace(new)).ok())
    }

    fn restore(mut self) -> Option<Box<Late>> {
        let outer = self.0.take()?;
        match HERE.try_with(|here| here.replace(outer)) {
            Ok(Here::Inside(late)) => late,
            _ => None,
        }
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        if let Some(outer) = self.0.take() {
            let _gone_with_its_thread = HERE.try_with(|here| here.set(outer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn route_reaches_the_nearest_request_only() {
        assert!(!set_route("/nowhere"));
        let ((), outer) = inside(|| {
            let ((), inner) = outside(|| {
                assert!(!is_inside() && !set_route("/nowhere"));
                inside(|| assert!(set_route("/inner")))
            });
            assert_eq!(inner.and_then(|late| late.route).as_deref(), Some("/inner"));
            assert!(set_name("outer"));
        });
        let outer = outer.unwrap_or_default();
        assert_eq!((outer.route, outer.name.as_deref()), (None, Some("outer")));
    }

    #[test]
    fn request_that_panics_is_left() {
        let panicked = std::panic::catch_unwind(|| inside(|| panic!("as the test wants")));
        assert!(panicked.is_err() && !is_inside());
    }
}
