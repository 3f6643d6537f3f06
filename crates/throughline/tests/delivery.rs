//! Ten of ten spans arrive, once, whatever runtime the program has or has not; nothing that delivery does is traced.

use std::collections::HashSet;
use std::time::Duration;

use throughline_testkit::{Answer, Program, ReceivedSpan, Receiver, Request, Spool};

fn program(example: &str, spool: &Spool, endpoint: &str) -> Program {
    Program::example(example, spool)
        .expect("Cargo builds the examples of this package")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
}

fn distinct(spans: &[ReceivedSpan]) -> usize {
    spans.iter().map(ReceivedSpan::span_id).collect::<HashSet<_>>().len()
}

#[test]
fn ten_of_ten_spans_arrive_whatever_the_runtime() {
    for (runtime, protocol) in ["none", "current_thread", "1", "4", "dropped"]
        .into_iter()
        .flat_map(|runtime| [(runtime, "http/protobuf"), (runtime, "grpc")])
    {
        for flushes in [true, false] {
            let spool = Spool::new().expect("a private directory");
            let (receiver, path) = match protocol {
                "grpc" => (Receiver::start_grpc(), "/"),
                _ => (Receiver::start(), "/v1/traces"),
            };
            let receiver = receiver.expect("loopback has a free port");
            let endpoint = receiver.endpoint();
            let finished = program("program_runtimes", &spool, &endpoint)
                .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
                .args([runtime, if flushes { "flush" } else { "leave" }])
                .run()
                .expect("it runs")
                .expect_success();
            let expected = if flushes {
                format!("5 spans delivered to {endpoint}{path}\n")
            } else {
                String::new()
            };
            assert_eq!(finished.stdout, expected, "{runtime}");
            assert_eq!(finished.stderr, "", "{runtime}");
            // The program is gone: what is not here now does not come any more.
            let spans = receiver.spans();
            assert_eq!((spans.len(), distinct(&spans)), (10, 10), "{runtime} {flushes}");
            assert!(spans.iter().all(|span| span.service() == Some("runtimes")));
        }
    }
}

#[test]
fn one_span_makes_one_request_and_no_more() {
    let spool = Spool::new().expect("a private directory");
    let receiver = Receiver::start().expect("loopback has a free port");
    let running = program("program_steps", &spool, &receiver.endpoint())
        .env("OTEL_BSP_SCHEDULE_DELAY", "20")
        .args(["spans=1", "flush=5000", "park"])
        .spawn()
        .expect("it runs");
    running
        .wait_for_stdout("1 span delivered")
        .expect("it delivers what it has");
    // Three looks of an idle program, and a hundred times the delay. A span that came of this delivery would come too.
    let more = receiver.wait_for_requests(2, Duration::from_millis(3200));
    assert!(more.is_err(), "delivering a span makes no other");
    assert_eq!(receiver.spans().len(), 1);
    running.kill9().expect("it can be killed");
}

#[test]
fn busy_program_sends_what_its_crashed_predecessor_left() {
    let spool = Spool::new().expect("a private directory");
    let mut receiver = Receiver::start().expect("loopback has a free port");
    let endpoint = receiver.endpoint();
    receiver.stop();
    let crashed = program("program_steps", &spool, &endpoint).args(["spans=1500", "say=ready", "park"]);
    let crashed = crashed.spawn().expect("it runs");
    crashed.wait_for_stdout("ready").expect("it comes so far");
    crashed.kill9().expect("it can be killed");
    receiver.restart().expect("the port is still free");
    let busy = program("program_steps", &spool, &endpoint).args(["busy", "park"]);
    let busy = busy.spawn().expect("it runs");
    let (mut looked_at, mut left) = (0, 0);
    for round in 0.. {
        // Each request once: there are more and more of them.
        let requests = receiver.requests();
        for request in &requests[looked_at..] {
            let export = request.export().expect("it is an export request");
            let scopes = export.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
            left += scopes
                .flat_map(|scope| &scope.spans)
                .filter(|span| span.name == "ended")
                .count();
        }
        looked_at = requests.len();
        if left == 1500 {
            break;
        }
        assert!(round < 1500, "{left} came in {looked_at} requests");
        std::thread::sleep(Duration::from_millis(20));
    }
    busy.kill9().expect("it is still there, and busy");
}

#[test]
fn short_programs_send_what_earlier_ones_left() {
    for ending in [&["spans=3"][..], &["spans=3", "shutdown=500"]] {
        let spool = Spool::new().expect("a private directory");
        let mut receiver = Receiver::start().expect("loopback has a free port");
        receiver.stop();
        let endpoint = receiver.endpoint();
        let short = || {
            let program = program("program_steps", &spool, &endpoint).args(ending);
            program.run().expect("it runs").expect_success()
        };
        let left = 5;
        (0..left).for_each(|_| drop(short()));
        receiver.restart().expect("the port is still free");
        // One is enough, on a machine that is not busy: each takes a short time for it.
        let mut more = 0;
        while receiver.spans().len() < 3 * (left + more) || more == 0 {
            assert!(more < 20, "{ending:?}: {} spans have arrived", receiver.spans().len());
            drop(short());
            more += 1;
        }
        let spans = receiver.spans();
        let all = 3 * (left + more);
        assert_eq!((spans.len(), distinct(&spans)), (all, all), "{ending:?}");
    }
}

#[test]
fn what_earlier_programs_left_is_not_sent_again_and_again_to_a_backend_that_is_slow_to_take_it() {
    const LEFT: usize = 300;
    let large = |request: &Request| request.body.len() > 10_000;
    let answers = move |request: &Request| match large(request) {
        true => Answer::hang(),
        false => Answer::to(request),
    };
    let spool = Spool::new().expect("a private directory");
    let mut receiver = Receiver::with(answers).expect("loopback has a free port");
    receiver.stop();
    let endpoint = receiver.endpoint();
    let run = |spans: usize, flush: u32| {
        let steps = [format!("spans={spans}"), format!("flush={flush}")];
        let program = program("program_steps", &spool, &endpoint).args(&steps);
        drop(program.run().expect("it runs").expect_success());
    };
    run(LEFT, 1);
    receiver.restart().expect("the port is still free");
    (0..5).for_each(|_| run(1, 20_000));
    let tried = receiver.requests().iter().filter(|request| large(request)).count();
    assert!(tried <= 1, "{tried} programs have sent the same");
    assert_eq!(distinct(&receiver.spans()), 5);
}

#[test]
fn flush_of_a_busy_program_is_complete_when_what_had_ended_before_is_delivered() {
    let spool = Spool::new().expect("a private directory");
    let receiver = Receiver::start().expect("loopback has a free port");
    let finished = program("program_steps", &spool, &receiver.endpoint())
        .args(["busy", "spans=1000", "flush=20000", "flush=20000", "exit=0"])
        .run()
        .expect("it runs")
        .expect_success();
    let reports: Vec<_> = finished
        .stdout
        .lines()
        .filter(|line| line.starts_with("report"))
        .collect();
    assert_eq!(reports.len(), 2);
    assert!(
        reports.iter().all(|report| report.contains("complete=true")),
        "{finished}"
    );
}
