//! Whether the owner of a process directory lives: a pure function of what is known. Doubt means alive.

use std::time::Duration;

use crate::format::manifest::Identity;
use crate::platform::Process;

/// Whether the owner of a process directory lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Life {
    /// The owner may still write here.
    Living,
    /// Nobody will write here again.
    Dead,
}

/// What is known of the owner of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The directory's lock.
    pub lock: Lock,
    /// Who made it; `None` when the manifest cannot be read.
    pub owner: Option<Identity>,
    /// Who asks.
    pub asker: Identity,
    /// What the system says of a process of the owner's id, asked in the asker's PID namespace.
    pub process: Process,
    /// Whether the file system is one of this machine alone, so that nobody elsewhere can use it.
    pub is_local: bool,
    /// For how long the lock has been seen free.
    pub free_for: Duration,
}

/// The lock of a process directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    /// Nobody holds it: the owner is dead, or has lost it together with other descriptors that its host closed.
    Free,
    /// The owner holds it, or a child that inherited it.
    Held,
    /// It cannot be asked: the file is gone or cannot be opened.
    Unknown,
}

/// A living owner looks after its lock and takes it again within this time.
pub(crate) const LOCK_IS_RENEWED: Duration = Duration::from_secs(180);

/// Whether the owner lives.
pub(crate) fn life(facts: &Facts) -> Life {
    let Some(owner) = &facts.owner else {
        // Nothing is known of the owner but its lock, which it takes again should it have lost it.
        return by_lock(facts);
    };
    let knows = |id: &str| !id.is_empty();
    let is_known = knows(&owner.boot_id) && knows(&facts.asker.boot_id);
    if is_known && owner.boot_id != facts.asker.boot_id {
        // Another boot of this machine, unless other machines use the directory too.
        return match (facts.is_local, facts.lock) {
            (true, _) => Life::Dead,
            (false, _) => by_lock(facts),
        };
    }
    let is_same_namespace =
        is_known && owner.pid_namespace != 0 && owner.pid_namespace == facts.asker.pid_namespace && owner.pid != 0;
    if !is_same_namespace {
        return by_lock(facts);
    }
    match facts.process {
        Process::Gone => Life::Dead,
        // Another process has got the id.
        Process::There(Some(started)) if owner.start_time != 0 && started != owner.start_time => Life::Dead,
        Process::There(_) => Life::Living,
        Process::Unknown => by_lock(facts),
    }
}

fn by_lock(facts: &Facts) -> Life {
    match facts.lock {
        Lock::Free if facts.free_for >= LOCK_IS_RENEWED => Life::Dead,
        _ => Life::Living,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(pid: u32, start_time: u64, pid_namespace: u64, boot_id: &str) -> Identity {
        Identity {
            pid,
            start_time,
            pid_namespace,
            boot_id: boot_id.into(),
        }
    }

    #[test]
    fn nobody_is_declared_dead_in_doubt() {
        use Life::{Dead, Living};
        use Lock::{Free, Held};
        use Process::{Gone, There, Unknown};

        const LONG: Duration = Duration::from_secs(3600);
        const NOW: Duration = Duration::ZERO;
        let asker = identity(9, 900, 1, "boot");
        let owner = identity(5, 500, 1, "boot");
        let no_start = identity(5, 0, 1, "boot");
        let other_namespace = identity(5, 500, 2, "boot");
        let other_boot = identity(5, 500, 1, "before");
        let unknown_boot = identity(5, 500, 1, "");
        let unknown_namespace = identity(5, 500, 0, "boot");
        type Case<'a> = (&'a str, Option<&'a Identity>, Lock, Process, bool, Duration, Life);
        let cases: [Case<'_>; 23] = [
            ("it runs", Some(&owner), Held, There(Some(500)), true, NOW, Living),
            (
                "its host closed inherited descriptors",
                Some(&owner),
                Free,
                There(Some(500)),
                true,
                LONG,
                Living,
            ),
            ("it was killed", Some(&owner), Free, Gone, true, NOW, Dead),
            (
                "it was killed and its child has the lock",
                Some(&owner),
                Held,
                Gone,
                true,
                NOW,
                Dead,
            ),
            (
                "its id was given to another process",
                Some(&owner),
                Free,
                There(Some(700)),
                true,
                NOW,
                Dead,
            ),
            (
                "so, and a child of it has the lock",
                Some(&owner),
                Held,
                There(Some(700)),
                true,
                NOW,
                Dead,
            ),
            (
                "its start time was not known",
                Some(&no_start),
                Free,
                There(Some(700)),
                true,
                LONG,
                Living,
            ),
            (
                "nor is that of the process",
                Some(&owner),
                Free,
                There(None),
                true,
                LONG,
                Living,
            ),
            (
                "without a start time, and gone",
                Some(&no_start),
                Free,
                Gone,
                true,
                NOW,
                Dead,
            ),
            (
                "the system tells nothing, the lock is held",
                Some(&owner),
                Held,
                Unknown,
                true,
                LONG,
                Living,
            ),
            (
                "the system tells nothing, the lock is free now",
                Some(&owner),
                Free,
                Unknown,
                true,
                NOW,
                Living,
            ),
            (
                "the system tells nothing, the lock stays free",
                Some(&owner),
                Free,
                Unknown,
                true,
                LONG,
                Dead,
            ),
            (
                "another PID namespace, held",
                Some(&other_namespace),
                Held,
                Gone,
                true,
                LONG,
                Living,
            ),
            (
                "another PID namespace, free now",
                Some(&other_namespace),
                Free,
                Gone,
                true,
                NOW,
                Living,
            ),
            (
                "another PID namespace, free for long",
                Some(&other_namespace),
                Free,
                Gone,
                true,
                LONG,
                Dead,
            ),
            (
                "a namespace that is not known",
                Some(&unknown_namespace),
                Free,
                Gone,
                true,
                NOW,
                Living,
            ),
            (
                "another boot",
                Some(&other_boot),
                Free,
                There(Some(500)),
                true,
                NOW,
                Dead,
            ),
            (
                "another machine that shares the directory",
                Some(&other_boot),
                Held,
                Gone,
                false,
                LONG,
                Living,
            ),
            (
                "so, and the lock is free now",
                Some(&other_boot),
                Free,
                Gone,
                false,
                NOW,
                Living,
            ),
            (
                "so, and it stays free",
                Some(&other_boot),
                Free,
                Gone,
                false,
                LONG,
                Dead,
            ),
            (
                "a boot that is not known",
                Some(&unknown_boot),
                Held,
                Gone,
                true,
                LONG,
                Living,
            ),
            ("no manifest, the lock is held", None, Held, Gone, true, LONG, Living),
            ("no manifest, the lock stays free", None, Free, Gone, true, LONG, Dead),
        ];
        for (name, owner, lock, process, is_local, free_for, expected) in cases {
            let facts = Facts {
                lock,
                owner: owner.cloned(),
                asker: asker.clone(),
                process,
                is_local,
                free_for,
            };
            assert_eq!(life(&facts), expected, "{name}");
            if expected == Living {
                let facts = Facts {
                    lock: Lock::Unknown,
                    ..facts
                };
                assert_eq!(life(&facts), Living, "{name}, and the lock cannot be asked");
            }
        }
    }
}
