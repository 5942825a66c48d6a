"""The Markdown of report.py's results."""

import json
import statistics


def percent(share):
    return "" if share is None else f"{100 * share:.1f}"


def figure(value):
    """Three digits."""
    if value is None:
        return "none"
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def markdown(content, out):
    about = content["about"]
    lines = [f"# Sinew on {about['gpu'] or 'no GPU'}", ""]
    if about["gpu"] == "emulated":
        lines += ["**The GPU is an emulation on a CPU: this page shows that the report works. Its times "
                  "mean nothing.**", ""]
    lines += [f"- {key.replace('_', ' ')}: {value}" for key, value in about.items() if value]
    if content["tests"]:
        lines.append("- tests: {} passed, {} failed".format(*content["tests"]))
    lines += [f"- note: {note}" for note in content["notes"]]
    lines += ["", "| phase | result | s | limit s |", "|---|---|---|---|"]
    for phase in content["phases"]:
        status = {0: "ok", 124: "overran", 137: "overran"}.get(phase["status"], "failed")
        lines.append(f"| {phase['name']} | {status} | {phase['seconds']:.0f} | "
                     f"{phase['limit_s']:.0f} |")
    for phase in content["phases"]:
        log = out / f"{phase['name']}.log"
        if phase["status"] != 0 and log.is_file():
            tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
            lines += ["", f"End of the log of {phase['name']}:", ""] + [f"    {t}" for t in tail]
    return "\n".join(lines + table_of_cases(content["sinew"])
                     + table_of_peers(content["compared"])) + "\n"


def table_of_cases(table):
    if not table:
        return ["", "No figures of Sinew."]
    copy, matmul = (table["ceilings"][k] for k in ("copy_gb_per_s", "matmul_gflop_per_s"))
    lines = ["", "## Every case of sinew bench", "",
             f"Ceilings: copy {figure(copy)} GB/s, matmul {figure(matmul)} Gop/s, by their fastest round. "
             f"Settings: {json.dumps(table['settings'])}. MB: what must be read and written at least; "
             "rates and shares are of the median.", "",
             "| case | median ms | MB | GB/s | % of copy | Gop/s | % of matmul |",
             "|---|---|---|---|---|---|---|"]
    for c in table["cases"]:
        if "error" in c:
            lines.append(f"| {c['name']} | failed: {c['error'][:80]} | | | | | |")
            continue
        lines.append(f"| {c['name']} | {c['median_ms']:.4f} | {figure(c['bytes'] / 1e6)} | "
                     f"{figure(c['gb_per_s'])} | {percent(c['share_of_copy'])} | "
                     f"{figure(c['gflop_per_s'])} | {percent(c['share_of_matmul'])} |")
    return lines


def table_of_peers(compared):
    kinds = sorted({kind for c in compared for kind in (*c["pytorch_ms"], *c["skipped"])})
    if not kinds:
        return ["", "No figures of PyTorch."]
    lines = ["", "## Beside PyTorch", "", "Medians of alternating rounds in ms; behind them PyTorch "
             "/ Sinew replayed, above 1 where Sinew is faster.", "",
             "| case | Sinew replayed | Sinew eager | " + " | ".join(kinds) + " |",
             "|---|---|---|" + "---|" * len(kinds)]
    for c in compared:
        ours = {kind: statistics.median(times) for kind, times in c["sinew_ms"].items()}
        cells = [f"{ours[k]:.4f}" if k in ours else "" for k in ("replayed", "eager")]
        for kind in kinds:
            times = c["pytorch_ms"].get(kind)
            if not times:
                cells.append("skipped" if kind in c["skipped"] else "")
                continue
            theirs = statistics.median(times)
            ratio = f" ({theirs / ours['replayed']:.2f})" if "replayed" in ours else ""
            cells.append(f"{theirs:.4f}{ratio}")
        lines.append(f"| {c['name']} | " + " | ".join(cells) + " |")
    reasons = sorted({f"{kind}, {c['name']}: {why}" for c in compared
                      for kind, why in c["skipped"].items()})
    return lines + (["", "Skipped:", ""] + [f"- {r}" for r in reasons] if reasons else [])
