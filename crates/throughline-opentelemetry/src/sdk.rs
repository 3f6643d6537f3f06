//! Exporters that were written for `opentelemetry_sdk`, as destinations.

mod block_on;
mod span_data;

use std::fmt;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use throughline::export::{ExportBatch, ExportError, ResourceSpansView};

use block_on::block_on;
use span_data::{resource, span_data};

/// Sends spans through an exporter of `opentelemetry_sdk`; for [`Destination::exporter`](throughline::Destination::exporter).
///
/// All fields of a span are handed on, and with each change of the resource [`set_resource`](SpanExporter::set_resource) is called. The
/// exporter's future runs on a thread of Throughline's own that may block, inside of its runtime: one that needs tokio finds it there,
/// and the program needs none. [`Tracing::flush`](throughline::Tracing::flush) reaches [`force_flush`](SpanExporter::force_flush),
/// [`shutdown`](throughline::Tracing::shutdown) reaches [`shutdown`](SpanExporter::shutdown).
///
/// An error of the SDK does not say whether it is worth another try, so a batch that failed comes again, after a pause that grows to a
/// minute, until the exporter takes it: an outage of the backend loses nothing. An exporter whose backend refuses some spans for good says
/// so by [`rejecting`](Self::rejecting).
///
/// Values that the SDK has no type for become text: bytes in hexadecimal digits, maps and arrays of several types as JSON.
///
/// ```no_run
/// # #[derive(Debug)]
/// # struct Exporter;
/// # impl opentelemetry_sdk::trace::SpanExporter for Exporter {
/// #     async fn export(&self, _: Vec<opentelemetry_sdk::trace::SpanData>) -> opentelemetry_sdk::error::OTelSdkResult { Ok(()) }
/// # }
/// use throughline::Destination;
/// use throughline_opentelemetry::SdkExporter;
///
/// let exporter = SdkExporter::new(Exporter);
/// let _tracing = throughline::builder("orders").destination(Destination::exporter("theirs", exporter)).init();
/// ```
pub struct SdkExporter<E> {
    exporter: E,
    /// The encoded resource and its schema URL that the exporter was told of last.
    resource: Option<(Vec<u8>, String)>,
    is_rejection: fn(&OTelSdkError) -> bool,
}

impl<E: SpanExporter> SdkExporter<E> {
    /// A destination for spans.
    pub fn new(exporter: E) -> Self {
        Self {
            exporter,
            resource: None,
            is_rejection: |_| false,
        }
    }

    /// Which errors say that a batch will never be taken: its spans are counted as dropped, and kept among those that were rejected. By
    /// default none.
    ///
    /// ```
    /// # use opentelemetry_sdk::trace::SpanExporter;
    /// # use throughline_opentelemetry::SdkExporter;
    /// # fn of(exporter: impl SpanExporter) -> SdkExporter<impl SpanExporter> {
    /// SdkExporter::new(exporter).rejecting(|error| error.to_string().contains("400"))
    /// # }
    /// ```
    #[must_use]
    pub fn rejecting(mut self, is_rejection: fn(&OTelSdkError) -> bool) -> Self {
        self.is_rejection = is_rejection;
        self
    }

    /// Spans of one resource go together: the SDK's exporters know of one at a time.
    fn send(&mut self, of: ResourceSpansView<'_>, spans: Vec<SpanData>) -> Result<(), ExportError> {
        let told = (of.resource().to_vec(), of.schema_url().to_owned());
        if self.resource.as_ref() != Some(&told) {
            let resource: Resource = resource(of);
            self.exporter.set_resource(&resource);
            self.resource = Some(told);
        }
        let sent: OTelSdkResult = block_on(self.exporter.export(spans));
        sent.map_err(|error| match (self.is_rejection)(&error) {
            true => ExportError::rejected(error.to_string()),
            false => ExportError::retry(error.to_string()),
        })
    }
}

impl<E: SpanExporter> throughline::export::SpanExporter for SdkExporter<E> {
    fn export(&mut self, batch: ExportBatch<'_>) -> Result<(), ExportError> {
        let mut spans = batch.spans().peekable();
        let mut rejected = Ok(());
        while let Some(first) = spans.next() {
            let is_same = |other: &ResourceSpansView<'_>| {
                other.resource() == first.resource.resource() && other.schema_url() == first.resource.schema_url()
            };
            let mut same = vec![span_data(&first)];
            while let Some(next) = spans.next_if(|next| is_same(&next.resource)) {
                same.push(span_data(&next));
            }
            match self.send(first.resource, same) {
                // It will not be taken next time either; the spans of others may be.
                Err(error) if !error.is_retryable() => rejected = Err(error),
                result => result?,
            }
        }
        rejected
    }

    fn flush(&mut self) {
        // Whether spans have arrived is what `export` has said.
        let _ = self.exporter.force_flush();
    }

    fn shutdown(&mut self) {
        let _ = self.exporter.shutdown();
    }
}

impl<E: fmt::Debug> fmt::Debug for SdkExporter<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SdkExporter").field(&self.exporter).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use throughline::export::SpanExporter as _;
    use throughline::seam::export_batch;

    use super::*;

    /// Takes the spans of some resources.
    #[derive(Debug, Default)]
    struct Picky {
        resource: String,
        taken: Arc<Mutex<Vec<String>>>,
    }

    impl SpanExporter for Picky {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            match &*self.resource {
                "refused" => Err(OTelSdkError::InternalFailure("400".into())),
                "failing" => Err(OTelSdkError::InternalFailure("503".into())),
                _ => {
                    let names = batch.iter().map(|span| format!("{}: {}", self.resource, span.name));
                    self.taken.lock().expect("nobody panics").extend(names);
                    Ok(())
                }
            }
        }

        fn set_resource(&mut self, resource: &Resource) {
            self.resource = resource.get(&"service.name".into()).expect("it has one").to_string();
        }
    }

    /// A field of Protobuf that holds others, or text.
    fn field(number: u8, content: impl AsRef<[u8]>) -> Vec<u8> {
        let content = content.as_ref();
        let length = u8::try_from(content.len()).expect("it is short");
        assert!(length < 0x80, "one byte says the length");
        [&[number << 3 | 2, length], content].concat()
    }

    /// An `ExportTraceServiceRequest` with a span of each service.
    fn request(services: &[&str]) -> Vec<u8> {
        let resource_spans = |service: &&str| {
            let value = field(2, field(1, service));
            let resource = field(1, [field(1, "service.name"), value].concat());
            let span = [field(1, [1; 16]), field(2, [1; 8]), field(5, "span")].concat();
            field(1, [field(1, resource), field(2, field(2, span))].concat())
        };
        services.iter().flat_map(resource_spans).collect()
    }

    #[test]
    fn spans_of_all_resources_are_offered_when_some_are_rejected() {
        // Services, what is taken, and whether the batch comes again.
        let cases: [(&[&str], &[&str], Option<bool>); 4] = [
            (&["a", "b"], &["a: span", "b: span"], None),
            (&["refused", "b"], &["b: span"], Some(false)),
            (&["a", "refused", "c"], &["a: span", "c: span"], Some(false)),
            (&["failing", "b"], &[], Some(true)),
        ];
        for (services, expected, comes_again) in cases {
            let picky = Picky::default();
            let taken = picky.taken.clone();
            let mut exporter = SdkExporter::new(picky).rejecting(|error| error.to_string().contains("400"));
            let result = exporter.export(export_batch(&request(services)));
            assert_eq!(
                result.err().map(|error| error.is_retryable()),
                comes_again,
                "{services:?}"
            );
            assert_eq!(*taken.lock().expect("nobody panics"), expected, "{services:?}");
        }
    }
}
