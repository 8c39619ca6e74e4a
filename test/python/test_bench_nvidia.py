"""The benchmarks of GPUs without a GPU: pairs, references, formulas of peers, processes, the table."""

from __future__ import annotations

import dataclasses
import json
import time

import pytest
from bench_files import load
from child_work import act, leave_file, never, own_process

from aecompiler import arrays
from aecompiler.backends.nvidia.timing import interleaved_medians
from aecompiler.reference.evaluate import evaluate
from aecompiler.tools import bench_peers
from aecompiler.tools.bench_children import Failure, all_in_children, each_in_child
from aecompiler.tools.bench_cuda import row_error
from aecompiler.tools.bench_table import geometric_mean, table

torch = pytest.importorskip("torch")


peers, nvidia = load("nvidia_peers"), load("nvidia_cases")
LENGTH = 300


def setting(name, **changes):
    return nvidia.Setting(name, **{"batch": 2, "heads": 4, "length": LENGTH, "features": 16, **changes})


SHAPES = [
    *(pytest.param(setting(name), id=name) for name in nvidia.VARIANTS),
    pytest.param(setting("causal", kv_heads=2), id="grouped"),
    pytest.param(setting("causal", value_features=32), id="unequal"),
    pytest.param(setting("full", kv_heads=2, queries=3), id="few"),
]


@pytest.fixture
def small_window(monkeypatch):
    monkeypatch.setattr(nvidia, "WINDOW", 64)


# ---- the cases ---------------------------------------------------------------------------------------


def test_cases_have_names_of_their_own():
    keys = [each.key for each in nvidia.all_settings()]
    assert len(set(keys)) == len(keys)


def test_softmax_cases_have_16k_tokens_and_2048_features():
    for each in nvidia.all_settings()[:18]:
        assert (each.batch * each.length, each.heads * each.features) == (16384, 2048)


@pytest.mark.parametrize("length", [1, 13, 100, 1500])
@pytest.mark.parametrize("name", nvidia.VARIANTS)
def test_pairs_are_those_of_the_mask(name, length):
    each = setting(name, length=length)
    extra = each.variant.make_extra(each) if each.variant.make_extra else None
    i, j = torch.arange(length)[:, None], torch.arange(length)[None, :]
    kept = each.variant.keep(1, 0, i, j, extra) if each.variant.keep else torch.ones(length, length)
    assert each.variant.pairs(length) == int(kept.sum())


def test_flops_count_both_products_of_all_heads():
    each = setting("full", features=16, value_features=8)
    assert each.flops == 2 * (2 * 4 * LENGTH**2) * (16 + 8)


def test_flops_of_few_queries_are_those_of_all_keys():
    each = setting("full", features=16, value_features=8, queries=3)
    assert each.flops == 2 * (2 * 4 * 3 * LENGTH) * (16 + 8)


def test_documents_fill_the_sequence_unevenly():
    lengths = nvidia.document_lengths(8192)
    assert (len(lengths), sum(lengths)) == (12, 8192)
    assert max(lengths) > 10 * min(lengths) > 0


@pytest.mark.parametrize("each", SHAPES)
def test_reference_is_what_the_program_says(each, small_window, monkeypatch):
    monkeypatch.setattr(nvidia, "BLOCK_SCORES", 77 * LENGTH)  # blocks of 77 rows
    inputs = nvidia.make_inputs(each, "cpu")
    program = nvidia.build(each)
    (expected,) = evaluate(program.module.body.operations[0], [arrays.to_numpy(x) for x in inputs.values()])
    found = nvidia.reference(each, inputs)
    assert row_error(found, torch.from_numpy(expected)) < 1e-6  # some scalars of programs are of f32


@pytest.mark.parametrize("each", [p for p in SHAPES if peers.CUDNN not in p.values[0].peers])
def test_formula_of_peer_agrees_with_reference(each, small_window, monkeypatch):
    monkeypatch.setattr(peers, "compiled", lambda function, *args: lambda: function(*args))
    inputs = nvidia.make_inputs(each, "cpu")
    (name,) = each.peers
    found = peers.PEERS[name](each, inputs)()
    assert row_error(found, nvidia.reference(each, inputs)) <= bench_peers.PEER_TOLERANCE


def test_each_program_is_compiled_ahead_once():
    cases = [setting("causal"), setting("causal", length=77), setting("sink", beside_plain=True)]
    assert bench_peers._ahead(cases) == [(cases[0], 0), (cases[2], 0)]


# ---- checking and timing -----------------------------------------------------------------------------


def test_row_error_sees_a_small_row():
    expected = torch.ones(1, 1, 4, 8, dtype=torch.float64)
    expected[..., 3, :] = 0.01
    output = expected.clone()
    output[..., 3, 5] = 0.02
    assert row_error(output, expected) == pytest.approx(1.0)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_row_error_of_what_is_not_finite_is_infinite(wrong):
    expected = torch.ones(2, 2, 4, 8, dtype=torch.float64)
    output = expected.to(torch.bfloat16)
    output[1, 1, 2, 3] = wrong
    assert row_error(output, expected) == float("inf")


def test_row_error_refuses_another_shape():
    with pytest.raises(ValueError, match=r"expects a result of shape \(1, 1, 4, 8\), got \(1, 1, 3, 8\)"):
        row_error(torch.ones(1, 1, 3, 8), torch.ones(1, 1, 4, 8))


def test_calls_take_turns_and_medians_are_of_one_call():
    order, durations = [], {"a": 2.0, "b": 0.01}

    def batch_ms(call, count):
        order.append((call(), count))
        return durations[call()] * count

    found = interleaved_medians({"a": lambda: "a", "b": lambda: "b"}, 3, batch_ms)
    assert found == pytest.approx(durations)
    assert order[4:] == [("a", 6), ("b", 200)] * 3


@pytest.fixture
def on_the_cpu(monkeypatch):
    """Cases run on the CPU, where each call takes two milliseconds."""
    monkeypatch.setattr(bench_peers, "TARGET", "cpu")
    monkeypatch.setattr(bench_peers, "event_batch_ms", lambda call, count: count * 2.0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "none")
    monkeypatch.setattr(peers, "compiled", lambda function, *args: lambda: function(*args))
    make = nvidia.make_inputs
    monkeypatch.setattr(nvidia, "make_inputs", lambda each, device: make(each, "cpu"))


def test_case_is_checked_and_timed_beside_its_peer_and_the_plain_kernel(on_the_cpu):
    each = setting("documents", beside_plain=True)
    found = bench_peers.measure(each, 2, [peers.FLEX])
    assert found.failed is None
    assert 0 < found.error <= found.tolerance
    assert (found.ms, found.tflops) == (2.0, pytest.approx(each.flops / 2e9))
    assert found.peers[peers.FLEX]["ratio"] == 1.0
    assert found.cost == pytest.approx(each.plain().flops / each.flops)


def test_wrong_result_is_not_timed_and_the_peer_is(on_the_cpu, monkeypatch):
    job = setting("causal").prepare()
    other = dataclasses.replace(job, program=nvidia.build(setting("full")))
    monkeypatch.setattr(nvidia.Setting, "prepare", lambda self: other)
    found = bench_peers.measure(setting("causal"), 2, [peers.FLEX])
    assert found.failed.startswith("WrongResultError: off by ")
    assert (found.ms, found.cost) == (None, None)
    assert found.error > found.tolerance
    assert found.peers[peers.FLEX]["ms"] == 2.0
    assert "ratio" not in found.peers[peers.FLEX]


def test_peer_that_fails_is_named_with_its_error(on_the_cpu, monkeypatch):
    def broken(setting, inputs):
        raise RuntimeError("no kernel\nfor this")

    monkeypatch.setitem(peers.PEERS, peers.FLEX, broken)
    found = bench_peers.measure(setting("window"), 2, [peers.FLEX])
    assert found.failed is None
    assert found.ms == 2.0
    assert found.peers == {peers.FLEX: {"failed": "RuntimeError: no kernel for this"}}


# ---- processes ---------------------------------------------------------------------------------------


def test_crash_and_hang_are_reported_and_the_rest_runs():
    items = ["a", "crash", "b", "hang", "raise", "exit", "c"]
    found = list(each_in_child(act, items, limit_s=3.0))
    assert found == [
        "a",
        Failure("the process ended with status -9"),
        "b",
        Failure("no answer within 3 s"),
        Failure("ValueError: no"),
        Failure("the process ended with status 0"),
        "c",
    ]


def test_process_that_is_of_no_use_any_more_is_replaced():
    found = list(each_in_child(own_process, [1, 2], limit_s=60.0, is_usable=never))
    assert len(set(found)) == 2


def test_items_for_which_no_time_is_left_are_reported():
    found = list(each_in_child(act, ["a", "b"], limit_s=60.0, end=time.monotonic() - 1))
    assert found == [Failure("not run: no time left")] * 2


def test_work_in_many_processes_is_done(tmp_path):
    paths = [tmp_path / f"{n}" for n in range(3)]
    all_in_children(leave_file, paths, limit_s=60.0)
    assert all(path.exists() for path in paths)


def test_crash_of_one_of_many_processes_is_no_error(tmp_path):
    all_in_children(leave_file, [tmp_path / "crash"], limit_s=60.0)


# ---- results -----------------------------------------------------------------------------------------


def result(case, **changes):
    return {**dataclasses.asdict(bench_peers.Measured(case)), **changes}


def test_table_has_all_numbers_and_names_failures():
    good = {"ms": 1.5, "ratio": 1.5}
    text = table(
        [
            result("a", ms=1.0, tflops=600.4, error=2e-3, cost=1.25, peers={"cudnn": good}),
            result("b", ms=2.0, tflops=300.0, error=1e-3, peers={"cudnn": {"ms": 1.0, "ratio": 0.5}}),
            result("c", failed="WrongResultError: off", peers={"flex": {"failed": "RuntimeError: no"}}),
        ],
        ["cudnn", "flex"],
    )
    assert text.splitlines() == [
        "| case | ms | TFLOP/s | cudnn, ms | ratio | flex, ms | ratio | cost | largest error |",
        "|---|---|---|---|---|---|---|---|---|",
        "| a | 1.000 | 600 | 1.500 | 1.50 |  |  | 1.25 | 2.0e-03 |",
        "| b | 2.000 | 300 | 1.000 | 0.50 |  |  |  | 1.0e-03 |",
        "| c | failed |  |  |  | failed |  |  |  |",
        "",
        "beside cudnn: geometric mean 0.866 of 2 cases, least 0.500 (b)",
        "",
        "c: WrongResultError: off",
        "c: flex: RuntimeError: no",
    ]


def test_geometric_mean():
    assert geometric_mean([0.5, 2.0, 8.0]) == pytest.approx(2.0)


# ---- the command -------------------------------------------------------------------------------------


def command(*argv):
    return bench_peers.run(nvidia.all_settings(), peers.PEERS, "nvidia.jsonl", argv)


def test_list_prints_chosen_cases_and_their_peers(capsys):
    assert command("--list", "--case", "^(sigmoid|full/B1x.*D256)") == 0
    assert capsys.readouterr().out.splitlines() == [
        "full/B1xH8xS16384xD256  (cudnn, flex)",
        "sigmoid/B2xH16xS8192xD128  (compile)",
        "sigmoid/B4xH16xS4096xD128  (compile)",
    ]


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--peers", "cudnn,fa4"], "no peer 'fa4' (peers: cudnn, flex, compile)"),
        (["--case", "("], "no regular expression: "),
        (["--rounds", "0"], "expects 1 or more"),
    ],
)
def test_mistakes_are_usage_errors(argv, text, capsys):
    with pytest.raises(SystemExit) as caught:
        command(*argv)
    assert caught.value.code == 2
    assert text in capsys.readouterr().err


def test_machine_without_gpu_is_refused(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    file = tmp_path / "out.jsonl"
    assert command("--out", str(file)) == 2
    assert capsys.readouterr().err == "expects a GPU that torch can use\n"
    assert not file.exists()


def test_results_are_flushed_as_they_come(tmp_path, monkeypatch, capsys):
    file = tmp_path / "out.jsonl"

    def in_turn(work, cases, **_):
        yield bench_peers.Measured(cases[0].key, ms=1.0, tflops=2.0, error=float("inf"))
        assert [json.loads(line)["error"] for line in file.read_text().splitlines()] == [None]
        yield Failure("no answer within 60 s")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(bench_peers, "all_in_children", lambda *_, **__: None)
    monkeypatch.setattr(bench_peers, "each_in_child", in_turn)
    assert command("--case", "^(sigmoid|relu)/B4", "--out", str(file)) == 1
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["failed"] for line in lines] == [None, "no answer within 60 s"]
    assert "no answer within 60 s" in capsys.readouterr().out
