//! Many threads at once: nothing is lost, and a thread costs little.

mod spans_end_on_other_threads;
mod ten_thousand_threads_live;
#[path = "../spans/traced.rs"]
#[allow(dead_code, reason = "other test programs use the rest")]
mod traced;
