"""`aec.compile`, kernels and `aec.check`: what they take, what they return, and how they refuse."""

import pathlib
import re
import sys
import threading

import ml_dtypes
import numpy as np
import pytest
from ir_programs import CAUSAL, WEIGHTS, attention, recurrence

import aecompiler as aec
from aecompiler.backends import base
from aecompiler.bindings import ir
from aecompiler.dialect import make_context

torch = pytest.importorskip("torch")

NAMED = """
func.func @named(
    %x: tensor<?x?x4xf32> {attn.name = "left", attn.dims = ["B", "S", ""]},
    %y: tensor<?x?x4xf32> {attn.name = "right", attn.dims = ["B", "S", ""]},
    %n: index {attn.name = "count"}, %f: f32)
    -> (tensor<?x?x4xf32> {attn.name = "total"}) {
  %s = arith.addf %x, %y : tensor<?x?x4xf32>
  return %s : tensor<?x?x4xf32>
}"""
SHAPES = {"q": "?x2x?x4", "k": "?x2x?x4", "v": "?x2x?x3"}


def random(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def qkv(sq=5, skv=7, b=1):
    return [random(b, 2, sq, 4), random(b, 2, skv, 4, seed=1), random(b, 2, skv, 3, seed=2)]


@pytest.fixture(scope="module")
def softmax():
    return aec.compile(attention(**SHAPES, element="f32", normalize=WEIGHTS), opt_level=0)


@pytest.fixture(scope="module")
def named():
    return aec.compile(NAMED, opt_level=0)


def refuses(exception, message, kernel, *args, **kwargs):
    with pytest.raises(exception, match=f"^{re.escape(message)}$"):
        kernel(*args, **kwargs)


# ---- programs ----


def test_signature(named):
    assert [str(a) for a in named.arguments] == [
        "left: (B, S, 4) f32",
        "right: (B, S, 4) f32",
        "count: index",
        "f: f32",
    ]
    assert [(a.kind, a.shape, a.dtype) for a in named.results] == [("tensor", (None, None, 4), "f32")]
    assert named.results[0].name == "total"
    assert repr(named).startswith("<Kernel named(left: (B, S, 4) f32, ")


def test_program_as_a_path(tmp_path):
    path = tmp_path / "named.mlir"
    path.write_text(NAMED)
    for program in (path, str(path)):
        assert aec.compile(program, opt_level=0).name == "named"


def test_program_as_a_module_that_stays_as_it_is():
    with make_context():
        module = ir.Module.parse(NAMED)
        before = str(module)
        assert aec.compile(module, opt_level=0).name == "named"
        assert str(module) == before


def test_program_of_the_builder():
    x = aec.tensor("B", 2, "S", 4)

    @aec.program(q=x, k=x, v=x)
    def plain(q, k, v):
        return aec.attention(q, k, v)

    arrays = [random(1, 2, 5, 4, seed=n) for n in range(3)]
    assert aec.check(plain, *arrays).max_rel_error < 1e-5


def test_program_as_bytecode(tmp_path):
    with make_context():
        module = ir.Module.parse(NAMED)
        for name in ("program.mlirbc", "program.mlir"):
            with open(tmp_path / name, "wb") as file:
                module.operation.write_bytecode(file)
            assert aec.compile(tmp_path / name, opt_level=0).name == "named"
    (tmp_path / "text.mlir").write_bytes(b"\xff\xfe")
    with pytest.raises(
        aec.CompileError, match=r"text\.mlir: error: expects MLIR, as UTF-8 text or as bytecode"
    ):
        aec.compile(tmp_path / "text.mlir")


def test_names_of_arguments_are_not_taken_from_comments_and_strings():
    """Two signatures in a comment, or in a string, could swap arguments that are given by name."""
    other = "func.func @f(%y: tensor<?xf32>, %x: tensor<?xf32>)"
    text = f"""
// {other}
func.func @f(%x: tensor<?xf32>, %y: tensor<?xf32>) -> tensor<?xf32> attributes {{note = "{other}"}} {{
  return %x : tensor<?xf32>
}}
// {other}"""
    kernel = aec.compile(text, opt_level=0)
    assert [argument.name for argument in kernel.arguments] == ["x", "y"]


def test_missing_file_is_an_os_error():
    with pytest.raises(FileNotFoundError):
        aec.compile("no/such/file.mlir")


def test_program_of_a_wrong_kind():
    with pytest.raises(TypeError, match=r"expects a Program, an ir\.Module, the text of one or a path"):
        aec.compile(42)


def test_invalid_text_is_a_compile_error_with_its_position(tmp_path):
    path = tmp_path / "bad.mlir"
    path.write_text("func.func @f() {\n  %0 = nonsense\n}")
    with pytest.raises(aec.CompileError) as caught:
        aec.compile(path)
    (diagnostic, *_) = caught.value.diagnostics
    assert (diagnostic.file, diagnostic.line) == (str(path), 2)


def test_function_is_chosen_by_name():
    text = NAMED + NAMED.replace("@named", "@other")
    assert aec.compile(text, function="other", opt_level=0).name == "other"
    with pytest.raises(ValueError, match=r"one public function, got 2 \(named, other\)"):
        aec.compile(text)
    with pytest.raises(ValueError, match=r"no function 'third' in the program \(functions: named, other\)"):
        aec.compile(text, function="third")


def test_unknown_target_and_options():
    with pytest.raises(aec.BackendError, match=r"unknown target 'abacus' \(targets: cpu"):
        aec.compile(NAMED, target="abacus")
    with pytest.raises(TypeError, match=r"unknown option 'blok_q' \(options: block_q, opt_level\)"):
        aec.compile(NAMED, blok_q=3)
    for value, kind in (("32", "str"), (2.5, "float"), (True, "bool"), (None, "NoneType")):
        with pytest.raises(TypeError, match=f"expects block_q to be of type int, got .* of type {kind}"):
            aec.compile(NAMED, block_q=value)
    with pytest.raises(ValueError, match="expects block_q to be 1 to 4096, got 1000000000"):
        aec.compile(NAMED, block_q=10**9)
    with pytest.raises(ValueError, match="expects block_q to be 1 to 4096, got 0"):
        aec.compile(NAMED, block_q=0)
    with pytest.raises(ValueError, match="expects opt_level to be 0, 1, 2 or 3, got 4"):
        aec.compile(NAMED, opt_level=4)


def test_backend_whose_import_fails_is_named_when_asked_for(monkeypatch):
    monkeypatch.setattr(base, "_MODULES", dict(base._MODULES))
    base.register_backend("broken", "aecompiler.no_such_backend")
    assert "broken" in base.backend_names()
    for _ in range(2):
        with pytest.raises(aec.BackendError, match="target 'broken' is not available here: No module named"):
            aec.compile(NAMED, target="broken")


def test_result_whose_size_does_not_follow_from_the_arguments():
    text = """func.func @f(%x: tensor<?xf32>, %i: tensor<?xindex>) -> tensor<?xf32> {
      %c0 = arith.constant 0 : index
      %n = tensor.extract %i[%c0] : tensor<?xindex>
      %r = tensor.empty(%n) : tensor<?xf32>
      return %r : tensor<?xf32>
    }"""
    with pytest.raises(aec.UnsupportedError, match="the size of result 0 in dimension 0 does not follow"):
        aec.compile(text)


def test_unsupported_element_type_is_named():
    text = "func.func @f(%x: tensor<?xf8E4M3FN>) -> tensor<?xf8E4M3FN> { return %x : tensor<?xf8E4M3FN> }"
    with pytest.raises(aec.UnsupportedError, match="unsupported: 'x' of type tensor<\\?xf8E4M3FN>"):
        aec.compile(text)


def test_code_can_be_read(softmax):
    assert "llvm.func @aec.program" in softmax.artifact.text


@pytest.mark.parametrize("name", ["expf", "exp", "malloc", "free", "main"])
def test_program_named_as_a_function_of_c_does_not_take_its_place(name):
    x = aec.tensor("B", 1, "S", 4)
    program = aec.trace(lambda q: aec.attention(q, q, q), name=name, q=x)
    assert aec.check(program, random(1, 1, 3, 4)).max_rel_error < 1e-6


# ---- calls ----


def test_arguments_by_position_and_by_name(softmax):
    q, k, v = qkv()
    want = softmax(q, k, v)
    np.testing.assert_array_equal(softmax(q, v=v, k=k), want)
    np.testing.assert_array_equal(softmax(v=v, k=k, q=q), want)


def test_wrong_number_and_names_of_arguments(softmax):
    q, k, v = qkv()
    refuses(TypeError, "program() is missing argument 'v'", softmax, q, k)
    refuses(TypeError, "program() takes 3 arguments (q, k, v), got 4", softmax, q, k, v, v)
    refuses(TypeError, "program() has no argument 'w' (arguments: q, k, v)", softmax, q, k, w=v)
    refuses(TypeError, "program() got argument 'q' twice", softmax, q, k, v, q=q)


def test_wrong_dtype(softmax):
    q, k, v = qkv()
    refuses(TypeError, "argument 'k': expects dtype f32, got float64", softmax, q, k.astype(np.float64), v)
    refuses(TypeError, "argument 'k': expects dtype f32, got >f4", softmax, q, k.astype(">f4"), v)
    message = "argument 'v': expects dtype f32, got torch.float16"
    refuses(TypeError, message, softmax, q, k, torch.from_numpy(v).half())
    message = "argument 'q': expects a numpy array or a torch tensor, got 'list'"
    refuses(TypeError, message, softmax, q.tolist(), k, v)


def test_wrong_shape(softmax):
    q, k, v = qkv()
    refuses(ValueError, "argument 'q': expects 4 dimensions (?, 2, ?, 4), got 3", softmax, q[0], k, v)
    refuses(
        ValueError,
        "argument 'q': expects size 2 in dimension 1 of (?, 2, ?, 4), got 1",
        softmax,
        q[:, :1],
        k,
        v,
    )


def test_sizes_that_the_op_wants_equal(softmax):
    q, k, v = qkv()
    refuses(
        ValueError, "expects k.shape[2] and v.shape[2] to be equal, got 7 and 6", softmax, q, k, v[:, :, 1:]
    )
    two = np.concatenate([k, k])
    refuses(ValueError, "expects q.shape[0] and k.shape[0] to be equal, got 1 and 2", softmax, q, two, v)


def test_dynamic_head_counts_are_equal():
    kernel = aec.compile(attention(q="?x?x?x4", k="?x?x?x4", v="?x?x?x3", element="f32"), opt_level=0)
    q, k, v = qkv()
    message = "expects q.shape[1] and k.shape[1] to be equal, got 2 and 1"
    refuses(ValueError, message, kernel, q, k[:, :1], v[:, :1])


def test_named_dimensions_are_equal(named):
    x, y = random(2, 3, 4), random(2, 5, 4)
    message = "expects left.shape[1] and right.shape[1] to be equal (both are 'S'), got 3 and 5"
    refuses(ValueError, message, named, x, y, 1, 0.5)


def test_sizes_that_operations_around_want():
    text = """func.func @f(%x: tensor<?x?xf32>, %y: tensor<?x?xf32>, %z: tensor<?x?xf32>, %w: tensor<?xf32>)
        -> (tensor<?x?xf32>, tensor<2x?xf32>) {
      %r = linalg.matmul ins(%x, %y : tensor<?x?xf32>, tensor<?x?xf32>)
                         outs(%z : tensor<?x?xf32>) -> tensor<?x?xf32>
      %c0 = arith.constant 0 : index
      %n = tensor.dim %w, %c0 : tensor<?xf32>
      %s = tensor.extract_slice %r[1, 0] [2, %n] [1, 1] : tensor<?x?xf32> to tensor<2x?xf32>
      return %r, %s : tensor<?x?xf32>, tensor<2x?xf32>
    }"""
    kernel = aec.compile(text, opt_level=0)
    x, y, z, w = random(3, 4), random(4, 5), random(3, 5), random(2)
    product, part = kernel(x, y, z, w)
    np.testing.assert_allclose(product, x @ y + z, rtol=1e-5)
    np.testing.assert_array_equal(part, product[1:3, :2])
    refuses(ValueError, "expects x.shape[1] and y.shape[0] to be equal, got 4 and 3", kernel, x, y[:3], z, w)
    refuses(ValueError, "expects x.shape[0] and z.shape[0] to be equal, got 3 and 2", kernel, x, y, z[:2], w)
    refuses(ValueError, "expects x.shape[0] to be at least 3, got 2", kernel, x[:2], y, z[:2], w)


def test_sizes_of_a_variable_length_recurrence():
    step = """%z = arith.constant dense<0.0> : $V
    %out = linalg.vecmat ins(%qt, %S : $K, $S) outs(%z : $V) -> $V
    yield %S, %out"""
    kernel = aec.compile(recurrence(step, dk=4, dv=3, element="f32", varlen=True), opt_level=0)
    q, k, v = qkv(5, 5)
    initial, offsets = random(2, 2, 4, 3), np.array([0, 2, 5], np.int32)
    assert kernel(q, k, v, initial, offsets)[1].shape == (2, 2, 4, 3)
    message = "expects initial.shape[0] to be 1, one less than offsets.shape[0], got 2"
    refuses(ValueError, message, kernel, q, k, v, initial, offsets[:2])
    message = "expects offsets.shape[0] to be at least 1, got 0"
    refuses(ValueError, message, kernel, q, k, v, initial[:0], offsets[:0])
    message = "argument 'offsets': expects dtype i32, got int64"
    refuses(TypeError, message, kernel, q, k, v, initial, offsets.astype(np.int64))
    message = "expects q.shape[2] and v.shape[2] to be equal, got 5 and 4"
    refuses(ValueError, message, kernel, q, k, v[:, :, 1:], initial, offsets)


@pytest.mark.parametrize(
    "value", [3, np.int64(3), np.array(3), torch.tensor(3), np.uint8(3)], ids=lambda v: type(v).__name__
)
def test_integer_scalars(value):
    kernel = aec.compile("func.func @f(%x: i8) -> i8 { return %x : i8 }", opt_level=0)
    assert kernel(value) == 3


def test_scalars_of_every_type():
    for dtype, value in {
        "f16": 0.5, "bf16": -2.5, "f32": 1.25, "f64": 0.1, "i1": True, "i8": -128, "i16": 7,
        "i32": -(2**31), "i64": 2**63 - 1, "index": -1,
    }.items():  # fmt: skip
        kernel = aec.compile(f"func.func @f(%x: {dtype}) -> {dtype} {{ return %x : {dtype} }}", opt_level=0)
        assert kernel(value) == value
        assert kernel(np.array(value)) == value


def test_scalars_that_do_not_fit():
    kernel = aec.compile("func.func @f(%x: i8, %y: f32) -> i8 { return %x : i8 }", opt_level=0)
    refuses(ValueError, "argument 'x': expects -128 to 127, got 128", kernel, 128, 0.0)
    refuses(TypeError, "argument 'x': expects an integer, got 'float'", kernel, 1.0, 0.0)
    refuses(TypeError, "argument 'y': expects a number, got 'str'", kernel, 1, "1")
    refuses(TypeError, "argument 'y': expects a number, got an array of shape (2,)", kernel, 1, np.ones(2))
    for number in (10**400, 1e300, -1e39):
        refuses(ValueError, "argument 'y': expects a number that f32 can hold", kernel, 1, number)
    refuses(ValueError, "argument 'x': expects -128 to 127, got one of 133 bits", kernel, 10**40, 0.0)
    refuses(
        ValueError,
        "argument 'x': expects a number, got a tensor without data",
        kernel,
        torch.zeros((), dtype=torch.int8, device="meta"),
        0.0,
    )
    for number in (float("inf"), 1e-60, 3.4e38):
        assert kernel(1, number) == 1


# ---- torch ----


@pytest.mark.parametrize("element", ["f16", "bf16", "f32", "f64"])
def test_torch_gives_torch(element):
    kernel = aec.compile(attention(**SHAPES, element=element, mask=CAUSAL), opt_level=0)
    dtype = {"f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32, "f64": torch.float64}[
        element
    ]
    arrays = [torch.from_numpy(x).to(dtype) for x in qkv()]
    views = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in arrays]
    o, lse = kernel(*views)
    assert o.dtype == dtype
    assert lse.dtype == (torch.float64 if element == "f64" else torch.float32)
    as_numpy = {"bf16": ml_dtypes.bfloat16}.get(element)
    in_numpy = [x.float().numpy().astype(as_numpy) if as_numpy else x.numpy() for x in arrays]
    want = kernel(*in_numpy)
    assert isinstance(want[0], np.ndarray)
    np.testing.assert_array_equal(o.double().numpy(), want[0].astype(np.float64))
    tolerance = {"f16": 2e-3, "bf16": 2e-2, "f32": 1e-5, "f64": 1e-13}[element]
    assert aec.check(kernel, *views).max_rel_error < tolerance


def test_mixed_arguments_give_torch(softmax):
    q, k, v = qkv()
    assert isinstance(softmax(q, torch.from_numpy(k), v), torch.Tensor)


def test_expanded_torch_tensor(softmax):
    q, k, v = qkv()
    one = torch.from_numpy(k[:, :1])
    got = softmax(torch.from_numpy(q), one.expand(1, 2, 7, 4), torch.from_numpy(v))
    np.testing.assert_array_equal(got, softmax(q, np.repeat(k[:, :1], 2, 1), v))


def test_tensor_with_gradient_must_be_detached(softmax):
    q, k, v = (torch.from_numpy(x) for x in qkv())
    with pytest.raises(ValueError, match="argument 'k': expects a tensor without gradient"):
        softmax(q, k.clone().requires_grad_(), v)
    with torch.no_grad():
        softmax(q, k.clone().requires_grad_(), v)


def _freed():
    tensor = torch.zeros(1, 2, 5, 4)
    tensor.untyped_storage().resize_(0)
    return tensor


def _fake():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        return torch.empty(1, 2, 5, 4)


@pytest.mark.parametrize("make", [_freed, _fake])
def test_tensor_without_data_is_refused(softmax, make):
    _, k, v = map(torch.from_numpy, qkv())
    with pytest.raises(ValueError, match=r"argument 'q': expects a tensor with data, got one without"):
        softmax(make(), k, v)


def test_tensors_of_transformations_are_refused(softmax):
    q, k, v = map(torch.from_numpy, qkv())
    with pytest.raises(ValueError, match=r"argument 'q': expects a tensor with data, got one without"):
        torch.func.vmap(lambda q: softmax(q, k, v))(q[None])
    with pytest.raises(ValueError, match=r"argument 'q': expects a tensor with data, got one without"):
        torch.func.functionalize(lambda q: softmax(q, k, v))(q)
    with pytest.raises(ValueError, match=r"argument 'q': expects a tensor without tangent"):
        torch.func.jvp(lambda q: softmax(q, k, v), (q,), (q,))


def test_booleans_of_other_bytes_than_0_and_1_are_true():
    mask = attention(
        **{**SHAPES, "v": "?x2x?x4"},
        element="f32",
        normalize="yield %s",
        mask="%keep = tensor.extract %m[%j] : tensor<?xi1>\n    yield %keep",
        captures="%m: tensor<?xi1>",
    )
    kernel = aec.compile(mask, opt_level=0)
    q, k, _ = qkv()
    keep = np.array([1, 0, 1, 1, 0, 0, 1], bool)
    other = (keep.view(np.uint8) * 254).view(bool)
    np.testing.assert_array_equal(kernel(q, k, k, keep), kernel(q, k, k, other))
    torch_other = torch.from_numpy(keep.view(np.uint8) * 254).view(torch.bool)
    tensors = map(torch.from_numpy, (q, k, k))
    np.testing.assert_array_equal(kernel(q, k, k, keep), kernel(*tensors, torch_other).numpy())


def test_tensor_on_another_device(softmax):
    q, k, v = (torch.from_numpy(x) for x in qkv())
    message = "argument 'q': expects a tensor on the CPU, got device 'meta'"
    refuses(ValueError, message, softmax, q.to("meta"), k, v)
    message = "argument 'q': expects a dense tensor, got layout torch.sparse_coo"
    refuses(ValueError, message, softmax, q.to_sparse(), k, v)


# ---- check ----


def test_check_reports_the_error_and_reads_out_of_bounds():
    score = """%x = tensor.extract %table[%j] : tensor<?xf32>
    %r = arith.addf %s, %x : f32
    yield %r"""
    text = attention(score, captures="%table: tensor<?xf32>", element="f32", **SHAPES)
    report = aec.check(text, *qkv(), random(6))
    assert [r.name for r in report.results] == ["result0", "result1"]
    assert 0 < report.max_abs_error < 1e-5
    assert report.out_of_bounds == 2 * 5
    assert "10 reads out of bounds at unmasked elements" in str(report)


def test_compare_counts_what_is_finite_on_one_side_only():
    from aecompiler.compiler import compare

    got, want = np.array([1.0, np.nan, np.inf, -np.inf]), np.array([1.0, np.nan, np.inf, 2.0])
    assert compare("x", got, got).mismatched == 0
    error = compare("x", got, want)
    assert (error.mismatched, error.max_abs_error) == (1, np.inf)


# ---- threads and memory ----


def test_contexts_are_made_in_several_threads():
    """Two threads at once ended the process."""

    def work():
        for _ in range(10):
            with make_context() as context:
                ir.Module.parse(NAMED, context)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_one_kernel_in_several_threads(softmax):
    inputs = [[random(1, 2, 40, 4, seed=n), random(1, 2, 30, 4), random(1, 2, 30, 3)] for n in range(4)]
    wanted = [softmax(*arrays) for arrays in inputs]
    wrong = []

    def work(number):
        for _ in range(50):
            if not np.array_equal(softmax(*inputs[number]), wanted[number]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_kernel_outlives_the_context_of_its_program():
    with make_context():
        kernel = aec.compile(ir.Module.parse(NAMED), opt_level=0)
    x = random(1, 2, 4)
    np.testing.assert_array_equal(kernel(x, x, 0, 0.0), x + x)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_calls_do_not_leak(softmax):
    def resident():
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096

    # 1.2 MB of scratch and results in each call.
    arrays = [random(1, 2, 300, 4), random(1, 2, 4000, 4), random(1, 2, 4000, 3)]
    arrays = [x[:, :, :33] if n == 0 else x for n, x in enumerate(arrays)]
    for _ in range(20):
        softmax(*arrays)
    before = resident()
    for _ in range(300):
        softmax(*arrays)
    assert resident() - before < 20e6
