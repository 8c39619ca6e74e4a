"""aec-run --plot-mask: the tiles of a call's masks, and the picture of them."""

import sys

import numpy as np
import pytest

import aecompiler as aec
from aecompiler import masks
from aecompiler.tools import mask_plot
from aecompiler.tools import run as aec_run

PROGRAM = """
import aecompiler as aec
from aecompiler import masks

x = aec.tensor("B", 2, "S", 4)


@aec.program(q=x, n=aec.tensor("B", dtype="i32"))
def prefix(q, n):
    return aec.attention(q, q, q, mask=masks.prefix_lm(n))


@aec.program(q=x)
def none(q):
    return q + q
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "model.py"
    path.write_text(PROGRAM)
    return path


def random(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def test_tiles_follow_what_the_mask_reads():
    x = aec.tensor("B", 2, "S", 4)

    @aec.program(q=x, n=aec.tensor("B", dtype="i32"), d=aec.tensor("S", dtype="i32"))
    def twice(q, n, d):
        first = aec.attention(q, q, q, mask=masks.prefix_lm(n))
        return aec.attention(first, q, q, mask=masks.document(d) & masks.causal())

    kernel = aec.compile(twice, opt_level=0)
    documents = np.repeat([3, 7], [8, 4]).astype(np.int32)
    found = mask_plot.mask_tiles(kernel, [random(1, 2, 12, 4), np.array([6], np.int32), documents], 4, 4)
    letters = {"full": "#", "partial": "+", "empty": "."}
    expected = [["#+.", "#+.", "##+"], ["+..", "#+.", "..+"]]
    drawn = [["".join(letters[kind] for kind in line) for line in tiles.grid] for tiles in found]
    assert drawn == expected


def test_picture_is_written(program, tmp_path, capfd):
    pytest.importorskip("matplotlib")
    path = tmp_path / "mask.png"
    status = aec_run.main(
        [f"{program}:prefix", "--dim=B=1", "--dim=S=20", f"--plot-mask={path}", "--plot-tile=4x8"]
    )
    assert (status, capfd.readouterr().err) == (0, "")
    assert path.read_bytes().startswith(b"\x89PNG")


def refuses(capfd, message, *flags):
    assert aec_run.main(list(flags)) == 2
    assert message in capfd.readouterr().err


def test_without_matplotlib_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(mask_plot.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(mask_plot.UsageError, match=r"^--plot-mask needs matplotlib: pip install"):
        mask_plot.check_plot(str(tmp_path / "mask.png"))


def test_other_files_are_refused(program, capfd):
    refuses(
        capfd,
        "--plot-mask expects a file ending in .png, got 'mask.pdf'",
        f"{program}:prefix",
        "--plot-mask=mask.pdf",
    )


@pytest.mark.parametrize("tile", ["64", "0x4", "1x2x3"])
def test_tiles_of_no_rows_or_keys_are_refused(program, tmp_path, capfd, tile):
    refuses(
        capfd,
        f"--plot-tile expects ROWSxKEYS, each at least 1, got '{tile}'",
        f"{program}:prefix",
        f"--plot-mask={tmp_path}/m.png",
        f"--plot-tile={tile}",
    )


def test_flags_that_do_nothing_are_refused(program, capfd):
    refuses(capfd, "--plot-tile expects --plot-mask beside it", f"{program}:prefix", "--plot-tile=4x4")
    refuses(
        capfd, "--mlir and --plot-mask exclude each other", f"{program}:prefix", "--mlir", "--plot-mask=m.png"
    )


def test_programs_without_attention_have_no_mask(program):
    sys.path.insert(0, str(program.parent))
    try:
        import model

        kernel = aec.compile(model.none, opt_level=0)
    finally:
        sys.path.remove(str(program.parent))
        sys.modules.pop("model", None)
    with pytest.raises(
        mask_plot.UsageError, match=r"^--plot-mask: the program has no attention with a mask$"
    ):
        mask_plot.mask_tiles(kernel, [random(1, 2, 3, 4)], 4, 4)
