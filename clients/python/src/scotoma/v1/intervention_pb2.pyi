from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Stack(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STACK_UNSPECIFIED: _ClassVar[Stack]
    STACK_VISION_TOWER: _ClassVar[Stack]
    STACK_LANGUAGE_MODEL: _ClassVar[Stack]
STACK_UNSPECIFIED: Stack
STACK_VISION_TOWER: Stack
STACK_LANGUAGE_MODEL: Stack

class Intervention(_message.Message):
    __slots__ = ("permute_tokens", "occlude_patches", "drop_layers", "swap_projector")
    PERMUTE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OCCLUDE_PATCHES_FIELD_NUMBER: _ClassVar[int]
    DROP_LAYERS_FIELD_NUMBER: _ClassVar[int]
    SWAP_PROJECTOR_FIELD_NUMBER: _ClassVar[int]
    permute_tokens: PermuteTokens
    occlude_patches: OccludePatches
    drop_layers: DropLayers
    swap_projector: SwapProjector
    def __init__(self, permute_tokens: _Optional[_Union[PermuteTokens, _Mapping]] = ..., occlude_patches: _Optional[_Union[OccludePatches, _Mapping]] = ..., drop_layers: _Optional[_Union[DropLayers, _Mapping]] = ..., swap_projector: _Optional[_Union[SwapProjector, _Mapping]] = ...) -> None: ...

class PermuteTokens(_message.Message):
    __slots__ = ("seed", "order", "scope", "blocks")
    class Scope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SCOPE_UNSPECIFIED: _ClassVar[PermuteTokens.Scope]
        SCOPE_ALL: _ClassVar[PermuteTokens.Scope]
        SCOPE_WITHIN_TILES: _ClassVar[PermuteTokens.Scope]
        SCOPE_BASE_VIEW: _ClassVar[PermuteTokens.Scope]
        SCOPE_WITHIN_BLOCKS: _ClassVar[PermuteTokens.Scope]
    SCOPE_UNSPECIFIED: PermuteTokens.Scope
    SCOPE_ALL: PermuteTokens.Scope
    SCOPE_WITHIN_TILES: PermuteTokens.Scope
    SCOPE_BASE_VIEW: PermuteTokens.Scope
    SCOPE_WITHIN_BLOCKS: PermuteTokens.Scope
    SEED_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    seed: int
    order: TokenOrder
    scope: PermuteTokens.Scope
    blocks: int
    def __init__(self, seed: _Optional[int] = ..., order: _Optional[_Union[TokenOrder, _Mapping]] = ..., scope: _Optional[_Union[PermuteTokens.Scope, str]] = ..., blocks: _Optional[int] = ...) -> None: ...

class TokenOrder(_message.Message):
    __slots__ = ("indices",)
    INDICES_FIELD_NUMBER: _ClassVar[int]
    indices: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, indices: _Optional[_Iterable[int]] = ...) -> None: ...

class OccludePatches(_message.Message):
    __slots__ = ("random", "salient", "non_salient", "indices", "grid", "fill", "fill_seed")
    class Fill(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        FILL_UNSPECIFIED: _ClassVar[OccludePatches.Fill]
        FILL_BLACK: _ClassVar[OccludePatches.Fill]
        FILL_MEAN: _ClassVar[OccludePatches.Fill]
        FILL_NOISE: _ClassVar[OccludePatches.Fill]
    FILL_UNSPECIFIED: OccludePatches.Fill
    FILL_BLACK: OccludePatches.Fill
    FILL_MEAN: OccludePatches.Fill
    FILL_NOISE: OccludePatches.Fill
    RANDOM_FIELD_NUMBER: _ClassVar[int]
    SALIENT_FIELD_NUMBER: _ClassVar[int]
    NON_SALIENT_FIELD_NUMBER: _ClassVar[int]
    INDICES_FIELD_NUMBER: _ClassVar[int]
    GRID_FIELD_NUMBER: _ClassVar[int]
    FILL_FIELD_NUMBER: _ClassVar[int]
    FILL_SEED_FIELD_NUMBER: _ClassVar[int]
    random: RandomPatches
    salient: SalientPatches
    non_salient: SalientPatches
    indices: PatchIndices
    grid: int
    fill: OccludePatches.Fill
    fill_seed: int
    def __init__(self, random: _Optional[_Union[RandomPatches, _Mapping]] = ..., salient: _Optional[_Union[SalientPatches, _Mapping]] = ..., non_salient: _Optional[_Union[SalientPatches, _Mapping]] = ..., indices: _Optional[_Union[PatchIndices, _Mapping]] = ..., grid: _Optional[int] = ..., fill: _Optional[_Union[OccludePatches.Fill, str]] = ..., fill_seed: _Optional[int] = ...) -> None: ...

class RandomPatches(_message.Message):
    __slots__ = ("ratio", "seed")
    RATIO_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    ratio: float
    seed: int
    def __init__(self, ratio: _Optional[float] = ..., seed: _Optional[int] = ...) -> None: ...

class SalientPatches(_message.Message):
    __slots__ = ("mass", "share")
    MASS_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    mass: float
    share: float
    def __init__(self, mass: _Optional[float] = ..., share: _Optional[float] = ...) -> None: ...

class PatchIndices(_message.Message):
    __slots__ = ("indices",)
    INDICES_FIELD_NUMBER: _ClassVar[int]
    indices: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, indices: _Optional[_Iterable[int]] = ...) -> None: ...

class DropLayers(_message.Message):
    __slots__ = ("stack", "layers")
    STACK_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    stack: Stack
    layers: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, stack: _Optional[_Union[Stack, str]] = ..., layers: _Optional[_Iterable[int]] = ...) -> None: ...

class SwapProjector(_message.Message):
    __slots__ = ("name", "random_seed", "identity")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RANDOM_SEED_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    name: str
    random_seed: int
    identity: IdentityProjector
    def __init__(self, name: _Optional[str] = ..., random_seed: _Optional[int] = ..., identity: _Optional[_Union[IdentityProjector, _Mapping]] = ...) -> None: ...

class IdentityProjector(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
