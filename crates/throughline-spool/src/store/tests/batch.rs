//! Batches where files are written.

use std::sync::Arc;

use super::{disk, recover, settings, store};
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
