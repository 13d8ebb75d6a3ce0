//! UploadImage on the wire.

use crate::api::{Error, State, v1};
use crate::pipeline::RequestContext;

/// Keeps a picture that can be decoded.
pub(super) async fn upload(
    state: &State,
    context: &RequestContext,
    message: v1::UploadImageRequest,
) -> Result<v1::UploadImageResponse, Error> {
    let uploaded = state.upload(context, message.data.into()).await?;
    Ok(v1::UploadImageResponse {
        handle: uploaded.handle,
        width: uploaded.width as u32,
        height: uploaded.height as u32,
    })
}
