//! Where trace context can be written to.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

/// Something that holds text under names: what a request, a message or a job is sent with.
///
/// Implemented for the maps and lists of the standard library, for `http::HeaderMap` with the feature `http` (a part of the
/// feature `otlp` of `throughline`), and for mutable references to any carrier. Another crate's header map needs a type
/// around it with these two methods. Object-safe.
pub trait Carrier {
    /// Sets `name`, which is in lower case, to `value`, in place of what exactly that name had.
    fn set(&mut self, name: &'static str, value: &str);

    /// Removes `name` in every case it may be written in.
    fn remove(&mut self, name: &str);

    /// As [`set`](Self::set), for a name that is known at run time only: some formats have a header for each member of the baggage.
    /// By default nothing is set.
    fn set_named(&mut self, name: &str, value: &str) {
        let _ = (name, value);
    }

    /// Removes all names that begin with `prefix`, in every case. By default nothing is removed.
    fn remove_prefix(&mut self, prefix: &str) {
        let _ = prefix;
    }
}

impl<C: Carrier + ?Sized> Carrier for &mut C {
    fn set(&mut self, name: &'static str, value: &str) {
        (**self).set(name, value);
    }

    fn remove(&mut self, name: &str) {
        (**self).remove(name);
    }

    fn set_named(&mut self, name: &str, value: &str) {
        (**self).set_named(name, value);
    }

    fn remove_prefix(&mut self, prefix: &str) {
        (**self).remove_prefix(prefix);
    }
}

impl<S: BuildHasher> Carrier for HashMap<String, String, S> {
    fn set(&mut self, name: &'static str, value: &str) {
        self.insert(name.to_owned(), value.to_owned());
    }

    fn remove(&mut self, name: &str) {
        self.retain(|found, _| !found.eq_ignore_ascii_case(name));
    }

    fn set_named(&mut self, name: &str, value: &str) {
        self.insert(name.to_owned(), value.to_owned());
    }

    fn remove_prefix(&mut self, prefix: &str) {
        self.retain(|found, _| !begins_with(found, prefix));
    }
}

impl Carrier for BTreeMap<String, String> {
    fn set(&mut self, name: &'static str, value: &str) {
        self.insert(name.to_owned(), value.to_owned());
    }

    fn remove(&mut self, name: &str) {
        self.retain(|found, _| !found.eq_ignore_ascii_case(name));
    }

    fn set_named(&mut self, name: &str, value: &str) {
        self.insert(name.to_owned(), value.to_owned());
    }

    fn remove_prefix(&mut self, prefix: &str) {
        self.retain(|found, _| !begins_with(found, prefix));
    }
}

impl Carrier for Vec<(String, String)> {
    fn set(&mut self, name: &'static str, value: &str) {
        self.retain(|(found, _)| found != name);
        self.push((name.to_owned(), value.to_owned()));
    }

    fn remove(&mut self, name: &str) {
        self.retain(|(found, _)| !found.eq_ignore_ascii_case(name));
    }

    fn set_named(&mut self, name: &str, value: &str) {
        self.retain(|(found, _)| found != name);
        self.push((name.to_owned(), value.to_owned()));
    }

    fn remove_prefix(&mut self, prefix: &str) {
        self.retain(|(found, _)| !begins_with(found, prefix));
    }
}

fn begins_with(name: &str, prefix: &str) -> bool {
    let start = name.as_bytes().get(..prefix.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

#[cfg(feature = "http")]
impl Carrier for http::HeaderMap {
    fn set(&mut self, name: &'static str, value: &str) {
        // A value that no header can hold is left out: it never breaks the request.
        if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(name), http::HeaderValue::try_from(value)) {
            self.insert(name, value);
        }
    }

    fn remove(&mut self, name: &str) {
        self.remove(name);
    }

    fn set_named(&mut self, name: &str, value: &str) {
        if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(name), http::HeaderValue::try_from(value)) {
            self.insert(name, value);
        }
    }

    fn remove_prefix(&mut self, prefix: &str) {
        let names: Vec<http::HeaderName> = self
            .keys()
            .filter(|name| begins_with(name.as_str(), prefix))
            .cloned()
            .collect();
        names.iter().for_each(|name| drop(self.remove(name)));
    }
}
