"""`aec.compile`: what it takes, what its kernels are like, and how it refuses."""

import pytest
from kernels import NAMED, random

import aecompiler as aec
from aecompiler.backends import base
from aecompiler.bindings import ir
from aecompiler.dialect import make_context


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


def test_name_that_is_no_text_is_refused_at_its_place():
    text = 'func.func @"\\FF"(%x: tensor<4xf32>) -> tensor<4xf32> { return %x : tensor<4xf32> }'
    with pytest.raises(
        aec.CompileError, match=r"1:1: error: 'func\.func' op unsupported: a name that is no UTF-8"
    ):
        aec.compile(text)


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
    with pytest.raises(aec.BackendError, match=r"unknown target 'abacus' \(targets: amd:\*, cpu"):
        aec.compile(NAMED, target="abacus")
    for target in (None, 3):
        with pytest.raises(TypeError, match=f"expects the name of a target, got {target} of type"):
            aec.compile(NAMED, target=target)
    options = "block_q, block_kv, chunk, direct, threads, opt_level"
    with pytest.raises(TypeError, match=rf"unknown option 'blok_q' \(options: {options}\)"):
        aec.compile(NAMED, blok_q=3)
    for value, kind in (("32", "str"), (2.5, "float"), (True, "bool"), (None, "NoneType")):
        with pytest.raises(TypeError, match=f"expects block_q to be of type int, got .* of type {kind}"):
            aec.compile(NAMED, block_q=value)
    with pytest.raises(ValueError, match=r"expects block_q to be 1 to 4096, or 0 to choose, got 10{9}"):
        aec.compile(NAMED, block_q=10**9)
    with pytest.raises(ValueError, match="expects block_q to be 1 to 4096, or 0 to choose, got -1"):
        aec.compile(NAMED, block_q=-1)
    with pytest.raises(ValueError, match="expects opt_level to be 0, 1, 2 or 3, or -1 to choose, got 4"):
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
    message = "4:12: error: 'tensor.empty' op unsupported: a size that does not follow from the arguments"
    with pytest.raises(aec.CompileError, match=message):
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


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ("attn.name = true", "expects 'attn.name' to be a string, got true"),
        ("attn.dims = 3 : i64", "expects 'attn.dims' to be an array of strings, got 3 : i64"),
        ('attn.dims = ["N", 1 : i64]', "expects 'attn.dims' to be an array of strings, got "),
    ],
)
def test_names_that_are_no_strings_are_refused(attributes, message):
    text = f"""
      func.func @f(%x: tensor<?x?xf32> {{{attributes}}}) -> tensor<?x?xf32> {{
        return %x : tensor<?x?xf32>
      }}"""
    with pytest.raises(aec.CompileError, match=message):
        aec.compile(text)
