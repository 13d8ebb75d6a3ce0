//! The kinds of interventions, one a file: formula, source, law, and how each is compiled.
//!
//! The table is the contract's oneof `Intervention.kind`: a kind that has no file here, or none in
//! the conversion of requests, does not build.

use super::compile::Spec;

/// Makes the modules, the enum, the names and the dispatch from the table.
macro_rules! interventions {
    ($($kind:ident $name:ident,)*) => {
        $(
            mod $name;
            pub use self::$name::*;
        )*

        /// One change to the forward pass.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(missing_docs, reason = "each is the intervention of its name")]
        pub enum Intervention {
            $($kind($kind),)*
        }

        /// Names of all kinds, as requests spell them.
        pub const NAMES: &[&str] = &[$(stringify!($name),)*];

        impl Intervention {
            /// Returns the name of its kind, as requests spell it.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => stringify!($name),)*
                }
            }

            /// Returns its kind's implementation.
            pub(crate) fn spec(&self) -> &dyn Spec {
                match self {
                    $(Self::$kind(spec) => spec,)*
                }
            }
        }

        $(
            impl From<$kind> for Intervention {
                fn from(spec: $kind) -> Self {
                    Self::$kind(spec)
                }
            }
        )*
    };
}

scotoma_proto::for_each_intervention!(interventions);
