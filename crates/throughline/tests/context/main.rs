//! Every span is the child of the right one, and what is said of the current span is said to that one.

mod current_is_the_right_span;
mod parents_are_exact_in_tasks_and_threads;
mod shared_spans_end_once;
#[path = "../spans/traced.rs"]
#[allow(dead_code, reason = "other test programs use the rest")]
mod traced;
mod traced_functions_run_in_spans;
mod tree;
