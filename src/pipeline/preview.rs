//! Preview: a picture as image interventions leave it.

use super::compile::CompiledRequest;
use super::error::Error;
use super::output::Preview;
use super::provenance;
use super::request::PreviewRequest;
use super::runtime::Runtime;
use super::turns::Price;
use crate::engine::Prefilled;
use crate::vision;

impl Runtime {
    /// Runs a request; no forward pass is needed, unless for saliency.
    pub async fn preview(&self, request: PreviewRequest) -> Result<Preview, Error> {
        let PreviewRequest {
            context,
            model,
            image,
            interventions,
            sample_key,
        } = request;
        let input = self.prepare_image(&context, &model, image).await?;
        let compile = self.compile(&input, interventions, Vec::new(), &sample_key);
        let compiled = compile.await?;
        let client = context.client;
        // Encoding takes a core for a while, so that it waits for a turn as well.
        let draw = move || draw(&compiled);
        self.turns.run(&client, Price::BASE, draw).await
    }
}

/// Draws the picture of a compiled request.
fn draw(compiled: &CompiledRequest) -> Result<Preview, Error> {
    let model = &compiled.input.model;
    let Some(picture) = compiled.pictures.first() else {
        return Err(Error::Fault("the picture was lost".into()));
    };
    let view = picture.shown();
    // As many whole tiles as the canvas has, each of the tower's patches.
    let (height, width) = picture.view_size();
    let (rows, columns) = model.tower.view((height, width)).grid;
    let count = compiled.interventions.list().len();
    let effects = compiled.observed.effects(count);
    Ok(Preview {
        png: vision::encode_png(view).map_err(|e| Error::Fault(e.to_string()))?,
        width: view.width,
        height: view.height,
        grid: (view.height / height * rows, view.width / width * columns),
        plan: provenance::plan(compiled, &effects, &Prefilled::default()),
    })
}
