//! Measurements that compiling needs of the unchanged pictures: where models look, and what donor
//! pictures come to.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::error::Error;
use super::input::{PreparedInput, price_of_picture};
use super::runtime::Runtime;
use super::turns::Price;
use crate::engine::{Engine, MeasureRows};
use crate::intervention::{Needs, SaliencyMaps, SaliencyQuery};
use crate::model::{self, MeasuredRows, RowsQuery};
use crate::nn::HostTensor;

/// Holds what compiling is told beside the request.
#[derive(Debug, Default)]
pub(super) struct Measurements {
    /// The attention that saliency asks for.
    pub(super) saliency: SaliencyMaps,
    /// The rows that selectors choose by.
    pub(super) rows: MeasuredRows,
    /// Digests of the resident saliency models, by name.
    pub(super) saliency_digests: BTreeMap<String, String>,
    /// The visual tokens of donor pictures, by the place of their intervention.
    pub(super) donors: BTreeMap<usize, HostTensor>,
    /// The kept activations that patches name.
    pub(super) activations: BTreeMap<String, HostTensor>,
}

impl Runtime {
    /// Measures all that compiling needs.
    pub(super) async fn measure(
        &self,
        input: &PreparedInput,
        needs: &Needs<'_>,
    ) -> Result<Measurements, Error> {
        let resident = self.saliency_models().into_iter();
        let digests = resident.map(|m| (m.name.clone(), m.digest.clone()));
        let owner = &input.context.client.tenant;
        let mut activations = BTreeMap::new();
        for &handle in &needs.activations {
            // A handle that is not kept is found missing where the patch is compiled.
            if let Some(kept) = self.activations.get(owner, handle) {
                activations.insert(handle.to_owned(), kept);
            }
        }
        Ok(Measurements {
            saliency_digests: digests.collect(),
            activations,
            donors: self.donors(input, &needs.donors).await?,
            saliency: self.saliency(input, &needs.saliency).await?,
            rows: self.rows(input, &needs.rows).await?,
        })
    }

    /// Returns the attention that is asked for; measured once for all variants of an input.
    async fn saliency(
        &self,
        input: &PreparedInput,
        looks: &BTreeSet<SaliencyQuery>,
    ) -> Result<SaliencyMaps, Error> {
        if looks.is_empty() {
            return Ok(SaliencyMaps::new());
        }
        // Held meanwhile: variants that ask for the same wait, in place of measuring it once more.
        let mut known = input.saliency.lock().await;
        for look in looks {
            if let Entry::Vacant(entry) = known.entry(look.clone()) {
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
            // Before the pictures: a wrong head is an error of a prompt without any, too.
            check_head(head, model.tower.info().heads)?;
            // A prompt without pictures is refused where the selector is compiled, by its field.
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
            // Not which of them: a query is asked once for all selectors that need it.
            field: "interventions".into(),
            name: name.clone(),
            resident: known.iter().map(|m| m.name.clone()).collect(),
        })?;
        check_head(head, saliency.heads())?;
        let bases: Vec<_> = input
            .pictures
            .iter()
            // Cloned, since the work on the pool outlives this call where the caller leaves.
            .map(|p| p.base.image.clone())
            .collect();
        let own = saliency.clone();
        let client = &input.context.client;
        let prepared = self.turns.run(client, Price::BASE, move || {
            let pixels = bases.iter().map(|base| own.pixels(base));
            Ok(pixels.collect::<Result<Vec<HostTensor>, model::Error>>()?)
        });
        let pixels = prepared.await?;
        // A saliency model sees the whole picture: one view of each.
        let looks = self
            .saliency_engine_for(input)
            .saliency(saliency, pixels, head)
            .await?;
        Ok(looks.into_iter().map(|look| vec![look]).collect())
    }

    /// Returns the rows that are asked for, of the model without interventions; measured once for
    /// all variants of an input.
    async fn rows(
        &self,
        input: &PreparedInput,
        queries: &BTreeSet<RowsQuery>,
    ) -> Result<MeasuredRows, Error> {
        if queries.is_empty() {
            return Ok(MeasuredRows::new());
        }
        // Before any is computed, as for captures: a selector may name each point of each layer.
        let (needed, limit) = (input.rows_bytes(queries.iter()), self.limits.capture_bytes);
        if needed > limit {
            return Err(Error::CaptureBudget {
                // Not which of them: a query is asked once for all selectors that need it.
                field: "interventions".into(),
                needed,
                limit,
            });
        }
        // Held meanwhile, as for saliency.
        let mut known = input.rows.lock().await;
        let is_new = |query: &&RowsQuery| !known.contains_key(query);
        let mut missing: BTreeSet<RowsQuery> = queries.iter().filter(is_new).copied().collect();
        if input.rows_bytes(known.keys().chain(&missing)) > limit {
            // A sweep over points keeps no more than one of its variants may ask for.
            known.clear();
            missing.clone_from(queries);
        }
        if !missing.is_empty() {
            let model = &input.model;
            let words = input.words.as_ref();
            let pixels = input.pixels.iter().map(|pixels| pixels.views.clone());
            // All that is missing in one pass, however many rows of it are asked for.
            let work = MeasureRows {
                model: model.clone(),
                pixels: pixels.collect(),
                images: input.images.clone(),
                prompt: words.map(|(ids, _)| model.expand(ids, &input.images)),
                queries: missing.clone(),
            };
            let measured = self.engine_for(input).measure_rows(work).await?;
            known.extend(measured);
            // A point that the model does not have gave none, and is asked for once all the same.
            for query in missing {
                known.entry(query).or_default();
            }
        }
        Ok(known.clone())
    }

    /// Returns the input's engine, whose work is charged to its caller and ends at its deadline.
    fn engine_for(&self, input: &PreparedInput) -> Engine {
        input.share_of(self.engine(&input.model))
    }

    /// Returns the engine of the saliency models' device, for the same caller.
    fn saliency_engine_for(&self, input: &PreparedInput) -> Engine {
        // Where `load_saliency` puts them.
        input.share_of(&self.engines[0].1)
    }

    /// Returns the visual tokens of donor pictures, by the place of their intervention; encoded
    /// once for all variants of an input.
    async fn donors(
        &self,
        input: &PreparedInput,
        files: &[(usize, &[u8])],
    ) -> Result<BTreeMap<usize, HostTensor>, Error> {
        let mut found = BTreeMap::new();
        if files.is_empty() {
            return Ok(found);
        }
        // Held meanwhile, as for saliency.
        let mut known = input.donors.lock().await;
        for &(place, file) in files {
            let tokens = known.tokens(file, self.donor(input, place, file)).await?;
            found.insert(place, tokens);
        }
        Ok(found)
    }

    /// Encodes the donor of the intervention at `place`, prepared as one of the input's pictures.
    async fn donor(
        &self,
        input: &PreparedInput,
        place: usize,
        file: &[u8],
    ) -> Result<HostTensor, Error> {
        // As many pictures as the input has: one that came alone might be cut into tiles, and have
        // other visual tokens than the ones that it replaces. A prompt without pictures has none
        // that a donor would stand beside.
        let (model, together) = (&input.model, input.together.max(1));
        let (bytes, limit) = (file.to_vec(), self.limits.image_pixels);
        let held = |size| model.processor.pixels(size, together);
        let (own, price) = (model.clone(), price_of_picture(&bytes, limit, held));
        let client = &input.context.client;
        let read = self.turns.run(client, price, move || {
            let read = own.read_image(&bytes, together, limit);
            read.map_err(|error| donor_error(place, error))
        });
        let donor = read.await?;
        let engine = self.engine_for(input);
        let encoded = engine.encode(model.clone(), donor.pixels.views, donor.tokens);
        Ok(encoded.await?)
    }
}

/// Names the donor of the intervention at `place` where it is to blame.
fn donor_error(place: usize, error: model::Error) -> Error {
    match error {
        model::Error::Vision(source) => Error::Image {
            field: format!("interventions[{place}].replace_tokens.donor.data").into(),
            source,
        },
        other => other.into(),
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
