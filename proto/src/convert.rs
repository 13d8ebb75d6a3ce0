//! Conversions that shorten what programs write.

use crate::v1;

/// Lets every message of an intervention turn into an [`v1::Intervention`].
macro_rules! into_intervention {
    ($($message:ident $field:ident,)*) => {
        $(impl From<v1::$message> for v1::Intervention {
            fn from(message: v1::$message) -> Self {
                Self { kind: Some(v1::intervention::Kind::$message(message)) }
            }
        })*

        impl v1::intervention::Kind {
            /// Returns the field's name in the contract: `permute_tokens`.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$message(_) => stringify!($field),)*
                }
            }
        }
    };
}

// build.rs makes this macro of the contract: a new kind of intervention needs no line here.
for_each_intervention!(into_intervention);

impl From<v1::tokens::Named> for v1::Tokens {
    fn from(named: v1::tokens::Named) -> Self {
        Self {
            set: Some(v1::tokens::Set::Named(named.into())),
        }
    }
}

impl<const N: usize> From<[v1::tokens::Named; N]> for v1::TokenSelector {
    /// Selects tokens of any of these sets.
    fn from(sets: [v1::tokens::Named; N]) -> Self {
        Self {
            any_of: sets.into_iter().map(Into::into).collect(),
            complement: false,
        }
    }
}

impl From<&str> for v1::ChatPart {
    fn from(text: &str) -> Self {
        Self {
            part: Some(v1::chat_part::Part::Text(text.to_owned())),
        }
    }
}

impl From<String> for v1::ChatPart {
    fn from(text: String) -> Self {
        Self {
            part: Some(v1::chat_part::Part::Text(text)),
        }
    }
}

impl From<v1::Image> for v1::ChatPart {
    fn from(image: v1::Image) -> Self {
        Self {
            part: Some(v1::chat_part::Part::Image(image)),
        }
    }
}
