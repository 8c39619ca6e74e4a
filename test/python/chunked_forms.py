"""Chunked recurrences as IR, random calls of them, and what they mean, position by position in float64."""

from __future__ import annotations

import dataclasses

import numpy as np

PARTS = (
    "query",
    "key",
    "value",
    "log_decay",
    "sign",
    "query_scale",
    "key_scale",
    "erase",
    "erase_scale",
    "skip",
)

ACC = {"f32": "f32", "bf16": "f32", "f16": "f32", "f64": "f64"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Form:
    """A chunked recurrence each part of which, but q, k and v, is a captured tensor."""

    decay: str = ""
    """`"scalar"`, `"diagonal"`, or none."""
    sign: bool = False
    scales: bool = False
    erase: str = ""
    """`"key"`, `"own"` (another tensor), or none."""
    skip: bool = False
    reads: str = "after"
    erase_reads: str = "decayed"
    dk: int = 8
    dv: int = 5
    heads: tuple[int, int, int] = (2, 2, 2)
    chunk: int = 16
    element: str = "f32"
    varlen: bool = False
    batch: str = "?"
    known: bool = True
    """Whether the sizes of captured tensors are known to be those of q."""

    @property
    def all_heads(self) -> int:
        return max(self.heads)

    def captured(self) -> dict[str, tuple[str, ...]]:
        """The dimensions of captured tensors by the part they are."""
        found: dict[str, tuple[str, ...]] = {}
        dims = ("B", str(self.all_heads), "T")
        dk, dv = str(self.dk), str(self.dv)
        if self.decay:
            found["log_decay"] = dims if self.decay == "scalar" else (*dims, dk)
            if self.sign:
                found["sign"] = found["log_decay"]
        if self.scales:
            found["query_scale"] = found["key_scale"] = dims
            if self.erase:
                found["erase_scale"] = dims
        if self.erase == "own":
            found["erase"] = (*dims, dk)
        if self.skip:
            found["skip"] = (*dims, dv)
        return found

    def text(self) -> str:
        """The program."""
        acc, element = ACC[self.element], self.element
        b, most = self.batch, self.all_heads
        names = 'attn.dims = ["B", "", "T", ""]'
        sizes = [(count, size) for count, size in zip(self.heads, (self.dk, self.dk, self.dv), strict=True)]
        types = [f"tensor<{b}x{count}x?x{size}x{element}>" for count, size in sizes]
        state = f"tensor<?x{most}x{self.dk}x{self.dv}x{acc}>"
        arguments = [f"%{n}: {t} {{{names}}}" for n, t in zip("qkv", types, strict=True)]
        arguments.append(f"%initial: {state}")
        operands, operand_types = ["%q", "%k", "%v", "%initial"], [*types, state]
        if self.varlen:
            arguments.append("%offsets: tensor<?xi32>")
            operands.append("%offsets")
            operand_types.append("tensor<?xi32>")
        body, parts = [], {"query": "%qt", "key": "%kt", "value": "%vt"}
        k, v = f"tensor<{self.dk}x{acc}>", f"tensor<{self.dv}x{acc}>"
        part_types = {"query": k, "key": k, "value": v, "erase": k, "skip": v}
        if self.erase == "key":
            parts["erase"] = "%kt"
        for name, dims in self.captured().items():
            shape = "x".join(dim if dim.isdigit() else b if dim == "B" else "?" for dim in dims)
            type_ = f"tensor<{shape}x{acc}>"
            listed = ", ".join(f'"{"" if dim.isdigit() else dim}"' for dim in dims)
            known = f" {{attn.dims = [{listed}]}}" if self.known else ""
            arguments.append(f"%{name}: {type_}{known}")
            parts[name] = f"%{name}_t"
            if len(dims) == 3:
                body.append(f"%{name}_t = tensor.extract %{name}[%b, %h, %t] : {type_}")
                part_types[name] = acc
            else:
                part_types[name] = f"tensor<{dims[3]}x{acc}>"
                body.append(
                    f"%{name}_t = tensor.extract_slice %{name}[%b, %h, %t, 0] [1, 1, 1, {dims[3]}] "
                    f"[1, 1, 1, 1] : {type_} to {part_types[name]}"
                )
        present = [name for name in PARTS if name in parts]
        segments = ", ".join(str(int(name in parts)) for name in PARTS)
        erases = f', erase_reads = "{self.erase_reads}"' if self.erase else ""
        o = f"tensor<{b}x{most}x?x{self.dv}x{element}>"
        lines = "\n        ".join(body)
        return f"""func.func @form({", ".join(arguments)}) -> ({o}, {state}) {{
      %o, %final = "attn.chunked_recurrence"({", ".join(operands)}) ({{
      ^position(%qt: {k}, %kt: {k}, %vt: {v}, %b: index, %h: index, %t: index):
        {lines}
        "attn.position_yield"({", ".join(parts[name] for name in present)})
          {{operandSegmentSizes = array<i32: {segments}>}}
          : ({", ".join(part_types[name] for name in present)}) -> ()
      }}) {{chunk = {self.chunk} : i64, reads = "{self.reads}", exponents = "any"{erases}}}
        : ({", ".join(operand_types)}) -> ({o}, {state})
      return %o, %final : {o}, {state}
    }}"""

    def draw(self, batch: int, length: int, offsets: list[int] | None = None, seed: int = 0) -> dict:
        """Arrays of a call by name: keys and erases have length 1, decays are moderate."""
        rng = np.random.default_rng([seed, batch, length])
        float_of = {"f32": np.float32, "f64": np.float64, "f16": np.float16, "bf16": np.float32}[self.element]
        acc = np.float64 if self.element == "f64" else np.float32

        def normal(*shape: int) -> np.ndarray:
            return rng.standard_normal(shape)

        def unit(*shape: int) -> np.ndarray:
            x = normal(*shape)
            return x / np.sqrt((x * x).sum(-1, keepdims=True) + 1e-6)

        hq, hk, hv = self.heads
        states = len(offsets) - 1 if offsets is not None else batch
        arrays = {
            "q": normal(batch, hq, length, self.dk).astype(float_of),
            "k": unit(batch, hk, length, self.dk).astype(float_of),
            "v": normal(batch, hv, length, self.dv).astype(float_of),
            "initial": normal(states, self.all_heads, self.dk, self.dv).astype(acc),
        }
        if offsets is not None:
            arrays["offsets"] = np.array(offsets, np.int32)
        for name, dims in self.captured().items():
            shape = [{"B": batch, "T": length}.get(dim) if not dim.isdigit() else int(dim) for dim in dims]
            x = normal(*shape)
            if name == "log_decay":
                x = -np.abs(x) * 0.3
            elif name == "sign":
                x = np.where(x < 0, -1.0, 1.0)
            elif name == "erase_scale" or (name == "key_scale" and self.erase):
                x = 1 / (1 + np.exp(-x))
            elif name == "erase":
                x = unit(*shape)
            arrays[name] = x.astype(acc)
        return arrays

    def evaluate(self, arrays: dict) -> tuple[np.ndarray, np.ndarray]:
        """o and final."""
        a = {name: np.asarray(x).astype(np.float64) for name, x in arrays.items()}
        q, k, v = (np.repeat(a[n], self.all_heads // a[n].shape[1], 1) for n in "qkv")
        batch, _, length = v.shape[:3]
        o, final = np.zeros(v.shape), a["initial"].copy()
        spans = [(n, n, 0, length) for n in range(batch)]
        if self.varlen:
            edges = np.clip(arrays["offsets"], 0, length)
            spans = [(n, 0, edges[n], edges[n + 1]) for n in range(len(edges) - 1)]
        one = np.ones(())
        for n, b, start, stop in spans:
            state = final[n]
            for t in range(start, stop):

                def part(name, b=b, t=t):
                    return a[name][b, :, t] if name in a else one

                before = state
                if self.decay:
                    with np.errstate(over="ignore"):
                        d = part("sign") * np.exp(part("log_decay"))
                    state = (d[:, None, None] if self.decay == "scalar" else d[:, :, None]) * state
                u = v[b, :, t]
                if self.erase:
                    e = k[b, :, t] if self.erase == "key" else part("erase")
                    read = state if self.erase_reads == "decayed" else before
                    u = u - np.expand_dims(part("erase_scale"), -1) * np.einsum("hk,hkv->hv", e, read)
                added = k[b, :, t, :, None] * u[:, None, :]
                state = state + np.expand_dims(part("key_scale"), (-1, -2)) * added
                read = state if self.reads == "after" else before
                out = np.expand_dims(part("query_scale"), -1) * np.einsum("hk,hkv->hv", q[b, :, t], read)
                o[b, :, t] = out + (part("skip") if self.skip else 0.0)
            final[n] = state
        return o, final
