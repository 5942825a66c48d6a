#!/usr/bin/env python3
"""Tests README.md and docs/*.md against a build: docs_test.py BUILD_ROOT

- ```cpp runnable: a whole program; compiled against include/ and libsinew.a, must exit with 0
- ```sh runnable: run in the root of the tree, where `build` is BUILD_ROOT; must exit with 0
- other ```sh: too long to run here (.ci/run does); the scripts that it names must be executable
- links to files of the tree must lead somewhere, also to a heading
"""
import glob
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
BLOCK = re.compile(r"^```(\S*)( runnable)?\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\[[^]]*\]\(([^)]*)\)")
SCRIPT = re.compile(r"(?:tools|\.ci)/\S+")


def command_of(build, source):
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as f:
        command = next(c["command"] for c in json.load(f) if c["file"].endswith(source))
    return shlex.split(command)


def compiler(build):
    """Compiler, language and sanitizer flags of the library."""
    words = command_of(build, "core/tensor.cpp")
    first_option = next(i for i, word in enumerate(words) if word.startswith("-"))
    return words[:first_option] + [w for w in words if w.startswith(("-std=", "-fsanitize="))]


def libraries(build):
    """What the library needs beside itself, as its pkg-config file says."""
    zlib = ["-lz"] if "-DSINEW_ZLIB" in command_of(build, "nn/gzip.cpp") else []
    with open(os.path.join(build, "meson-private", "sinew.pc"), encoding="utf-8") as f:
        line = next(line for line in f if line.startswith("Libs:"))
    return [*(w for w in line.split()[1:] if "libdir" not in w and w != "-lsinew"), *zlib]


def anchors(text):
    """Names of the headings as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", text), re.M)
    return {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}


class Docs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.pages = {}
        for path in [os.path.join(ROOT, "README.md"), *glob.glob(os.path.join(ROOT, "docs/*.md"))]:
            with open(path, encoding="utf-8") as f:
                self.pages[path] = f.read()

    def blocks(self, language, runnable):
        found = [(path, code) for path, text in self.pages.items()
                 for kind, mark, code in BLOCK.findall(text)
                 if kind == language and bool(mark) == runnable]
        self.assertTrue(found, f"no {language} block")
        return found

    def run_one(self, what, command, folder):
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
        self.assertEqual(run.returncode, 0, f"{what}\n{run.stdout}{run.stderr}")

    def test_programs(self):
        for path, code in self.blocks("cpp", True):
            with self.subTest(path):
                source = os.path.join(self.folder, "program.cpp")
                with open(source, "w", encoding="utf-8") as f:
                    f.write(code)
                self.run_one(path, [*compiler(build_root), "-Wall", "-Wextra", "-Wpedantic",
                                    "-Werror", "-I", os.path.join(ROOT, "include"), source,
                                    os.path.join(build_root, "libsinew.a"),
                                    *libraries(build_root), "-o", "program"], self.folder)
                self.run_one(path, ["./program"], self.folder)

    def test_commands(self):
        for name in os.listdir(ROOT):
            if name != "build":
                os.symlink(os.path.join(ROOT, name), os.path.join(self.folder, name))
        os.symlink(build_root, os.path.join(self.folder, "build"))
        for path, code in self.blocks("sh", True):
            with self.subTest(path):
                self.run_one(path, ["bash", "-euo", "pipefail", "-c", code], self.folder)

    def test_scripts_exist(self):
        for path, code in self.blocks("sh", False):
            for script in SCRIPT.findall(code):
                self.assertTrue(os.access(os.path.join(ROOT, script), os.X_OK),
                                f"{path}: {script} is no executable script")

    def test_links(self):
        for path, text in self.pages.items():
            for link in LINK.findall(BLOCK.sub("", text)):
                if re.match(r"[a-z]+:", link):
                    continue
                name, _, heading = link.partition("#")
                target = path
                if name:
                    target = os.path.normpath(os.path.join(os.path.dirname(path), name))
                with self.subTest(path, link=link):
                    self.assertTrue(os.path.exists(target), f"{link} leads nowhere")
                    if heading:
                        self.assertIn(heading, anchors(self.pages[target]))


if __name__ == "__main__":
    build_root = os.path.realpath(sys.argv.pop(1))
    unittest.main()
