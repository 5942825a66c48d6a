#!/usr/bin/env python3
"""Checks the rules of the source tree that a compiler does not: check_tree.py [ROOT]

- includes follow the layers of docs/architecture.md, and third-party headers stay in their places
- no source file has more than 300 lines of code (blank lines and comments are free)
- every op of the public headers has a doc comment and occurs in a test
- no text file names a path of somebody's machine

Prints one line per finding and exits 1 if there is any.
"""
import os
import re
import sys

MAX_LINES = 300
SOURCE_DIRS = ("src", "include", "tools", "examples", "tests")
SOURCE_ENDS = (".h", ".cpp", ".cu")
HOST_FUNCTIONS = {"edge_list", "parse_offset_order", "parse_pattern", "parse_wrap_mode"}
OP_HEADERS = ("include/sinew/ops.h", "include/sinew/geo.h")

LAYERS = ("base", "kernels", "tensor", "ops", "model", "users")
BASE = {"error", "dtype", "shape", "device"}
KERNEL_CORE = {"exec", "scalar", "philox", "hd", "parallel", "vec", "workers"}
# Kernel code of a family, beside the signatures in x.h.
KERNEL_SHARED = {"src/geo/block_tile.h", "src/geo/blocks_cuda.h", "src/geo/edges.h",
                 "src/geo/tile.h", "src/geo/tile_cuda.h", "src/ops/convert.h", "src/ops/sine_cuda.h",
                 "src/geo/geo_blocks.h", "src/geo/geo_linear.h", "src/ops/sine.h"}  # geo_blocks: both
TEST_CORE = {"core/exec.h", "core/scalar.h", "core/philox.h",  # tests iterate over the scalar list
             "cuda/cuda.h", "cuda/cublaslt_api.h", "cuda/emulate/cublaslt.h",
             "cuda/emulate/fiber.h", "geo/geo_blocks.h", "geo/geo_linear.h"}
CUDA = "src/cuda/"
CUDA_RUNTIME = (CUDA + "cuda.h", CUDA + "emulate/")  # what declares the CUDA runtime
TENSOR = {"tensor", "tape", "random", "step"}
FAMILIES = ("ops", "geo", "sparse", "ode")  # folders of src and public headers of ops

# Third-party headers by the start of their name, and who may include them.
THIRD_PARTY = {"Eigen/": "eigen", "unsupported/Eigen/": "eigen", "xsimd/": "xsimd",
               "nlohmann/": "json", "zlib.h": "zlib", "stb": "stb", "CLI/": "cli",
               "doctest": "doctest", "cuda": "cuda", "cublas": "cuda", "cub/": "cuda",
               "mma.h": "cuda", "cooperative_groups": "cuda"}
MODEL_LIBRARIES = {"eigen", "json", "zlib", "stb"}  # one of them per .cpp
USER_LIBRARIES = {"tools": {"json"}, "examples": {"cli", "json", "stb"},
                  "tests": {"doctest", "json", "zlib", "stb"}, "tools/peers": {"eigen"}}
FLAGS = "tools/flags.cpp"  # all that the program has of CLI11, which takes seconds to compile
# Standard headers in kernels: nothing whose inline functions two instruction-set levels could share.
KERNEL_STD = {"cfloat", "climits", "cmath", "cstddef", "cstdint", "cstring", "limits",
              "type_traits", "utility", "immintrin.h"}
SLOW_IN_CU = {"functional", "iostream", "sstream", "fstream", "span", "regex"}
# Includes that the layers forbid, each with its reason.
EXCEPTIONS = {
    ("src/core/tape.cpp", "sinew/ops.h"),  # gradients are added with the public op
    ("tests/main.cpp", "core/context.h"),  # every test runs on a guarded pool
    ("tests/core/step.cpp", "core/pool.h"),  # counts allocations, breaks a canary
    ("tests/core/workers.cpp", "core/workers.h"),
}

MACHINE_PATH = re.compile(r"(?<![\w.})$])/(?:home|root|Users|work|opt)/\w")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
FUNCTION = re.compile(r"^(?!enum|struct|class|using|namespace|template|return|typedef)"
                      r"[A-Za-z_][\w:<>,\s&*]*?[\s&*](\w+)\(")


class File:
    """Where a source file stands: its layer and its kind within it."""

    def __init__(self, path):
        self.path = path
        parts = path.split("/")
        self.stem = parts[-1].split(".")[0]
        self.folder = "/".join(parts[:-1])
        self.public = path.startswith("include/")
        self.cpu = path.endswith((".cpu.cpp", ".cpu.h"))
        self.cuda = path.endswith(".cu") or path.startswith(CUDA)
        self.layer = LAYERS.index(self._layer(parts))

    def _layer(self, parts):
        if parts[0] not in ("include", "src"):
            return "users"
        if self.cpu or self.cuda:
            return "kernels"
        if self.public or parts[1] == "core":
            if self.stem in BASE:
                return "base"
            if self.public and self.stem in FAMILIES:
                return "ops"
            if self.public and self.stem not in TENSOR:
                return "model"
            kernel = self.stem in KERNEL_CORE and self.path.endswith(".h")
            return "kernels" if kernel else "tensor"
        if parts[1] in FAMILIES:
            return "kernels" if self.path.endswith(".h") else "ops"
        return "model"

    def kernel_file(self):
        return LAYERS[self.layer] == "kernels"


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as f:
        return f.read()


def tree_files(root):
    """Paths of the tree, without build folders and what git never sees."""
    for folder, dirs, names in os.walk(root):
        dirs[:] = sorted(d for d in dirs if d not in (".git", ".deps", ".cache", "out")
                         and not os.path.isdir(os.path.join(folder, d, "meson-private")))
        for name in sorted(names):
            yield os.path.relpath(os.path.join(folder, name), root)


def without_comments(path, text):
    if not path.endswith(SOURCE_ENDS):
        return re.sub(r"(?m)^\s*#.*$", "", text)
    token = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)
    blank = lambda m: m[0] if m[0][0] == '"' else "\n" * m[0].count("\n")
    return token.sub(blank, text)


def third_party(name):
    return next((lib for start, lib in THIRD_PARTY.items() if name.startswith(start)), None)


def resolve(root, file, name):
    """The project file that an include names, or None."""
    for folder in ("include", "src", file.folder, "tests"):
        path = os.path.normpath(os.path.join(folder, name))
        if os.path.isfile(os.path.join(root, path)):
            return path
    return None


def project_finding(file, target, name):
    """Why `file` may not include the project's `target`, or None."""
    if (file.path, name) in EXCEPTIONS:
        return None
    top = file.path.split("/")[0]
    if LAYERS[file.layer] in ("model", "users") or file.public:
        own = target.folder == file.folder or (LAYERS[file.layer] == "users"
                                               and target.path.startswith(top + "/"))
        in_test = top == "tests" and name in TEST_CORE
        if not (target.public or own or in_test):
            return f"{LAYERS[file.layer]} includes public headers only, not {name}"
    if target.layer > file.layer:
        return f"layer {LAYERS[file.layer]} includes {name} of layer {LAYERS[target.layer]}"
    if target.path.startswith(CUDA_RUNTIME) and not file.cuda and LAYERS[file.layer] != "users":
        return f"the CUDA runtime is for .cu files and {CUDA}, not {name} here"
    if (file.kernel_file() and target.kernel_file() and target.path not in KERNEL_SHARED
            and target.folder not in ("src/core", "src/cuda") and not file.path.startswith(CUDA)):
        if target.stem != file.stem and not file.stem.startswith(target.stem + "_"):
            return f"a kernel includes its own header only, not {name}"
    return None


def allowed_libraries(file):
    if file.path == FLAGS:
        return {"cli"}
    if LAYERS[file.layer] == "users":
        top = file.path.split("/")[0]
        return USER_LIBRARIES.get(file.folder, USER_LIBRARIES.get(top, set()))
    if file.cuda:
        return {"cuda"}
    if file.cpu:
        return {"eigen", "xsimd"}
    if file.path == "src/core/vec.h":
        return {"xsimd"}
    if LAYERS[file.layer] == "model" and file.path.endswith(".cpp"):
        return MODEL_LIBRARIES
    return set()


def system_finding(file, name):
    """Why `file` may not include a header that is not the project's, or None."""
    library = third_party(name)
    if library:
        return None if library in allowed_libraries(file) else f"{name} does not belong here"
    plain = re.fullmatch(r"[a-z_0-9]+", name)
    if (file.public or LAYERS[file.layer] == "base") and not plain:
        return f"{name} is not a standard header"
    if file.kernel_file() and name not in KERNEL_STD and not file.path.startswith(CUDA):
        return f"a kernel does not include {name}"
    return None


def check_includes(root, paths):
    files = {p: File(p) for p in paths if p.startswith(SOURCE_DIRS) and p.endswith(SOURCE_ENDS)}
    graph = {}
    for path, file in files.items():
        graph[path] = []
        libraries = set()
        for number, line in enumerate(read(root, path).splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            name = match[1]
            target = resolve(root, file, name)
            graph[path].append(target or name)
            libraries.add(third_party(name))
            if target:
                finding = project_finding(file, files.get(target) or File(target), name)
            else:
                finding = system_finding(file, name)
            if finding:
                yield f"{path}:{number}: {finding}"
        if LAYERS[file.layer] == "model" and len(libraries & MODEL_LIBRARIES) > 1:
            yield f"{path}: {' and '.join(sorted(libraries & MODEL_LIBRARIES))} in one file"
    for path in files:
        if path.endswith(".cu"):
            yield from check_cu(path, graph)


def check_cu(path, graph):
    """What a .cu file reads through any chain of includes; of src/cuda no more than a kernel may."""
    seen, todo = set(), [path]
    while todo:
        here = todo.pop()
        for name in graph.get(here, []):
            heavy = name in SLOW_IN_CU or third_party(name) in ("eigen", "xsimd", "json")
            if here.startswith(CUDA) and not third_party(name) and "/" not in name:
                heavy = heavy or name not in KERNEL_STD
            if heavy:
                yield f"{path}: reads {name} through {here}"
            if name not in seen:
                seen.add(name)
                todo.append(name)


def check_length(root, paths):
    for path in paths:
        if path.startswith(("src/", "include/", "tools/", "examples/")) and path.endswith(
                SOURCE_ENDS + (".py", ".sh")):
            code = without_comments(path, read(root, path))
            lines = sum(1 for line in code.splitlines() if line.strip())
            if lines > MAX_LINES:
                yield f"{path}: {lines} lines of code, more than {MAX_LINES}"


def declared_ops(text):
    """(line number, name, documented) of each function of a public header.

    Documented is a comment on the declaration's own lines, or one above it that no other commented
    function, heading (// ---) or blank line separates from it.
    """
    comment_above, name = False, None
    for number, line in enumerate(text.splitlines(), 1):
        if name is None:
            if line.startswith("//"):
                comment_above = not line.startswith("// ---")
                continue
            match = FUNCTION.match(line)
            if not match:
                comment_above = comment_above and bool(line.strip())
                continue
            name, first, own = match[1], number, False
        own = own or "//" in line
        if ";" in line.split("//")[0]:
            yield first, name, own or comment_above
            comment_above = comment_above and not own
            name = None


def check_ops(root, paths):
    def code(folder):
        return "\n".join(without_comments(p, read(root, p)) for p in paths
                         if p.startswith(folder) and p.endswith((".cpp", ".h", ".cu")))
    tests, cuda_tests = code("tests/"), code("tests/cuda/") + code("src/core/scalar.h")
    for header in OP_HEADERS:
        if header not in paths:
            continue
        seen = set()
        for number, name, documented in declared_ops(read(root, header)):
            if not documented:
                yield f"{header}:{number}: {name} has no doc comment"
            if name not in seen and not re.search(rf"(?<!std::)\b{name}\b", tests):
                yield f"{header}:{number}: {name} occurs in no test"
            elif name not in seen and name not in HOST_FUNCTIONS and cuda_tests and \
                    not re.search(rf"(?<!std::)\b{name}\b", cuda_tests):
                yield f"{header}:{number}: {name} occurs in no test of tests/cuda"
            seen.add(name)


def check_machine_paths(root, paths):
    for path in paths:
        try:
            text = read(root, path)
        except UnicodeDecodeError:
            continue  # not a text file
        for number, line in enumerate(text.splitlines(), 1):
            match = MACHINE_PATH.search(line)
            if match:
                yield f"{path}:{number}: names a machine's path: {line.strip()[:60]}"


def findings(root):
    paths = list(tree_files(root))
    for check in (check_includes, check_length, check_ops, check_machine_paths):
        yield from check(root, paths)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..")
    found = list(findings(root))
    for finding in found:
        print(finding)
    print(f"check_tree: {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
