//! Each example runs against a real server, and again against the same one; what is sent and what is processed are in one trace.

use std::collections::HashSet;

use throughline_testkit::{Program, ReceivedSpan, Receiver, Spool};

/// Runs an example twice, and checks the trees of both runs: names by depth.
fn check(example: &str, variable: &str, value: &str, tree: &str) {
    for run in ["the first run", "the second run"] {
        let receiver = Receiver::start().expect("loopback has a free port");
        let spool = Spool::new().expect("a private directory");
        let finished = Program::example(example, &spool)
            .expect("Cargo builds the examples of this package")
            .current_dir(spool.home())
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
            .env(variable, value)
            .run()
            .expect("it runs")
            .expect_success();
        assert_eq!((&*finished.stdout, &*finished.stderr), ("", ""), "{example}, {run}");
        let spans = receiver.spans();
        assert_eq!(shown(&spans), tree, "{example}, {run}");
        let traces: HashSet<_> = spans.iter().map(ReceivedSpan::trace_id).collect();
        let roots = tree.lines().filter(|line| !line.starts_with(' ')).count();
        assert_eq!(traces.len(), roots, "{example}, {run}");
    }
}

/// The names of the spans, each under its parent, in the order in which they began.
fn shown(spans: &[ReceivedSpan]) -> String {
    fn show(spans: &[ReceivedSpan], is_root: &dyn Fn(&ReceivedSpan) -> bool, depth: usize, lines: &mut Vec<String>) {
        let mut found: Vec<_> = spans.iter().filter(|span| is_root(span)).collect();
        found.sort_by_key(|span| span.start_time_unix_nano);
        for span in found {
            lines.push(format!("{}{}", "  ".repeat(depth), span.name));
            show(
                spans,
                &|child| child.parent_span_id() == span.span_id(),
                depth + 1,
                lines,
            );
        }
    }
    let mut lines = Vec::new();
    let is_of_this_run = |span: &ReceivedSpan| spans.iter().any(|parent| parent.span_id() == span.parent_span_id());
    show(spans, &|span| !is_of_this_run(span), 0, &mut lines);
    lines.join("\n")
}

#[test]
fn any_broker_example_has_children_or_links_as_its_queues_say() {
    let tree = "send orders\n  process orders\n    charge\n\
                send reports\n\
                process reports\n  charge\n\
                send mails\n  process mails\n    charge";
    check("any_broker", "NOTHING", "", tree);
}

#[cfg(feature = "endpoint")]
#[test]
fn endpoint_example_answers_and_works_in_one_trace() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("reports");
    let tree = "report.create\n  process report.create\n    report";
    check("endpoint", "ENDPOINT", &path.display().to_string(), tree);
}

#[cfg(feature = "serde")]
#[test]
fn job_record_example_processes_two_attempts_in_one_trace() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("mail.json");
    let tree = "send mails\n  process mails\n  process mails\nsend mails";
    check("job_record", "JOB", &path.display().to_string(), tree);
}

#[cfg(feature = "nats")]
#[test]
fn nats_example_sends_and_processes_in_one_trace() {
    use throughline_testkit::{Nats, require_tool};
    let Some(nats) = require_tool(Nats::start()) else {
        return;
    };
    check("nats", "NATS_URL", &nats.url(), "send demo\n  process demo\n    charge");
}

#[cfg(feature = "postgres")]
#[test]
fn postgres_example_sends_and_processes_in_one_trace() {
    use throughline_testkit::{Postgres, require_tool};
    let Some(postgres) = require_tool(Postgres::start()) else {
        return;
    };
    check(
        "postgres",
        "DATABASE_URL",
        &postgres.url(),
        "send demo\n  INSERT demo\n  process demo\n    charge",
    );
}

#[cfg(feature = "rabbitmq")]
#[test]
fn rabbitmq_example_sends_and_processes_in_one_trace() {
    use throughline_testkit::{RabbitMq, require_tool};
    let Some(rabbitmq) = require_tool(RabbitMq::start()) else {
        return;
    };
    check(
        "rabbitmq",
        "AMQP_URL",
        &rabbitmq.url(),
        "send demo\n  process demo\n    charge",
    );
}

#[cfg(feature = "redis")]
#[test]
fn redis_examples_send_and_process_in_one_trace() {
    use throughline_testkit::{Redis, require_tool};
    let Some(redis) = require_tool(Redis::start()) else {
        return;
    };
    check(
        "redis_stream",
        "REDIS_URL",
        &redis.url(),
        "send demo\n  process demo\n    charge",
    );
    check(
        "redis_list",
        "REDIS_URL",
        &redis.url(),
        "send demo.list\n  process demo.list\n    charge",
    );
}

#[cfg(feature = "sqlite")]
#[test]
fn sqlite_example_sends_and_processes_in_one_trace() {
    let directory = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite:{}?mode=rwc", directory.path().join("demo.db").display());
    check(
        "sqlite",
        "DATABASE_URL",
        &url,
        "send demo\n  INSERT demo\n  process demo\n    charge",
    );
}
