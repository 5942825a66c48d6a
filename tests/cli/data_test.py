#!/usr/bin/env python3
"""Data files: formats, shapes, columns and values, seen through an identity model's outputs (X)
and evaluate's figures (T)."""
import gzip
import json
import os
import struct
import unittest

from case import CliCase, NPY, idx, npy, npy_header, read_npy


def identity(n):
    return [[1.0 if i == j else 0.0 for j in range(n)] for i in range(n)]


class Inputs(CliCase):
    def inputs(self, name, columns, *args):
        """The rows of X as the program reads them."""
        self.write_model("identity", identity(columns), [0.0] * columns)
        self.ok("predict", "--model", "identity", "--input", name, "--output", "y.npy", *args)
        _, shape, values = read_npy(self.path("y.npy"))
        self.assertEqual(shape[1], columns)
        return [values[i:i + columns] for i in range(0, len(values), columns)]

    def refused(self, name, says, *args):
        self.write_model("identity", identity(2), [0.0] * 2)
        self.assert_one_line_error(["predict", "--model", "identity", "--input", name, "--output",
                                    "z.npy", *args], says=says)

    def test_npy_types(self):
        for descr in NPY:
            values = [1, 0, 1, 1] if descr == "|b1" else [0, 1, 2, 100]
            self.write("x.npy", npy(values, (2, 2), descr))
            self.assertEqual(self.inputs("x.npy", 2), [values[:2], values[2:]], descr)

    def test_npy_versions_and_orders(self):
        data = struct.pack("<4f", 1, 2, 3, 4)
        text = npy_header("<f4", (2, 2))[10:]
        for version in (2, 3):
            head = b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<I", len(text)) + text
            self.write("x.npy", head + data)
            self.assertEqual(self.inputs("x.npy", 2), [[1, 2], [3, 4]])
        self.write("x.npy", npy_header("<f4", (2, 2), True) + data)
        self.assertEqual(self.inputs("x.npy", 2), [[1, 3], [2, 4]])

    def test_idx_images_are_scaled(self):
        self.write("x.idx", idx([0, 51, 102, 255], (2, 1, 2)))
        f32 = lambda v: struct.unpack("f", struct.pack("f", v))[0]
        self.assertEqual(self.inputs("x.idx", 2), [[0, f32(0.2)], [f32(0.4), 1]])
        self.assertEqual(self.inputs("x.idx", 2, "--idx-scale", "none"), [[0, 51], [102, 255]])
        self.assertEqual(self.inputs("x.idx", 2, "--idx-scale=unit")[1][1], 1)
        for code in (9, 11, 12, 13, 14):
            self.write("x.idx", idx([0, 51, 102, 127], (2, 2), code))
            self.assertEqual(self.inputs("x.idx", 2), [[0, 51], [102, 127]])
        self.refused("x.idx", "--idx-scale", "--idx-scale", "half")

    def test_csv(self):
        for text in ("1,2\n-3,4e0\n", "1,2\n-3,4", "a,b\n1,2\n-3,4\n",
                     'a,"b, c"\r\n1,2\r\n-3,4\r\n',
                     "\ufeff 1 ,\t2\n\"-3\",+4\n", "1,x\n1,2\n-3,4\n"):
            self.write("x.csv", text)
            self.assertEqual(self.inputs("x.csv", 2), [[1, 2], [-3, 4]], text)

    def test_numbers_do_not_depend_on_the_locale(self):
        self.write("x.csv", "1.5,2.25\n")
        self.write_model("identity", identity(2), [0.0] * 2)
        self.ok("predict", "--model", "identity", "--input", "x.csv", "--output", "y.csv",
                env=dict(os.environ, LC_ALL="de_DE.UTF-8", LC_NUMERIC="de_DE.UTF-8"))
        self.assertEqual(self.read("y.csv"), b"1.5,2.25\n")

    def test_the_format_is_that_of_the_name_else_of_the_content(self):
        contents = {"npy": npy([1.0, 2.0], (1, 2)), "idx": idx([1, 2], (1, 2)), "csv": "1,2\n"}
        for kind, content in contents.items():
            self.write("x." + kind, content)
            self.write("plain", content)
            for name in ("x." + kind, "plain"):
                self.assertEqual(self.inputs(name, 2, "--idx-scale", "none"), [[1, 2]])
        for name, kind, says in (("x.npy", "csv", "not an NPY file"),
                                 ("x.idx", "npy", "not an IDX file"),
                                 ("x.csv", "npy", "x.csv: csv: line 2, column 1 (")):
            self.write(name, contents[kind])
            self.refused(name, says)

    def test_gzip(self):
        for name, content in (("x.npy", npy([1.0, 2.0], (1, 2))), ("x.csv", b"1,2\n"),
                              ("x.idx", idx([1, 2], (1, 2)))):
            packed = gzip.compress(content)
            for packed_name in (name, name + ".gz", "x", "x.gz"):
                self.write(packed_name, packed)
                self.assertEqual(self.inputs(packed_name, 2, "--idx-scale", "none"), [[1, 2]])

    def test_rank_3_is_flattened(self):
        self.write("x.npy", npy([1, 2, 3, 4], (2, 1, 2)))
        self.assertEqual(self.inputs("x.npy", 2), [[1, 2], [3, 4]])

    def test_shapes_that_are_no_inputs(self):
        for shape in ((2,), (1, 1, 1, 2)):
            self.write("x.npy", npy([1, 2], shape))
            self.refused("x.npy", "x.npy: inputs must be (N, n) or (N, H, W) [")
        for shape in ((0, 2), (2, 0), (0, 1, 2)):
            self.write("x.npy", npy([], shape))
            self.refused("x.npy", "x.npy: holds no rows or no columns [")
        self.write("x.npy", npy([1, 2, 3], (1, 3)))
        self.refused("x.npy", "x.npy: has 3 inputs per row, the network 2")
        for text in ("", "a,b\n", "\n\n"):
            self.write("x.csv", text)
            self.refused("x.csv", "x.csv: csv: no rows")

    def test_nonfinite_values(self):
        for bad, shown in ((float("nan"), "nan"), (float("inf"), "inf"), (float("-inf"), "-inf")):
            self.write("x.npy", npy([0, 1, 2, 3, 4, bad], (3, 2)))
            self.refused("x.npy", f"x.npy: row 3, column 2 is not finite ({shown})")
            rows = self.inputs("x.npy", 2, "--allow-nonfinite")
            self.assertEqual(rows[:2], [[0, 1], [2, 3]])
            self.assertNotEqual(rows[2], [4, 4])
        self.write("x.csv", "a,b\n1,2\nnan,3\n")
        self.refused("x.csv", "x.csv: row 2, column 1 is not finite (nan)")
        self.write("x.npy", npy([1e300, 0], (1, 2), "<f8"))
        self.refused("x.npy", "row 1, column 1 is not finite (inf)")

    def test_a_file_larger_than_memory(self):
        size = 1 << 42
        with open(self.path("x.npy"), "wb") as f:
            try:
                f.truncate(size)
            except OSError:
                self.skipTest("no sparse file of 4 TiB")
        self.refused("x.npy", f"file is larger than memory ({size} bytes")


class Targets(CliCase):
    def mean_square(self, *args):
        """mean(T^2) over a network that answers 0."""
        self.ok("evaluate", "--model", "zero", *args)
        return json.loads(self.ok("evaluate", "--model", "zero", "--json", *args))["mse"]

    def refused(self, says, *args):
        self.assert_one_line_error(["evaluate", "--model", "zero", *args], says=says)

    def test_shapes(self):
        self.write_model("zero", [[0.0]], [0.0])
        self.write("x.npy", npy([1, 2, 3], (3, 1)))
        for shape in ((3,), (3, 1)):
            self.write("t.npy", npy([1, 2, 3], shape))
            self.assertAlmostEqual(self.mean_square("--data", "x.npy", "--target", "t.npy"), 14 / 3)
        self.write("t.csv", "y\n1\n2\n3\n")
        self.assertAlmostEqual(self.mean_square("--data", "x.npy", "--target", "t.csv"), 14 / 3)
        self.write("t.idx", idx([1, 2, 3], (3,)))  # never scaled
        self.assertAlmostEqual(self.mean_square("--data", "x.npy", "--target", "t.idx"), 14 / 3)
        self.write("t.npy", npy([1, 2, 3], (3, 1, 1)))
        self.refused("targets must be (N), (N, 1) or (N, outputs) [3, 1, 1]", "--data", "x.npy",
                     "--target", "t.npy")
        self.write("t.npy", npy([1, float("nan"), 3]))
        args = ("--data", "x.npy", "--target", "t.npy")
        self.refused("t.npy: row 2, column 1 is not finite (nan)", *args)
        self.ok("evaluate", "--model", "zero", *args, "--allow-nonfinite")

    def test_columns_of_one_csv(self):
        self.write_model("zero", [[0.0, 0.0]], [0.0])
        for header, flag, want in (("a,b,c", (), 9), ("a,label,c", (), 4), ("target,b,c", (), 1),
                                   ("a,y,c", (), 4), ("y,label,target", (), 4),
                                   ("target,b,y", (), 1),
                                   ("a,b,c", ("--target-column", "a"), 1),
                                   ("a,y,c", ("--target-column", "c"), 9),
                                   ("a,y,c", ("--target-column", "0"), 1),
                                   ("a,b,c", ("--target-column", "-2"), 4),
                                   ("1,0,c", ("--target-column", "0"), 4),
                                   (None, (), 9), (None, ("--target-column", "1"), 4)):
            self.write("d.csv", (header + "\n" if header else "") + "1,2,3\n")
            with self.subTest(header, flag=flag):
                self.assertEqual(self.mean_square("--data", "d.csv", *flag), want)

    def test_several_target_columns(self):
        self.write_model("zero", [[0.0], [0.0]], [0.0, 0.0])
        self.write("d.csv", "a,b,c\n1,2,3\n")
        for columns, want in (("a,c", 5), ("2,b", 6.5), ("0,1", 2.5)):
            self.assertEqual(self.mean_square("--data", "d.csv", "--target-column", columns), want)

    def test_target_column_errors(self):
        self.write_model("zero", [[0.0, 0.0]], [0.0])
        self.write("d.csv", "a,b,b\n1,2,3\n")
        for column, says in (("z", "--target-column: d.csv has no column 'z'"),
                             ("b", "d.csv: two columns are called 'b'"),
                             ("3", "--target-column: 3 is outside the 3 columns of d.csv"),
                             ("-4", "--target-column: -4 is outside the 3 columns of d.csv"),
                             ("0,a", "--target-column: names a column twice (0,a)"),
                             ("0,", "--target-column: d.csv has no column ''"),
                             ("0,1,2", "d.csv: has no column beside the target"),
                             ("99999999999999999999", "has no column '99999999999999999999'")):
            with self.subTest(column):
                self.refused(says, "--data", "d.csv", "--target-column", column)

    def test_the_default_loss_follows_the_type_of_the_target(self):
        self.write("x.npy", npy([0.1, 0.2, 0.3, 0.4], (4, 1)))
        cases = [(f"t{i}.npy", npy([0, 1, 1, 0], None, descr),
                  "mse" if descr[1] == "f" else "cross_entropy") for i, descr in enumerate(NPY)]
        cases += [("t.idx", idx([0, 1, 2, 1], (4,)), "cross_entropy"),
                  ("f.idx", idx([0, 1, 2, 1], (4,), 13), "mse"),
                  ("w.csv", "0\n1\n1\n2\n", "cross_entropy"), ("h.csv", "0\n1\n1\n.5\n", "mse"),
                  ("2.npy", npy([0, 1] * 4, (4, 2), "<i8"), "mse")]
        for name, content, loss in cases:
            self.write(name, content)
            with self.subTest(name):
                done = self.run_program("train", "--data", "x.npy", "--target", name, "--k", 1,
                                        "--epochs", 1, "--out", "run", "--overwrite")
                self.assertEqual(done.status, 0, done.err)
                self.assertEqual(json.loads(self.read("run/config.json"))["sinew"]["loss"], loss)


if __name__ == "__main__":
    unittest.main()
