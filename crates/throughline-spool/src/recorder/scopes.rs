//! Instrumentation scopes, by number: encoded OTLP `InstrumentationScope`s.
//!
//! The numbers are those of this program run: a forked child has its parent's. So the list is only ever added to, without a
//! lock: one that another thread held when the process forked would stay held in the child for ever.

use std::sync::atomic::{AtomicPtr, Ordering};

/// The scope that was added last.
static LAST: AtomicPtr<Entry> = AtomicPtr::new(std::ptr::null_mut());

/// Never freed, and never changed once it is in the list.
struct Entry {
    number: u32,
    scope: Box<[u8]>,
    schema_url: Box<str>,
    before: Option<&'static Self>,
}

/// The number of a scope and its schema URL.
pub(crate) fn number(scope: &[u8], schema_url: &str) -> u32 {
    loop {
        let last = last();
        if let Some(known) = entries(last).find(|entry| *entry.scope == *scope && *entry.schema_url == *schema_url) {
            return known.number;
        }
        let entry = Box::new(Entry {
            number: last.map_or(0, |last| last.number + 1),
            scope: scope.into(),
            schema_url: schema_url.into(),
            before: last,
        });
        let number = entry.number;
        let expected = last.map_or(std::ptr::null_mut(), |last| std::ptr::from_ref(last).cast_mut());
        let entry = Box::into_raw(entry);
        if LAST
            .compare_exchange(expected, entry, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
        {
            return number;
        }
        // SAFETY: it came from `into_raw` just now, and nobody else has seen it.
        drop(unsafe { Box::from_raw(entry) });
    }
}

/// The scope of this number and its schema URL, if there is one.
pub(crate) fn get(number: u32) -> Option<(&'static [u8], &'static str)> {
    entries(last())
        .find(|entry| entry.number == number)
        .map(|entry| (&*entry.scope, &*entry.schema_url))
}

fn last() -> Option<&'static Entry> {
    // SAFETY: the pointer is null or came from `into_raw`; what is in the list is never freed nor changed.
    unsafe { LAST.load(Ordering::Acquire).as_ref() }
}

/// From the last to the first.
fn entries(last: Option<&'static Entry>) -> impl Iterator<Item = &'static Entry> {
    std::iter::successors(last, |entry| entry.before)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn scopes_have_one_number_each_whoever_adds_them() {
        let names: Vec<String> = (0..50).map(|n| format!("scope {n}")).collect();
        let add = |names: Vec<String>| move || names.iter().map(|name| number(name.as_bytes(), "")).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(add(names.clone()))).collect();
        let numbers: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().expect("it ends well"))
            .collect();
        assert!(numbers.iter().all(|others| *others == numbers[0]));
        assert_eq!(numbers[0].iter().collect::<HashSet<_>>().len(), 50);
        for (name, known) in names.iter().zip(&numbers[0]) {
            assert_eq!(get(*known), Some((name.as_bytes(), "")));
        }
        let with_schema = number(names[0].as_bytes(), "https://schema/1");
        assert_ne!(with_schema, numbers[0][0]);
        assert_eq!(get(with_schema), Some((names[0].as_bytes(), "https://schema/1")));
        assert_eq!(get(u32::MAX), None);
    }
}
