//! Tokens and hook points as values: what a target says, and what a selector can.

use std::ops::{BitOr, Not};

use crate::v1::tokens::Named;
use crate::v1::{
    MeasuredTokens, RandomPatches, SalientPatches, Steps, Target, TokenBlocks, TokenIndices,
    TokenSelector, Tokens, measured_tokens, salient_patches::Amount, tokens::Set,
};

/// A union of sets of tokens, which [`tokens`](crate::tokens) makes: `|` joins two, `!` is all
/// other tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenSet(Vec<Tokens>);

/// All tokens but those of a set.
#[derive(Debug, Clone, PartialEq)]
pub struct Complement(TokenSet);

impl BitOr for TokenSet {
    type Output = Self;

    fn bitor(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

impl Not for TokenSet {
    type Output = Complement;

    fn not(self) -> Complement {
        Complement(self)
    }
}

impl Not for Complement {
    type Output = TokenSet;

    fn not(self) -> TokenSet {
        self.0
    }
}

impl From<TokenSet> for TokenSelector {
    fn from(set: TokenSet) -> Self {
        Self {
            any_of: set.0,
            complement: false,
        }
    }
}

impl From<Complement> for TokenSelector {
    fn from(Complement(set): Complement) -> Self {
        Self {
            any_of: set.0,
            complement: true,
        }
    }
}

fn one(set: Set) -> TokenSet {
    TokenSet(vec![Tokens { set: Some(set) }])
}

/// Makes a function for each set that has a name, and the list of those names.
macro_rules! named {
    ($($(#[$doc:meta])* $function:ident $name:ident,)*) => {
        $($(#[$doc])*
        #[must_use]
        pub fn $function() -> TokenSet {
            one(Set::Named(Named::$name.into()))
        })*

        #[cfg(test)]
        const NAMED: &[Named] = &[$(Named::$name),*];
    };
}

named! {
    /// Returns tokens of pictures, newline vectors and class token included; in the tower every
    /// patch.
    visual Visual,
    /// Returns text of the prompt.
    text Text,
    /// Returns the system prompt.
    system System,
    /// Returns the user's words, in a conversation those of the last message.
    question Question,
    /// Returns the token that the next one is predicted from.
    last Last,
    /// Returns generated tokens.
    generated Generated,
    /// Returns newline vectors of any-resolution pictures.
    newline Newline,
    /// Returns the class token.
    class Class,
    /// Returns patches of base views.
    base_view BaseView,
    /// Returns words of all messages of the user.
    user User,
    /// Returns words of all messages of the assistant in the prompt.
    assistant Assistant,
}

/// Returns tokens by number.
pub fn numbered(indices: impl IntoIterator<Item = u32>) -> TokenSet {
    let indices = indices.into_iter().collect();
    one(Set::Indices(TokenIndices { indices }))
}

/// Returns patches in blocks of a `grid` x `grid` partition, by number, row by row from 0.
pub fn block(grid: u32, numbers: impl IntoIterator<Item = u32>) -> TokenSet {
    let indices = numbers.into_iter().collect();
    one(Set::Blocks(TokenBlocks { grid, indices }))
}

/// Returns all tokens of one picture of the request, from 0.
#[must_use]
pub fn image(number: u32) -> TokenSet {
    one(Set::Image(number))
}

/// Returns patches of one tile of any-resolution pictures, row by row from 0.
#[must_use]
pub fn tile(number: u32) -> TokenSet {
    one(Set::Tile(number))
}

/// Returns words and pictures of one message of a conversation, from 0.
#[must_use]
pub fn turn(number: u32) -> TokenSet {
    one(Set::Turn(number))
}

/// Returns a random share (0 to 1) of the patches of each picture.
#[must_use]
pub fn random(ratio: f64, seed: u64) -> TokenSet {
    one(Set::Random(RandomPatches {
        ratio,
        seed: Some(seed),
    }))
}

/// Returns the fewest patches of each picture that hold `mass` (0 to 1) of the attention.
#[must_use]
pub fn salient(mass: f64) -> TokenSet {
    one(Set::Salient(SalientPatches {
        amount: Some(Amount::Mass(mass)),
        ..Default::default()
    }))
}

/// Returns tokens by a number that is measured of each at one hook point, without interventions:
/// `measured(point, Measure::Norm, Amount::Count(3))` are the three longest rows. Fields of
/// [`MeasuredTokens`] say more.
#[must_use]
pub fn measured(
    point: &str,
    measure: measured_tokens::Measure,
    amount: measured_tokens::Amount,
) -> TokenSet {
    measured_by(MeasuredTokens {
        point: point.to_owned(),
        measure: measure.into(),
        amount: Some(amount),
        ..Default::default()
    })
}

/// Returns tokens by a number that is measured of each.
#[must_use]
pub fn measured_by(tokens: MeasuredTokens) -> TokenSet {
    one(Set::Measured(tokens))
}

/// A target that is being said: a hook point, and which of its layers, tokens, heads, dimensions
/// and steps; all of each unless it is said.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct At(Target);

/// Starts a target at a hook point, as `ListHookPoints` names it: `at("projector.hook_tokens")`.
#[must_use]
pub fn at(point: &str) -> At {
    At(Target {
        point: point.to_owned(),
        ..Default::default()
    })
}

impl At {
    /// Names the layers that `{l}` stands for.
    #[must_use]
    pub fn layers(mut self, layers: impl IntoIterator<Item = u32>) -> Self {
        self.0.layers = layers.into_iter().collect();
        self
    }

    /// Names the tokens; at attention scores and patterns those that look.
    #[must_use]
    pub fn tokens(mut self, tokens: impl Into<TokenSelector>) -> Self {
        self.0.tokens = Some(tokens.into());
        self
    }

    /// Names the heads, at points that have them.
    #[must_use]
    pub fn heads(mut self, heads: impl IntoIterator<Item = u32>) -> Self {
        self.0.heads = heads.into_iter().collect();
        self
    }

    /// Names places along the last dimension.
    #[must_use]
    pub fn dimensions(mut self, dimensions: impl IntoIterator<Item = u32>) -> Self {
        self.0.dimensions = dimensions.into_iter().collect();
        self
    }

    /// Names the steps of the answer, 0 the prompt, up to and with the last one, if there is one.
    #[must_use]
    pub fn steps(mut self, first: u32, last: impl Into<Option<u32>>) -> Self {
        let last = last.into();
        self.0.steps = Some(Steps { first, last });
        self
    }
}

impl From<At> for Target {
    fn from(At(target): At) -> Self {
        target
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_set_has_a_function() {
        let all = (2..).map_while(|number| Named::try_from(number).ok());
        for named in all {
            assert!(NAMED.contains(&named), "{named:?} is not in tokens");
        }
    }

    #[test]
    fn sets_compose() {
        let selector = TokenSelector::from(!(visual() | last() | numbered([1])));
        assert!(selector.complement);
        assert_eq!(selector.any_of.len(), 3);
        assert_eq!(!!last(), last());
        let target = Target::from(
            at("projector.hook_tokens")
                .tokens(!block(2, [3]))
                .steps(1, None),
        );
        assert_eq!(
            target.steps.map(|steps| (steps.first, steps.last)),
            Some((1, None))
        );
    }
}
