//! Measurements that compiling needs of the unchanged pictures: where models look, and what donor
//! pictures come to.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::error::Error;
use super::input::{PreparedInput, image_error};
use super::runtime::Runtime;
use crate::engine::Engine;
use crate::intervention::{self, CaptureTarget, Intervention, SaliencyMaps, SaliencyQuery};
use crate::model::{self, Model};
use crate::nn::HostTensor;
use crate::vision;

/// Holds what compiling is told beside the request.
#[derive(Debug)]
pub(super) struct Measurements {
    /// The attention that saliency asks for.
    pub(super) saliency: SaliencyMaps,
    /// Digests of the resident saliency models, by name.
    pub(super) saliency_digests: BTreeMap<String, String>,
    /// The visual tokens of donor pictures, by the place of their intervention.
    pub(super) donors: BTreeMap<usize, HostTensor>,
    /// The kept activations that patches name.
    pub(super) activations: BTreeMap<String, HostTensor>,
}

impl Runtime {
    /// Measures all that interventions and captures ask for.
    pub(super) async fn measure(
        &self,
        input: &PreparedInput,
        list: &[Intervention],
        captures: &[CaptureTarget],
    ) -> Result<Measurements, Error> {
        let resident = self.saliency_models().into_iter();
        let digests = resident.map(|m| (m.name.clone(), m.digest.clone()));
        let owner = &input.context.client.tenant;
        let kept = intervention::handles(list)
            // A handle that is not kept is found missing where the patch is compiled.
            .filter_map(|handle| Some((handle.to_owned(), self.activations.get(owner, handle)?)));
        Ok(Measurements {
            saliency_digests: digests.collect(),
            activations: kept.collect(),
            donors: self.donors(input, list).await?,
            saliency: self.saliency(input, list, captures).await?,
        })
    }

    /// Returns the attention that interventions and captures ask for; measured once for all
    /// variants of an input.
    async fn saliency(
        &self,
        input: &PreparedInput,
        list: &[Intervention],
        captures: &[CaptureTarget],
    ) -> Result<SaliencyMaps, Error> {
        let looks = intervention::saliency_queries(list, captures.iter().map(|c| &c.target));
        if looks.is_empty() {
            return Ok(SaliencyMaps::new());
        }
        // Held meanwhile: variants that ask for the same wait, in place of measuring it once more.
        let mut known = input.saliency.lock().await;
        for look in looks {
            if let Entry::Vacant(entry) = known.entry(look) {
                let views = self.look(input, entry.key()).await?;
                entry.insert(views);
            }
        }
        Ok(known.clone())
    }

    /// Measures the attention that one query asks for, picture by picture, view by view.
    async fn look(
        &self,
        input: &PreparedInput,
        look: &SaliencyQuery,
    ) -> Result<Vec<Vec<Vec<f32>>>, Error> {
        let head = look.head.map(|h| h as usize);
        let model = &input.model;
        let Some(name) = &look.model else {
            check_head(head, model.tower.info().heads)?;
            if input.pixels.is_empty() {
                return Ok(Vec::new());
            }
            let views = input.pixels.iter().map(|p| p.views.clone()).collect();
            let engine = self.engine_for(input);
            return Ok(engine.attention(model.clone(), views, head).await?);
        };
        let known = self.saliency_models();
        let saliency = known.iter().find(|m| m.name == *name).cloned();
        let saliency = saliency.ok_or_else(|| Error::UnknownSaliency {
            field: "interventions".into(),
            name: name.clone(),
            resident: known.iter().map(|m| m.name.clone()).collect(),
        })?;
        check_head(head, saliency.heads())?;
        let bases: Vec<_> = input
            .pictures
            .iter()
            .map(|p| p.base.image.clone())
            .collect();
        let own = saliency.clone();
        let prepare = move |_: &Model| {
            let pixels = bases.iter().map(|base| own.pixels(base));
            Ok(pixels.collect::<Result<Vec<HostTensor>, model::Error>>()?)
        };
        let pixels = self.blocking(model, prepare).await?;
        // A saliency model sees the whole picture: one view of each.
        let looks = self
            .saliency_engine_for(input)
            .saliency(saliency, pixels, head)
            .await?;
        Ok(looks.into_iter().map(|look| vec![look]).collect())
    }

    /// Returns the input's engine, whose work is charged to its caller and ends at its deadline.
    fn engine_for(&self, input: &PreparedInput) -> Engine {
        let context = &input.context;
        let engine = self.engine(&input.model);
        engine.on_behalf_of(&context.client, context.deadline)
    }

    /// Returns the engine of the saliency models' device, for the same caller.
    fn saliency_engine_for(&self, input: &PreparedInput) -> Engine {
        let context = &input.context;
        self.engines[0]
            .1
            .on_behalf_of(&context.client, context.deadline)
    }

    /// Returns the visual tokens of donor pictures, prepared as one of the input's, by the place
    /// of their intervention.
    async fn donors(
        &self,
        input: &PreparedInput,
        list: &[Intervention],
    ) -> Result<BTreeMap<usize, HostTensor>, Error> {
        let (model, together) = (&input.model, input.together.max(1));
        let mut found = BTreeMap::new();
        for (place, bytes) in intervention::donors(list) {
            let (bytes, limit) = (bytes.to_vec(), self.limits.image_pixels);
            let field = format!("interventions[{place}].replace_tokens.donor.data");
            let decode = move |model: &Model| {
                let wrong = image_error(field);
                let picture = vision::decode(&bytes, limit).map_err(&wrong)?;
                // As many pictures as the input has: one that came alone might be cut into tiles, and
                // have other visual tokens than the ones that it replaces.
                let picture = model
                    .processor
                    .picture(&picture, together)
                    .map_err(&wrong)?;
                Ok((model.pixels(&picture)?, model.tokens(&picture)))
            };
            let (pixels, tokens) = self.blocking(model, decode).await?;
            let engine = self.engine_for(input);
            let encoded = engine.encode(model.clone(), pixels, tokens);
            found.insert(place, encoded.await?);
        }
        Ok(found)
    }
}

fn check_head(head: Option<usize>, heads: usize) -> Result<(), Error> {
    match head {
        Some(head) if head >= heads => Err(Error::invalid(
            "interventions",
            format!("salient head {head} is not below {heads}"),
        )),
        _ => Ok(()),
    }
}
