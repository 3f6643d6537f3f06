//! Bearer tokens that a program fetches itself.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A token that says who sends spans, for [`OtlpDestination::bearer_token`](crate::OtlpDestination::bearer_token). It is never shown.
#[derive(Clone)]
#[must_use = "it is returned by the closure that `bearer_token` gets"]
pub struct BearerToken {
    token: String,
    valid_for: Option<Duration>,
}

impl BearerToken {
    /// A token that is used until a backend refuses it.
    pub fn new(token: impl Into<String>) -> Self {
        Self {
            token: token.into(),
            valid_for: None,
        }
    }

    /// A token that ends so long from now; it is fetched anew before that.
    pub fn valid_for(mut self, time: Duration) -> Self {
        self.valid_for = Some(time);
        self
    }

    #[cfg(feature = "otlp")]
    pub(crate) fn into_parts(self) -> (String, Option<Duration>) {
        (self.token, self.valid_for)
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerToken")
            .field("valid_for", &self.valid_for)
            .finish_non_exhaustive()
    }
}

type Fetching = Pin<Box<dyn Future<Output = Result<BearerToken, Box<dyn Error + Send + Sync>>> + Send>>;

/// Fetches tokens.
#[derive(Clone)]
pub(crate) struct TokenSource(Arc<dyn Fn() -> Fetching + Send + Sync>);

impl TokenSource {
    pub fn new<F, R, E>(source: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<BearerToken, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        Self(Arc::new(move || {
            let fetching = source();
            Box::pin(async move { fetching.await.map_err(Into::into) })
        }))
    }

    #[cfg(feature = "otlp")]
    pub fn fetch(&self) -> Fetching {
        (self.0)()
    }
}
