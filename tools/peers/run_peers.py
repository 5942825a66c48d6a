"""The programs that run.py measures beside Sinew: their cases, commands, and what they need."""

import os
import shutil
from pathlib import Path

from peers import output_of, run_quiet

HERE = Path(__file__).resolve().parent
COMPILE = {"pytorch-default": "default", "pytorch-max-autotune": "max-autotune-no-cudagraphs"}
PYTORCH = {"pytorch-eager": "eager", "pytorch-csr": "csr", **COMPILE}
PEERS = (*PYTORCH, "jax", "eigen")


def cases_of(quick):
    sizes = ["8x8-d6-k8-b256", "16x16-d8-k8-b256", "16x16-d8-k32-b256", "64x64-d8-k8-b1024"]
    layers = ["16x16-k8-b256", "64x64-k8-b1024"]
    if quick:
        sizes, layers = ["4x4-d1-k3-b2"], ["4x4-k3-b2"]
    ops = [f"geo_linear-{layer}" for layer in layers] + ["sine", "rms_norm"]
    return ([f"step/{model}-{size}" for model in ("geo_sparse", "dense_relu") for size in sizes]
            + [f"op/{op}/{part}" for op in ops for part in ("forward", "gradient")]
            + ["op/adam_update"])


def cases_for(peer, cases):
    """Those that the peer has."""
    if peer == "eigen":
        return [c for c in cases if c.startswith("op/geo_linear")]
    if peer == "pytorch-csr":
        return [c for c in cases if c.startswith("op/geo_linear") and c.endswith("/forward")]
    return [c for c in cases if peer not in COMPILE or c != "op/adam_update"]


class Programs:
    def __init__(self, arguments, folder, note):
        self.arguments, self.folder, self.note = arguments, Path(folder), note
        self.eigen, self.compiler, self.known = self.folder / "eigen_sparse", None, {}
        self.variables = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads),
                          "PYTHONDONTWRITEBYTECODE": "1", "JAX_PLATFORMS": "cpu"}

    def command(self, peer, cases, *flags):
        quick = ["--quick"] if self.arguments.quick else []
        common = ["--seconds", str(self.arguments.seconds), "--limit", str(self.arguments.prepare)]
        if peer == "eigen":
            return [str(self.eigen), str(self.arguments.seconds), *cases]
        if peer == "jax":
            return [self.arguments.jax_python, str(HERE / "jax_bench.py"), *common, *quick, *flags,
                    *cases]
        return [self.arguments.python, str(HERE / "pytorch_bench.py"), "--device", "cpu", "--mode",
                PYTORCH[peer], "--threads", str(self.arguments.threads), *common, *quick, *flags,
                *cases]

    def missing(self, peer):
        """Why a peer cannot be measured, None if it can be."""
        need = "torch" if peer.startswith("pytorch") else peer
        if need not in self.known:
            self.known[need] = {"torch": lambda: self.imports(self.arguments.python, "torch"),
                                "jax": self.check_jax, "eigen": self.build_eigen}[need]()
        return self.known[need]

    def imports(self, python, module):
        error = run_quiet([python, "-c", f"import numpy, {module}"], 120, self.variables)[1]
        return error and f"{python} has no {module} and numpy ({error})"

    def build_eigen(self):
        """Compiles eigen_sparse.cpp with the compiler found."""
        compiler = next(filter(shutil.which, (os.environ.get("CXX", ""), "c++", "g++", "clang++")),
                        None)
        if not compiler:
            return "no C++ compiler"
        flags = (output_of("pkg-config", "--cflags", "eigen3") or "-I/usr/include/eigen3").split()
        _, error = run_quiet([compiler, "-std=c++17", "-O3", "-march=native", "-fopenmp",
                              "-DNDEBUG", "-w", *flags, str(HERE / "eigen_sparse.cpp"), "-o",
                              str(self.eigen)], 300)
        self.compiler = f"{compiler} {output_of(compiler, '-dumpfullversion', '-dumpversion')}"
        return error

    def check_jax(self):
        """JAX has to compute what PyTorch does, where there is PyTorch."""
        if error := self.imports(self.arguments.jax_python, "jax"):
            return error
        file = str(self.folder / "case.npz")
        _, error = run_quiet([self.arguments.python, str(HERE / "pytorch_bench.py"), "--export",
                              file], 120, self.variables)
        if error:
            self.note(f"jax: not checked against PyTorch ({error})")
            return None
        _, error = run_quiet([self.arguments.jax_python, str(HERE / "jax_bench.py"), "--verify",
                              file], 120, self.variables)
        return error and f"its network is another than PyTorch's ({error})"
