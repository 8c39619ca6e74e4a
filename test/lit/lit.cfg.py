"""The lit suite: `lit -v test/lit` from the root of the repository.

A tool is looked up in this order: environment variable (AECOMPILER_<TOOL>), beside the interpreter, PATH.
"""

# ruff: noqa: F821  (lit provides `config` and `lit_config`)
import importlib.util
import os
import shlex
import shutil
import sys

import lit.formats

HERE = os.path.dirname(os.path.abspath(__file__))

config.name = "aecompiler"
config.test_format = lit.formats.ShTest(execute_external=False)  # lit's own shell: it has `not`
config.suffixes = [".mlir", ".py"]
config.excludes = ["lit.cfg.py", "Inputs"]
config.test_source_root = HERE
config.test_exec_root = os.environ.get("LIT_EXEC_ROOT", os.path.join(HERE, "Output"))


def find_tool(variable: str, *names: str) -> str:
    """The path of the first of `names` that is found; fatal when there is none."""
    if path := os.environ.get(variable):
        return path
    for name in names:
        for where in (os.path.dirname(sys.executable), None):
            if path := shutil.which(name, path=where):
                return path
    lit_config.fatal(f"none of {', '.join(names)} found: install it, or set {variable}")
    raise AssertionError


filecheck = find_tool("AECOMPILER_FILECHECK", "FileCheck", "filecheck")
if os.path.basename(filecheck).startswith("FileCheck"):
    config.available_features.add("llvm-filecheck")  # numeric substitutions, for example
if importlib.util.find_spec("triton"):
    config.available_features.add("triton")
if path := os.environ.get("PYTHONPATH"):  # else another checkout may be tested than the one at hand
    config.environment["PYTHONPATH"] = path
# Variables without `$` do not leak from one CHECK-LABEL block into the next.
config.environment["FILECHECK_OPTS"] = "--enable-var-scope"

config.substitutions += [(r"\bFileCheck\b", shlex.quote(filecheck)), ("%PYTHON", shlex.quote(sys.executable))]
for tool in ("aec-opt", "aec-run", "aec-bench", "aec-translate"):
    path = find_tool(f"AECOMPILER_{tool.removeprefix('aec-').upper()}", tool)
    config.substitutions.append((rf"\b{tool}(?=\s)", shlex.quote(path)))

config.environment["AECOMPILER_CACHE"] = "0"  # kernels are compiled anew
for name in ("HOME", "TMPDIR"):
    if name in os.environ:
        config.environment[name] = os.environ[name]
