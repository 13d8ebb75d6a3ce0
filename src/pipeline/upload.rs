//! UploadImage: a picture kept, to be named later.

use super::error::Error;
use super::input::{pixels_of, price_of_picture};
use super::request_context::RequestContext;
use super::runtime::Runtime;
use super::stores::Bytes;
use crate::vision;

/// A picture that is kept.
#[derive(Debug, Clone)]
pub struct Uploaded {
    /// The name that later requests use.
    pub handle: String,
    /// Pixels of a side.
    pub width: usize,
    /// Pixels of a side.
    pub height: usize,
}

impl Runtime {
    /// Keeps a picture for the caller alone, if it can be decoded.
    pub async fn upload(&self, context: &RequestContext, data: Bytes) -> Result<Uploaded, Error> {
        // It is kept as it came, and decoded all the same: a handle stands for a picture that requests
        // can use.
        let (bytes, limit) = (data.clone(), self.limits.image_pixels);
        let price = price_of_picture(&data, limit, pixels_of);
        let decoded = self.turns.run(&context.client, price, move || {
            let picture = vision::decode(&bytes, limit).map_err(|source| Error::Image {
                field: "data".into(),
                source,
            })?;
            // The pixels are dropped here: they are decoded again by each request that names them.
            Ok((picture.width, picture.height))
        });
        let (width, height) = decoded.await?;
        let handle = self.uploads.put(&context.client.tenant, data)?;
        // The handle is told once it outlives the process.
        self.settle().await;
        Ok(Uploaded {
            handle,
            width,
            height,
        })
    }
}
