//! What axum knows of a request.

use std::borrow::Cow;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, MatchedPath, NestedPath};
use http::Extensions;

/// The template of the route that was matched. Of a service that is mounted whole, without routes of axum's, its mount point.
pub(crate) fn route(extensions: &Extensions) -> Option<Cow<'_, str>> {
    if let Some(matched) = extensions.get::<MatchedPath>() {
        return Some(Cow::Borrowed(matched.as_str()));
    }
    let mounted = extensions.get::<NestedPath>()?;
    Some(Cow::Owned(format!("{}/{{*path}}", mounted.as_str())))
}

pub(crate) fn peer(extensions: &Extensions) -> Option<SocketAddr> {
    let ConnectInfo(address) = extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(*address)
}
