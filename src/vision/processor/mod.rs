//! Hugging Face's image processor configuration, and what it does to a picture.

mod backend;

pub use backend::ProcessorBackend;

use serde::{Deserialize, Serialize};

use super::{
    Area, Canvas, Error, Filter, MAX_EDGE, Picture, Rgb, Size, View, best_canvas, best_tiles,
    fitted, resize,
};

/// Says what becomes of a picture that is not square.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// Shortest edge to size, then the centre is cut out (Hugging Face's CLIP processor).
    Crop,
    /// Padded to a square with the mean colour (the original LLaVA-1.5).
    Pad,
    /// Both edges to size, whatever the ratio.
    Stretch,
    /// Stretched for the base view, and fitted on one of these canvases for the tiles (LLaVA-NeXT).
    AnyResolution {
        /// `(height, width)`, pixels; multiples of the side.
        canvases: Vec<Size>,
        /// Tiles for a picture that comes alone; several pictures are padded to squares
        /// (LLaVA-OneVision).
        alone: bool,
    },
    /// Kept: scaled down where an edge is longer than the side, and stretched to whole patches
    /// (Pixtral).
    AnySize {
        /// Pixels along a patch.
        patch: usize,
    },
    /// Stretched for the base view, and to as many tiles as fit its shape best (InternVL).
    StretchedTiles {
        /// Tiles at least.
        fewest: usize,
        /// Tiles at most; with one there are none beside the base view.
        most: usize,
    },
}

/// The tiling of a family's image processor, which its configuration does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tiling {
    /// One view a picture.
    None,
    /// Tiles for every picture.
    Always,
    /// Tiles for a picture that comes alone.
    Alone,
    /// One view a picture, of its own shape, in whole patches.
    AnySize {
        /// Pixels along a patch.
        patch: usize,
    },
    /// Tiles for every picture, which is stretched to them.
    Stretched,
}

/// The steps from a decoded picture to the tower's input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Processor {
    /// Side of the square that comes out, pixels.
    pub side: usize,
    /// Length of the shortest edge before the cut, pixels; at least `side`.
    pub shortest_edge: usize,
    /// Pillow's number of the kernel: 1 Lanczos, 2 bilinear, 3 bicubic.
    pub resample: u32,
    /// The treatment of pictures that are not square.
    pub aspect: Aspect,
    /// Pixels are multiplied by this.
    pub rescale_factor: f64,
    /// Subtracted after rescaling, by channel.
    pub mean: [f32; 3],
    /// Divided by, by channel.
    pub std: [f32; 3],
    /// The library whose arithmetic it follows. Records leave Pillow out, as they did when it was the
    /// only one.
    #[serde(
        rename = "image_processor",
        skip_serializing_if = "ProcessorBackend::is_default"
    )]
    pub backend: ProcessorBackend,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Edges {
    Side(usize),
    Edge { shortest_edge: usize },
    Longest { longest_edge: usize },
    Box { height: usize, width: usize },
}

impl Edges {
    fn side(&self, field: &str) -> Result<usize, Error> {
        match *self {
            Self::Side(side)
            | Self::Edge {
                shortest_edge: side,
            } => Ok(side),
            Self::Longest { longest_edge } => Err(Error::Setting(format!(
                "{field} has longest_edge {longest_edge} alone; shortest_edge, or height and \
                 width, are needed"
            ))),
            Self::Box { height, width } if height == width => Ok(height),
            Self::Box { height, width } => Err(Error::Setting(format!(
                "{field} is {width} x {height}, not square"
            ))),
        }
    }
}

/// preprocessor_config.json as people have it; absent fields have CLIP's defaults.
#[derive(Deserialize)]
struct Config {
    size: Option<Edges>,
    crop_size: Option<Edges>,
    resample: Option<u32>,
    do_pad: Option<bool>,
    rescale_factor: Option<f64>,
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
    do_resize: Option<bool>,
    do_center_crop: Option<bool>,
    do_rescale: Option<bool>,
    do_normalize: Option<bool>,
    image_grid_pinpoints: Option<Vec<Size>>,
    patch_size: Option<Edges>,
    min_patches: Option<usize>,
    max_patches: Option<usize>,
}

impl Config {
    /// Returns the shortest edge and the side of what is cut out; `usual` is the first where the
    /// file says nothing.
    fn sides(&self, usual: usize) -> Result<(usize, usize), Error> {
        let size = self.size.as_ref();
        let shortest_edge = size.map_or(Ok(usual), |s| s.side("size"))?;
        // A `crop_size` that is there says nothing then.
        let crop = self
            .crop_size
            .as_ref()
            .filter(|_| self.do_center_crop != Some(false));
        let cut = crop.map_or(Ok(shortest_edge), |s| s.side("crop_size"))?;
        Ok((shortest_edge, cut))
    }
}

/// More would be a fault of the configuration: 6 x 6 tiles is what the largest known model has.
const MOST_TILES: usize = 256;
/// Longest edge of a picture of any size.
const MOST_PIXELS: usize = 1 << 14;

impl Processor {
    /// Reads preprocessor_config.json, or processor_config.json with the settings under
    /// `image_processor`.
    ///
    /// `side` is what the tower takes; a processor that makes anything else is an error. `tiling`
    /// is the family's. Unless `backend` says otherwise, the arithmetic is that of the class which
    /// the configuration names.
    pub fn from_json(
        json: &serde_json::Value,
        side: usize,
        tiling: Tiling,
        backend: Option<ProcessorBackend>,
    ) -> Result<Self, Error> {
        let json = json.get("image_processor").unwrap_or(json);
        let config = Config::deserialize(json).map_err(|e| Error::Setting(e.to_string()))?;
        for (name, value) in [
            ("do_resize", config.do_resize),
            ("do_rescale", config.do_rescale),
            ("do_normalize", config.do_normalize),
        ] {
            if value == Some(false) {
                return Err(Error::Setting(format!(
                    "{name} is false; only processors that do it are supported"
                )));
            }
        }
        if let Tiling::AnySize { patch } = tiling {
            return Self::any_size(config, (side, patch), backend, json);
        }
        let stretch = matches!(config.size, Some(Edges::Box { .. }));
        let (shortest_edge, cut) = config.sides(side)?;
        // transformers would hand the tower another size and fail inside, or pad a crop with black
        // where the picture is smaller.
        if cut != side || shortest_edge < side {
            let message = format!(
                "makes pictures of {cut} pixels (size {shortest_edge}), the tower takes {side}"
            );
            return Err(Error::Setting(message));
        }
        let aspect = match tiling {
            Tiling::Always | Tiling::Alone => Aspect::AnyResolution {
                canvases: canvases(config.image_grid_pinpoints.as_deref(), side)?,
                alone: tiling == Tiling::Alone,
            },
            Tiling::Stretched => stretched_tiles(config.min_patches, config.max_patches)?,
            _ if config.do_pad == Some(true) => Aspect::Pad,
            // `size` of height and width resizes both edges, as SigLIP's processor does.
            _ if stretch => Aspect::Stretch,
            _ => Aspect::Crop,
        };
        Self::with(&config, (side, shortest_edge), aspect, backend, json)
    }

    /// Returns the side of the squares that a configuration makes, `usual` where it says nothing:
    /// for towers that take any.
    pub fn side_of(json: &serde_json::Value, usual: usize) -> Result<usize, Error> {
        let json = json.get("image_processor").unwrap_or(json);
        let config = Config::deserialize(json).map_err(|e| Error::Setting(e.to_string()))?;
        Ok(config.sides(usual)?.1)
    }

    /// Reads the configuration of a processor that keeps the shape of pictures.
    fn any_size(
        config: Config,
        (side, patch): (usize, usize),
        backend: Option<ProcessorBackend>,
        json: &serde_json::Value,
    ) -> Result<Self, Error> {
        let own = match config.patch_size {
            Some(ref size) => size.side("patch_size")?,
            None => patch,
        };
        if own != patch {
            let message = format!("patch_size {own}, the tower's is {patch}");
            return Err(Error::Setting(message));
        }
        let longest = match config.size {
            Some(Edges::Longest { longest_edge }) => longest_edge,
            Some(ref size) => size.side("size")?,
            None => side,
        };
        if !(1..=MOST_PIXELS).contains(&longest) {
            return Err(Error::Setting(format!(
                "size {longest}; 1 to {MOST_PIXELS} pixels are supported"
            )));
        }
        if config.do_center_crop == Some(true) {
            return Err(Error::Setting(
                "do_center_crop is true; false is supported".into(),
            ));
        }
        let aspect = Aspect::AnySize { patch };
        Self::with(&config, (longest, longest), aspect, backend, json)
    }

    /// Reads what all processors have.
    fn with(
        config: &Config,
        (side, shortest_edge): (usize, usize),
        aspect: Aspect,
        backend: Option<ProcessorBackend>,
        json: &serde_json::Value,
    ) -> Result<Self, Error> {
        // What is not said is as in transformers' CLIP processor: bicubic, 1 / 255, OpenAI's
        // numbers.
        let resample = config.resample.unwrap_or(3);
        if Filter::from_pillow(resample).is_none() {
            return Err(Error::Setting(format!(
                "resample {resample}; 1 (Lanczos), 2 (bilinear), 3 (bicubic) are valid"
            )));
        }
        let std = config
            .image_std
            .unwrap_or([0.268_629_54, 0.261_302_6, 0.275_777_1]);
        if std.iter().any(|s| !s.is_finite() || *s <= 0.0) {
            return Err(Error::Setting("image_std must be positive".into()));
        }
        let processor = Self {
            side,
            shortest_edge,
            resample,
            aspect,
            rescale_factor: config.rescale_factor.unwrap_or(1.0 / 255.0),
            mean: config
                .image_mean
                .unwrap_or([0.481_454_66, 0.457_827_5, 0.408_210_73]),
            std,
            backend: backend.unwrap_or_else(|| ProcessorBackend::of_class(json)),
        };
        processor.check_levels()?;
        Ok(processor)
    }

    /// Fails where pixels would become equal, or no numbers.
    fn check_levels(&self) -> Result<(), Error> {
        let (factor, mean, std) = (self.rescale_factor, self.mean, self.std);
        if factor.is_nan() || factor <= 0.0 {
            let message = format!("rescale_factor {factor}; a number above 0 is valid");
            return Err(Error::Setting(message));
        }
        if mean.iter().any(|m| !m.is_finite()) {
            let message = format!("image_mean {mean:?}; finite numbers are valid");
            return Err(Error::Setting(message));
        }
        // Each of the three is a number, and yet what is made of them may be beyond f32, or its
        // differences below it.
        for channel in 0..3 {
            let levels = self.levels(channel);
            let are_finite = levels.iter().all(|level| level.is_finite());
            if !are_finite || levels[0] >= levels[255] {
                return Err(Error::Setting(format!(
                    "rescale_factor {factor} with image_mean {mean:?} and image_std {std:?} makes \
                     all pixels equal, or infinite"
                )));
            }
        }
        Ok(())
    }

    /// Returns the picture as the model sees it; `pictures` come in one request.
    ///
    /// # Errors
    /// A picture without pixels, strips so long that resizing would leave nothing of them, or take
    /// gigabytes, and those that would be padded to a square of more than `max_pixels`.
    pub fn picture(
        &self,
        picture: &Rgb,
        pictures: usize,
        max_pixels: u64,
    ) -> Result<Picture, Error> {
        let size = (picture.height, picture.width);
        if size.0 == 0 || size.1 == 0 {
            return Err(Error::Empty {
                width: picture.width,
                height: picture.height,
            });
        }
        let square = |picture: &Rgb| self.resize(picture, self.side, self.side);
        let (base, canvas) = match &self.aspect {
            Aspect::Crop => (self.crop(picture)?, None),
            Aspect::Pad => (self.crop(&self.pad(picture, max_pixels)?)?, None),
            Aspect::Stretch => (square(picture), None),
            Aspect::AnySize { patch } => {
                let (height, width) = self.whole_patches(size, *patch)?;
                (self.resize(picture, width, height), None)
            }
            Aspect::AnyResolution { .. } if self.pads(pictures) => {
                (square(&self.pad(picture, max_pixels)?), None)
            }
            Aspect::AnyResolution { canvases, .. } => {
                (square(picture), self.canvas(picture, canvases))
            }
            Aspect::StretchedTiles { fewest, most } => {
                (square(picture), self.stretched(picture, *fewest, *most))
            }
        };
        Ok(Picture {
            size,
            base: View::new(base),
            canvas,
        })
    }

    /// Returns the size in whole patches of a picture whose longest edge may be `side` pixels. Agrees
    /// with `get_resize_output_image_size` of transformers' Pixtral.
    fn whole_patches(&self, (height, width): Size, patch: usize) -> Result<Size, Error> {
        let (mut high, mut wide) = (height, width);
        let ratio = (height as f64 / self.side as f64).max(width as f64 / self.side as f64);
        if ratio > 1.0 {
            high = (height as f64 / ratio).floor() as usize;
            wide = (width as f64 / ratio).floor() as usize;
        }
        // A strip whose short edge is scaled to less than a pixel.
        if high == 0 || wide == 0 {
            return Err(Error::Empty { width, height });
        }
        Ok((high.div_ceil(patch) * patch, wide.div_ceil(patch) * patch))
    }

    /// Returns the pixels that are held while a picture of `size` is prepared as one of `pictures`:
    /// those of the square that it is padded to, if it is.
    pub fn pixels(&self, (height, width): Size, pictures: usize) -> u64 {
        let (height, width) = (height as u64, width as u64);
        if self.pads(pictures) {
            let side = height.max(width);
            side.saturating_mul(side)
        } else {
            height.saturating_mul(width)
        }
    }

    /// Returns whether each of `pictures` that come in one request is padded to a square.
    fn pads(&self, pictures: usize) -> bool {
        match self.aspect {
            Aspect::Pad => true,
            Aspect::AnyResolution { alone, .. } => alone && pictures > 1,
            _ => false,
        }
    }

    /// Returns whether a picture that comes alone is prepared otherwise than several: tiled, not
    /// padded.
    pub fn tiles_lone_pictures(&self) -> bool {
        matches!(self.aspect, Aspect::AnyResolution { alone: true, .. })
    }

    fn resize(&self, picture: &Rgb, width: usize, height: usize) -> Rgb {
        let filter = Filter::from_pillow(self.resample).unwrap_or(Filter::Bicubic);
        resize(picture, (width, height), filter, self.backend)
    }

    /// Resizes the shortest edge to size, and cuts the centre out.
    fn crop(&self, picture: &Rgb) -> Result<Rgb, Error> {
        let (short, long) = (
            picture.width.min(picture.height),
            picture.width.max(picture.height),
        );
        // The long edge is truncated, as in Hugging Face's get_resize_output_image_size.
        let long = (self.shortest_edge as f64 * long as f64 / short as f64) as usize;
        // A strip of one pixel by sixty thousand would be enlarged to gigabytes before it is cut.
        if long > MAX_EDGE as usize {
            return Err(Error::TooThin {
                width: picture.width,
                height: picture.height,
                edge: long,
                limit: MAX_EDGE,
            });
        }
        let (width, height) = if picture.width <= picture.height {
            (self.shortest_edge, long)
        } else {
            (long, self.shortest_edge)
        };
        let resized = self.resize(picture, width, height);
        let mut view = Rgb::filled(self.side, self.side, [0; 3]);
        let (left, top) = ((width - self.side) / 2, (height - self.side) / 2);
        view.paste(&resized, -(left as isize), -(top as isize));
        Ok(view)
    }

    /// Fits the picture on the best canvas, in its middle.
    fn canvas(&self, picture: &Rgb, canvases: &[Size]) -> Option<Canvas> {
        let canvas = best_canvas((picture.height, picture.width), canvases)?;
        let (height, width) = fitted((picture.height, picture.width), canvas);
        // The odd pixel is behind, as `divmod` leaves it in transformers' `_pad_for_patching`.
        let (top, left) = ((canvas.0 - height) / 2, (canvas.1 - width) / 2);
        // Black before normalisation, not the mean: so transformers pads for tiles, unlike for
        // squares.
        let mut image = Rgb::filled(canvas.1, canvas.0, [0; 3]);
        image.paste(
            &self.resize(picture, width, height),
            left as isize,
            top as isize,
        );
        Some(Canvas {
            view: View::new(image),
            content: Area {
                left,
                top,
                width,
                height,
            },
        })
    }

    /// Stretches the picture to its tiles; `None` where it has one, which is the base view.
    fn stretched(&self, picture: &Rgb, fewest: usize, most: usize) -> Option<Canvas> {
        let size = (picture.height, picture.width);
        let (rows, columns) = best_tiles(size, self.side, fewest, most);
        if rows * columns == 1 {
            return None;
        }
        let (width, height) = (columns * self.side, rows * self.side);
        Some(Canvas {
            view: View::new(self.resize(picture, width, height)),
            content: Area {
                left: 0,
                top: 0,
                width,
                height,
            },
        })
    }

    /// Pads to a square, of `max_pixels` at most.
    fn pad(&self, picture: &Rgb, max_pixels: u64) -> Result<Rgb, Error> {
        let (width, height) = (picture.width, picture.height);
        let side = width.max(height);
        // Before it is allocated: a file of a hundred bytes may hold a strip of a pixel by sixty
        // thousand, whose square takes 12 GiB.
        if (side as u64).saturating_mul(side as u64) > max_pixels {
            return Err(Error::SquareTooLarge {
                width,
                height,
                side,
                limit: max_pixels,
            });
        }
        let mut square = Rgb::filled(side, side, self.padding_colour());
        // The odd pixel is behind, as in `expand2square` of the original.
        let (x, y) = ((side - width) / 2, (side - height) / 2);
        square.paste(picture, x as isize, y as isize);
        Ok(square)
    }

    /// Returns the colour that pictures are padded with: the mean, truncated to 8 bits as the
    /// original LLaVA and Hugging Face do.
    pub fn padding_colour(&self) -> [u8; 3] {
        self.mean_levels().map(|level| level as u8)
    }

    /// Returns the 8-bit colour that is nearest to zero after normalisation.
    pub fn nearest_mean(&self) -> [u8; 3] {
        self.mean_levels().map(|level| level.round() as u8)
    }

    /// Returns the level that becomes zero after normalisation, by channel.
    pub fn mean_levels(&self) -> [f64; 3] {
        self.mean
            .map(|m| (f64::from(m) / self.rescale_factor).clamp(0.0, 255.0))
    }

    /// Rescales and normalises, channel by channel: `3 * side * side` values, `(3, H, W)`; zero
    /// where the view says mean.
    ///
    /// Pillow's processors compute `(v * rescale_factor - mean) / std`, torchvision's
    /// `(v - 255 mean) / (255 std)`, both in f32.
    pub fn normalise(&self, view: &View) -> Vec<f32> {
        let mut values = Vec::with_capacity(view.image.data.len());
        for channel in 0..3 {
            // A table: 256 divisions in place of one for each of a million values, and the same
            // bits.
            let levels = self.levels(channel);
            let pixels = view.image.data.iter().skip(channel).step_by(3);
            let start = values.len();
            values.extend(pixels.map(|&v| levels[usize::from(v)]));
            let Some(mean) = &view.mean else {
                continue;
            };
            let is_mean = mean.data.iter().skip(channel).step_by(3);
            for (value, &is_mean) in values[start..].iter_mut().zip(is_mean) {
                if is_mean > 0 {
                    *value = 0.0;
                }
            }
        }
        values
    }

    /// Returns the value of each of the 256 levels after normalisation.
    fn levels(&self, channel: usize) -> [f32; 256] {
        let (mean, std) = (self.mean[channel], self.std[channel]);
        // torchvision's processors fold the rescaling into mean and std, once, and then skip it.
        let inverse = (1.0 / self.rescale_factor) as f32;
        std::array::from_fn(|v| match self.backend {
            ProcessorBackend::Torchvision => (v as f32 - mean * inverse) / (std * inverse),
            // In this order of types: NumPy multiplies in f64 and casts the product to f32.
            _ => ((v as f64 * self.rescale_factor) as f32 - mean) / std,
        })
    }
}

/// Checks `min_patches` and `max_patches`; transformers' defaults are 1 and 12.
fn stretched_tiles(fewest: Option<usize>, most: Option<usize>) -> Result<Aspect, Error> {
    let (fewest, most) = (fewest.unwrap_or(1), most.unwrap_or(12));
    if most > MOST_TILES {
        let message = format!("max_patches {most}; at most {MOST_TILES} are supported");
        return Err(Error::Setting(message));
    }
    Ok(Aspect::StretchedTiles { fewest, most })
}

/// Returns the pinpoints of a configuration, each of a whole number of tiles.
fn canvases(pinpoints: Option<&[Size]>, side: usize) -> Result<Vec<Size>, Error> {
    let Some(canvases) = pinpoints.filter(|p| !p.is_empty()) else {
        return Err(Error::Setting("image_grid_pinpoints are missing".into()));
    };
    let whole = |edge: usize| edge > 0 && edge.is_multiple_of(side);
    for &(height, width) in canvases {
        if !whole(height) || !whole(width) || (height / side) * (width / side) > MOST_TILES {
            let message = format!(
                "image_grid_pinpoints: {height} x {width} is not 1 to {MOST_TILES} whole tiles of \
                 {side} pixels"
            );
            return Err(Error::Setting(message));
        }
    }
    Ok(canvases.to_vec())
}
