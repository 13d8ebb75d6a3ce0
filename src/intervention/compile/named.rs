//! Sets of tokens that have a name.

use super::token_map::TokenInfo;
use crate::model::{Place, TextSegment};

/// Sets that have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the contract defines each")]
pub enum Named {
    All,
    Visual,
    Text,
    System,
    Question,
    Last,
    Generated,
    Newline,
    Class,
    BaseView,
    User,
    Assistant,
}

impl Named {
    /// Returns whether the set holds `token`, which is the prompt's last one where `last` is set.
    pub(super) fn holds(self, token: &TokenInfo, last: bool) -> bool {
        match (self, token) {
            (Self::All, _)
            | (Self::Visual, TokenInfo::Visual { .. })
            | (Self::Text, TokenInfo::Text(..))
            | (Self::System, TokenInfo::Text(TextSegment::System, _))
            | (Self::Question | Self::User, TokenInfo::Text(TextSegment::Question, _))
            | (Self::User, TokenInfo::Text(TextSegment::User, _))
            | (Self::Assistant, TokenInfo::Text(TextSegment::Assistant, _)) => true,
            (Self::Last, _) => last,
            (Self::Newline, token) => token.place() == Some(Place::Newline),
            (Self::Class, token) => token.place() == Some(Place::Class),
            (Self::BaseView, token) => matches!(token.place(), Some(Place::Base { .. })),
            _ => false,
        }
    }
}
