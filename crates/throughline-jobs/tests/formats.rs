//! Contexts in records of formats that tell options, wrappers and extensions from what is in them.
#![cfg(feature = "serde")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use throughline_jobs::JobContext;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const FORMATS: [Format; 4] = [Format::Cbor, Format::Json, Format::MessagePack, Format::Ron];

#[derive(Clone, Copy, Debug)]
enum Format {
    Cbor,
    Json,
    MessagePack,
    Ron,
}

impl Format {
    /// Writes a value, and reads what was written.
    fn pass<T: Serialize, R: DeserializeOwned>(self, value: &T) -> Result<R, Box<dyn Error>> {
        Ok(match self {
            Self::Cbor => {
                let mut bytes = Vec::new();
                ciborium::into_writer(value, &mut bytes)?;
                ciborium::from_reader(&*bytes)?
            }
            Self::Json => serde_json::from_slice(&serde_json::to_vec(value)?)?,
            Self::MessagePack => rmp_serde::from_slice(&rmp_serde::to_vec_named(value)?)?,
            Self::Ron => {
                // Else a wrapper is written as a list of one.
                let unwrap =
                    ron::Options::default().with_default_extension(ron::extensions::Extensions::UNWRAP_NEWTYPES);
                unwrap.from_str(&unwrap.to_string(value)?)?
            }
        })
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Job<T> {
    trace: T,
    order: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Trace<T>(T);

/// serde keeps what it is to read here, and hands it over from there.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Job(Job<JobContext>),
}

fn job<T>(trace: T) -> Job<T> {
    let order = "book".to_owned();
    Job { trace, order }
}

#[test]
fn context_is_read_whatever_it_is_wrapped_in() {
    fn check(written: impl Serialize + Debug) {
        let expected = job(JobContext::parse(PARENT));
        let written = job(written);
        for format in FORMATS {
            let read: Job<JobContext> = format
                .pass(&written)
                .unwrap_or_else(|error| panic!("{format:?}, {written:?}: {error}"));
            assert_eq!(read, expected, "{format:?}, {written:?}");
            let Untagged::Job(read) = format
                .pass(&written)
                .unwrap_or_else(|error| panic!("{format:?}, {written:?}, untagged: {error}"));
            assert_eq!(read, expected, "{format:?}, {written:?}, untagged");
        }
    }
    let context = JobContext::parse(PARENT);
    let line = context.to_string();
    check(&context);
    check(Some(&context));
    check(Trace(&context));
    check(Some(Trace(&context)));
    check(&line);
    check(Some(&line));
    check(Trace(&line));
    check(BTreeMap::from([("traceparent", Some(PARENT))]));
    check(BTreeMap::from([("Traceparent", Trace(PARENT))]));
}

#[test]
fn wrapped_context_is_read_back() {
    fn check<T: Serialize + DeserializeOwned + Debug + PartialEq>(written: T) {
        let written = job(written);
        for format in FORMATS {
            assert_eq!(format.pass::<_, Job<T>>(&written).unwrap(), written, "{format:?}");
        }
    }
    check(Some(JobContext::parse(PARENT)));
    check(None::<JobContext>);
    check(Trace(JobContext::parse(PARENT)));
}

#[test]
fn values_of_other_types_are_an_empty_context_in_each_format() {
    #[derive(Debug, Serialize)]
    enum Other {
        Unit,
        Newtype(u8),
        Tuple(u8, u8),
        Struct { a: u8 },
    }
    fn check(written: impl Serialize + Debug) {
        let written = job(written);
        for format in FORMATS {
            let read: Job<JobContext> = format
                .pass(&written)
                .unwrap_or_else(|error| panic!("{format:?}, {written:?}: {error}"));
            assert_eq!(read, job(JobContext::default()), "{format:?}, {written:?}");
        }
    }
    check(None::<u8>);
    check(());
    check(7_u8);
    check(Some(-7_i64));
    check(true);
    check(1.5);
    check('x');
    check(Trace(Some(vec![1, 2])));
    check((1, "x"));
    check(Other::Unit);
    check(Other::Newtype(1));
    check(Other::Tuple(1, 2));
    check(Other::Struct { a: 1 });
    check(BTreeMap::from([("traceparent", Some(7))]));
}

#[test]
fn tagged_context_is_read_and_an_extension_is_an_empty_one() {
    let context = JobContext::parse(PARENT);
    let tagged = job(ciborium::tag::Required::<_, 1000>(&context));
    let read: Job<JobContext> = Format::Cbor.pass(&tagged).unwrap();
    assert_eq!(read, job(context));
    let value = BTreeMap::from([("traceparent", ciborium::tag::Required::<_, 1000>(PARENT))]);
    let read: Job<JobContext> = Format::Cbor.pass(&job(value)).unwrap();
    assert_eq!(read, job(JobContext::parse(PARENT)));

    #[derive(Serialize)]
    struct _ExtStruct((i8, Bytes));
    struct Bytes;
    impl Serialize for Bytes {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(b"anything")
        }
    }
    let extension = || _ExtStruct((5, Bytes));
    let read: Job<JobContext> = Format::MessagePack.pass(&job(extension())).unwrap();
    assert_eq!(read, job(JobContext::default()));
    let value = BTreeMap::from([("traceparent", extension())]);
    let read: Job<JobContext> = Format::MessagePack.pass(&job(value)).unwrap();
    assert_eq!(read, job(JobContext::default()));
}
