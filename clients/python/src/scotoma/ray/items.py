"""Questions on their way to replicas: read, put in blocks, kept together by their pictures."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Union

import pyarrow as pa

from scotoma.messages import sample
from scotoma.questions import Asked
from scotoma.v1 import benchmark_service_pb2 as bench

if TYPE_CHECKING:
    import ray.data

# What is asked: the path of a table or a manifest, samples, or a Ray Dataset whose columns are the keywords of
# `scotoma.sample`: id, question, image or images, options, answer, category, group, hint; others are further columns.
Questions = Union[str, "os.PathLike[str]", Iterable[bench.Sample], "ray.data.Dataset"]

_TEXTS = ("answer", "category", "group", "hint")


def of_samples(samples: Iterable[bench.Sample]) -> Iterator[Asked]:
    """Samples with the digests of their first pictures."""
    for question in samples:
        if not isinstance(question, bench.Sample):
            raise TypeError(f"{type(question).__name__}: samples are needed, or the path of a file")
        yield Asked(_picture(question), question)


def _picture(question: bench.Sample) -> str:
    if not question.images:
        return f"id {question.id}"
    first = question.images[0]
    return first.handle or hashlib.sha256(first.data).hexdigest()


def of_row(row: Mapping[str, Any]) -> Asked:
    """A row of a Ray Dataset."""
    rest = dict(row)
    if rest.get("id") is None or not rest.get("question"):
        raise ValueError(f"columns id and question are needed; there are {', '.join(row)}")
    images = rest.pop("images", None)
    single = rest.pop("image", None)
    pictures = [*([] if single is None else [single]), *([] if images is None else images)]
    options = rest.pop("options", None)
    question = sample(
        str(rest.pop("id")),
        str(rest.pop("question")),
        [_bytes(picture) for picture in pictures],
        options=[] if options is None else [str(option) for option in options],
    )
    for name, value in rest.items():
        if value is None:
            continue
        if name in _TEXTS:
            setattr(question, name, str(value))
        else:
            question.fields[name] = str(value)
    return Asked(_picture(question), question)


def _bytes(picture: Any) -> Any:  # noqa: ANN401
    """The file in a cell; Hugging Face's data sets have {"bytes", "path"}."""
    return picture.get("bytes") or picture["path"] if isinstance(picture, Mapping) else picture


# A question in a block: the runs that ask it, by their numbers, and what is known of it, each behind the number of its
# run.
SCHEMA = pa.schema(
    [
        ("picture", pa.string()),
        ("question", pa.large_binary()),
        ("runs", pa.list_(pa.int32())),
        ("known", pa.list_(pa.large_binary())),
    ]
)
# A result: of which run, and the message.
RESULTS = pa.schema([("run", pa.int32()), ("result", pa.large_binary())])


class Known:
    """The results of earlier calls, run by run: what need not be asked."""

    def __init__(self, variants: list[set[str]], results: list[list[bench.SampleResult]]) -> None:
        """Of each run the names of its variants, and the results that are there."""
        self._variants = variants
        self._results: list[dict[str, list[bytes]]] = [{} for _ in results]
        self._done: list[set[str]] = [set() for _ in results]
        for run, found in enumerate(results):
            answered: dict[str, set[str]] = {}
            for result in found:
                self._results[run].setdefault(result.id, []).append(result.SerializeToString())
                # A server may have a judge now.
                if result.verdict != bench.VERDICT_UNJUDGED:
                    answered.setdefault(result.id, set()).add(result.variant)
            for name, of in answered.items():
                if of >= variants[run]:
                    self._done[run].add(name)
                    del self._results[run][name]

    def row(self, asked: Asked, runs: Iterable[int]) -> dict[str, Any] | None:
        """The question as a row of a block; None where no run has to ask it."""
        name = asked.question.id
        left = [run for run in runs if name not in self._done[run]]
        if not left:
            return None
        known = [run.to_bytes(4, "little") + one for run in left for one in self._results[run].get(name, ())]
        return {
            "picture": asked.picture,
            "question": asked.question.SerializeToString(),
            "runs": left,
            "known": known,
        }


def block(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as a block."""
    return pa.Table.from_pylist(rows, schema=SCHEMA)
