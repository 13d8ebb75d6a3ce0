//! The kernels themselves, called through C. Tensors are on one GPU, in half precision.

mod attention;
mod device;
mod launch;
mod product;
mod rows;

pub(super) use attention::{attend, attend_split, decode, fits, output_like, room};
pub(super) use device::open;
pub(super) use product::{forget, product};
pub(super) use rows::{activate, likeliest, norm, place_keys, rotate};
