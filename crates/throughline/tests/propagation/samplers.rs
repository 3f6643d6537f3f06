use throughline_testkit::{Program, Receiver, Spool};

const REMOTE: &str = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";

/// What the sampler is, the flags of the caller, and what is recorded: the local root, the caller's child.
#[test]
fn unsampled_span_hands_its_ids_on_and_leaves_no_record() {
    #[rustfmt::skip]
    let cases = [
        ("always_on", "", "00", 3, true),
        ("always_on", "", "01", 3, true),
        ("always_off", "", "01", 0, false),
        ("traceidratio", "0", "01", 0, false),
        ("traceidratio", "1", "00", 3, true),
        ("parentbased_always_on", "", "01", 3, true),
        ("parentbased_always_on", "", "00", 0, true),
        ("parentbased_always_off", "", "01", 3, false),
        ("parentbased_always_off", "", "00", 0, false),
        ("parentbased_traceidratio", "0", "01", 3, false),
        ("parentbased_traceidratio", "1", "00", 0, true),
    ];
    for (sampler, argument, flags, of_caller, of_root) in cases {
        let receiver = Receiver::start().expect("loopback has a free port");
        let spool = Spool::new().expect("a private directory");
        let finished = Program::example("program_propagate", &spool)
            .expect("Cargo builds the examples of this package")
            .arg(format!("00-{REMOTE}-{flags}"))
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
            .env("OTEL_TRACES_SAMPLER", sampler)
            .env("OTEL_TRACES_SAMPLER_ARG", argument)
            .run()
            .expect("it runs")
            .expect_success();
        let case = format!("{sampler} {argument} {flags}: {}", finished.stdout);
        let mut lines = finished.stdout.lines();
        let (child, root) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
        assert_eq!(child.get(3..35), Some(&REMOTE[..32]), "{case}");
        assert_ne!(child.get(36..52), Some(&REMOTE[33..]), "{case}");
        assert_eq!(child.ends_with("-01"), of_caller > 0, "{case}");
        assert_eq!(root.ends_with("-03"), of_root, "{case}");
        assert_eq!(root.ends_with("-02"), !of_root, "{case}");
        let expected = of_caller + if of_root { 3 } else { 0 };
        let spans = receiver
            .wait_for(expected, std::time::Duration::from_secs(10))
            .expect("all come");
        assert_eq!(spans.len(), expected, "{case}");
    }
}
