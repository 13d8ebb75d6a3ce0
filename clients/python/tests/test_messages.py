"""Conversations as people write them become messages of the contract, or an error that names the place."""

import base64
import re

import pytest

from scotoma.messages import prompt
from scotoma.v1 import inference_service_pb2 as pb

PNG = b"\x89PNG of one's own"
OTHER = b"\x89PNG of another"


def test_the_forms_of_transformers_and_openai() -> None:
    uri = "data:image/png;base64," + base64.b64encode(OTHER).decode()
    made = prompt(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is this?"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "A circle."}]},
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": uri}},
                    {"type": "image", "image": PNG},
                    {"type": "image", "base64": base64.b64encode(PNG).decode()},
                    "And these?",
                ],
            },
        ],
        PNG,
        raw=False,
    )
    assert [m.role for m in made.messages] == [pb.ROLE_SYSTEM, pb.ROLE_USER, pb.ROLE_ASSISTANT, pb.ROLE_USER]
    assert made.messages[0].parts[0].text == "Be brief."
    pictures = [p.image.data for m in made.messages for p in m.parts if p.HasField("image")]
    assert pictures == [PNG, OTHER, PNG, PNG]
    assert not made.text
    assert not made.images


@pytest.mark.parametrize(
    ("conversation", "images", "words"),
    [
        ([{"role": "tool", "content": "?"}], (), "messages[0]['role']"),
        ([{"role": "user", "content": "?", "name": "me"}], (), "['name']"),
        ([{"role": "user", "content": [{"type": "video"}]}], (), "['content'][0]"),
        ([{"role": "user", "content": [{"type": "image"}]}], (), "no picture"),
        ([{"role": "user", "content": "?"}], PNG, "1 more"),
        ([{"role": "user", "content": [{"type": "image", "url": "https://example.org/a.png"}]}], (), "fetch it first"),
        ([{"role": "user", "content": [{"type": "text", "text": "?", "cache": 1}]}], (), "'cache'"),
    ],
)
def test_what_nobody_would_read_is_refused(conversation: object, images: object, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        prompt(conversation, images, raw=False)  # type: ignore[arg-type]
