//! The manifest of a process directory: who wrote it, of what resource, and where its spans are to go.
//!
//! ```text
//! offset 0  magic    u32  "TLM1"
//! offset 4  version  u32  1
//! then fields: tag u8, length u32, bytes; unknown tags are skipped
//! last 4    crc      u32  CRC-32C of all before
//! ```

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const MAGIC: u32 = u32::from_le_bytes(*b"TLM1");
const VERSION: u32 = 1;

const PID: u8 = 1;
const START_TIME: u8 = 2;
const PID_NAMESPACE: u8 = 3;
const BOOT_ID: u8 = 4;
const CREATED: u8 = 5;
const SERVICE: u8 = 6;
const RESOURCE: u8 = 7;
const SCHEMA_URL: u8 = 8;
const DESTINATION_NAME: u8 = 9;
const DESTINATION_FINGERPRINT: u8 = 10;

/// Who a process is, so that it cannot be taken for a later one with the same id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The process id, in its own PID namespace.
    pub pid: u32,
    /// When it started, in clock ticks since boot; 0 where the system does not tell.
    pub start_time: u64,
    /// The PID namespace's inode; 0 where there are none.
    pub pid_namespace: u64,
    /// The kernel's boot id; empty where there is none.
    pub boot_id: String,
}

/// Where the spans of a process are to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// For people: kind and endpoint, without secrets.
    pub name: String,
    /// What has to be equal for another process to deliver there.
    pub fingerprint: Vec<u8>,
}

/// What stands beside the records of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The process that wrote the records.
    pub owner: Identity,
    /// When the directory was made; microseconds matter to nobody.
    pub created: SystemTime,
    /// The service's name, for people; also in the resource.
    pub service: String,
    /// An encoded OTLP `Resource`.
    pub resource: Vec<u8>,
    /// The resource's schema URL, or empty.
    pub schema_url: String,
    /// The destinations, in the order of their cursors. None: the spans stay local.
    pub destinations: Vec<Destination>,
}

impl Manifest {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256 + self.resource.len());
        bytes.extend_from_slice(&MAGIC.to_le_bytes());
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        let mut field = |tag: u8, value: &[u8]| {
            bytes.push(tag);
            bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
            bytes.extend_from_slice(value);
        };
        let created = self.created.duration_since(UNIX_EPOCH).unwrap_or_default();
        field(PID, &self.owner.pid.to_le_bytes());
        field(START_TIME, &self.owner.start_time.to_le_bytes());
        field(PID_NAMESPACE, &self.owner.pid_namespace.to_le_bytes());
        field(BOOT_ID, self.owner.boot_id.as_bytes());
        field(CREATED, &(created.as_nanos() as u64).to_le_bytes());
        field(SERVICE, self.service.as_bytes());
        field(RESOURCE, &self.resource);
        field(SCHEMA_URL, self.schema_url.as_bytes());
        for destination in &self.destinations {
            field(DESTINATION_NAME, destination.name.as_bytes());
            field(DESTINATION_FINGERPRINT, &destination.fingerprint);
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a manifest. Total: any bytes will do.
    pub(crate) fn from_bytes(bytes: &[u8]) -> io::Result<Self> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the manifest is damaged");
        let (content, crc) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
        let (head, mut fields) = content.split_first_chunk::<8>().ok_or_else(damaged)?;
        let [magic, version] =
            [&head[..4], &head[4..]].map(|n| u32::from_le_bytes(n.try_into().expect("4 of 8 bytes")));
        if magic != MAGIC || u32::from_le_bytes(*crc) != crc32c::crc32c(content) {
            return Err(damaged());
        }
        if version != VERSION {
            let text = format!("the manifest has format {version}, this program reads {VERSION}");
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        let mut manifest = Self {
            owner: Identity::default(),
            created: UNIX_EPOCH,
            service: String::new(),
            resource: Vec::new(),
            schema_url: String::new(),
            destinations: Vec::new(),
        };
        while let Some((head, rest)) = fields.split_first_chunk::<5>() {
            let len = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
            let (value, rest) = rest.split_at_checked(len).ok_or_else(damaged)?;
            fields = rest;
            let text = || String::from_utf8_lossy(value).into_owned();
            let number = || value.try_into().map(u64::from_le_bytes).map_err(|_| damaged());
            match head[0] {
                PID => manifest.owner.pid = value.try_into().map(u32::from_le_bytes).map_err(|_| damaged())?,
                START_TIME => manifest.owner.start_time = number()?,
                PID_NAMESPACE => manifest.owner.pid_namespace = number()?,
                BOOT_ID => manifest.owner.boot_id = text(),
                CREATED => manifest.created = UNIX_EPOCH + Duration::from_nanos(number()?),
                SERVICE => manifest.service = text(),
                RESOURCE => manifest.resource = value.to_vec(),
                SCHEMA_URL => manifest.schema_url = text(),
                DESTINATION_NAME => {
                    manifest.destinations.push(Destination {
                        name: text(),
                        fingerprint: Vec::new(),
                    });
                }
                DESTINATION_FINGERPRINT => {
                    manifest.destinations.last_mut().ok_or_else(damaged)?.fingerprint = value.to_vec();
                }
                _ => {}
            }
        }
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            owner: Identity {
                pid: 7,
                start_time: 8,
                pid_namespace: 9,
                boot_id: "boot".into(),
            },
            created: UNIX_EPOCH + Duration::from_nanos(123),
            service: "orders".into(),
            resource: vec![1, 2, 3],
            schema_url: "https://example.com/1".into(),
            destinations: vec![Destination {
                name: "otlp http://h".into(),
                fingerprint: vec![9; 32],
            }],
        }
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        assert_eq!(
            Manifest::from_bytes(&manifest().to_bytes()).expect("it is whole"),
            manifest()
        );
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = manifest().to_bytes();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::from_bytes(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_newer_format_is_refused_by_its_number() {
        let mut bytes = manifest().to_bytes();
        bytes[4] = 2;
        let end = bytes.len() - 4;
        let crc = crc32c::crc32c(&bytes[..end]);
        bytes[end..].copy_from_slice(&crc.to_le_bytes());
        let error = Manifest::from_bytes(&bytes).expect_err("it is newer");
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("format 2"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = Manifest::from_bytes(&bytes);
        }
    }
}
