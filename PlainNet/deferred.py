"""Compiling by numba with LLVM run once: on a function that Python calls, with all that it calls inside.

numba optimises every function and makes machine code of it, and does both again in each function that it is linked into, from
level to level. Functions that only compiled code calls need neither: their code is optimised where it ends up.
"""

from __future__ import annotations

from typing import Any

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


class _Linked(JITCodeLibrary):
    """The code of a function as it was written down, with that of those it calls; neither optimised nor run."""

    @property
    def codegen(self) -> Any:
        """The code generator, without its engine."""
        return _NoEngine(self._codegen)

    def get_pointer_to_function(self, name: str) -> int:
        """No function is anywhere."""
        self._ensure_finalized()
        return 0

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=False, analysis_only=False)
class _Finish(LoweringPass):
    """Has the next pass write into a library of the usual kind."""

    _name = "gsnet_finish"

    def __init__(self) -> None:
        LoweringPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        """Done before the code is written down."""
        state.library = JITCodeLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return True


class Deferred(CompilerBase):
    """numba's compiler for the functions that Python calls, in a process that does nothing else."""

    def define_pipelines(self) -> list:
        """The usual passes. What is called is compiled while they run."""
        self.state.targetctx.codegen()._library_class = _Linked
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(_Finish, IRLegalization)
        passes.finalize()
        return [passes]
