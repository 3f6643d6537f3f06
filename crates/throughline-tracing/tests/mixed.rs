//! Random trees of both worlds come out with the right parents, and every span that started is delivered.

use std::collections::HashMap;

use proptest::prelude::*;
use throughline::{Context, span, testing};
use throughline_tracing::{SpanExt as _, layer, subscriber};
use tracing::{Dispatch, debug_span, dispatcher, info_span};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

#[derive(Clone, Debug)]
enum Tree {
    Native(Vec<Tree>),
    Tracing(Vec<Tree>),
    /// A span of `tracing` that a filter leaves out.
    Filtered(Vec<Tree>),
    /// A span of `tracing` whose children name it as their parent, from another thread.
    Explicit(Vec<Tree>),
    /// Entered twice and left in the wrong order.
    Crossed(Vec<Tree>),
}

fn trees() -> impl Strategy<Value = Vec<Tree>> {
    let leaf = prop_oneof![
        Just(Tree::Native(Vec::new())),
        Just(Tree::Tracing(Vec::new())),
        Just(Tree::Filtered(Vec::new()))
    ];
    let tree = leaf.prop_recursive(6, 40, 4, |inner| {
        let children = prop::collection::vec(inner, 0..4);
        prop_oneof![
            children.clone().prop_map(Tree::Native),
            children.clone().prop_map(Tree::Tracing),
            children.clone().prop_map(Tree::Filtered),
            children.clone().prop_map(Tree::Explicit),
            children.prop_map(Tree::Crossed),
        ]
    });
    prop::collection::vec(tree, 1..4)
}

/// Makes the spans, and notes the parent that each is to have.
struct Maker<'a> {
    dispatch: &'a Dispatch,
    parents: HashMap<u64, u64>,
    last: u64,
}

impl Maker<'_> {
    fn make_all(&mut self, trees: &[Tree], parent: u64) {
        for tree in trees {
            self.make(tree, parent);
        }
    }

    fn make(&mut self, tree: &Tree, parent: u64) {
        let before = Context::current();
        self.last += 1;
        let number = self.last;
        if !matches!(tree, Tree::Filtered(_)) {
            self.parents.insert(number, parent);
        }
        match tree {
            Tree::Native(children) => {
                let _span = span!("native", number).enter();
                self.make_all(children, number);
            }
            Tree::Tracing(children) => info_span!("tracing", number).in_scope(|| self.make_all(children, number)),
            Tree::Filtered(children) => debug_span!("filtered", number).in_scope(|| self.make_all(children, parent)),
            Tree::Explicit(children) => {
                let span = info_span!("explicit", number);
                let dispatch = self.dispatch;
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        dispatcher::with_default(dispatch, || {
                            self.last += 1;
                            let child = self.last;
                            self.parents.insert(child, number);
                            info_span!(parent: &span, "child", number = child)
                                .in_scope(|| self.make_all(children, child));
                        });
                    });
                });
            }
            Tree::Crossed(children) => {
                let span = info_span!("crossed", number);
                self.last += 1;
                let inner_number = self.last;
                let (first, second) = (span.enter(), span.enter());
                let inner = info_span!("inner", number = inner_number);
                self.parents.insert(inner_number, number);
                let entered = inner.enter();
                drop(first);
                self.make_all(children, inner_number);
                drop(second);
                assert_eq!(Context::current(), inner.context());
                drop(entered);
            }
        }
        assert_eq!(Context::current(), before);
    }
}

fn check(dispatch: &Dispatch, trees: &[Tree]) {
    let capture = testing::capture();
    let mut maker = Maker {
        dispatch,
        parents: HashMap::new(),
        last: 0,
    };
    dispatcher::with_default(dispatch, || maker.make_all(trees, 0));
    let spans = capture.spans();
    let number = |span: &testing::CapturedSpan| {
        span.attribute("number")
            .and_then(|value| value.as_i64())
            .expect("its number") as u64
    };
    let by_id: HashMap<_, _> = spans.iter().map(|span| (span.span_id(), number(span))).collect();
    let found: HashMap<_, _> = spans
        .iter()
        .map(|span| {
            assert!(span.has_ended());
            (number(span), span.parent_span_id().map_or(0, |id| by_id[&id]))
        })
        .collect();
    assert_eq!(found, maker.parents, "started = delivered, each below its parent");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn layer_gives_each_span_its_parent(trees in trees()) {
        let own = layer().filter(|metadata| *metadata.level() <= tracing::Level::INFO);
        check(&Dispatch::new(registry().with(own)), &trees);
    }

    #[test]
    fn subscriber_gives_each_span_its_parent(trees in trees()) {
        check(&Dispatch::new(subscriber().no_lines()), &trees);
    }
}
