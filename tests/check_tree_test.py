"""Plants violations of the tree's rules and expects check_tree and check_symbols to find each."""
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(ROOT, "tools"))
sys.dont_write_bytecode = True
import check_symbols  # noqa: E402
import check_tree  # noqa: E402

OPS = """#pragma once
#include "sinew/tensor.h"
namespace sinew {
// --- a heading ---
// The sum.
Tensor add(const Tensor& a,
           const Tensor& b);
Tensor sub(const Tensor& a);  // the difference
}
"""
CLEAN = {
    "include/sinew/dtype.h": "#pragma once\n#include <cstdint>\n",
    "include/sinew/tensor.h": '#pragma once\n#include <vector>\n#include "sinew/dtype.h"\n',
    "include/sinew/ops.h": OPS,
    "src/core/exec.h": '#pragma once\n#include "sinew/dtype.h"\n',
    "src/core/vec.h": '#include <xsimd/xsimd.hpp>\n#include "core/exec.h"\n',
    "src/core/tape.cpp": '#include "sinew/ops.h"\n',
    "src/ops/add.h": '#include "core/exec.h"\n',
    "src/ops/add.cpp": '#include "ops/add.h"\n#include "sinew/ops.h"\n',
    "src/ops/add.cpu.cpp": '#include "ops/add.h"\n#include <Eigen/Core>\n#include "core/vec.h"\n',
    "src/ops/add.cu": '#include "ops/add.h"\n#include "cuda/cuda.h"\n',
    "src/cuda/cuda.h": '#include "cuda/emulate/kernel.h"\n#include <cuda_runtime.h>\n',
    "src/cuda/emulate/kernel.h": "#include <cstdint>\n",
    "src/cuda/emulate/grid.cpp": '#include <vector>\n#include "cuda/emulate/kernel.h"\n',
    "src/nn/io.cpp": '#include <nlohmann/json.hpp>\n#include "sinew/ops.h"\n',
    "tools/flags.cpp": "#include <CLI/CLI.hpp>\n",
    "tools/main.cpp": '#include <nlohmann/json.hpp>\n#include "sinew/ops.h"\n',
    "examples/digits.cpp": "#include <CLI/CLI.hpp>\n",
    "tests/ops.cpp": '#include <doctest/doctest.h>\n#include "core/exec.h"\nadd(); sub();\n',
    "README.md": "cd src/work/x; see https://example.org/home/page\n",
}
PLANTED = [  # (path, text, part of the finding)
    ("include/sinew/dtype.h", '#include "sinew/tensor.h"\n', "layer base includes"),
    ("include/sinew/dtype.h", "#include <unistd.h>\n", "not a standard header"),
    ("include/sinew/tensor.h", '#include "sinew/ops.h"\n', "layer tensor includes"),
    ("include/sinew/tensor.h", '#include "core/exec.h"\n', "public headers only"),
    ("include/sinew/nn.h", "#include <nlohmann/json.hpp>\n", "does not belong here"),
    ("src/core/pool.cpp", '#include "sinew/ops.h"\n', "layer tensor includes"),
    ("src/core/pool.cpp", "#include <cuda_runtime.h>\n", "does not belong here"),
    ("src/core/exec.h", "#include <functional>\n", "a kernel does not include"),
    ("src/ops/add.cpp", "#include <Eigen/Core>\n", "does not belong here"),
    ("src/ops/add.h", '#include "sinew/tensor.h"\n', "layer kernels includes"),
    ("src/ops/sub.cpu.cpp", '#include "ops/add.h"\n', "its own header only"),
    ("src/ops/sub.cpu.cpp", "#include <vector>\n", "a kernel does not include"),
    ("src/ops/sub.cu", '#include "core/vec.h"\n', "reads xsimd/xsimd.hpp through"),
    ("src/ops/sub.cu", '#include "cuda/emulate/kernel.h"\n', "its own header only"),
    ("src/ops/sub.cpp", '#include "cuda/cuda.h"\n', "the CUDA runtime is for .cu files"),
    ("src/cuda/emulate/kernel.h", "#include <vector>\n", "add.cu: reads vector through"),
    ("src/nn/io.cpp", '#include "ops/add.h"\n', "public headers only"),
    ("src/nn/io.cpp", "#include <nlohmann/json.hpp>\n#include <zlib.h>\n", "in one file"),
    ("tools/main.cpp", '#include "core/exec.h"\n', "public headers only"),
    ("tools/main.cpp", "#include <CLI/CLI.hpp>\n", "does not belong here"),
    ("tools/flags.h", "#include <CLI/App.hpp>\n", "does not belong here"),
    ("tests/ops.cpp", 'add(); sub();\n#include "ops/add.h"\n', "public headers only"),
    ("tests/ops.cpp", "add(); // sub();\n", "sub occurs in no test"),
    ("tests/cuda/ops.cpp", "add(); // sub();\n", "sub occurs in no test of tests/cuda"),
    ("include/sinew/ops.h", "Tensor add();  // sum\nTensor sub();\n", "sub has no doc comment"),
    ("include/sinew/ops.h", "// --- heading\nTensor add();\n", "add has no doc comment"),
    ("src/ops/add.cpp", "int x;\n" * 301, "301 lines of code"),
    ("tools/long.sh", "x=1\n# y\n" * 301, "301 lines of code"),
    ("docs/notes.md", "built in " + "/home" + "/someone/sinew\n", "names a machine's path"),
]


def write_tree(root, files):
    for path, text in files.items():
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as f:
            f.write(text)


def findings(files):
    with tempfile.TemporaryDirectory() as root:
        write_tree(root, files)
        return list(check_tree.findings(root))


class CheckTree(unittest.TestCase):
    def test_clean_tree_has_no_finding(self):
        self.assertEqual(findings(CLEAN), [])

    def test_each_planted_violation_is_found(self):
        for path, text, expected in PLANTED:
            with self.subTest(path=path, expected=expected):
                found = findings({**CLEAN, path: text})
                self.assertTrue(any(expected in f for f in found), found)

    def test_comments_and_blank_lines_are_free(self):
        text = "int x;  // y\n" * 300 + "// z\n\n" * 50 + "/* a\n b\n c */\n"
        self.assertEqual(findings({**CLEAN, "src/ops/add.cpp": text}), [])


class CheckSymbols(unittest.TestCase):
    def libraries(self, root, sources):
        compiler = os.environ.get("CXX", "c++").split()
        for i, source in enumerate(sources):
            write_tree(root, {f"{i}.cpp": source})
            base = os.path.join(root, str(i))
            subprocess.run([*compiler, "-O0", "-c", base + ".cpp", "-o", base + ".o"], check=True)
            subprocess.run(["ar", "rcs", base + ".a", base + ".o"], check=True)
            yield base + ".a"

    def shared(self, sources):
        with tempfile.TemporaryDirectory() as root:
            found = check_symbols.shared_symbols(list(self.libraries(root, sources)))
            return [name for name, *_ in found]

    def test_shared_inline_function_is_found(self):
        helper = "inline int helper(int x) { return x + 1; }\n"
        use = "template <int L> int kernel(int); template <> int kernel<%d>(int x) %s"
        body = "{ return helper(x); }\n"
        self.assertEqual(self.shared([helper + use % (i, body) for i in (0, 1, 2)]),
                         ["helper(int)"] * 2)

    def test_tagged_and_local_symbols_are_free(self):
        text = ("namespace { int helper(int x) { return x + 1; } }\n"
                "template <int L> int kernel(int);\n"
                "template <> int kernel<%d>(int x) { return helper(x); }\n")
        self.assertEqual(self.shared([text % i for i in (0, 1, 2)]), [])


if __name__ == "__main__":
    unittest.main()
