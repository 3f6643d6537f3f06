//! A gRPC service without generated code: its messages are bytes, and its paths are matched by hand.
#![allow(dead_code, reason = "each test uses what it needs")]

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, BufMut as _};
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use throughline::span;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder, Streaming};
use tonic::server::{Grpc, NamedService};
use tonic::{Code, Request, Response, Status};
use tower::Service;
use tower::util::service_fn;

/// Messages that are bytes.
#[derive(Clone, Default)]
pub struct Bytes;

pub type Message = Vec<u8>;
pub type Messages = Pin<Box<dyn Stream<Item = Result<Message, Status>> + Send>>;

impl Codec for Bytes {
    type Encode = Message;
    type Decode = Message;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Message;
    type Error = Status;

    fn encode(&mut self, item: Message, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Message;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Message>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining()).to_vec()))
    }
}

/// `shop.Orders`: what a message says is done. `ok` echoes, a code's number fails with it.
#[derive(Clone, Default)]
pub struct Orders;

impl NamedService for Orders {
    const NAME: &'static str = "shop.Orders";
}

fn answer(message: &[u8]) -> Result<Message, Status> {
    span!("handle").end();
    match std::str::from_utf8(message).unwrap_or_default() {
        "panic" => panic!("handler broke"),
        text => match text.parse() {
            Ok(code) => Err(Status::new(Code::from_i32(code), "as the test wants")),
            Err(_) => Ok(message.to_vec()),
        },
    }
}

fn answers(messages: impl Stream<Item = Result<Message, Status>> + Send + 'static) -> Messages {
    messages.map(|message| answer(&message?)).boxed()
}

impl Service<http::Request<Body>> for Orders {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mut grpc = Grpc::new(Bytes);
        let path = request.uri().path().to_owned();
        async move {
            let response = match &*path {
                "/shop.Orders/Unary" => {
                    let unary = |request: Request<Message>| async move {
                        if request.get_ref() == b"wait" {
                            std::future::pending::<()>().await;
                        }
                        answer(request.get_ref()).map(Response::new)
                    };
                    grpc.unary(service_fn(unary), request).await
                }
                "/shop.Orders/ClientStream" => {
                    let collect = |request: Request<Streaming<Message>>| async move {
                        let mut all = Vec::new();
                        let mut messages = answers(request.into_inner());
                        while let Some(message) = messages.next().await {
                            all.extend(message?);
                        }
                        Ok(Response::new(all))
                    };
                    grpc.client_streaming(service_fn(collect), request).await
                }
                "/shop.Orders/ServerStream" => {
                    // One message for each word.
                    let spread = |request: Request<Message>| async move {
                        let text = String::from_utf8(request.into_inner()).unwrap_or_default();
                        let words: Vec<_> = text.split(' ').map(|word| Ok(word.as_bytes().to_vec())).collect();
                        if text.starts_with("now") {
                            return Err(Status::not_found("at once"));
                        }
                        let waits = stream::pending().take(usize::from(text.ends_with("wait")));
                        Ok(Response::new(answers(stream::iter(words)).chain(waits)))
                    };
                    grpc.server_streaming(service_fn(spread), request).await
                }
                "/shop.Orders/Both" => {
                    let both = |request: Request<Streaming<Message>>| async move {
                        Ok(Response::new(answers(request.into_inner())))
                    };
                    grpc.streaming(service_fn(both), request).await
                }
                _ => Status::unimplemented("").into_http(),
            };
            Ok(response)
        }
        .boxed()
    }
}
