//! Batches where files are written.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::{body, disk, recover, settings, source, store};
use crate::files::fake::{FakeFiles, Operation};
use crate::store::tier::Tier;
use crate::store::{Store, StoreSettings};

fn written(files: &FakeFiles) -> Arc<Store> {
    let settings = StoreSettings {
        tier: Some(Tier::Written),
        ..settings(1, 16 << 20, 0)
    };
    store(files, settings)
}

#[test]
fn batch_is_one_write() {
    let files = disk();
    let store = written(&files);
    super::append(&store, 0..300).expect("there is room");
    let before = files.calls_of(Operation::WriteAt);
    super::append(&store, 300..600).expect("there is room");
    assert_eq!(files.calls_of(Operation::WriteAt) - before, 1);
    assert_eq!(recover(&files.after_crash()).records.len(), 600);
}

/// Bodies whose owner panics before the third when they are appended, not when they are measured.
struct Panicking<'a> {
    bodies: std::slice::Iter<'a, Vec<u8>>,
    panics: bool,
}

impl Clone for Panicking<'_> {
    fn clone(&self) -> Self {
        Self {
            bodies: self.bodies.clone(),
            panics: false,
        }
    }
}

impl<'a> Iterator for Panicking<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        assert!(!self.panics || self.bodies.len() > 2, "the owner panics");
        self.bodies.next().map(Vec::as_slice)
    }
}

#[test]
fn batch_whose_owner_panics_is_kept_as_far_as_it_came_and_the_next_one_whole() {
    let files = disk();
    let store = written(&files);
    let bodies: Vec<_> = (0..4).map(body).collect();
    let panicking = Panicking {
        bodies: bodies.iter(),
        panics: true,
    };
    let append = || store.append_batch(&source(0), panicking);
    catch_unwind(AssertUnwindSafe(append)).expect_err("the owner panics");
    super::append(&store, 10..12).expect("there is room");
    let found: Vec<_> = recover(&files.after_crash()).records.into_keys().collect();
    assert_eq!(found, [0, 1, 10, 11]);
}
