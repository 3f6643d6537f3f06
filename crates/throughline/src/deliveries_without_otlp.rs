//! In a build without the feature `otlp` there are no deliveries: spans stay in the local history.

use std::time::Duration;

use throughline_spool::Recorder;

use crate::config;
use crate::delivery::DestinationFlush;

/// Where spans would be sent.
pub(crate) struct Plan {
    pub destinations: Vec<config::Destination>,
    pub batch: config::BatchSettings,
    pub is_for_all: bool,
}

pub(crate) fn start(_recorder: &'static Recorder, _plan: Plan) {}

pub(crate) fn wake() {}

pub(crate) fn start_in_child(_recorder: &'static Recorder) {}

pub(crate) fn flush(_within: Duration) -> Option<Vec<DestinationFlush>> {
    None
}

pub(crate) fn shutdown(_within: Duration) -> Option<Vec<DestinationFlush>> {
    None
}

pub(crate) fn exit() -> Option<Vec<DestinationFlush>> {
    None
}

pub(crate) fn leftovers() -> Option<Vec<DestinationFlush>> {
    None
}
