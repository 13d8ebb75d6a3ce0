"""Numbers as people hold them, NumPy arrays and torch tensors among them, to what the contract holds.

Neither torch nor ml_dtypes is needed: tensors are known by what they can do. On the CPU their memory is read where it
is; what goes into a message is copied once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from scotoma.v1 import intervention_pb2 as pb

_DTYPES = {"float32": pb.DATA_TYPE_F32, "float16": pb.DATA_TYPE_F16, "bfloat16": pb.DATA_TYPE_BF16}


def is_array(value: object) -> bool:
    """Returns whether it is an array or a tensor."""
    return isinstance(value, np.ndarray) or (hasattr(value, "detach") and hasattr(value, "dtype"))


def _plain(value: Any, what: str) -> tuple[npt.NDArray[Any], bool]:  # noqa: ANN401
    """Returns an array, and whether its 16-bit numbers are the bits of bfloat16."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype).endswith("bfloat16"):
            return value.contiguous().view(_torch_bits(value)).numpy().view(np.uint16), True
        return value.numpy(), False
    array = np.asarray(value)
    if array.dtype.name == "bfloat16":
        return array.view(np.uint16), True
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{what}: {array.dtype}; real numbers are needed: floats or whole numbers")
    return array, False


def _torch_bits(tensor: Any) -> Any:  # noqa: ANN401
    """Returns torch's 16-bit integers; torch is there, since the tensor is its."""
    import sys

    return vars(sys.modules[type(tensor).__module__.split(".")[0]])["int16"]


def _finite(array: npt.NDArray[Any], what: str) -> npt.NDArray[Any]:
    if not np.isfinite(array).all():
        raise ValueError(f"{what}: holds numbers that are not finite")
    return array


def floats(value: Any, what: str) -> npt.NDArray[np.float32]:  # noqa: ANN401
    """Returns float32 of whatever holds real numbers; the same memory where it holds them already."""
    array, is_bits = _plain(value, what)
    if is_bits:
        array = (array.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):
        return _finite(array.astype(np.float32, copy=False), what)


def vector(value: Any, what: str, most: int = 2) -> list[float]:  # noqa: ANN401
    """Returns one vector; of two dimensions (heads, width) the heads end to end."""
    array = floats(value, what)
    if array.size == 0 or not 1 <= array.ndim <= most:
        shapes = "(width,) or (heads, width)" if most == 2 else "(width,)"
        raise ValueError(f"{what}: shape {array.shape}; {shapes} is needed")
    listed: list[float] = array.reshape(-1).tolist()
    return listed


def rows(value: Any, what: str) -> list[list[float]]:  # noqa: ANN401
    """Returns vectors of one width: of shape (n, width), or (width,) for one."""
    array = floats(value, what)
    if array.size == 0 or array.ndim not in (1, 2):
        raise ValueError(f"{what}: shape {array.shape}; (directions, width) or (width,) is needed")
    listed: list[list[float]] = np.atleast_2d(array).tolist()
    return listed


def tensor(value: Any, what: str) -> pb.Tensor:  # noqa: ANN401
    """Returns a Tensor of shape (rows, width), (rows, heads, width of a head), or of one row (width,).

    float16 and bfloat16 stay as they are; other numbers become float32.
    """
    array, is_bits = _plain(value, what)
    dtype = pb.DATA_TYPE_BF16 if is_bits else _DTYPES.get(array.dtype.name, pb.DATA_TYPE_F32)
    if is_bits:
        _finite((array.astype(np.uint32) << 16).view(np.float32), what)
    elif dtype == pb.DATA_TYPE_F32:
        array = floats(array, what)
    else:
        _finite(array, what)
    if array.size == 0 or not 1 <= array.ndim <= 3:
        raise ValueError(f"{what}: shape {array.shape}; (rows, width) or (rows, heads, width of a head) is needed")
    if array.ndim == 1:
        array = array[np.newaxis]
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return pb.Tensor(shape=array.shape, dtype=dtype, data=little.tobytes())


def data_type(value: Any, what: str = "dtype") -> int:  # noqa: ANN401
    """Returns the DataType of its number, its name (f32, bf16, f16), or a dtype of NumPy or torch."""
    names = {"f32": pb.DATA_TYPE_F32, "bf16": pb.DATA_TYPE_BF16, "f16": pb.DATA_TYPE_F16, **_DTYPES}
    if isinstance(value, int) and value in pb.DataType.values():
        return value
    name = str(value).rpartition(".")[2] if not isinstance(value, type) else value.__name__
    if isinstance(value, str):
        name = value.removeprefix("DATA_TYPE_").lower()
    if name not in names:
        raise ValueError(f"{what}: {value!r}; f32, bf16 and f16 are known, and their dtypes of NumPy and torch")
    return names[name]
