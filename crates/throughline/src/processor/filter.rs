//! Leaving spans out.

use throughline_wire::SpanView;

use super::{ProcessedSpan, SpanProcessor};
use crate::context::Context;

/// What a processor says of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is recorded, unless another processor drops it.
    Keep,
    /// It is left out, and counted as dropped (`filtered`).
    Drop,
}

enum Rule {
    Names(Vec<String>, Verdict),
    Own(Box<OwnRule>),
}

type OwnRule = dyn Fn(&SpanView<'_>) -> Option<Verdict> + Send + Sync;

/// Leaves spans out by rules: the first rule that says something decides. A span that no rule knows is kept, unless
/// [`otherwise`](Self::otherwise) says something else.
///
/// ```no_run
/// use throughline::{Filter, Verdict};
///
/// let no_health_checks = Filter::at_start().drop_names(["GET /health", "GET /ready"]);
/// let only_slow = Filter::at_end()
///     .rule(|span| span.parent_span_id().is_none().then_some(Verdict::Keep))
///     .rule(|span| {
///         let length = span.end_time_unix_nano() - span.start_time_unix_nano();
///         (length >= 1_000_000).then_some(Verdict::Keep)
///     })
///     .otherwise(Verdict::Drop);
///
/// let _tracing = throughline::builder("orders").processor(no_health_checks).processor(only_slow).init();
/// ```
#[must_use = "a filter is given to the builder: `.processor(filter)`"]
pub struct Filter {
    is_at_start: bool,
    wants_attributes: bool,
    rules: Vec<Rule>,
    otherwise: Verdict,
}

impl Filter {
    /// Decides when a span starts, by its name and kind, and the attributes that it was given. A span that is dropped stands for
    /// its parent: its children become the parent's; with a root its trace is left out, by samplers that do as the parent does.
    pub fn at_start() -> Self {
        Self {
            is_at_start: true,
            wants_attributes: false,
            rules: Vec::new(),
            otherwise: Verdict::Keep,
        }
    }

    /// Decides when a span has ended, by all that it holds: its length, status, attributes. Children of a span that is dropped have
    /// a parent that nobody knows.
    pub fn at_end() -> Self {
        Self {
            is_at_start: false,
            ..Self::at_start()
        }
    }

    /// Drops spans with these names. `*` at the end of a name stands for any rest.
    pub fn drop_names<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.names(names, Verdict::Drop)
    }

    /// Keeps spans with these names, whatever later rules say. `*` at the end of a name stands for any rest.
    pub fn keep_names<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.names(names, Verdict::Keep)
    }

    fn names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>, verdict: Verdict) -> Self {
        let names = names.into_iter().map(Into::into).collect();
        self.rules.push(Rule::Names(names, verdict));
        self
    }

    /// A rule of one's own: to keep, to drop, or `None` to leave it to the rules that follow. Where one panics the span is kept, whatever the others say.
    pub fn rule(mut self, rule: impl Fn(&SpanView<'_>) -> Option<Verdict> + Send + Sync + 'static) -> Self {
        self.wants_attributes = true;
        self.rules.push(Rule::Own(Box::new(rule)));
        self
    }

    /// What happens to spans that no rule knows. Default [`Verdict::Keep`].
    pub fn otherwise(mut self, verdict: Verdict) -> Self {
        self.otherwise = verdict;
        self
    }

    fn decide(&self, name: &str, span: &SpanView<'_>) -> Verdict {
        let asked = self.rules.iter().find_map(|rule| match rule {
            Rule::Names(names, verdict) => names
                .iter()
                .any(|pattern| name_matches(pattern, name))
                .then_some(*verdict),
            Rule::Own(rule) => rule(span),
        });
        asked.unwrap_or(self.otherwise)
    }
}

impl SpanProcessor for Filter {
    #[inline]
    fn on_start(&self, span: &mut ProcessedSpan<'_>, _parent: &Context) -> Verdict {
        match self.is_at_start {
            true => self.decide(span.name(), &span.view()),
            false => Verdict::Keep,
        }
    }

    fn on_end(&self, span: &SpanView<'_>) -> Verdict {
        match self.is_at_start {
            true => Verdict::Keep,
            false => self.decide(span.name(), span),
        }
    }

    fn edits(&self) -> bool {
        false
    }

    fn wants_start_attributes(&self) -> bool {
        self.is_at_start && self.wants_attributes
    }
}

/// Whether a name is this one, or begins like a pattern that ends in `*`.
pub(crate) fn name_matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}
