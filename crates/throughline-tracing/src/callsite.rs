//! What is known of a place in the code that makes spans, found once per place.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

use throughline::{Scope, seam};
use tracing_core::{Field, Metadata};

use crate::fields::SPECIAL;
use crate::locks::lock;

/// What is known of one callsite. It stays for the life of the process, as the callsite does.
pub(crate) struct Callsite {
    pub metadata: Option<&'static Metadata<'static>>,
    /// Its place in `ALL`; 0 where that is full.
    pub number: u32,
    /// Named after the callsite's target.
    pub scope: &'static Scope,
    /// Whether a field says the span's name or kind.
    pub names_itself: bool,
    /// Whether a field is one of those with a meaning of their own, `otel.*`.
    pub has_special: bool,
    /// For each field by its index what [`seam::key_bit`] says of its name.
    key_bits: Box<[u64]>,
}

/// Callsites that a thread finds without a lock.
const NEAR: usize = 64;

type Found = (usize, &'static Callsite);

thread_local! {
    static NEAREST: [Cell<Option<Found>>; NEAR] = const { [const { Cell::new(None) }; NEAR] };
}

static KNOWN: Mutex<Option<Known>> = Mutex::new(None);

#[derive(Default)]
struct Known {
    callsites: HashMap<usize, &'static Callsite>,
    scopes: HashMap<&'static str, &'static Scope>,
}

/// More have no number.
const MOST: usize = 1 << 16;

static ALL: [OnceLock<&'static Callsite>; MOST] = [const { OnceLock::new() }; MOST];

static NOTHING_KNOWN: Scope = Scope::new("", "");
static UNKNOWN: OnceLock<Callsite> = OnceLock::new();

impl Callsite {
    #[inline]
    pub fn of(metadata: &'static Metadata<'static>) -> &'static Self {
        let address = std::ptr::from_ref(metadata) as usize;
        let near = |near: &[Cell<Option<Found>>; NEAR]| {
            let place = &near[address / align_of::<Metadata<'_>>() % NEAR];
            match place.get() {
                Some((found, callsite)) if found == address => callsite,
                _ => {
                    let callsite = Self::find(address, metadata);
                    place.set(Some((address, callsite)));
                    callsite
                }
            }
        };
        NEAREST.try_with(near).unwrap_or_else(|_| Self::unknown())
    }

    #[cold]
    fn find(address: usize, metadata: &'static Metadata<'static>) -> &'static Self {
        let Some(mut known) = lock(&KNOWN) else {
            return Self::unknown();
        };
        let known = known.get_or_insert_default();
        let scopes = &mut known.scopes;
        // The first place stays empty.
        let number = known.callsites.len() + 1;
        known.callsites.entry(address).or_insert_with(|| {
            let target = metadata.target();
            let fields = metadata.fields();
            let place = ALL.get(number);
            let callsite: &Self = Box::leak(Box::new(Self {
                metadata: Some(metadata),
                number: place.map_or(0, |_| number as u32),
                scope: scopes
                    .entry(target)
                    .or_insert_with(|| Box::leak(Box::new(Scope::new(target, "")))),
                names_itself: fields.field("otel.name").is_some() || fields.field("otel.kind").is_some(),
                has_special: fields.iter().any(|field| field.name().starts_with(SPECIAL)),
                key_bits: fields.iter().map(|field| seam::key_bit(field.name())).collect(),
            }));
            place.into_iter().for_each(|place| _ = place.set(callsite));
            callsite
        })
    }

    /// That of a thread that is at its end, or a forked child where nothing can be looked up: all is looked at, each time.
    fn unknown() -> &'static Self {
        UNKNOWN.get_or_init(|| Self {
            metadata: None,
            number: 0,
            scope: &NOTHING_KNOWN,
            names_itself: true,
            has_special: true,
            key_bits: Box::default(),
        })
    }

    /// What [`seam::key_bit`] says of a field's name.
    #[inline]
    pub fn key_bit(&self, field: &Field) -> u64 {
        #[cold]
        fn unknown(field: &Field) -> u64 {
            seam::key_bit(field.name())
        }
        self.key_bits
            .get(field.index())
            .copied()
            .unwrap_or_else(|| unknown(field))
    }

    /// The metadata of the callsite with this number.
    #[inline]
    pub fn metadata_of(number: u32) -> Option<&'static Metadata<'static>> {
        ALL.get(number as usize)?.get()?.metadata
    }
}
