//! Finds the context that the first layer put in a request.

use axum::extract::Request;

use crate::pipeline::RequestContext;

/// Returns the context of `request`, for a layer to fill in.
pub(super) fn of(request: &mut Request) -> &mut RequestContext {
    request
        .extensions_mut()
        .get_or_insert_default::<RequestContext>()
}
