"""Calls of kernels and `aec.check`: arguments, sizes, scalars, torch tensors, threads and memory."""

import pathlib
import re
import sys
import threading

import ml_dtypes
import numpy as np
import pytest
from ir_programs import CAUSAL, attention, recurrence
from kernels import NAMED, SHAPES, qkv, random, refuses

import aecompiler as aec
from aecompiler import arrays, device_arrays
from aecompiler.bindings import ir
from aecompiler.dialect import make_context

torch = pytest.importorskip("torch")


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


def test_arguments_may_be_called_as_parameters_of_ours():
    text = """func.func @f(
    %self: tensor<3xf32>, %program: tensor<3xf32>, %args: tensor<3xf32>, %target: tensor<3xf32>
) -> tensor<3xf32> {
  %0 = arith.addf %self, %program : tensor<3xf32>
  %1 = arith.addf %args, %target : tensor<3xf32>
  %2 = arith.addf %0, %1 : tensor<3xf32>
  return %2 : tensor<3xf32>
}"""
    kernel = aec.compile(text, opt_level=0)
    x = random(3)
    np.testing.assert_allclose(kernel(self=x, program=x, args=x, target=x), 4 * x)
    assert aec.check(kernel, x, x, x, x).max_rel_error < 1e-6
    with pytest.raises(TypeError, match="check\\(\\) expects target to be the name of one, got 'ndarray'"):
        aec.check(kernel, self=x, program=x, args=x, target=x)


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
    from aecompiler.accuracy import compare

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


def test_out_receives_the_result(softmax):
    kernel, args = softmax, qkv()
    expected = kernel(*args)
    out = np.full_like(expected, np.nan)
    assert kernel(*args, out=out) is out
    np.testing.assert_array_equal(out, expected)
    tensor = torch.full(expected.shape, torch.nan)
    assert kernel(*args, out=(tensor,)) is tensor
    np.testing.assert_array_equal(tensor.numpy(), expected)


def test_out_is_a_write_for_autograd(softmax):
    """A tensor that a graph has saved may not change unnoticed; nor through a view of it."""
    args = qkv()
    shape = softmax(*args).shape
    for choose in (lambda base: base, lambda base: base[0:1], lambda base: base.detach()):
        weight, base = torch.ones(shape, requires_grad=True), torch.ones(shape)
        product = (weight * base).sum()
        softmax(*args, out=choose(base))
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            product.backward()


def test_out_that_takes_part_in_a_gradient(softmax):
    args, name = qkv(), softmax.results[0].name
    shape = softmax(*args).shape
    leaf = torch.zeros(shape, requires_grad=True)
    message = f"result '{name}': expects a tensor without gradient, since kernels are not differentiated"
    for out in (leaf, leaf * 1):
        refuses(ValueError, message, softmax, *args, out=out)
    with torch.no_grad():
        assert softmax(*args, out=leaf)._version == 1
    message = f"result '{name}': expects a tensor without tangent, since kernels have no derivative"
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(torch.zeros(shape), torch.ones(shape))
        refuses(ValueError, message, softmax, *args, out=dual)
    with torch.inference_mode():
        made = torch.zeros(shape)
        softmax(*args, out=made)
    message = f"result '{name}': expects a tensor that was not made in inference mode, or a call in that mode"
    refuses(ValueError, message, softmax, *args, out=made)


def test_masked_arrays_are_refused_by_name(softmax):
    """Their masks would be dropped."""
    q, k, v = qkv()
    wrong = "expects an array without a mask, got a masked array: pass .filled(...)"
    refuses(TypeError, f"argument 'k': {wrong}", softmax, q, np.ma.masked_array(k), v)
    with pytest.raises(TypeError, match=f"argument 'k': {re.escape(wrong)}"):
        aec.check(softmax, q, np.ma.masked_array(k), v)
    for kind in ("tensor", "scalar"):
        argument = arrays.Argument("n", kind, (), "f32")
        for take in (arrays.take, device_arrays.take):
            with pytest.raises(TypeError, match=f"argument 'n': {re.escape(wrong)}"):
                take(argument, np.ma.masked)
    assert device_arrays.place(masked := np.ma.masked_array(k)) is masked, "the call refuses it by its name"


def test_out_must_fit_and_overlap_nothing(softmax):
    kernel, (q, k, v) = softmax, qkv()
    good = np.empty((1, 2, 5, 3), np.float32)
    name = kernel.results[0].name
    for bad, exception, message in (
        (good[:, :, :4], ValueError, f"result '{name}': expects shape (1, 2, 5, 3), got (1, 2, 4, 3)"),
        (good.astype(np.float64), TypeError, f"result '{name}': expects dtype f32, got float64"),
        (
            np.empty((1, 2, 5, 6), np.float32)[..., ::2],
            ValueError,
            f"result '{name}': expects a contiguous array",
        ),
        (
            np.ma.masked_array(good),
            TypeError,
            f"result '{name}': expects an array without a mask, got a masked array: pass .filled(...)",
        ),
        ([good, good], TypeError, "program() expects out to hold 1 arrays, one for each result, got 2"),
        ("o", TypeError, f"result '{name}': expects a numpy array or a torch tensor, got 'str'"),
    ):
        refuses(exception, message, kernel, q, k, v, out=bad)
    frozen = good.copy()
    frozen.flags.writeable = False
    refuses(
        ValueError, f"result '{name}': expects an array that may be written to", kernel, q, k, v, out=frozen
    )
    off = np.zeros(good.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(good.shape)
    message = f"result '{name}': expects an array at a multiple of the size of f32, got address "
    refuses(ValueError, f"{message}{off.ctypes.data:#x}", kernel, q, k, v, out=off)
    shared = np.zeros(q.size + good.size - 1, np.float32)
    q2, o2 = shared[: q.size].reshape(q.shape), shared[q.size - 1 :].reshape(good.shape)
    message = f"result '{name}': expects an array that does not overlap argument 'q'"
    refuses(ValueError, message, kernel, q2, k, v, out=o2)
