"""What Triton and ptxas write, in the forms of several releases, as diagnostics at places in the program."""

from __future__ import annotations

import pytest

from aecompiler.backends.triton.complaints import Source, first_complaint, first_ptxas_complaint

TEXT = """\
#loc = loc("program.py":1:2)
#loc1 = loc("inner.py":3:4)
#loc2 = loc("outer.py":5:6)
#loc3 = loc(callsite(#loc1 at #loc2))
#loc4 = loc("name"(#loc3))
#loc5 = loc(#loc5)
"tt.a"() : () -> () loc(#loc4)
"tt.b"() : () -> () loc(fused["x.py":7:8, "y.py":9:9])
%0 = "tt.c"() : () -> i32
"tt.d"() : () -> () loc(#loc5)
"tt.e"() : () -> () loc("-":4:2)
"""
SOURCE = Source(TEXT, "/tmp/folder/kernel.ttir")
PTX = """\
.file 1 "." "program.py"
	.loc	1 7 3                           // program.py:7:3
	mov.b32 %r1, 1;
	nonsense %r1;
	.loc	1 8 1                           // program.py:8:1
	.loc	1 7 1                           // kernel.ttir:7:1
	more nonsense;
"""


def place(written: str) -> tuple:
    found = first_complaint(written, SOURCE)
    assert found is not None
    return found.file, found.line, found.column, found.message


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('loc("a.py":3:4): error: bad', ("a.py", 3, 4, "bad")),
        ('loc(callsite("a.py":3:4 at "b.py":5:6)): error: bad', ("a.py", 3, 4, "bad")),
        ('loc("dot"("a.py":3:4)): error: bad', ("a.py", 3, 4, "bad")),
        ("a.py:3:4: error: bad", ("a.py", 3, 4, "bad")),
        ("loc(unknown): error: bad", (None, None, None, "bad")),
        ("error: bad", (None, None, None, "bad")),
        ('loc("-":3:4): error: bad', (None, 3, 4, "bad")),
    ],
)
def test_each_form_of_location(written, expected):
    assert place(f"warning: before\n{written}\nnote: after\n") == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (7, ("inner.py", 3, 4, "bad")),
        (8, ("x.py", 7, 8, "bad")),
        (9, (None, None, None, 'bad: %0 = "tt.c"() : () -> i32')),
        (10, (None, None, None, 'bad: "tt.d"() : () -> ()')),
        (11, (None, 4, 2, "bad")),
        (99, (None, None, None, "bad")),
    ],
)
def test_position_in_the_text_becomes_that_of_its_line(line, expected):
    assert place(f"/tmp/folder/kernel.ttir:{line}:1: error: bad") == expected
    assert place(f'loc("/tmp/folder/kernel.ttir":{line}:1): error: bad') == expected


def test_first_of_several_complaints_counts_whatever_its_form():
    assert place('b.py:1:1: error: first\nloc("a.py":2:2): error: second\n') == ("b.py", 1, 1, "first")
    assert place('loc("a.py":2:2): error: first\nb.py:1:1: error: second\n') == ("a.py", 2, 2, "first")


def test_operation_that_the_complaint_holds_is_not_quoted_again():
    written = '/tmp/folder/kernel.ttir:9:1: error: illegal: %5 = "tt.c"() : () -> i32'
    assert place(written) == (None, None, None, 'illegal: %5 = "tt.c"() : () -> i32')


def test_text_without_an_error_holds_no_complaint():
    assert first_complaint("remark: all is well\n", SOURCE) is None


def test_complaint_of_ptxas_is_at_the_location_above_its_line():
    written = "ptxas /tmp/x.ptx, line 4; error   : Not a name: 'nonsense'\nptxas fatal   : aborted\n"
    found = first_ptxas_complaint(written, PTX, SOURCE)
    assert (found.file, found.line, found.column) == ("program.py", 7, 3)
    assert found.message == "Not a name: 'nonsense': nonsense %r1;"


def test_location_of_ptx_in_the_text_becomes_that_of_its_line():
    written = "ptxas-blackwell /tmp/x.ptx, line 7; error   : bad\n"
    found = first_ptxas_complaint(written, PTX, SOURCE)
    assert (found.file, found.line, found.column) == ("inner.py", 3, 4)


def test_complaint_of_ptxas_without_a_line():
    assert first_ptxas_complaint("ptxas fatal   : No memory\n", PTX, SOURCE).message == "No memory"
    assert first_ptxas_complaint("Segmentation fault\n", PTX, SOURCE).message == "Segmentation fault"


def test_long_complaint_is_cut():
    assert len(place(f"error: {'x' * 10_000}")[3]) < 200
