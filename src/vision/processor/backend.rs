//! The library whose arithmetic an image processor follows.

use serde::{Serialize, Serializer};

/// A library that resizes pictures and normalises their values; each rounds in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProcessorBackend {
    /// Pillow 13: the pass that shrinks the picture more comes first.
    #[default]
    Pillow,
    /// Pillow 12 and older: width first, but for very tall pictures. Published results of LLaVA
    /// were made with it.
    Pillow12,
    /// torchvision 0.29 with torch 2.15, on the CPU: what `AutoProcessor` of transformers 5 takes.
    Torchvision,
}

impl ProcessorBackend {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pillow, Self::Pillow12, Self::Torchvision];

    /// Returns the name in flags, requests and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pillow => "pillow",
            Self::Pillow12 => "pillow-12",
            Self::Torchvision => "torchvision",
        }
    }

    /// Parses a name; `auto` and the empty text are `None`: by the configuration of the checkpoint.
    ///
    /// # Errors
    /// Any other text, with the valid names.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        if matches!(text, "" | "auto") {
            return Ok(None);
        }
        let found = Self::ALL.into_iter().find(|backend| backend.name() == text);
        found.map(Some).ok_or_else(|| {
            format!(
                "{text:?} is no image processor; auto, {} are",
                Self::ALL.map(Self::name).join(", ")
            )
        })
    }

    /// Returns the one that a configuration names by its class.
    ///
    /// Classes ending in `Fast` were torchvision's from the start. Those ending in `Pil`, and the
    /// plain names, which published checkpoints carry from the time when they were Pillow's, are
    /// Pillow's.
    pub fn of_class(json: &serde_json::Value) -> Self {
        // The second is the field of older versions of transformers.
        let name = ["image_processor_type", "feature_extractor_type"]
            .iter()
            .find_map(|field| json.get(field)?.as_str());
        if name.is_some_and(|name| name.ends_with("Fast")) {
            Self::Torchvision
        } else {
            Self::Pillow
        }
    }

    /// Returns whether it is the one that records do not name.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Serialize for ProcessorBackend {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
