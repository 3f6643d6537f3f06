//! Captured spans below their parents.

use std::collections::HashMap;
use std::fmt;

use super::{CapturedSpan, text};

/// Captured spans as trees; from [`Capture::tree`](super::Capture::tree). Shown, it has a line for each span, indented by two spaces
/// below its parent; siblings are in the order of their start.
///
/// ```
/// use throughline::{span, testing};
///
/// let capture = testing::capture();
/// let order = span!("order", order.id = 7).enter();
/// span!("charge", card = "visa").status_error("declined");
/// let ship = span!("ship");
/// drop(order);
/// assert_eq!(capture.tree().to_string(), "order\n  charge !\n  ship ~\n");
/// assert_eq!(
///     capture.tree().with_attributes().to_string(),
///     "order {order.id=7}\n  charge ! {card=visa}\n  ship ~\n"
/// );
/// ```
#[derive(Clone)]
pub struct Tree {
    nodes: Vec<Node>,
    roots: Vec<usize>,
    with_attributes: bool,
}

#[derive(Clone)]
pub(super) struct Node {
    pub span: CapturedSpan,
    /// Their places among the nodes.
    pub children: Vec<usize>,
}

impl Tree {
    /// `spans` are in the order in which they started: a parent comes before its children.
    pub(super) fn new(spans: Vec<CapturedSpan>) -> Self {
        let mut tree = Self {
            nodes: Vec::with_capacity(spans.len()),
            roots: Vec::new(),
            with_attributes: false,
        };
        let mut places = HashMap::with_capacity(spans.len());
        for (at, span) in spans.into_iter().enumerate() {
            let parent = span.parent_span_id().and_then(|id| places.get(&(span.trace_id(), id)));
            match parent {
                Some(parent) => {
                    let parent: &mut Node = &mut tree.nodes[*parent];
                    parent.children.push(at);
                }
                None => tree.roots.push(at),
            }
            places.insert((span.trace_id(), span.span_id()), at);
            tree.nodes.push(Node {
                span,
                children: Vec::new(),
            });
        }
        let starts: Vec<_> = tree
            .nodes
            .iter()
            .map(|node| node.span.view().start_time_unix_nano())
            .collect();
        for node in &mut tree.nodes {
            node.children.sort_by_key(|at| starts[*at]);
        }
        tree.roots.sort_by_key(|at| starts[*at]);
        tree
    }

    /// The same, with the attributes of each span: `charge {order.id=7, card=visa}`.
    #[must_use]
    pub fn with_attributes(mut self) -> Self {
        self.with_attributes = true;
        self
    }

    pub(super) fn roots(&self) -> &[usize] {
        &self.roots
    }

    pub(super) fn node(&self, at: usize) -> &Node {
        &self.nodes[at]
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left: Vec<_> = self.roots.iter().rev().map(|at| (*at, 0)).collect();
        while let Some((at, depth)) = left.pop() {
            let node = &self.nodes[at];
            writeln!(f, "{:depth$}{}", "", text::line(&node.span, self.with_attributes))?;
            left.extend(node.children.iter().rev().map(|at| (*at, depth + 2)));
        }
        Ok(())
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
