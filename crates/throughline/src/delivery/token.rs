//! Bearer tokens that a program fetches itself, and that end.

use std::error::Error;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, header};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::outcome::{Failure, Outcome, RpcStatus};
use crate::caught::caught;
use crate::destination::{BearerToken, TokenSource};

/// So long before a token ends it is fetched anew.
const BEFORE_THE_END: Duration = Duration::from_secs(30);

/// The token of one destination, fetched when it is needed.
pub(super) struct Tokens {
    source: Option<TokenSource>,
    now: Option<Held>,
    /// What the source is asked at present; kept when a request is given up meanwhile.
    fetching: Option<JoinHandle<Answer>>,
}

/// `None`: the source has panicked.
type Answer = Option<Result<BearerToken, Box<dyn Error + Send + Sync>>>;

struct Held {
    value: HeaderValue,
    ends: Option<Instant>,
    /// Whether an earlier request had it too.
    is_old: bool,
}

impl Tokens {
    pub fn new(source: Option<TokenSource>) -> Self {
        Self {
            source,
            now: None,
            fetching: None,
        }
    }

    /// Replaces `Authorization`, where there is a source.
    pub async fn add_to(&mut self, headers: &mut HeaderMap) -> Result<(), Outcome> {
        let Some(source) = &self.source else { return Ok(()) };
        let is_over = |held: &Held| held.ends.is_some_and(|ends| ends <= Instant::now());
        if self.now.as_ref().is_none_or(is_over) {
            let fetching = self.fetching.get_or_insert_with(|| fetch(source.clone()));
            let answer = fetching.await.ok().flatten();
            self.fetching = None;
            let fetched = answer.ok_or_else(|| Outcome::failed(Failure::NoToken, "its source panicked"))?;
            self.now = Some(held(
                fetched.map_err(|error| Outcome::failed(Failure::NoToken, error))?,
            )?);
        } else if let Some(held) = &mut self.now {
            held.is_old = true;
        }
        if let Some(held) = &self.now {
            headers.insert(header::AUTHORIZATION, held.value.clone());
        }
        Ok(())
    }

    /// Whether the request may go with a token that is fetched anew: the old one is refused.
    pub fn is_refused(&mut self, outcome: &Outcome) -> bool {
        let is_refused = match outcome {
            Outcome::Status { code, .. } => *code == 401,
            Outcome::Rpc { status, .. } => *status == RpcStatus::UNAUTHENTICATED,
            _ => false,
        };
        is_refused && self.now.take().is_some_and(|held| held.is_old)
    }
}

/// Asks the source, which is somebody else's code and may block: beside the delivery thread, on the same runtime.
fn fetch(source: TokenSource) -> JoinHandle<Answer> {
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _untraced = throughline_context::suppress();
        caught(|| runtime.block_on(source.fetch()))
    })
}

fn held(token: BearerToken) -> Result<Held, Outcome> {
    let (token, valid_for) = token.into_parts();
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    // The token itself is not shown.
    let mut value = value.map_err(|_| Outcome::failed(Failure::NoToken, "it holds what no header may hold"))?;
    value.set_sensitive(true);
    let ends =
        valid_for.and_then(|valid| Instant::now().checked_add(valid.saturating_sub(BEFORE_THE_END.min(valid / 4))));
    Ok(Held {
        value,
        ends,
        is_old: false,
    })
}
