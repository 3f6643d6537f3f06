//! A random walk over everything a store does, against a plain model.
//!
//! `THROUGHLINE_WALK_SECONDS` says how long to walk, `THROUGHLINE_WALK_SEED` repeats the one walk of that seed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::files::FileSystem;
use crate::files::fake::{Fate, Operation};
use crate::fixture::Random;
use crate::format::record::{self, Found, stride};
use crate::store::consumer::Consumer;
use crate::store::lease::{Body, Lease};
use crate::store::ledger::Dropped;
use crate::store::segment::Segment;
use crate::store::store::lock;
use crate::store::tier::Tier;

const SECONDS: u64 = if cfg!(miri) { 0 } else { 3 };
const STEPS: usize = if cfg!(miri) { 12 } else { 150 };

#[test]
fn store_agrees_with_a_plain_model_on_any_walk() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().expect("a number"))
    };
    if let Some(seed) = number("THROUGHLINE_WALK_SEED") {
        return with_seed(seed, walk);
    }
    let end = Instant::now() + Duration::from_secs(number("THROUGHLINE_WALK_SECONDS").unwrap_or(SECONDS));
    let name = crate::files::random_name().expect("random bytes");
    let mut seeds = Random::new(u64::from_str_radix(&name, 16).expect("16 digits"));
    loop {
        with_seed(seeds.next(), walk);
        if Instant::now() >= end {
            return;
        }
    }
}

fn walk(random: &mut Random) {
    let mut walk = Walk::new(random);
    for _ in 0..STEPS {
        walk.step(random);
    }
    walk.end();
}

/// What became of a record, for one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Pending,
    Delivered,
    Rejected,
    Evicted,
}

/// A committed record, as the model has it.
#[derive(Debug)]
struct Modelled {
    source: usize,
    /// Of its segment, once that is known.
    generation: u64,
    /// By destination; of a store without any, whether its history has lost it.
    states: Vec<State>,
    /// Whether it is in a segment.
    is_there: bool,
}

/// The store, and what it should be like.
struct Walk {
    files: FakeFiles,
    store: Arc<Store>,
    settings: StoreSettings,
    records: BTreeMap<u64, Modelled>,
    next_id: u64,
    leases: Vec<Lease>,
    consumers: Vec<Option<Consumer>>,
    batches: Vec<Vec<Held>>,
    now: Instant,
    /// Whether the file layer has refused to write: headers on disk may then be old.
    has_refused: Arc<AtomicBool>,
    log: Vec<String>,
    /// What was found in sealed segments, which do not change.
    sealed: RefCell<BTreeMap<u64, Vec<u64>>>,
}

/// A batch that a consumer has given out.
struct Held {
    batch: Batch,
    ids: Vec<u64>,
}

impl Drop for Walk {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let consumer = self.log.len().saturating_sub(25);
            eprintln!("{:?}\n{}", self.settings, self.log[consumer..].join("\n"));
        }
    }
}

impl Walk {
    fn new(random: &mut Random) -> Self {
        let files = disk();
        let has_refused = Arc::new(AtomicBool::new(false));
        match random.below(5) {
            0 => files.set_file_system(FileSystem::Other),
            1 => {
                files.set_file_system(FileSystem::Other);
                files.set_can_allocate(false);
            }
            2 => files.set_can_allocate(false),
            _ => {}
        }
        if random.one_in(6) {
            files.set_capacity([0, 4096, 100 << 10, 600 << 10][random.below(4)]);
            has_refused.store(true, Ordering::Relaxed);
        }
        let settings = StoreSettings {
            refuse_when_full: random.one_in(3),
            ..settings(
                random.below(4),
                [64 << 10, 200 << 10, 1 << 20][random.below(3)],
                [0, 64 << 10, 300 << 10][random.below(3)],
            )
        };
        let store = store(&files, settings.clone());
        Self {
            consumers: settings.manifest.destinations.iter().map(|_| None).collect(),
            batches: settings.manifest.destinations.iter().map(|_| Vec::new()).collect(),
            files,
            store,
            settings,
            records: BTreeMap::new(),
            next_id: 1,
            leases: Vec::new(),
            now: Instant::now(),
            has_refused,
            log: Vec::new(),
            sealed: RefCell::default(),
        }
    }

    fn destinations(&self) -> usize {
        self.consumers.len()
    }

    // ---- steps ------------------------------------------------------------------------------------------------------

    fn step(&mut self, random: &mut Random) {
        let before = self.closed_and_unpinned();
        let is_faulty = random.one_in(5);
        if is_faulty {
            self.let_calls_fail(random);
        }
        match random.below(16) {
            0..=3 => self.append_batch(random),
            4..=7 => self.append_to_lease(random),
            8 => self.close_lease(random),
            9 => {
                self.log("seal".into());
                self.store.seal();
            }
            10 => self.maintain(random),
            11 | 12 => self.read(random, is_faulty),
            13 => self.settle(random),
            14 => self.sync(random, is_faulty),
            _ => self.change_the_world(random),
        }
        self.files.forget_plan();
        self.check(&before);
        if random.one_in(if cfg!(miri) { 20 } else { 4 }) {
            self.check_crash();
        }
        if random.one_in(6) {
            self.check_tails();
        }
    }

    fn log(&mut self, what: String) {
        self.log.push(what);
    }

    fn let_calls_fail(&mut self, random: &mut Random) {
        const KINDS: [ErrorKind; 5] = [
            ErrorKind::Interrupted,
            ErrorKind::Other,
            ErrorKind::PermissionDenied,
            ErrorKind::StorageFull,
            ErrorKind::Unsupported,
        ];
        let times = 1 + random.below(4);
        let mut dice = Random::new(random.next());
        let has_refused = self.has_refused.clone();
        self.log(format!("calls fail, one in {times}:"));
        self.files.plan(move |call| {
            if !dice.one_in(times) {
                return Fate::Succeed;
            }
            if call.operation == Operation::WriteAt {
                has_refused.store(true, Ordering::Relaxed);
            }
            match dice.below(KINDS.len() + 1) {
                kind if kind < KINDS.len() && !(KINDS[kind] == ErrorKind::Interrupted && times == 1) => {
                    Fate::Fail(KINDS[kind])
                }
                _ => Fate::Short,
            }
        });
    }

    fn new_ids(&mut self, count: usize) -> Vec<u64> {
        let first = self.next_id;
        self.next_id += count as u64;
        (first..self.next_id).collect()
    }

    fn commit(&mut self, id: u64, source: usize, generation: u64) {
        let record = Modelled {
            source,
            generation,
            states: vec![State::Pending; self.destinations().max(1)],
            is_there: true,
        };
        self.records.insert(id, record);
    }

    fn append_batch(&mut self, random: &mut Random) {
        let most = if cfg!(miri) { 10 } else { [3, 40, 400][random.below(3)] };
        let number = random.below(3);
        let ids = self.new_ids(1 + random.below(most));
        let bodies: Vec<_> = ids.iter().map(|id| body(*id)).collect();
        let result = self
            .store
            .append_batch(&source(number), bodies.iter().map(Vec::as_slice));
        self.log(format!("append_batch {}-{}: {result:?}", ids[0], self.next_id - 1));
        if result.is_ok() {
            ids.into_iter().for_each(|id| self.commit(id, number, 0));
        }
    }

    /// As a recorder does it.
    fn append_to_lease(&mut self, random: &mut Random) {
        let number = self.store.source(&source(random.below(3)));
        let source = number_of(&self.store, number);
        self.log("a recorder:".into());
        let at = random.below(4);
        for id in self.new_ids(1 + random.below(if cfg!(miri) { 10 } else { 100 })) {
            let body = body(id);
            if at >= self.leases.len() {
                let wanted = UNIT << random.below(7);
                let Some(lease) = self.store.lease(number, body.len(), wanted) else {
                    return self.log("no lease".into());
                };
                self.leases.push(lease);
                if random.one_in(8) {
                    // Its thread ends a span no more; perhaps it has begun one of another source.
                    let lease = self.leases.last_mut().expect("it was added");
                    let other = self.store.source(&super::source(random.below(3)));
                    let _ = random.is_heads() && self.store.append_source(lease, other, 0);
                    return self.log("an empty lease".into());
                }
            }
            let at = at.min(self.leases.len() - 1);
            let lease = &mut self.leases[at];
            let mut place = lease.place(number, body.len());
            if place.is_none() && self.store.append_source(lease, number, body.len()) {
                place = lease.place(number, body.len());
            }
            let Some(place) = place else {
                let full = self.leases.remove(at);
                self.log(format!("lease {} is full", full.generation()));
                self.store.close(&full);
                continue;
            };
            lease.append(place, Kind::Finished, number, Body::new(&body));
            let generation = lease.segment().order();
            self.commit(id, source, generation);
            let last = self.log.last_mut().filter(|line| line.starts_with("to lease"));
            match last {
                Some(line) => write!(line, " {id}:{generation}").expect("it is a string"),
                None => self.log(format!("to lease {id}:{generation}")),
            }
        }
    }

    fn close_lease(&mut self, random: &mut Random) {
        if !self.leases.is_empty() {
            let lease = self.leases.remove(random.below(self.leases.len()));
            self.log(format!("close lease {}", lease.generation()));
            self.store.close(&lease);
        }
    }

    fn maintain(&mut self, random: &mut Random) {
        self.now += Duration::from_millis([1, 100, 2_000, 40_000][random.below(4)]);
        self.log("maintain".into());
        self.store.maintain(self.now);
    }

    fn read(&mut self, random: &mut Random, is_faulty: bool) {
        let Some(destination) = self.destinations().checked_sub(1).map(|most| random.below(most + 1)) else {
            return;
        };
        if !self.batches[destination].is_empty() {
            return;
        }
        let mut consumer = self.take_tail(destination);
        let most_records = [1, 50, 100_000][random.below(3)];
        let most_bytes = [0, 10_000, 1 << 30][random.below(3)];
        let result = consumer.next(most_records, most_bytes);
        self.log(format!(
            "next of {destination}, {most_records} in {most_bytes}: {result:?}"
        ));
        match result {
            Ok(Some(batch)) => {
                let ids = self.check_batch(destination, &batch);
                assert!(ids.len() <= most_records);
                let bytes: usize = ids.iter().map(|id| stride(body(*id).len())).sum();
                assert!(
                    ids.len() == 1 || bytes <= most_bytes,
                    "{bytes} in a batch of {most_bytes}"
                );
                self.batches[destination].push(Held { batch, ids });
            }
            Ok(None) => assert!(is_faulty || self.pending(destination).is_empty(), "nothing came"),
            Err(error) => assert!(is_faulty, "{error}"),
        }
        if random.one_in(4) {
            // Whoever takes the consumer next begins anew.
            self.batches[destination].clear();
        } else {
            self.consumers[destination] = Some(consumer);
        }
    }

    fn take_tail(&mut self, destination: usize) -> Consumer {
        self.consumers[destination]
            .take()
            .unwrap_or_else(|| self.store.consumer(destination).expect("nobody has it"))
    }

    /// The ids in a batch, each of which is pending, comes once and has its source.
    fn check_batch(&self, destination: usize, batch: &Batch) -> Vec<u64> {
        let found = ids(batch);
        let mut seen = BTreeSet::new();
        for (id, source) in &found {
            let record = &self
                .records
                .get(id)
                .unwrap_or_else(|| panic!("{id} was never committed"));
            assert_eq!(record.states[destination], State::Pending, "{id} for {destination}");
            assert!(seen.insert(*id), "{id} comes twice");
            assert_eq!(*source, super::source(record.source), "the source of {id}");
        }
        found.into_iter().map(|(id, _)| id).collect()
    }

    fn settle(&mut self, random: &mut Random) {
        for destination in 0..self.destinations() {
            let Some(held) = self.batches[destination].pop() else {
                continue;
            };
            if random.one_in(4) {
                // Not delivered: the same records come again.
                continue;
            }
            let rejected = if random.one_in(3) {
                random.below(held.ids.len() + 1)
            } else {
                0
            };
            self.log(format!(
                "settle {} of {destination}, {rejected} rejected",
                held.ids.len()
            ));
            let mut consumer = self.take_tail(destination);
            consumer.settle(held.batch, rejected as u64);
            self.consumers[destination] = Some(consumer);
            for (n, id) in held.ids.iter().enumerate() {
                let state = if n < rejected {
                    State::Rejected
                } else {
                    State::Delivered
                };
                self.records.get_mut(id).expect("it was read").states[destination] = state;
            }
        }
    }

    fn sync(&mut self, random: &mut Random, is_faulty: bool) {
        let result = self.store.sync();
        self.log(format!("sync: {result:?}"));
        if result.is_err() {
            let may_fail = is_faulty || self.has_refused.load(Ordering::Relaxed) || self.has_failed_sync();
            assert!(may_fail, "{result:?}");
            return;
        }
        self.files.forget_plan();
        let found = recover(&self.files.after_power_cut(random.next()));
        let there = self.there();
        for (id, record) in &self.records {
            let is_wanted = record.states.contains(&State::Pending) && there.contains_key(id);
            assert!(!is_wanted || found.records.contains_key(id), "{id} is not durable");
        }
    }

    fn has_failed_sync(&self) -> bool {
        self.log.iter().any(|line| line.starts_with("calls fail"))
    }

    fn change_the_world(&mut self, random: &mut Random) {
        match random.below(4) {
            0 => {
                let used = self.files.used();
                self.files.set_capacity(used + [0, 8 << 10, 100 << 10][random.below(3)]);
                self.has_refused.store(true, Ordering::Relaxed);
                self.log(format!("the disk is full at {used}"));
            }
            1 => {
                let share = self.settings.limits.total() >> random.below(3);
                self.store.set_allowance(share);
                self.log(format!("allowance {share}"));
            }
            _ => {
                self.files.set_capacity(u64::MAX);
                self.log("the disk has room".into());
            }
        }
    }

    // ---- what is ----------------------------------------------------------------------------------------------------

    fn segments(&self) -> Vec<Arc<Segment>> {
        let index = lock(&self.store.index);
        index.active_from(0).chain(index.history()).cloned().collect()
    }

    /// The records in the store's segments, with the generations of those.
    fn there(&self) -> BTreeMap<u64, u64> {
        let mut there = BTreeMap::new();
        for segment in self.segments() {
            for id in self.ids_in(&segment) {
                assert_eq!(there.insert(id, segment.order()), None, "{id} is there twice");
            }
        }
        there
    }

    fn ids_in(&self, segment: &Segment) -> Vec<u64> {
        let mut sealed = self.sealed.borrow_mut();
        match sealed.get(&segment.order()) {
            Some(ids) => ids.clone(),
            None => {
                let ids = ids_in(segment);
                if segment.is_sealed() {
                    sealed.insert(segment.order(), ids.clone());
                }
                ids
            }
        }
    }

    fn pending(&self, destination: usize) -> BTreeSet<u64> {
        let is_pending = |record: &Modelled| record.states[destination] == State::Pending;
        self.records
            .iter()
            .filter(|(_, record)| is_pending(record))
            .map(|(id, _)| *id)
            .collect()
    }

    /// Generations that could be evicted: those of segments that are closed and that no batch holds; and which of them are
    /// history.
    fn closed_and_unpinned(&self) -> BTreeMap<u64, bool> {
        let history: BTreeSet<_> = lock(&self.store.index)
            .history()
            .map(|segment| segment.order())
            .collect();
        let segments = self.segments().into_iter();
        let free = segments.filter(|segment| segment.closed().is_some() && !segment.is_pinned());
        free.map(|segment| segment.order())
            .map(|generation| (generation, history.contains(&generation)))
            .collect()
    }

    // ---- checks -----------------------------------------------------------------------------------------------------

    /// Takes note of what was evicted, and compares the accounts.
    fn check(&mut self, before: &BTreeMap<u64, bool>) {
        let there = self.there();
        let mut evicted = BTreeSet::new();
        for (id, record) in &mut self.records {
            match there.get(id) {
                Some(generation) => {
                    assert!(record.is_there, "{id} has come back");
                    assert!(
                        record.generation == 0 || record.generation == *generation,
                        "{id} has moved"
                    );
                    record.generation = *generation;
                }
                None if record.is_there => {
                    assert_ne!(record.generation, 0, "{id} is lost, which was appended just now");
                    record.is_there = false;
                    for state in &mut record.states {
                        if *state == State::Pending {
                            *state = State::Evicted;
                            evicted.insert(record.generation);
                        }
                    }
                }
                None => {}
            }
        }
        let unknown: Vec<_> = there.keys().filter(|id| !self.records.contains_key(id)).collect();
        assert!(unknown.is_empty(), "never committed: {unknown:?}");
        let names = self.files.names(DIRECTORY).join(" ");
        self.log(format!("  {} {names}", self.store.file_bytes()));
        if !evicted.is_empty() {
            self.log(format!("evicted: {evicted:?}"));
        }
        self.check_eviction(&evicted, before);
        self.check_accounts();
        let bytes = self.store.file_bytes();
        let most = self.settings.limits.total().max(64 << 10);
        assert!(bytes <= most, "{bytes} bytes of files, {most} allowed");
    }

    /// Evicted are the oldest segments, and after those that everybody has got.
    fn check_eviction(&self, evicted: &BTreeSet<u64>, before: &BTreeMap<u64, bool>) {
        let Some(youngest) = evicted.last().filter(|_| self.destinations() > 0) else {
            return;
        };
        assert!(
            !self.settings.refuse_when_full,
            "records were to be refused, not evicted"
        );
        let left: BTreeSet<_> = self.segments().iter().map(|segment| segment.order()).collect();
        for (generation, is_history) in before {
            let is_spared = left.contains(generation) && (*is_history || generation < youngest);
            assert!(!is_spared, "{generation} is spared, {youngest} was evicted");
        }
    }

    fn check_accounts(&self) {
        for row in 0..self.destinations().max(1) {
            let count = |state| {
                self.records
                    .values()
                    .filter(|record| record.states[row] == state)
                    .count() as u64
            };
            let account = self.store.account(row);
            let [mut delivered, pending, rejected, mut evicted] =
                [State::Delivered, State::Pending, State::Rejected, State::Evicted].map(count);
            if self.destinations() == 0 {
                // What the local history loses was delivered to it.
                (delivered, evicted) = (evicted, 0);
            }
            let mut dropped = [0; Dropped::ALL.len()];
            dropped[Dropped::Quota as usize] = evicted;
            dropped[Dropped::Rejected as usize] = rejected;
            let expected = super::super::Account {
                started: 0,
                live: 0,
                delivered,
                pending,
                in_memory: account.in_memory,
                dropped,
            };
            assert!(account.in_memory <= pending, "of destination {row}");
            assert_eq!(account, expected, "of destination {row}");
            let pending_records = self
                .records
                .iter()
                .filter(|(_, record)| record.states[row] == State::Pending);
            let bytes: usize = pending_records.map(|(id, _)| stride(body(*id).len())).sum();
            assert_eq!(self.store.pending(row), (pending, bytes as u64), "of destination {row}");
        }
    }

    /// A consumer that begins anew yields exactly what is pending.
    fn check_tails(&mut self) {
        for destination in 0..self.destinations() {
            if !self.batches[destination].is_empty() {
                continue;
            }
            let mut consumer = self.take_tail(destination);
            let found = consumer.next(usize::MAX, usize::MAX).expect("the disk is well");
            let found = found.map_or(Vec::new(), |batch| self.check_batch(destination, &batch));
            let found: BTreeSet<_> = found.into_iter().collect();
            assert_eq!(found, self.pending(destination), "for destination {destination}");
            self.consumers[destination] = Some(consumer);
        }
    }

    /// A killed process leaves every record that was not evicted.
    fn check_crash(&self) {
        let found = recover(&self.files.after_crash());
        let is_exact = !self.has_refused.load(Ordering::Relaxed);
        let mut expected = BTreeSet::new();
        for segment in self.segments() {
            let chunk = &segment.range().chunk;
            if chunk.is_in_memory() || chunk.region().is_none() && segment.has_failed() {
                continue;
            }
            expected.extend(self.ids_in(&segment));
            let Some(cursors) = found.cursors.get(&segment.generation()) else {
                panic!("segment {} is lost", segment.generation());
            };
            for (destination, cursor) in cursors[..self.destinations()].iter().enumerate() {
                let expected = segment.cursor(destination);
                let (found, expected) = ((cursor.offset, cursor.settled), (expected.offset, expected.settled));
                assert!(
                    found == expected || !is_exact && found < expected,
                    "{found:?}, not {expected:?}"
                );
            }
        }
        let lost: Vec<_> = expected.iter().filter(|id| !found.records.contains_key(id)).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
        let wrong: Vec<_> = found
            .records
            .keys()
            .filter(|id| !self.records.contains_key(id))
            .collect();
        assert!(wrong.is_empty(), "never committed: {wrong:?}");
        if is_exact {
            let stale: Vec<_> = found.records.iter().filter(|(id, _)| !expected.contains(id)).collect();
            assert!(stale.is_empty(), "evicted, and there again: {stale:?}");
            assert!(found.damaged.is_empty(), "{:?}", found.damaged);
        }
    }

    /// When all is well again everything is delivered, and what comes next is durable.
    fn end(&mut self) {
        self.files.set_capacity(u64::MAX);
        self.store.set_allowance(u64::MAX);
        self.log("the end".into());
        let before = BTreeMap::new();
        std::mem::take(&mut self.leases)
            .iter()
            .for_each(|lease| self.store.close(lease));
        self.store.seal();
        self.check(&before);
        self.check_tails();
        for destination in 0..self.destinations() {
            self.batches[destination].clear();
            let mut consumer = self.take_tail(destination);
            while let Some(batch) = consumer.next(1000, 1 << 20).expect("the disk is well") {
                for id in self.check_batch(destination, &batch) {
                    self.records.get_mut(&id).expect("it is known").states[destination] = State::Delivered;
                }
                consumer.settle(batch, 0);
            }
            assert_eq!(self.store.pending(destination), (0, 0));
        }
        self.check(&before);
        if self.destinations() > 0 {
            assert_eq!(lock(&self.store.index).active_from(0).count(), 0, "all is history");
        }
        for _ in 0..2 {
            self.now += Duration::from_secs(60);
            self.store.maintain(self.now);
        }
        self.check(&before);
        assert_eq!(self.store.refusal(), None);
        if self.destinations() > 0 {
            let ids = self.new_ids(10);
            append(&self.store, ids.clone()).expect("there is room");
            ids.iter().for_each(|id| self.commit(*id, 0, 0));
            self.store.sync().expect("the disk is well");
            self.check(&before);
            assert!(matches!(self.store.tier(), Tier::Mapped | Tier::Written));
            let found = recover(&self.files.after_power_cut(1));
            assert!(ids.iter().all(|id| found.records.contains_key(id)), "they are durable");
        }
        self.check_crash();
    }
}

/// Which of the test's sources has this number.
fn number_of(store: &Store, number: u32) -> usize {
    let found = store.source_of(number).expect("it is known");
    (0..3).find(|n| source(*n) == *found).expect("one of the test's")
}

/// The ids of the items in a segment, in order.
fn ids_in(segment: &Segment) -> Vec<u64> {
    let from = crate::format::header::HEADER_LEN;
    let mut bytes = Vec::new();
    segment
        .read(from as u32, usize::MAX, &mut bytes)
        .expect("it can be read");
    let mut at = 0;
    let mut ids = Vec::new();
    while at < bytes.len() {
        match record::read_part(&bytes, at, from, segment.generation()) {
            Found::Record(record, next) => {
                if record.kind.is_item() {
                    let id = id(record.body());
                    assert!(record.body() == body(id), "a wrong record of id {id}");
                    ids.push(id);
                }
                at = next;
            }
            other => panic!("{other:?} at {at} of segment {}", segment.generation()),
        }
    }
    ids
}
