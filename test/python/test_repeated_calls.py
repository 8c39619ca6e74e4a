"""Which calls of a kernel repeat earlier ones: those that nothing can tell apart but where tensors stand."""

from __future__ import annotations

import pytest
from device_fakes import PARAMETERS, FakeDriver
from test_nvidia_launch import artifact

from aecompiler import saved_kernel
from aecompiler.arrays import Argument
from aecompiler.backends.gpu import launch
from aecompiler.backends.nvidia.launch import CudaExecutable
from aecompiler.kernel import Kernel
from aecompiler.repeated_calls import RepeatedCalls

torch = pytest.importorskip("torch")

# ---- which calls are repeated ----

ARGUMENTS = [
    Argument("x", "tensor", ("N", "M"), "f32"),
    Argument("y", "tensor", ("N", "M"), "f32"),
    Argument("n", "scalar", (), "i32"),
    Argument("s", "scalar", (), "f32"),
]


class Recorder:
    """An executable that notes what is recorded, and which recorded calls are made."""

    def __init__(self, is_refused=False):
        self.is_refused = is_refused
        self.recorded, self.launched = [], []

    def record(self, arguments, results):
        self.recorded.append((list(arguments), list(results)))
        return None if self.is_refused else Recorded(self)


class Recorded:
    is_allowed = True

    def __init__(self, recorder):
        self.recorder = recorder

    def prepare(self, addresses):
        return Prepared(["new"], addresses) if self.is_allowed else None

    def launch(self, prepared):
        self.recorder.launched.append(prepared.addresses)


class Prepared:
    def __init__(self, results, addresses):
        self.results, self.addresses = results, addresses


def arguments(rows=3, n=4, s=0.5):
    return [torch.zeros(rows, 8), torch.zeros(rows, 8), n, s]


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def calls(recorder):
    return RepeatedCalls(ARGUMENTS, recorder)


def make(calls, values, out=None):
    """A call as a kernel makes it; whether it repeated an earlier one."""
    if calls(values, out) is not None:
        return True
    given = () if out is None else out if isinstance(out, tuple) else (out,)
    calls.note(values, values, given)
    return False


def test_the_third_call_is_the_first_that_repeats(calls, recorder):
    assert [make(calls, arguments()) for _ in range(4)] == [False, False, True, True]
    assert len(recorder.recorded) == 1


def test_a_repeated_call_gets_the_addresses_of_its_own_tensors(calls, recorder):
    for _ in range(2):
        make(calls, arguments())
    values, out = arguments(), torch.zeros(3, 8)
    assert calls(values, None) == ["new"]
    assert recorder.launched == [(values[0].data_ptr(), values[1].data_ptr())]
    for _ in range(2):
        make(calls, values, out)
    assert calls(values, out) == (out,)
    assert recorder.launched[-1] == (values[0].data_ptr(), values[1].data_ptr(), out.data_ptr())


def changed(**changes):
    values = arguments()
    for name, value in changes.items():
        values["xyns".index(name)] = value
    return values


@pytest.mark.parametrize(
    "others",
    [
        lambda: arguments(rows=4),
        lambda: changed(x=torch.zeros(8, 3).T),
        lambda: changed(x=torch.zeros(3, 8, dtype=torch.int32)),
        lambda: changed(x=torch.zeros(3, 8, device="meta")),
        lambda: changed(x=torch.nn.Parameter(torch.zeros(3, 8), requires_grad=False)),
        lambda: changed(x=torch.zeros(3, 8).to_sparse()),
        lambda: changed(x=torch.zeros(3, 8).numpy()),
        lambda: changed(x=torch.zeros(3, 8, requires_grad=True)),
        lambda: changed(x=torch.zeros(3, 8, dtype=torch.complex64).conj().imag),
        lambda: changed(x=None),
        lambda: arguments(n=5),
        lambda: arguments(n=4.0),
        lambda: arguments(n=torch.tensor(4)),
        lambda: arguments(s=0.25),
        lambda: arguments(s=1),
    ],
)
def test_calls_that_differ_are_not_repeated(calls, recorder, others):
    for _ in range(3):
        make(calls, arguments())
    assert calls(others(), None) is None
    assert len(recorder.launched) == 1


@pytest.mark.parametrize("out", [(), []])
def test_given_results_of_none_are_left_to_the_checks(calls, recorder, out):
    for _ in range(3):
        make(calls, arguments())
    assert calls(arguments(), out) is None


def test_zeros_of_both_signs_are_told_apart_and_nan_is_like_nan(calls):
    for _ in range(2):
        make(calls, arguments(s=0.0))
    assert not make(calls, arguments(s=-0.0))
    assert make(calls, arguments(s=0.0))
    assert [make(calls, arguments(s=float("nan"))) for _ in range(3)] == [False, False, True]


def test_true_is_not_one(calls):
    for _ in range(2):
        make(calls, arguments(n=1))
    assert not make(calls, arguments(n=True))
    assert make(calls, arguments(n=1))


def test_tensors_that_autograd_follows_are_looked_at_at_each_call(calls):
    x = torch.zeros(3, 8, requires_grad=True)
    with torch.no_grad():
        assert [make(calls, changed(x=x)) for _ in range(4)] == [False] * 4
    assert [make(calls, arguments(), x.detach().requires_grad_()) for _ in range(4)] == [False] * 4


def test_nothing_is_repeated_while_derivatives_are_followed_forward(calls):
    for _ in range(2):
        make(calls, arguments())
    with torch.autograd.forward_ad.dual_level():
        assert not make(calls, arguments())
    assert make(calls, arguments())


def test_tensors_of_transformations_are_looked_at_at_each_call(calls):
    for _ in range(2):
        make(calls, arguments())

    def call(x):
        assert not make(calls, changed(x=x))
        return x

    torch.func.vmap(call)(torch.zeros(5, 3, 8))


@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")
def test_fake_tensors_are_looked_at_at_each_call(calls):
    from torch._subclasses.fake_tensor import FakeTensorMode

    for _ in range(2):
        make(calls, arguments())
    with FakeTensorMode():
        fake = torch.zeros(3, 8)
    assert [make(calls, changed(x=fake)) for _ in range(2)] == [False] * 2


def test_a_given_result_is_noted_as_written_where_the_call_is_made(calls, recorder):
    out = torch.zeros(3, 8)
    for _ in range(2):
        make(calls, arguments(), out)
    before = out._version
    assert make(calls, arguments(), out)
    assert out._version == before + 1
    Recorded.is_allowed = False
    try:
        assert not make(calls, arguments(), out)
    finally:
        Recorded.is_allowed = True
    assert out._version == before + 1


def test_given_results_are_part_of_what_calls_have_in_common(calls):
    out = torch.zeros(3, 8)
    for _ in range(2):
        make(calls, arguments(), out)
    assert make(calls, arguments(), (out,))
    for other in (torch.zeros(8, 3).T, torch.zeros(3, 8, dtype=torch.int32), (out, out), "out"):
        assert calls(arguments(), other) is None
    assert calls(arguments(), None) is None
    with torch.inference_mode():
        made = torch.zeros(3, 8)
    assert calls(arguments(), made) is None


def test_what_can_not_be_recorded_is_asked_for_once(recorder):
    recorder.is_refused = True
    calls = RepeatedCalls(ARGUMENTS, recorder)
    assert [make(calls, arguments()) for _ in range(5)] == [False] * 5
    assert len(recorder.recorded) == 1


def test_want_of_memory_is_left_to_the_checks(calls, monkeypatch):
    class OutOfMemoryError(RuntimeError):
        """As torch has it."""

    def refuse(self, addresses):
        raise error

    for _ in range(2):
        make(calls, arguments())
    monkeypatch.setattr(Recorded, "prepare", refuse)
    error = OutOfMemoryError("tried to allocate 2 GiB")
    assert calls(arguments(), None) is None
    error = RuntimeError("anything else")
    with pytest.raises(RuntimeError, match="anything else"):
        calls(arguments(), None)


def test_few_calls_are_remembered(calls, recorder, monkeypatch):
    from aecompiler import repeated_calls

    monkeypatch.setattr(repeated_calls, "_MOST_CALLS", 3)
    for n in range(20):
        make(calls, arguments(n=n))
    assert len(calls._seen) == 3
    assert not recorder.recorded
    for n in range(20):
        make(calls, arguments(n=n))
        make(calls, arguments(n=n))
    assert len(calls._recorded) == 3


# ---- calls of kernels ----


class OnGpu(torch.Tensor):
    """A tensor that says that it is on a GPU."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    is_cuda = True
    device = torch.device("cuda", 0)

    def get_device(self):
        return 0


def on_gpu(*shape):
    return torch.zeros(shape).as_subclass(OnGpu)


class Backend:
    """A backend that has compiled something."""

    memory = "cuda"

    def __init__(self, found):
        self.found = found

    def load(self, made):
        return CudaExecutable(made, lambda: self.found)


class Agreeing:
    """Sizes that agree."""

    def check(self, actuals):
        assert actuals[0][0] == actuals[1][0]

    def result_shapes(self, actuals):
        return [actuals[0]]


def compiled(found, made):
    arguments, results = (
        tuple(
            Argument(
                each["name"],
                "scalar" if each["shape"] is None else "tensor",
                tuple(each["shape"] or ()),
                "f32",
            )
            for each in made.manifest["plan"][group]
        )
        for group in ("arguments", "results")
    )
    return Kernel("scale", arguments, results, Agreeing(), Backend(found), made, b"")


@pytest.fixture(params=["compiled", "saved"])
def kernel(request, monkeypatch):
    """A kernel, and the driver that it launches by."""
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *sizes, **_: empty(*sizes).as_subclass(OnGpu))
    monkeypatch.setattr(launch, "current_stream", lambda: lambda index: 40 + index)
    monkeypatch.setattr(launch, "empty_on", lambda index: lambda sizes, dtype: torch.empty(sizes))
    monkeypatch.setattr(saved_kernel, "CudaExecutable", lambda made: CudaExecutable(made, lambda: found))
    found = FakeDriver()
    made = artifact()
    return (compiled(found, made) if request.param == "compiled" else saved_kernel.SavedKernel(made)), found


@pytest.mark.parametrize("is_given", [False, True])
def test_all_calls_of_a_kernel_launch_with_their_own_tensors(kernel, is_given):
    run, found = kernel
    for rows in (3, 3, 3, 3, 4, 3, 4, 4, 4):
        x, y = on_gpu(rows, 8), on_gpu(rows, 2)
        result = run(x, y, 0.5, **({"out": on_gpu(rows, 8)} if is_given else {}))
        assert result.shape == (rows, 8)
        assert found.launches[-1][1] == (rows, 1, 1)
        assert found.values(PARAMETERS) == [x.data_ptr(), 8, result.data_ptr(), 8, rows, 0.5]
    assert len(found.launches) == 9
    assert len(run._repeated._recorded) == 2


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_checks_are_the_same_at_each_call(kernel, count):
    run, found = kernel
    x, y, out = on_gpu(3, 8), on_gpu(3, 2), on_gpu(3, 8)
    for _ in range(count):
        run(x, y, 0.5)
        run(x, y, 0.5, out=out)
    made = len(found.launches)
    wide, followed = torch.zeros(6, 8), on_gpu(3, 8).requires_grad_()
    first, second = (wide[n : n + 3].as_subclass(OnGpu) for n in (0, 2))
    for call, error, message in (
        (lambda: run(x, y, 0.5, out=x), ValueError, "does not overlap argument 'x'"),
        (lambda: run(first, y, 0.5, out=second), ValueError, "does not overlap argument 'x'"),
        (lambda: run(followed, y, 0.5), ValueError, "without gradient"),
        (lambda: run(x.as_subclass(torch.Tensor), y, 0.5), ValueError, "expects a tensor on a GPU"),
        (lambda: run(x.double().as_subclass(OnGpu), y, 0.5), TypeError, "expects dtype f32"),
        (lambda: run(y.numpy(), y, 0.5), TypeError, "expects a torch tensor on a GPU"),
        (lambda: run(x, y, "half"), TypeError, "expects a number"),
        (lambda: run(x, y), TypeError, "argument"),
    ):
        with pytest.raises(error, match=message):
            call()
    x.untyped_storage().resize_(0)
    with pytest.raises(ValueError, match="expects a tensor with data"):
        run(x, y, 0.5)
    assert len(found.launches) == made


def test_version_of_a_given_result_goes_up_at_each_call(kernel):
    run, _ = kernel
    x, y, out = on_gpu(3, 8), on_gpu(3, 2), on_gpu(3, 8)
    versions = [out._version]
    for _ in range(4):
        run(x, y, 0.5, out=out)
        versions.append(out._version)
    assert versions == sorted(set(versions))


def test_calls_without_tensors_are_not_repeated(kernel):
    from aecompiler import device_arrays

    assert device_arrays.repeated_calls([Argument("n", "scalar", (), "i32")], None) is None
