//! The gRPC service `bookshop.Prices`: what `tonic-build` makes of a protocol definition, but for messages that are plain text.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::http::uri::PathAndQuery;
use axum::http::{Request as HttpRequest, Response as HttpResponse};
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::server::{self, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tower::Service;

use crate::text_codec::Text;

/// Asks for the price of a book.
///
/// # Errors
///
/// What the server answers, and `UNAVAILABLE` where there is none.
pub async fn price<S>(channel: S, book: String) -> Result<String, Status>
where
    S: GrpcService<Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::ResponseBody: axum::body::HttpBody<Data = bytes::Bytes> + Send + 'static,
    <S::ResponseBody as axum::body::HttpBody>::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    let mut client = Grpc::new(channel);
    client
        .ready()
        .await
        .map_err(|error| Status::unavailable(error.into().to_string()))?;
    let path = PathAndQuery::from_static("/bookshop.Prices/Price");
    Ok(client.unary(Request::new(book), path, Text).await?.into_inner())
}

/// The service, by a function from titles to prices.
#[derive(Clone, Debug)]
pub struct Prices(pub fn(&str) -> Result<String, Status>);

impl NamedService for Prices {
    const NAME: &'static str = "bookshop.Prices";
}

type Answering<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl Service<HttpRequest<Body>> for Prices {
    type Response = HttpResponse<Body>;
    type Error = Infallible;
    type Future = Answering<HttpResponse<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest<Body>) -> Self::Future {
        let prices = self.clone();
        Box::pin(async move { Ok(server::Grpc::new(Text).unary(prices, request).await) })
    }
}

impl UnaryService<String> for Prices {
    type Response = String;
    type Future = Answering<Response<String>, Status>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let answer = (self.0)(request.get_ref()).map(Response::new);
        Box::pin(async move { answer })
    }
}
