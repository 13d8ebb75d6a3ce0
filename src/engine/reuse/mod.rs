//! Decides what a sequence takes from another one; arithmetic alone.

pub mod planner;
pub mod program;
