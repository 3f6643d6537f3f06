//! A trace as text: each span's name with its children in brackets, sorted, so that trees can be compared.

use throughline::Context;
use throughline_testkit::ReceivedSpan;

use crate::traced::{pairs, traced};

/// The tree that begins with the span of `context`, which has ended.
pub fn tree(context: &Context) -> String {
    let spans = traced().trace(context);
    let root = context.span_id().expect("a span").to_bytes();
    let orphans: Vec<_> = spans
        .iter()
        .filter(|span| span.span_id != root && !spans.iter().any(|other| other.span_id == span.parent_span_id))
        .map(|span| &span.name)
        .collect();
    assert!(orphans.is_empty(), "orphans: {orphans:?}");
    let root = spans.iter().find(|span| span.span_id == root).expect("the root came");
    show(root, &spans)
}

fn show(span: &ReceivedSpan, all: &[ReceivedSpan]) -> String {
    let children = all.iter().filter(|child| child.parent_span_id == span.span_id);
    let mut children: Vec<_> = children.map(|child| show(child, all)).collect();
    children.sort();
    let keys: Vec<_> = pairs(&span.attributes)
        .into_iter()
        .map(|(key, _)| format!("+{key}"))
        .collect();
    let children = if children.is_empty() {
        String::new()
    } else {
        format!("({})", children.join(" "))
    };
    format!("{}{}{children}", span.name, keys.concat())
}
