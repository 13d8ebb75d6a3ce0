//! Preview on the wire.

use crate::api::{Error, State, convert, v1};
use crate::pipeline::{PreviewRequest, RequestContext};

/// Runs a request.
pub(super) async fn preview(
    state: &State,
    context: &RequestContext,
    mut message: v1::PreviewRequest,
) -> Result<v1::PreviewResponse, Error> {
    let image = message
        .image
        .ok_or_else(|| Error::invalid("image", "unset; a picture is needed"))?;
    let request = PreviewRequest {
        model: state.models.resident(context, &message.model)?,
        context: context.clone(),
        image: convert::image("image".into(), image)?,
        interventions: convert::request_interventions(&mut message.interventions)?,
        sample_key: message.sample_key,
    };
    let preview = state.preview(request).await?;
    Ok(v1::PreviewResponse {
        png: preview.png,
        width: preview.width as u32,
        height: preview.height as u32,
        grid_rows: preview.grid.0 as u32,
        grid_columns: preview.grid.1 as u32,
        plan: convert::plan(preview.plan)?,
    })
}
