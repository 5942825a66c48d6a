"""The tables and the goals of run.py, from its record (README.md)."""

import statistics

SIZE = "16x16-d8-k8-b256"
SIZES = ("8x8-d6-k8-b256", "16x16-d8-k32-b256", "64x64-d8-k8-b1024")
COMPILED = ("pytorch-default", "pytorch-max-autotune")
PYTORCH = ("pytorch-eager", *COMPILED)


def figure(value):
    """Three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


class Record:
    """Times by case: ratios are of the two times of one round."""

    def __init__(self, content):
        self.content, self.rounds = content, content["rounds"]

    def peers(self):
        return list(dict.fromkeys(peer for r in self.rounds for peer in r if peer != "sinew"))

    def forms(self, peer, case):
        keys = dict.fromkeys(key for r in self.rounds for key in r.get(peer, {}))
        return [key.split(" ", 1)[1] for key in keys if key.split(" ", 1)[0] == case]

    def ms(self, peer, key):
        return [r[peer][key] for r in self.rounds if key in r.get(peer, {})]

    def ratios(self, peer, case, form, ours=None):
        """Peer / Sinew, of Sinew's case `ours` where that is another."""
        key, ours = f"{case} {form}", ours or case
        return [r[peer][key] / r["sinew"][ours] for r in self.rounds
                if key in r.get(peer, {}) and ours in r.get("sinew", {})]

    def best(self, peers, case):
        """(peer, form) with the least median time, None if there is none."""
        found = [(statistics.median(self.ms(peer, f"{case} {form}")), peer, form)
                 for peer in peers for form in self.forms(peer, case)]
        return min(found)[1:] if found else None


# ---- tables: a heading, the names of the columns, rows of text ----------------------------------

def spread(ratios):
    return [figure(f(ratios)) for f in (statistics.median, min, max)] if ratios else ["", "", ""]


def named(form):
    return "" if form == "-" else form.lstrip("-")


def table_of_cases(record):
    rows = []
    for case in record.content["cases"]:
        ours = record.ms("sinew", case)
        for peer in record.peers():
            if not (found := record.best([peer], case)):
                continue
            _, best = found
            others = [f"{named(form) or 'plain'} {figure(statistics.median(ratios))}"
                      for form in record.forms(peer, case) if form != best
                      and (ratios := record.ratios(peer, case, form))]
            rows.append([case, figure(statistics.median(ours)) if ours else "none", peer,
                         named(best), figure(statistics.median(record.ms(peer, f"{case} {best}"))),
                         *spread(record.ratios(peer, case, best)), ", ".join(others)])
    return ("Times: medians in ms; ratios peer / Sinew of a round, above 1 where Sinew is faster; "
            "each peer in its fastest form",
            ["case", "Sinew", "peer", "form", "ms", "ratio", "least", "largest",
             "median ratios of its other forms"], rows)


def table_of_dense(record):
    rows = []
    for case in record.content["cases"]:
        if not case.startswith("step/dense_relu"):
            continue
        geo = case.replace("dense_relu", "geo_sparse")
        own = [r["sinew"][case] / r["sinew"][geo] for r in record.rounds
               if {case, geo} <= set(r.get("sinew", {}))]
        rows.append([case.split("relu-")[1], "Sinew", "", *spread(own)])
        for peer in record.peers():
            if found := record.best([peer], case):
                rows.append([case.split("relu-")[1], peer, named(found[1]),
                             *spread(record.ratios(peer, case, found[1], geo))])
    return ("A dense ReLU step / Sinew's geo-sparse step of the same parameter count",
            ["size", "dense by", "form", "ratio", "least", "largest"], rows)


def table_of_memory(record):
    rows = [[m["who"], named(m["form"]), figure(m["start_mb"]), figure(m["peak_mb"])]
            for m in record.content["memory"]]
    return (f"Memory of a process that trains {record.content['memory_case']}, in MiB",
            ["program", "form", "after its start", "at its peak"], rows)


# ---- goals --------------------------------------------------------------------------------------

def at_least(label, ratio, wanted, detail=""):
    if ratio is None:
        return [label, f"at least {wanted}", "not measured", ""]
    return [label, f"at least {wanted}", figure(ratio) + detail,
            "reached" if ratio >= wanted else "missed"]


def at_most(label, value, wanted, detail=""):
    if value is None:
        return [label, f"at most {wanted}", "not measured", ""]
    return [label, f"at most {wanted}", figure(value) + detail,
            "reached" if value <= wanted else "missed"]


def against_best(record, label, peers, case, wanted, ours=None):
    """The goal against the fastest form of these peers."""
    found = record.best(peers, case)
    ratios = record.ratios(found[0], case, found[1], ours) if found else []
    detail = f" ({' '.join(filter(None, (found[0], named(found[1]))))})" if found else ""
    return at_least(label, statistics.median(ratios) if ratios else None, wanted, detail)


def against_eager(record, size):
    case = f"step/geo_sparse-{size}"
    ratios = record.ratios("pytorch-eager", case, "index")
    return [at_least(f"step {size}, PyTorch eager with x[:, table]",
                     statistics.median(ratios) if ratios else None, 40),
            against_best(record, f"step {size}, PyTorch eager in its fastest form",
                         ["pytorch-eager"], case, 40)]


def share_goals(record):
    core = record.content["one_core"]
    share = lambda part: 100 * core[part] / core["fma"] if core else None
    of = f" ({figure(core['fma'])} Gop/s)" if core else ""
    return [at_least("geo_linear on one core, forward: % of the FMA rate", share("forward"), 55,
                     of),
            at_least("geo_linear on one core, dx and weights together: % of the FMA rate",
                     share("backward"), 45, of)]


def memory_share(record):
    peaks = {m["who"]: [n["peak_mb"] for n in record.content["memory"] if n["who"] == m["who"]]
             for m in record.content["memory"]}
    theirs = [mb for who, all_mb in peaks.items() if who.startswith("pytorch") for mb in all_mb]
    return peaks["Sinew"][0] / min(theirs) if theirs and "Sinew" in peaks else None


def table_of_goals(record):
    dense = f"step/dense_relu-{SIZE}"
    rows = against_eager(record, SIZE)
    rows.append(against_best(record, f"step {SIZE}, best torch.compile", COMPILED,
                             f"step/geo_sparse-{SIZE}", 10))
    rows.append(against_best(record, f"dense ReLU step in PyTorch / geo step {SIZE}", PYTORCH,
                             dense, 2, f"step/geo_sparse-{SIZE}"))
    for size in SIZES:
        rows += against_eager(record, size)
    rows += share_goals(record)
    rows.append(against_best(record, f"dense ReLU step {SIZE}, PyTorch / Sinew", PYTORCH, dense,
                             1.5))
    rows.append(at_most("memory of training 64x64, Sinew / PyTorch's least", memory_share(record),
                        0.1))
    predict = record.content["predict"]
    rows.append(at_most("sinew predict from start to end, one row, in ms",
                        predict and predict["median_ms"], 20))
    return ("Goals of the project", ["measure", "goal", "measured", ""],
            [row for row in rows if row[2] != "not measured"])


# ---- output -------------------------------------------------------------------------------------

def as_text(table):
    heading, columns, rows = table
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip()
             for row in [columns, *rows]]
    return "\n".join(["", heading, "", *lines])


def as_markdown(table):
    heading, columns, rows = table
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(["", heading + ":", "", "| " + " | ".join(columns) + " |",
                      "|" + "---|" * len(columns), *lines])


def render(content, layout):
    """All of it in one of the layouts above."""
    record = Record(content)
    make = {as_text: "", as_markdown: "- "}[layout]
    head = ["# Sinew beside other frameworks on the CPU", ""] if make else []
    lines = head + [f"{make}{key.replace('_', ' ')}: {value}"
                    for key, value in content["about"].items() if value]
    lines += [f"{make}note: {note}" for note in content["notes"]]
    tables = [table_of_cases(record), table_of_dense(record), table_of_memory(record)]
    if not content["settings"]["quick"]:
        tables.append(table_of_goals(record))
    return "\n".join(lines + [layout(table) for table in tables if table[2]]) + "\n"
