"""The hand-written stub says what the binary holds: names, parameters, documented."""

import ast
import inspect
from pathlib import Path

import pytest

from helix_ray import _rust_gen

STUB = ast.parse(Path(_rust_gen.__file__).with_name("_rust_gen.pyi").read_text())


def parameters(function: ast.FunctionDef) -> list[str]:
    """Names of the parameters, without the instance or class."""
    return [argument.arg for argument in function.args.args if argument.arg not in {"self", "cls"}]


def in_binary(thing: object) -> list[str]:
    return [name for name in inspect.signature(thing).parameters if name != "self"]  # type: ignore[arg-type]


def classes() -> dict[str, ast.ClassDef]:
    return {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}


def test_the_same_names() -> None:
    stub = {node.name for node in STUB.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    stub |= {node.target.id for node in STUB.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    assert stub == {name for name in dir(_rust_gen) if not name.startswith("__")}


def test_the_same_functions() -> None:
    functions = [node for node in STUB.body if isinstance(node, ast.FunctionDef)]
    assert functions
    for function in functions:
        assert in_binary(getattr(_rust_gen, function.name)) == parameters(function)


@pytest.mark.parametrize("name", sorted(classes()))
def test_the_same_classes(name: str) -> None:
    found = getattr(_rust_gen, name)
    methods = {node.name: node for node in classes()[name].body if isinstance(node, ast.FunctionDef)}
    if issubclass(found, Exception):
        assert not methods
        return
    assert found.__text_signature__ == f"({', '.join(parameters(methods.pop('__new__')))})"
    assert methods.keys() == {entry for entry in dir(found) if not entry.startswith("__")}
    for method, node in methods.items():
        assert in_binary(getattr(found, method)) == parameters(node)


def test_everything_is_documented() -> None:
    functions = [node.name for node in STUB.body if isinstance(node, ast.FunctionDef)]
    for name in (*functions, *classes()):
        assert getattr(_rust_gen, name).__doc__
