//! What a span of `tracing` means here: starting it, recording fields, setting its parent.

use throughline::__private::{self as core, ParentRef};
use throughline::seam::{self, ErrorText};
use throughline::{Span, SpanKind, Value};
use tracing_core::{Field, Metadata, span};

use crate::callsite::Callsite;
use crate::fields::{Fields, SPECIAL, Sink, Special, Status, Visitor};
use crate::settings::Settings;
use crate::slot::{self, Change, Handle, Refused};

/// Starts a span and keeps it. `None` where there is nothing to keep: tracing is off and nothing came in, or is suppressed.
pub(crate) fn start(attributes: &span::Attributes<'_>, parent: ParentRef<'_>, settings: &Settings) -> Option<Handle> {
    let metadata = attributes.metadata();
    let callsite = Callsite::of(metadata);
    if callsite.names_itself || core::wants_all() {
        return start_by_its_fields(attributes, callsite, parent, settings);
    }
    let mut span = Span::start(metadata.name(), callsite.scope, SpanKind::Internal, parent);
    let is_recording = span.is_recording();
    if is_recording {
        write_first(attributes, callsite, &mut span, settings);
        settings.describe(metadata, &mut span);
    }
    let kept = keep(span, callsite)?;
    if !is_recording && is_held(attributes, parent) {
        Fields::with(
            |fields| attributes.record(&mut Visitor(fields)),
            |fields| kept.hold(fields),
        );
    }
    Some(kept)
}

/// The same, where the fields have to be known before: they name the span, or a sampler looks at them.
#[cold]
fn start_by_its_fields(
    attributes: &span::Attributes<'_>,
    callsite: &'static Callsite,
    parent: ParentRef<'_>,
    settings: &Settings,
) -> Option<Handle> {
    let metadata = attributes.metadata();
    let is_held = is_held(attributes, parent);
    Fields::with(
        |fields| attributes.record(&mut Visitor(fields)),
        |fields| {
            let span = start_held(fields, callsite, metadata, parent, settings);
            let is_recording = span.is_recording();
            let kept = keep(span, callsite)?;
            if !is_recording && is_held {
                kept.hold(fields);
            }
            Some(kept)
        },
    )
}

fn start_with(
    metadata: &'static Metadata<'static>,
    callsite: &'static Callsite,
    parent: ParentRef<'_>,
    fields: &Fields,
) -> Span {
    let special = fields.special();
    let name = special.name.as_deref().unwrap_or(metadata.name());
    let kind = special.kind.unwrap_or(SpanKind::Internal);
    if !core::wants_all() {
        return Span::start(name, callsite.scope, kind, parent);
    }
    core::start_with_attributes(name, callsite.scope, kind, parent, |encoded| {
        for_each(fields, |key, value| encoded.put(key, 0, value));
    })
}

/// Calls `use_it` with each attribute. What an event says in words is one of a span.
fn for_each(fields: &Fields, mut use_it: impl FnMut(&'static str, &Value<'_>)) {
    fields.for_each(&mut use_it);
    if let Some(message) = fields.message() {
        use_it("message", &Value::Str(message));
    }
}

/// Whether the fields of a span that is not recorded are worth keeping: it begins a trace here, and its parent may yet be set.
fn is_held(attributes: &span::Attributes<'_>, parent: ParentRef<'_>) -> bool {
    let is_root = match parent {
        ParentRef::Current => !throughline_context::ids().is_span(),
        ParentRef::Of(context) => context.span_context().is_none(),
    };
    is_root && !attributes.fields().is_empty() && seam::may_record()
}

#[inline]
fn keep(span: Span, callsite: &Callsite) -> Option<Handle> {
    let ids = span.ids();
    (ids.is_span() || ids.has_relay()).then(|| slot::keep(span, callsite))?
}

/// Records fields that come late.
pub(crate) fn record(handle: Handle, values: &span::Record<'_>, settings: &Settings) {
    let is_recording = handle.is_recording();
    if !is_recording && !handle.is_held() {
        return;
    }
    Fields::with(
        |fields| values.record(&mut Visitor(fields)),
        |fields| match is_recording {
            true => handle.write(|span| write(fields, span, settings)),
            false => handle.hold(fields),
        },
    );
}

/// Sets the parent of a span that nobody has seen yet: it is started anew.
pub(crate) fn set_parent(
    handle: Handle,
    metadata: &'static Metadata<'static>,
    parent: ParentRef<'_>,
    settings: &Settings,
) -> Result<(), Refused> {
    let callsite = Callsite::of(metadata);
    let Change { restart, held } = handle.begin_change()?;
    let new = match restart {
        Some(restart) => restart.start(callsite.scope, parent),
        None => start_held(&held, callsite, metadata, parent, settings),
    };
    handle.finish_change(new, held, |later, span| write(later, span, settings))
}

/// Starts a span whose fields are known.
pub(crate) fn start_held(
    held: &Fields,
    callsite: &'static Callsite,
    metadata: &'static Metadata<'static>,
    parent: ParentRef<'_>,
    settings: &Settings,
) -> Span {
    let mut span = start_with(metadata, callsite, parent, held);
    if span.is_recording() {
        write(held, &mut span, settings);
        settings.describe(metadata, &mut span);
    }
    span
}

/// Writes fields to a span. It runs no code of the user's.
fn write(fields: &Fields, span: &mut Span, settings: &Settings) {
    for_each(fields, |key, value| span.set(key, *value));
    if let Some((_, error)) = fields.error() {
        write_error(span, error, settings);
    }
    write_special(fields.special(), span);
}

fn write_special(special: &Special, span: &mut Span) {
    if let Some(name) = &special.name {
        span.rename(name);
    }
    let description = special.description.as_deref();
    match special.status {
        Some(Status::Ok) => span.status_ok(),
        Some(Status::Error) => span.status_error(description.unwrap_or_default()),
        None => description.into_iter().for_each(|text| span.status_error(text)),
    }
}

fn write_error(span: &mut Span, error: &ErrorText, settings: &Settings) {
    span.event("exception", exception(error));
    if settings.error_status {
        span.status_error(&error.message);
    }
}

/// The attributes of an exception (OpenTelemetry semantic conventions, "Exceptions on spans").
pub(crate) fn exception(error: &ErrorText) -> Vec<(&'static str, Value<'_>)> {
    let kind = error.kind.as_deref().map(|kind| ("exception.type", Value::Str(kind)));
    let chain = (!error.chain.is_empty()).then_some(("exception.stacktrace", Value::Str(&error.chain)));
    let message = ("exception.message", Value::Str(&error.message));
    kind.into_iter().chain([message]).chain(chain).collect()
}

/// Writes fields straight into a span that nobody else knows yet.
struct Writer<'a> {
    batch: seam::Batch<'a>,
    callsite: &'static Callsite,
    late: Option<Box<Late>>,
}

/// What waits until the attributes are written.
#[derive(Default)]
struct Late {
    error: Option<ErrorText>,
    special: Special,
}

impl Writer<'_> {
    #[cold]
    fn is_special(&mut self, key: &str, value: &Value<'_>) -> bool {
        match value {
            Value::Str(text) if key.starts_with(SPECIAL) => self.late.get_or_insert_default().special.take(key, text),
            _ => false,
        }
    }
}

impl Sink for Writer<'_> {
    // Into each of the visitor's methods, where the kind of value is known.
    #[inline(always)]
    fn attribute(&mut self, field: &Field, value: &Value<'_>) {
        let key = field.name();
        if self.callsite.has_special && self.is_special(key, value) {
            return;
        }
        self.batch.put(key, self.callsite.key_bit(field), value);
    }

    fn error(&mut self, _: &Field, error: ErrorText) {
        self.late.get_or_insert_default().error = Some(error);
    }
}

/// Writes the fields of a span that has just started; they run code of the user's, while nobody else knows the span.
#[inline]
fn write_first(attributes: &span::Attributes<'_>, callsite: &'static Callsite, span: &mut Span, settings: &Settings) {
    let Some(batch) = span.batch() else { return };
    let mut writer = Writer {
        batch,
        callsite,
        late: None,
    };
    attributes.record(&mut Visitor(&mut writer));
    let Writer { batch, late, .. } = writer;
    batch.finish();
    if let Some(late) = late {
        if let Some(error) = &late.error {
            write_error(span, error, settings);
        }
        write_special(&late.special, span);
    }
}
