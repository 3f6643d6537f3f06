//! A pseudo-terminal, with a program as the leader of its session.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use throughline_testkit::Spool;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A terminal that a program runs on. Dropping it hangs up and ends the program.
pub struct Terminal {
    controller: File,
    program: Child,
    screen: Arc<(Mutex<Screen>, Condvar)>,
}

#[derive(Default)]
struct Screen {
    text: String,
    is_closed: bool,
}

impl Terminal {
    /// Runs a program on a new terminal of 80 columns, as the leader of its session and foreground process group.
    pub fn run(spool: &Spool, program: &str, arguments: &[&str]) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let terminal = File::from(open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap());
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&terminal, size).unwrap();
        let end = || Stdio::from(terminal.try_clone().unwrap());
        let program = Command::new("setsid")
            .args(["--ctty", program])
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", spool.home())
            .env("XDG_STATE_HOME", spool.state_home())
            .env("TERM", "xterm")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        drop(terminal);
        let controller = File::from(controller);
        let screen = Arc::new((Mutex::new(Screen::default()), Condvar::new()));
        let (mut reader, shared) = (controller.try_clone().unwrap(), Arc::clone(&screen));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                // EIO: nobody has the terminal open any more.
                let read = reader.read(&mut buffer).unwrap_or(0);
                let mut screen = shared.0.lock().unwrap();
                screen.text.push_str(&String::from_utf8_lossy(&buffer[..read]));
                screen.is_closed = read == 0;
                shared.1.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        Self {
            controller,
            program,
            screen,
        }
    }

    /// The process id of the program.
    pub fn id(&self) -> u32 {
        self.program.id()
    }

    /// Types these bytes: `\x03` is Ctrl-C, `\x1a` Ctrl-Z.
    pub fn type_in(&self, text: &str) {
        (&self.controller).write_all(text.as_bytes()).unwrap();
    }

    /// Waits until the screen shows this.
    pub fn wait_for(&self, text: &str) {
        let screen = self.wait_until(|screen| screen.text.contains(text) || screen.is_closed);
        assert!(screen.contains(text), "waited in vain for {text:?}: {screen:?}");
    }

    /// What the screen has shown so far.
    pub fn shown(&self) -> String {
        self.screen.0.lock().unwrap().text.clone()
    }

    /// Waits for the end of the program and of all output, and gives the exit code and what the screen has shown.
    pub fn finish(mut self) -> (Option<i32>, String) {
        let shown = self.wait_until(|screen| screen.is_closed);
        (self.program.wait().unwrap().code(), shown)
    }

    fn wait_until(&self, is_so: impl Fn(&Screen) -> bool) -> String {
        let (screen, changed) = &*self.screen;
        let screen = screen.lock().unwrap();
        let (screen, waited) = changed
            .wait_timeout_while(screen, PATIENCE, |screen| !is_so(screen))
            .unwrap();
        assert!(!waited.timed_out(), "waited in vain: {:?}", screen.text);
        screen.text.clone()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
