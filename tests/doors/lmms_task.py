"""Functions that the task of lmms-eval is made of."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image


def picture(doc: dict[str, Any]) -> list[Image.Image]:
    """Returns the pictures of a question."""
    return [Image.open(io.BytesIO(base64.b64decode(doc["image"]))).convert("RGB")]


def question(doc: dict[str, Any]) -> str:
    """Returns the words of a question."""
    return doc["question"]


def judge(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Wants the very answer."""
    return {"accuracy": float(results[0].strip() == doc["answer"])}
