"""What `--input NAME=VALUE` may say: files, numbers, lists and distributions."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from aecompiler.arrays import to_numpy
from aecompiler.tools import run_files
from aecompiler.tools.conversion import FLOATS, convert, is_number
from aecompiler.tools.errors import UsageError
from aecompiler.tools.run_files import FileError

HELP = """\
values of --input:
  FILE.npy, FILE.npz[:KEY], FILE.safetensors[:KEY]
                      an array; without a key the entry named as the argument, or the only one
  0.125, -3, true     a number: the value of a scalar, or of all elements of a tensor
  '[0, 5, 12]'        a JSON list: the elements of a tensor
  zeros, ones         0 or 1 everywhere
  arange[:FIRST[,STEP]]
                      counting along the elements (default: 0, 1, 2, ...)
  randn[:MEAN,STD]    normal numbers (default: 0,1)
  uniform[:LOW,HIGH]  uniform in LOW <= x < HIGH (default: 0,1)
  randint:LOW,HIGH    integers in LOW <= x < HIGH
  sorted:LOW,HIGH     the same, growing along the last dimension: document ids
  bernoulli[:P]       1 with probability P, else 0 (default: 0.5)
  offsets:LENGTH      random cumulative lengths, from 0 to LENGTH (a number or the name of a dimension)

An argument without an --input takes its value from the mapping `inputs` that stands beside a Python program,
in its module: an array, a number, one of the texts above, or a function of a numpy generator and a shape.
Other tensors are random: floats randn, i1 bernoulli, integers randint:0,4. Scalars have no default.
A file of another type is taken where no value changes (as float32 for bf16, from .npy); --cast rounds.
Sizes come from files, lists, arrays, --shape and --dim; those that the program makes equal follow."""


class InputError(UsageError):
    """An input can't be made as asked; the text names the argument."""


@dataclass(frozen=True)
class Literal:
    """Numbers from the command line: rounded to the argument's type, as numbers in a source text are."""

    numbers: np.ndarray


@dataclass(frozen=True)
class Distribution:
    """A way of filling an array, with its parameters."""

    name: str
    parameters: tuple[float | str, ...] = ()


@dataclass(frozen=True)
class Drawn:
    """A function of a generator and a shape that makes the array."""

    function: Callable[[np.random.Generator, tuple[int, ...]], Any]


Value = np.ndarray | Literal | Distribution | Drawn
"""The array of a file keeps its type: what the argument's type can't hold is an error."""

# The parameters by name and, where they can be left out, by default.
_PARAMETERS: dict[str, tuple[str, tuple[float, ...] | None]] = {
    "zeros": ("", ()),
    "ones": ("", ()),
    "arange": ("FIRST,STEP", (0, 1)),
    "randn": ("MEAN,STD", (0.0, 1.0)),
    "uniform": ("LOW,HIGH", (0.0, 1.0)),
    "randint": ("LOW,HIGH", None),
    "sorted": ("LOW,HIGH", None),
    "bernoulli": ("P", (0.5,)),
    "offsets": ("LENGTH", None),
}


def parse_value(name: str, text: str) -> Value:
    """The value of `--input name=text`. Raises InputError."""
    path, key = run_files.split_key(text)
    if run_files.is_array_file(path):
        try:
            return run_files.read(path, key, prefer=name)
        except FileError as error:
            raise InputError(f"input '{name}': {error}") from None
    if text.startswith("["):
        return _parse_list(name, text)
    if text in ("true", "false"):
        return Literal(np.array(text == "true"))
    number = _parse_number(text)
    if number is not None:
        return Literal(np.array(number))
    kind, separator, rest = text.partition(":")
    if kind not in _PARAMETERS:
        raise InputError(
            f"input '{name}': expects a file ({', '.join(run_files.SUFFIXES)}), a number, a list, or one of "
            f"{', '.join(_PARAMETERS)}; got '{text}'"
        )
    return Distribution(kind, _parse_parameters(name, kind, rest if separator else None))


def module_value(name: str, value: Any) -> Value:
    """The value of an entry of the mapping `inputs` in a program's module. Raises InputError."""
    if isinstance(value, str):
        return parse_value(name, value)
    if callable(value):
        return Drawn(value)
    return Literal(_array(name, value))


def _array(name: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(to_numpy(value))
        good = is_number(array)
    except ValueError:  # lists of different lengths
        good = False
    if not good:
        raise InputError(
            f"input '{name}': expects an array, a number, a text as --input takes, or a function, "
            f"got '{type(value).__name__}'"
        )
    return array


def default_value(dtype: str) -> Distribution:
    """How a tensor without an --input is filled."""
    if dtype in FLOATS:
        return Distribution("randn", (0.0, 1.0))
    return Distribution("bernoulli", (0.5,)) if dtype == "i1" else Distribution("randint", (0, 4))


def make_tensor(
    name: str,
    dtype: str,
    value: Value,
    shape: tuple[int, ...],
    rng: np.random.Generator,
    lengths: Mapping[str, int],
    *,
    cast: bool = False,
) -> np.ndarray:
    """The array for a tensor argument of element type `dtype`; `lengths` holds the sizes of named dimensions.

    Raises InputError.
    """
    try:
        if isinstance(value, np.ndarray):
            return convert(value, dtype, rounding=cast)
        if isinstance(value, Literal):
            array = value.numbers if value.numbers.ndim else np.broadcast_to(value.numbers, shape)
            return _fit(array, dtype, "numbers")
        if isinstance(value, Drawn):
            return _fit(_draw(name, value, shape, rng), dtype, "numbers")
        return _fit(_fill(value, shape, rng, lengths), dtype, value.name)
    except (ValueError, OverflowError) as error:
        raise InputError(f"input '{name}': {error}") from None


def make_scalar(name: str, dtype: str, value: Value | None, rng: np.random.Generator) -> int | float:
    """The number for a scalar argument. Raises InputError."""
    if value is None:
        raise InputError(f"input '{name}': scalars have no default; give --input {name}=NUMBER")
    if isinstance(value, Distribution):
        raise InputError(f"input '{name}': expects a number for a scalar, got {value.name}")
    if isinstance(value, Drawn):
        value = _draw(name, value, (), rng)
    numbers = value.numbers if isinstance(value, Literal) else value
    if numbers.size != 1:
        raise InputError(
            f"input '{name}': expects a number for a scalar, got an array of shape {numbers.shape}"
        )
    try:
        return _fit(numbers.reshape(()), dtype, "numbers").item()
    except ValueError as error:
        raise InputError(f"input '{name}': {error}") from None


def _draw(name: str, value: Drawn, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    array = _array(name, value.function(rng, shape))
    if array.shape != shape:
        raise ValueError(f"expects the function to return an array of shape {shape}, got {array.shape}")
    return array


def _fill(
    distribution: Distribution, shape: tuple[int, ...], rng: np.random.Generator, lengths: Mapping[str, int]
) -> np.ndarray:
    name = distribution.name
    if name == "offsets":
        return _offsets(distribution.parameters[0], shape, rng, lengths)
    low, high = (*(p for p in distribution.parameters if not isinstance(p, str)), 0, 0)[:2]
    match name:
        case "zeros" | "ones":
            return np.full(shape, float(name == "ones"))
        case "arange":
            return (low + high * np.arange(math.prod(shape))).reshape(shape)
        case "randn":
            return low + high * rng.standard_normal(shape)
        case "uniform":
            return rng.uniform(low, high, shape)
        case "bernoulli":
            return rng.random(shape) < low
    integers = rng.integers(int(low), int(high), shape)
    return np.sort(integers, axis=-1) if name == "sorted" else integers


def _offsets(
    length: float | str, shape: tuple[int, ...], rng: np.random.Generator, lengths: Mapping[str, int]
) -> np.ndarray:
    if isinstance(length, str):
        if length not in lengths:
            known = f" (dimensions: {', '.join(lengths)})" if lengths else ""
            raise ValueError(f"no dimension is named '{length}'{known}")
        length = lengths[length]
    if len(shape) != 1 or not shape[0]:
        raise ValueError(f"offsets are a tensor of one dimension and at least one element, got shape {shape}")
    cuts = np.sort(rng.integers(0, int(length) + 1, max(shape[0] - 2, 0)))
    return np.concatenate([[0], cuts, [int(length)]])[: shape[0]]


def _fit(array: np.ndarray, dtype: str, what: str) -> np.ndarray:
    """Numbers of our own making as `dtype`: rounded to floats; what an integer can't hold is an error."""
    if dtype in FLOATS and array.dtype.kind in "biu":
        array = array.astype(np.float64)
    return convert(array, dtype, rounding=True, what=what)


def _parse_number(text: str) -> int | float | None:
    """An integer, if some element type holds it, or else a float."""
    try:
        number = int(text)
    except ValueError:
        pass
    else:
        if -(2**63) <= number < 2**64:
            return number
    try:
        return float(text)
    except ValueError:
        return None


def _parse_list(name: str, text: str) -> Literal:
    try:
        array = np.array(json.loads(text))
    except ValueError as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"input '{name}': bad list '{text}': {reason}") from None
    except RecursionError:
        raise InputError(f"input '{name}': bad list: it nests too deep") from None
    if not is_number(array):
        raise InputError(f"input '{name}': expects a list of numbers, got '{text}'")
    return Literal(array)


def _parse_parameters(name: str, kind: str, text: str | None) -> tuple[float | str, ...]:
    names, defaults = _PARAMETERS[kind]
    if text is None and defaults is not None:
        return defaults
    if kind == "offsets" and text and text.isidentifier():
        return (text,)
    numbers = [] if text is None else [_parse_number(part) for part in text.split(",")]
    if kind == "arange" and len(numbers) == 1:
        numbers.append(1)
    expected = len(names.split(",")) if names else 0
    if len(numbers) != expected or any(n is None or not math.isfinite(n) for n in numbers):
        got = kind if text is None else f"{kind}:{text}"
        raise InputError(f"input '{name}': expects {kind}{names and ':' + names}, got '{got}'")
    found = tuple(n for n in numbers if n is not None)
    if kind in ("randint", "sorted", "offsets") and not all(isinstance(n, int) for n in found):
        raise InputError(f"input '{name}': expects integers after {kind}:, got '{text}'")
    if kind in ("uniform", "randint", "sorted") and not found[0] < found[1]:
        raise InputError(f"input '{name}': expects LOW < HIGH in {kind}:LOW,HIGH, got '{text}'")
    if kind == "uniform" and not math.isfinite(found[1] - found[0]):
        raise InputError(f"input '{name}': expects HIGH - LOW to be finite in uniform:LOW,HIGH, got '{text}'")
    if kind == "bernoulli" and not 0 <= found[0] <= 1:
        raise InputError(f"input '{name}': expects a probability from 0 to 1, got '{text}'")
    if (kind == "randn" and found[1] < 0) or (kind == "offsets" and found[0] < 0):
        raise InputError(f"input '{name}': expects {names.rpartition(',')[2]} to be at least 0, got '{text}'")
    return found
