//! The context in records that serde writes: a map of names and values.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, EnumAccess, IgnoredAny, MapAccess, SeqAccess, VariantAccess as _, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::JobContext;

/// A map with the names of the headers.
impl Serialize for JobContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pairs = Vec::with_capacity(4);
        self.for_each_pair(|name, value| pairs.push((name, value.to_owned())));
        let mut map = serializer.serialize_map(Some(pairs.len()))?;
        for (name, value) in &pairs {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Takes a map, or the line of [`JobContext::parse`]; also in an option, a wrapper or a tag of the format. Any other value is an empty context: a job is processed whatever its record says.
///
/// The format has to describe itself, as JSON, MessagePack and CBOR do. For others (bincode, postcard) store the line.
impl<'de> Deserialize<'de> for JobContext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyContext)
    }
}

struct AnyContext;

/// `$name` takes a value that is no context.
macro_rules! nothing {
    ($($name:ident: $type:ty)*) => {$(
        fn $name<E: de::Error>(self, _: $type) -> Result<JobContext, E> {
            Ok(JobContext::default())
        }
    )*};
}

impl<'de> Visitor<'de> for AnyContext {
    type Value = JobContext;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of names and values, or a line of text")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JobContext, A::Error> {
        let mut pairs = Vec::new();
        while let Some(Text(name)) = map.next_key()? {
            let Text(value) = map.next_value()?;
            // More cannot all be valid: a name is doubled.
            if JobContext::owns(&*name) && pairs.len() < 16 {
                pairs.push((name.into_owned(), value.into_owned()));
            }
        }
        Ok(JobContext::from_pairs(pairs))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<JobContext, E> {
        Ok(JobContext::parse(text))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<JobContext, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<JobContext, D::Error> {
        deserializer.deserialize_any(self)
    }

    /// Some formats say so of a value with a tag.
    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<JobContext, A::Error> {
        let (IgnoredAny, value) = tagged.variant()?;
        value.newtype_variant()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<JobContext, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(JobContext::default())
    }

    fn visit_unit<E: de::Error>(self) -> Result<JobContext, E> {
        Ok(JobContext::default())
    }

    fn visit_none<E: de::Error>(self) -> Result<JobContext, E> {
        Ok(JobContext::default())
    }

    nothing!(visit_bool: bool visit_i64: i64 visit_i128: i128 visit_u64: u64 visit_u128: u128 visit_f64: f64 visit_bytes: &[u8]);
}

/// A text, or an empty one for any other value.
struct Text<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyText)
    }
}

struct AnyText;

macro_rules! no_text {
    ($($name:ident: $type:ty)*) => {$(
        fn $name<E: de::Error>(self, _: $type) -> Result<Text<'de>, E> {
            Ok(Text(Cow::Borrowed("")))
        }
    )*};
}

impl<'de> Visitor<'de> for AnyText {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Text<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Text<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Text<'de>, A::Error> {
        let (IgnoredAny, value) = tagged.variant()?;
        value.newtype_variant()
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text(Cow::Borrowed("")))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Text<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text(Cow::Borrowed("")))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed("")))
    }

    fn visit_none<E: de::Error>(self) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed("")))
    }

    no_text!(visit_bool: bool visit_i64: i64 visit_i128: i128 visit_u64: u64 visit_u128: u128 visit_f64: f64 visit_bytes: &[u8]);
}
