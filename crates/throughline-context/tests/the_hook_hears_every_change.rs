//! The one hook of a process is told of each context that begins and ends, with its own token.

use std::sync::Mutex;

use throughline_context::{Context, Hook, HookTaken, Ids, enter, set_hook};

struct Recorder(Mutex<Vec<String>>);

impl Hook for Recorder {
    fn entered(&self, context: &Context) -> usize {
        let id = usize::from(context.ids().span_id()[0]);
        self.0.lock().expect("no test panics with it").push(format!("+{id}"));
        id
    }

    fn exited(&self, token: usize, current: &Context) {
        let now = current.ids().span_id()[0];
        self.0
            .lock()
            .expect("no test panics with it")
            .push(format!("-{token} now {now}"));
    }
}

static RECORDER: Recorder = Recorder(Mutex::new(Vec::new()));

#[test]
fn the_hook_hears_every_change() {
    set_hook(&RECORDER).expect("the first hook");
    assert_eq!(set_hook(&RECORDER), Err(HookTaken));
    let one = enter(Ids::new([1; 16], [1; 8], 1), None);
    let two = enter(Ids::new([2; 16], [2; 8], 1), None);
    drop(one);
    drop(two);
    let heard = RECORDER.0.lock().expect("no test panics with it").join(", ");
    assert_eq!(heard, "+1, +2, -1 now 2, -2 now 0");
}
