//! The kernels themselves, called through C. Tensors are on one GPU, in half precision.

mod attention;
mod device;
mod launch;
mod product;
mod rows;

pub(super) use attention::{append_keys, attend, fits, output_like};
pub(super) use device::open;
pub(super) use product::{forget, product};
pub(super) use rows::{activate, likeliest, norm, place_keys, rotate};
