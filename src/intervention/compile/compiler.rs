//! The state of a list on its way to a plan: layers that run, tokens that are left, edits so far.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::context::Context;
use super::entry::Entry;
use super::selector::{Selection, Steps, TokenSelector};
use super::token_map::TokenMap;
use crate::intervention::error::Error;
use crate::intervention::plan::{Edit, ImageChange, ImageEdit, Operation, Plan, Rows};
use crate::model::ImageTokens;
use crate::nn::{Point, Site, Stack};
use crate::vision::CellGrid;

/// Most passes through layers of a stack, in multiples of their number.
const MAX_LAYER_PASSES: usize = 8;

/// A plan under construction.
pub(crate) struct Compiler<'a> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) plan: Plan,
    /// The visual tokens of each picture after the selections so far.
    pub(crate) images: Vec<ImageTokens>,
    /// The language model's input; empty until every early intervention is compiled.
    pub(crate) prompt: TokenMap,
    /// Layers that do not run, each with the index of the intervention that left it out.
    left_out: BTreeMap<(Stack, usize), usize>,
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(context: &'a Context<'a>) -> Self {
        Self {
            context,
            plan: Plan::default(),
            images: context.images.to_vec(),
            prompt: TokenMap::default(),
            left_out: BTreeMap::new(),
        }
    }

    /// Returns whether there is no prompt, so that tokens of the language model are unknown.
    pub(crate) fn is_preview(&self) -> bool {
        self.context.prompt.is_none()
    }

    /// Returns how many layers of `stack` the model runs without interventions.
    fn layers(&self, stack: Stack) -> usize {
        let model = self.context.model;
        match stack {
            Stack::VisionTower => model.tower.info().layers_run(),
            Stack::LanguageModel => model.decoder.config().num_hidden_layers,
            Stack::Projector => 0,
        }
    }

    /// Returns the layers of `stack` that run, in order.
    pub(crate) fn path(&self, stack: Stack) -> Vec<usize> {
        self.plan.path(stack, self.layers(stack))
    }

    /// Lets `path` be the layers of `stack` that run.
    pub(crate) fn set_path(&mut self, entry: Entry, stack: Stack, path: Vec<usize>) {
        // Remembered with the culprit: a later edit of such a layer is refused by its name.
        for layer in self.path(stack) {
            if !path.contains(&layer) {
                self.left_out.insert((stack, layer), entry.index);
            }
        }
        self.plan.paths.insert(stack, path.into());
    }

    /// Returns how many layers of `stack` may run, repetitions counted.
    pub(crate) fn max_layers(&self, stack: Stack) -> usize {
        // Repetitions nest: without a bound a short list could ask for billions of layers.
        MAX_LAYER_PASSES * self.layers(stack)
    }

    /// Fails where a list names more layers of `stack` than may run, repetitions counted.
    pub(crate) fn check_count(
        &self,
        entry: Entry,
        field: &str,
        stack: Stack,
        layers: &[u32],
    ) -> Result<(), Error> {
        let (given, most) = (layers.len(), self.max_layers(stack));
        if given > most {
            let message = format!("{given} given; at most {most} are taken");
            return Err(entry.invalid(field, message));
        }
        Ok(())
    }

    /// Fails unless layer `layer` of `stack` runs.
    pub(crate) fn check_runs(
        &self,
        entry: Entry,
        field: &str,
        stack: Stack,
        layer: usize,
    ) -> Result<(), Error> {
        let layers = self.layers(stack);
        let why = if stack == Stack::VisionTower {
            ", those up to the one whose output the model reads"
        } else {
            ""
        };
        // Layers keep the checkpoint's numbers, whichever of them run.
        if layer >= layers {
            let message = format!(
                "layer {layer} of {} is not in 0 to {}{why}",
                stack.name(),
                layers.saturating_sub(1)
            );
            return Err(entry.invalid(field, message));
        }
        if let Some(other) = self.left_out.get(&(stack, layer)) {
            let message = format!(
                "layer {layer} of {} does not run: interventions[{other}] leaves it out; take it \
                 from one of the two",
                stack.name()
            );
            return Err(entry.invalid(field, message));
        }
        Ok(())
    }

    /// Returns the rows of one sequence, or of one view, in a stack: the width of attention scores.
    pub(crate) fn rows_in(&self, stack: Stack) -> usize {
        match stack {
            Stack::VisionTower => self.context.largest(|view| view.rows),
            Stack::Projector => self.context.largest(|view| view.tokens),
            // 0 in a preview, where nothing in the language model is resolved to rows.
            Stack::LanguageModel => self.prompt.tokens.len(),
        }
    }

    /// Returns the rows that a selector picks at a stack (and site).
    pub(crate) fn pick(
        &self,
        entry: Entry,
        field: &str,
        selector: &TokenSelector,
        steps: Steps,
        stack: Stack,
        site: Site,
    ) -> Result<Rows, Error> {
        let mut rows = Rows::default();
        if stack == Stack::LanguageModel {
            if !self.is_preview() {
                let picked = selector.pick(entry, field, &self.prompt, self.context)?;
                if picked.generated && steps.last > 0 {
                    // Step 0 is the prompt, whose rows are picked one by one.
                    rows.generated = Some(steps.first.max(1)..=steps.last);
                }
                // Even where no row of it is chosen: its length says where the answer begins.
                rows.views.insert((0, 0), in_prompt(picked, steps));
            }
            return Ok(rows);
        }
        // The tower and the projector do not run without a picture.
        entry.needs_image(self.context)?;
        for (view, map) in self.maps(stack, site) {
            let picked = selector.pick(entry, field, &map, self.context)?;
            rows.views.insert(view, in_prompt(picked, steps));
        }
        Ok(rows)
    }

    /// Describes the rows at a stack (and site), by picture and view; those of the language model
    /// are of picture 0, view 0.
    pub(crate) fn maps(&self, stack: Stack, site: Site) -> Vec<((usize, usize), TokenMap)> {
        if stack == Stack::LanguageModel {
            return vec![((0, 0), self.prompt.clone())];
        }
        let mut all = Vec::new();
        for (image, tokens) in self.images.iter().enumerate() {
            // Behind the projector the views of a picture are packed into one run of tokens.
            let maps = if site == Site::Tokens {
                vec![TokenMap::of_picture(image, tokens)]
            } else {
                self.views(image, stack)
            };
            all.extend((0..).zip(maps).map(|(view, map)| ((image, view), map)));
        }
        all
    }

    /// Describes the rows of each view of a picture in the tower or the projector.
    fn views(&self, image: usize, stack: Stack) -> Vec<TokenMap> {
        let tower = self.context.model.tower.info();
        let class = tower.has_class && (stack == Stack::VisionTower || tower.keeps_class());
        // SigLIP with the default selection drops a patch where CLIP drops its class token.
        let dropped = usize::from(stack == Stack::Projector && tower.drops_a_patch());
        // The tower sees pictures as they were before tokens were selected.
        let tokens = &self.context.images[image];
        let merged = stack == Stack::Projector && tokens.view.merge > 1;
        (0..tokens.views)
            .map(|view| {
                if merged {
                    TokenMap::of_merged_view(image, tokens, view)
                } else {
                    TokenMap::of_view(image, tokens, view, class, dropped)
                }
            })
            .collect()
    }

    /// Adds a change of cells of a picture.
    pub(crate) fn edit_image(
        &mut self,
        entry: Entry,
        image: usize,
        grid: CellGrid,
        change: ImageChange,
    ) {
        self.plan.image_edits.push(ImageEdit {
            owner: entry.index,
            image,
            grid,
            change,
        });
    }

    /// Adds an operation on all visual tokens of a picture.
    pub(crate) fn edit_tokens(&mut self, entry: Entry, image: usize, operation: Operation) {
        // Those that earlier selections have left: a list is applied in its order.
        let rows = vec![true; self.images[image].len()];
        self.edit_rows(entry, Arc::new(Rows::of_picture(image, rows)), operation);
    }

    /// Adds an operation on visual tokens.
    pub(crate) fn edit_rows(&mut self, entry: Entry, rows: Arc<Rows>, operation: Operation) {
        // The last place where a picture's tokens can change in number, before they join the words.
        let point = Point::of(Stack::Projector, Site::Tokens);
        let edit = Edit {
            owner: entry.index,
            rows,
            heads: None,
            dimensions: None,
            operation,
        };
        self.plan.edits.entry(point).or_default().push(edit);
    }
}

/// Returns the picked rows; none of them where `steps` begin after the prompt, which is step 0.
fn in_prompt(mut picked: Selection, steps: Steps) -> Vec<bool> {
    if steps.first > 0 {
        picked.rows.fill(false);
    }
    picked.rows
}
