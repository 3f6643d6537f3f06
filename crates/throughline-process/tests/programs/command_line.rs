//! A command line with phases, which ends in the way that its argument names.

#![expect(clippy::print_stdout, reason = "the test reads it")]

use std::io::{self, Write as _};
use std::process::Command;
use std::thread;
use std::time::Duration;

use throughline_process::{ChildEnvironment, CommandExt as _, CommandLine};

fn main() -> Result<(), String> {
    let way = std::env::args().nth(1).unwrap_or_default();
    let command = CommandLine::new("deploy", throughline::init("deploy")).ending_on_signals();
    if way.ends_with("async") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        return runtime
            .map_err(|error| error.to_string())?
            .block_on(in_a_runtime(&command, &way));
    }
    command.run(|| {
        command.phase("upload", || Ok::<_, String>(()))?;
        command.phase("activate", || activate(&command, &way))
    })
}

fn activate(command: &CommandLine, way: &str) -> Result<(), String> {
    match way {
        "early" => Ok(()),
        "error" => Err("the application is not there".to_owned()),
        "panic" => panic!("a bug"),
        "exit" => command.exit(3),
        "wait" => {
            println!("ready");
            io::stdout().flush().map_err(|error| error.to_string())?;
            thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        "child" => {
            let mut child = Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
            let status = child.arg("early").traced().name("deploy child").status();
            status.map(drop).map_err(|error| error.to_string())
        }
        "daemon" => {
            let environment = ChildEnvironment::new().service_name("buildkitd");
            for (name, value) in environment.for_container() {
                println!("{name}={value}");
            }
            let mut daemon = Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
            let status = daemon.arg("early").traced().environment(environment).status();
            status.map(drop).map_err(|error| error.to_string())
        }
        _ => Err(format!("there is no way to end named {way:?}")),
    }
}

async fn in_a_runtime(command: &CommandLine, way: &str) -> Result<(), String> {
    let upload = async { Ok::<_, String>(()) };
    let activate = async {
        match way {
            "error async" => Err("the application is not there".to_owned()),
            _ => std::future::pending().await,
        }
    };
    let all = command.run_async(async {
        command.phase_async("upload", upload).await?;
        command.phase_async("activate", activate).await
    });
    tokio::time::timeout(Duration::from_millis(50), all)
        .await
        .unwrap_or(Ok(()))
}
