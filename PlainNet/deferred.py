"""Compiling by numba with LLVM run once: on a function that Python calls, with all that it calls inside.

numba optimises every function and makes machine code of it, and links and does both again in each function that calls it, from
level to level. Functions that only compiled code calls need neither: their code is linked and optimised where it ends up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite.binding import Linkage
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import LoweringPass, register_pass
from numba.core.typed_passes import IRLegalization


class _NoEngine:
    """A code generator whose functions are nowhere in memory."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator, name)

    def set_env(self, name: str, environment: object) -> None:
        """There is nothing to be set."""


class _Unlinked(JITCodeLibrary):
    """The code of a function as it was written down, beside that of those it calls; neither optimised as a whole nor run."""

    @property
    def codegen(self) -> Any:
        """The code generator, without its engine."""
        return _NoEngine(self._codegen)

    def get_pointer_to_function(self, name: str) -> int:
        """No function is anywhere."""
        self._ensure_finalized()
        return 0

    def finalize(self) -> None:
        """Have the code ready to be linked into a `_Whole`; a function that is put into all that call it is left out there."""
        self._raise_if_finalized()
        for library in self._linking_libraries:
            self._reload_init.update(library._reload_init)
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == Linkage.external:
                function.linkage = Linkage.linkonce_odr
        self._finalize_dynamic_globals()
        self._shared_module = self._final_module
        self._finalized = True


class _Whole(JITCodeLibrary):
    """A function that Python calls, with all that it calls inside."""

    def finalize(self) -> None:
        """Link, optimise and make machine code of all, once."""
        self._linking_libraries = _callers_first(self._linking_libraries)
        super().finalize()


def _callers_first(libraries: Sequence[Any]) -> list:
    """Libraries and all that they need, each once and behind those that need it: what nobody needs yet is not linked."""
    found: dict[Any, None] = {}

    def add(library: Any) -> None:
        if library in found:
            return
        if isinstance(library, _Unlinked):
            for needed in library._linking_libraries:
                add(needed)
        found[library] = None

    for library in libraries:
        add(library)
    return list(reversed(found))


@register_pass(mutates_CFG=False, analysis_only=False)
class _Finish(LoweringPass):
    """Has the next pass write into a library of the usual kind."""

    _name = "gsnet_finish"

    def __init__(self) -> None:
        LoweringPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        """Done before the code is written down."""
        state.library = _Whole(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return True


class Deferred(CompilerBase):
    """numba's compiler for the functions that Python calls, in a process that does nothing else."""

    def define_pipelines(self) -> list:
        """The usual passes. What is called is compiled while they run."""
        self.state.targetctx.codegen()._library_class = _Unlinked
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(_Finish, IRLegalization)
        passes.finalize()
        return [passes]
