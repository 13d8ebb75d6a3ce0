//! Keeps tensors where they may live: devices by name, the thread that owns one, and what other
//! threads may hold.
//!
//! A tensor on a device is made, used and freed by one thread, which has bound the device's context.
//! Other threads hold [`OnDevice`], a key to a value that stays at home, or [`HostTensor`], numbers
//! in the memory of the process. Both may be dropped anywhere. No other thread touches a device, so
//! that none has to bind its context.

mod group;
mod home;
mod host_tensor;
mod id;
mod lost;

pub use group::DeviceGroup;
pub use home::{Held, Home, OnDevice, for_host, is_home, strays};
pub use host_tensor::HostTensor;
pub use id::DeviceId;
pub use lost::let_go;
