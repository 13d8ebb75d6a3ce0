"""Messages of the contract from plain values, every field checked by its descriptor before anything is sent.

A name that there is not, a value that a field does not take, a number out of range and two fields of one choice raise
TypeError or ValueError with the path of the field and what would be valid. All of an intervention goes through here.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from scotoma import arrays
from scotoma.names import nearest
from scotoma.selectors import selector, steps_of, target
from scotoma.v1 import intervention_pb2 as pb

M = TypeVar("M", bound=Message)

_WHOLE = {
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
}
# What the contract says of numbers beside their type; both ends are taken.
RANGES: dict[str, tuple[float, float]] = {
    "RandomPatches.ratio": (0, 1),
    "SalientPatches.mass": (0, 1),
    "SalientPatches.share": (0, 1),
    "PruneTokens.keep_share": (0, 1),
    "MeasuredTokens.share": (0, 1),
    "MergeTokens.share": (0, 1),
    "OccludePatches.blur_sigma": (0, 256),
    "Rgb.red": (0, 255),
    "Rgb.green": (0, 255),
    "Rgb.blue": (0, 255),
    "ShufflePatches.grid": (1, 2**32 - 1),
    "TokenBlocks.grid": (1, 2**32 - 1),
    "RepeatLayers.times": (0, 16),
    "AddNoise.scale": (0, 1e6),
    "Steer.scale": (-1e6, 1e6),
    "Scale.factor": (-1e6, 1e6),
    "SetFeature.clamp": (-1e6, 1e6),
    "SetFeature.scale": (-1e6, 1e6),
    "SetFeature.add": (-1e6, 1e6),
    "ClampNorm.max_norm": (math.ulp(0.0), math.inf),
    "Sampling.temperature": (0, 100),
    "Sampling.top_p": (math.ulp(0.0), 1),
    "Sampling.min_p": (0, 1),
    "Sampling.typical_p": (math.ulp(0.0), 1),
    "Sampling.epsilon_cutoff": (0, math.nextafter(1, 0)),
    "Sampling.eta_cutoff": (0, math.nextafter(1, 0)),
    "Sampling.top_h": (math.ulp(0.0), 1),
    "Sampling.repetition_penalty": (math.ulp(0.0), 100),
}


def build(message: type[M], fields: Mapping[str, object], where: str) -> M:
    """Returns a message with these fields; None leaves one unset. Names may be those of canonical JSON."""
    made = message()
    own: Descriptor = message.DESCRIPTOR  # type: ignore[assignment]
    known = {field.name: field for field in own.fields}
    spelled = {field.json_name: field for field in own.fields}
    chosen: dict[str, str] = {}
    for name, value in fields.items():
        field = known.get(name) or spelled.get(name)
        if field is None:
            raise ValueError(f"{where}: {nearest(name, known)}")
        if value is None:
            continue
        choice = field.containing_oneof
        if choice is not None and len(choice.fields) > 1 and chosen.setdefault(choice.name, field.name) != field.name:
            others = ", ".join(each.name for each in choice.fields)
            raise ValueError(f"{where}: takes one of {others}, not both {chosen[choice.name]} and {field.name}")
        _put(made, field, value, f"{where}.{field.name}")
    return made


def _put(made: Message, field: FieldDescriptor, value: Any, at: str) -> None:  # noqa: ANN401
    if field.is_repeated:
        _put_all(made, field, value, at)
    elif field.message_type is not None:
        inner = getattr(made, field.name)
        inner.SetInParent()
        inner.CopyFrom(_message(type(inner), value, at))
    else:
        setattr(made, field.name, scalar(field, value, at))


def _put_all(made: Message, field: FieldDescriptor, value: Any, at: str) -> None:  # noqa: ANN401
    own = getattr(made, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, number = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        if not isinstance(value, Mapping):
            raise TypeError(f"{at}: {type(value).__name__}; a dict is needed")
        for k, v in value.items():
            own[scalar(key, k, at)] = scalar(number, v, f"{at}[{k}]")
    elif field.message_type is not None and field.message_type.name == "Direction":
        if isinstance(value, Iterable) and not arrays.is_array(value):
            value = [v.values if isinstance(v, pb.Direction) else _values(v) for v in value]
            value = [arrays.floats(v, at) for v in value] if value and not _is_number(value[0]) else value
        own.extend(pb.Direction(values=row) for row in arrays.rows(value, at))
    elif field.message_type is not None:
        kind: Any = type(own.add())
        del own[-1]
        own.extend(_message(kind, each, f"{at}[{i}]") for i, each in enumerate(value))
    elif field.type in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
        own.extend(arrays.vector(value, at))
    elif isinstance(value, (str, bytes)):
        raise TypeError(f"{at}: {value!r}; a list is needed")
    else:
        listed = value if isinstance(value, Iterable) else [value]
        own.extend(scalar(field, each, f"{at}[{i}]") for i, each in enumerate(listed))


def _values(direction: Any) -> Any:  # noqa: ANN401 (canonical JSON)
    return direction["values"] if isinstance(direction, Mapping) else direction


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) or getattr(value, "ndim", None) == 0


def _donor(value: Any, at: str) -> pb.Donor:  # noqa: ANN401
    from scotoma.messages import image_message

    try:
        return pb.Donor(data=image_message(value).data)
    except TypeError as error:
        raise TypeError(f"{at}: {error}") from None


def _colour(value: Any, at: str) -> pb.Rgb:  # noqa: ANN401
    red, green, blue = value
    return build(pb.Rgb, {"red": red, "green": green, "blue": blue}, at)


# Messages with a short form that is not a dict of their fields.
_SHORT: dict[str, Callable[[Any, str], Message]] = {
    "TokenSelector": selector,
    "Target": lambda value, _: target(value),
    "Tensor": arrays.tensor,
    "Steps": steps_of,
    "Donor": _donor,
    "Rgb": _colour,
    "TokenNoise": lambda value, at: build(pb.TokenNoise, {"seed": value}, at),
    "IdentityProjector": lambda *_: pb.IdentityProjector(),
}


def _message(kind: type[M], value: Any, at: str) -> M:  # noqa: ANN401
    if isinstance(value, kind):
        return value
    if isinstance(value, Mapping):
        return build(kind, value, at)
    own: Descriptor = kind.DESCRIPTOR  # type: ignore[assignment]
    if own.name in _SHORT:
        return _SHORT[own.name](value, at)  # type: ignore[return-value]
    if len(own.fields) == 1 and own.fields[0].is_repeated:
        return build(kind, {own.fields[0].name: value}, at)
    raise TypeError(f"{at}: {type(value).__name__}; a dict of {', '.join(f.name for f in own.fields)} is needed")


def scalar(field: FieldDescriptor, value: Any, at: str) -> Any:  # noqa: ANN401
    """Returns a value as a field takes it."""
    if field.enum_type is not None:
        return enum(field.enum_type, value, at)
    if field.type in _WHOLE:
        return _whole(field, value, at)
    if field.type in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
        if isinstance(value, (bool, str)):
            raise TypeError(f"{at}: {value!r}; a number is needed")
        number = float(value)
        low, high = _range(field, (-math.inf, math.inf))
        if not (low <= number <= high and math.isfinite(number)):
            raise ValueError(f"{at}: {number:g} is not {_said(low, high)}")
        return number
    if field.type == FieldDescriptor.TYPE_BOOL:
        if not isinstance(value, bool):
            raise TypeError(f"{at}: {value!r}; True or False is needed")
        return value
    if field.type == FieldDescriptor.TYPE_BYTES and isinstance(value, str):
        return base64.b64decode(value)
    if field.type == FieldDescriptor.TYPE_STRING and not isinstance(value, str):
        raise TypeError(f"{at}: {type(value).__name__}; a str is needed")
    return value


def _whole(field: FieldDescriptor, value: Any, at: str) -> int:  # noqa: ANN401
    low, high = _range(field, _WHOLE[field.type])
    try:
        # Canonical JSON writes whole numbers of 64 bits as texts.
        number = int(value) if isinstance(value, str) else value.__index__()
    except (AttributeError, TypeError, ValueError):
        raise TypeError(f"{at}: {value!r}; a whole number is needed") from None
    if isinstance(value, bool):
        raise TypeError(f"{at}: {value!r}; a whole number is needed")
    if not low <= number <= high:
        raise ValueError(f"{at}: {number} is not {_said(low, high)}")
    return int(number)


def _range(field: FieldDescriptor, otherwise: tuple[float, float]) -> tuple[float, float]:
    return RANGES.get(".".join(field.full_name.split(".")[-2:]), otherwise)


def _said(low: float, high: float) -> str:
    start = "above 0" if low == math.ulp(0.0) else f"from {_short(low)}"
    if math.isinf(high):
        return "a finite number" if math.isinf(low) else f"{start} and finite"
    return f"{start} and at most {_short(high)}" if start == "above 0" else f"in {_short(low)} to {_short(high)}"


def _short(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


def enum(descriptor: EnumDescriptor, value: Any, at: str) -> int:  # noqa: ANN401
    """Returns the number of a value by its name, with or without the prefix of the contract."""
    numbers: dict[str, int] = {own.name: own.number for own in descriptor.values}
    prefix = next(name for name, number in numbers.items() if number == 0).removesuffix("UNSPECIFIED")
    if isinstance(value, str):
        name = value.upper()
        for own in (name, prefix + name):
            if own in numbers:
                return numbers[own]
    elif isinstance(value, int) and not isinstance(value, bool) and value in numbers.values():
        return value
    valid = [own.removeprefix(prefix).lower() for own, number in numbers.items() if number]
    raise ValueError(f"{at}: {value!r}; {', '.join(valid)} are valid")
