//! Hops over gRPC: tonic, with messages that are plain text.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::http::uri::PathAndQuery;
use axum::http::{Request as HttpRequest, Response as HttpResponse};
use throughline_http::{ClientLayer, ServerLayer};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::server::{self, NamedService, UnaryService};
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};
use tower::{Service, ServiceBuilder};

use crate::text_codec::Text;
use crate::{Failure, hop};

const METHOD: &str = "/throughline.interop.Hop/Hop";

pub async fn listen() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = Server::builder().layer(ServerLayer::new()).add_service(Hops);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    Ok(address)
}

pub async fn call(address: &str, rest: &str) -> Result<String, Failure> {
    let url = format!("http://{address}");
    let channel = Channel::from_shared(url.clone())?.connect().await?;
    let mut client = Grpc::new(
        ServiceBuilder::new()
            .layer(ClientLayer::new().target(url))
            .service(channel),
    );
    client.ready().await?;
    let request = Request::new(rest.to_owned());
    let response = client.unary(request, PathAndQuery::from_static(METHOD), Text).await?;
    Ok(response.into_inner())
}

#[derive(Clone)]
struct Hops;

impl NamedService for Hops {
    const NAME: &'static str = "throughline.interop.Hop";
}

type Answering<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl Service<HttpRequest<Body>> for Hops {
    type Response = HttpResponse<Body>;
    type Error = Infallible;
    type Future = Answering<HttpResponse<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest<Body>) -> Self::Future {
        Box::pin(async move { Ok(server::Grpc::new(Text).unary(Answer, request).await) })
    }
}

struct Answer;

impl UnaryService<String> for Answer {
    type Response = String;
    type Future = Answering<Response<String>, Status>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        Box::pin(async move {
            let answer = hop(request.get_ref()).await;
            answer
                .map(Response::new)
                .map_err(|error| Status::unavailable(error.to_string()))
        })
    }
}
