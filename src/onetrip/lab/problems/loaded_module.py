"""Run a problem's own Python files as modules, without touching the modules of this process."""

import ast
import importlib.abc
import re
import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import ModuleSpec

from onetrip.core.errors import DataError

_LATE_IMPORT = re.compile(r"^\s+(import|from)\s", re.MULTILINE)


class Modules:
    """Files of one problem, which import each other by their names.

    Parameters
    ----------
    files : "reference.py" -> its text.
    device : what the text "cuda" means in them: files written for a GPU then run on a CPU too.

    Examples
    --------
    >>> files = {"a.py": "DEVICE = 'cuda:0'", "b.py": "from a import DEVICE"}
    >>> Modules(files, "cpu").load("b.py").DEVICE
    'cpu'
    """

    def __init__(self, files: Mapping[str, str], device: str) -> None:
        self._files = dict(files)
        self._device = device
        self._loaded: dict[str, types.ModuleType] = {}
        # A function's own imports; the rest is done when the files are loaded.
        self._imports_late = any(_LATE_IMPORT.search(text) for text in files.values())

    def load(self, name: str) -> types.ModuleType:
        """The module of one file, run once."""
        stem = name.removesuffix(".py")
        if stem not in self._loaded:
            with self._importable():
                self._run(stem)
        return self._loaded[stem]

    @contextmanager
    def importable(self) -> Iterator[None]:
        """Let functions of these files import each other when they are called."""
        if not self._imports_late:
            yield
            return
        with self._importable():
            yield

    def _run(self, stem: str) -> types.ModuleType:
        source = self._files.get(f"{stem}.py")
        if source is None:
            raise DataError(f"The problem has no {stem}.py, which it imports.")
        module = types.ModuleType(stem)
        module.__file__ = f"{stem}.py"
        self._loaded[stem] = sys.modules[stem] = module
        tree = _on_device(source, f"{stem}.py", self._device)
        try:
            exec(compile(tree, f"{stem}.py", "exec"), module.__dict__)
        except BaseException:
            del self._loaded[stem]
            raise
        return module

    @contextmanager
    def _importable(self) -> Iterator[None]:
        stems = {name.removesuffix(".py") for name in self._files if name.endswith(".py")}
        hidden = {stem: sys.modules.pop(stem) for stem in stems if stem in sys.modules}
        sys.modules.update(self._loaded)
        finder = _Finder(self, stems)
        sys.meta_path.insert(0, finder)
        try:
            yield
        finally:
            sys.meta_path.remove(finder)
            for stem in stems:
                sys.modules.pop(stem, None)
            sys.modules.update(hidden)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds a problem's files before anything on the path."""

    def __init__(self, modules: Modules, stems: set[str]) -> None:
        self._modules = modules
        self._stems = stems

    def find_spec(self, fullname, path, target=None) -> ModuleSpec | None:
        if fullname not in self._stems:
            return None
        return ModuleSpec(fullname, _Loader(self._modules))


class _Loader(importlib.abc.Loader):
    def __init__(self, modules: Modules) -> None:
        self._modules = modules

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        return self._modules._run(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Done: `create_module` ran it, so that it is registered once, under one object."""


def _on_device(source: str, name: str, device: str) -> ast.Module:
    """The file's tree, where "cuda" reads `device`; `.cuda()` moves there too."""
    try:
        tree = ast.parse(source, name)
    except SyntaxError as error:
        raise DataError(f"{name} is not Python: {error}.") from error
    if device.startswith("cuda"):
        return tree
    return ast.fix_missing_locations(_Elsewhere(device).visit(tree))


class _Elsewhere(ast.NodeTransformer):
    def __init__(self, device: str) -> None:
        self._device = device

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if node.value in ("cuda", "cuda:0"):
            return ast.copy_location(ast.Constant(self._device), node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        called = node.func
        if isinstance(called, ast.Attribute) and called.attr == "cuda" and not node.args:
            moved = ast.Attribute(called.value, "to", ast.Load())
            return ast.copy_location(ast.Call(moved, [ast.Constant(self._device)], []), node)
        return node
