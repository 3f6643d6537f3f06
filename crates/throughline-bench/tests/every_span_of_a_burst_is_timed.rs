//! Every library of the bursts makes all its spans and marks each: in a process that is not the unit tests', since a
//! library's configuration is the whole process's.

use throughline_bench::bursts::library::Library;
use throughline_bench::bursts::timeline::Timeline;

#[test]
fn every_span_of_a_burst_is_timed() {
    let home = tempfile::tempdir().expect("the system's temporary directory is writable");
    let mut arrived = 0;
    for library in [Library::Native, Library::Sdk, Library::Fastrace] {
        let mut timeline = Timeline::new(2, 100);
        let mut tracer = library.start(home.path(), true);
        for _ in 0..2 {
            timeline.begin();
            tracer.trace(100, &mut timeline);
        }
        assert_eq!(timeline.nanoseconds().len(), 200, "{library}");
        arrived += tracer.arrived();
    }
    // The peers count in one place: 200 of our own, 200 of the first and 400 of both.
    assert_eq!(arrived, 800);
}
