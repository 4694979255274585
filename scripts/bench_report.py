"""What scripts/bench has to say: a line per case on the terminal, a page and a plot."""
import os
import platform
import time
from pathlib import Path


def print_head():
    print(f"{'case':16} {'client':6} {'ratio':>6} {'target':>6} {'range':>11} | {'CPU µs':>7} {'floor':>7} |"
          f" {'req/s':>7} {'floor':>7} | {'p50':>6} {'p99':>6} {'p99.9':>6} µs | {'peak MB':>7} {'hits':>6}")


def print_row(row):
    ours, floor = row["ours"], row["floor"]
    target = f"{row['target']:.2f}" if row["target"] else ""
    spread = f"{row['ratios'][0]:.2f}-{row['ratios'][-1]:.2f}"
    hits = "" if row["hit_rate"] is None else f"{row['hit_rate']:.1%}"
    print(f"{row['case']:16} {row['client']:6} {row['ratio']:6.2f} {target:>6} {spread:>11} |"
          f" {ours['cpu']:7.1f} {floor['cpu']:7.1f} | {ours['rate']:7.0f} {floor['rate']:7.0f} |"
          f" {ours['p50']:6.0f} {ours['p99']:6.0f} {ours['p999']:6.0f}    | {row['peak_mb']:7.1f} {hits:>6}",
          flush=True)


def machine():
    """What it was measured on, without names and paths."""
    facts = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        facts.setdefault(name.strip(), value.strip())
    memory = Path("/proc/meminfo").read_text().split()[1]
    model = facts.get("model name") or platform.machine()
    return (f"{model}, {os.cpu_count()} cores, {int(memory) / 1048576:.0f} GiB,"
            f" Linux {platform.release().split('-')[0]}")


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def write(here, rows, ready, flat, scale, sizes):
    """docs/performance.md and the plot in it."""
    (here / "docs" / "performance.svg").write_text(plot(rows))
    lines = [f"""# Performance

Written by `make bench` on {time.strftime("%Y-%m-%d")}: {machine()}. Do not edit by hand.

Doorward beside the **no-op floor**: a `Check` server of the same tonic that decodes Envoy's
full message, decides nothing and builds an answer with 4 headers set and 6 removed, on one
current-thread runtime, over TCP. A ratio of 0.5 means that a check by Doorward, with
verification, cache, expiry check, metrics and removal of forged headers, costs half the CPU of
that. Both run at once and take short bursts of the same load in turn; each ratio is the median
over pairs of neighbouring bursts, each other figure the median over bursts. CPU is the server's
own, user and system, all threads.

The load is a request as Envoy 1.40 sends it: 28 headers, a token of {sizes['token']:,} bytes,
{sizes['message']:,} bytes in all; 16 streams on one connection where nothing else is said.
Clients: **ghz**, and **rig** (`benches/rig`), which takes so little CPU itself that the server is
busy. Client and server share the machine, so requests/s say how fast the client is, too.

![Server CPU per check as a ratio to the floor](performance.svg)

## CPU per check

| case | client | ratio | target | CPU µs | floor µs | req/s | floor req/s |
|---|---|--:|--:|--:|--:|--:|--:|"""]
    for row in rows:
        target = f"≤ {row['target']:.2f}" if row["target"] else ""
        lines.append(f"| {row['title']} | {row['client']} | **{row['ratio']:.2f}** | {target} |"
                     f" {number(row['ours']['cpu'])} | {number(row['floor']['cpu'])} |"
                     f" {number(row['ours']['rate'])} | {number(row['floor']['rate'])} |")
    lines.append("""
## Latency and memory

In µs, as the client sees it, with the floor's in parentheses. Memory is the peak since the
server's start (`VmHWM`); hits is the share of look-ups that the token cache answered.

| case | client | p50 | p99 | p99.9 | peak MB | hits |
|---|---|--:|--:|--:|--:|--:|""")
    for row in rows:
        spans = " | ".join(f"{number(row['ours'][p])} ({number(row['floor'][p])})" for p in ("p50", "p99", "p999"))
        hits = "" if row["hit_rate"] is None else f"{row['hit_rate']:.1%}"
        lines.append(f"| {row['title']} | {row['client']} | {spans} | {row['peak_mb']:.1f} | {hits} |")
    lines.append(f"""
## Scale

Ready {ready:.0f} ms after the start of the process, key set in the configuration (median of 9).

What many tokens, issuers and keys add to a check: the ratio to the floor of two cases that differ
in one of them, bursts of both in turn (rig).

| with many | beside | its ratio | with many | growth | target |
|---|---|--:|--:|--:|--:|""")
    for row in flat:
        lines.append(f"| {row['title']} | {row['beside']} | {row['one']:.2f} | {row['many']:.2f} | **{row['growth']:.2f}** |"
                     f" ≤ {row['within']:.2f} |")
    lines.append("""
Distinct EdDSA tokens, each sent once; then the last 10,000 of them once more (hits). The cache
has its default size.

| distinct tokens | CPU µs, first time | hits, second time | peak MB |
|--:|--:|--:|--:|""")
    for row in scale:
        hits = "" if row["hit_rate"] is None else f"{row['hit_rate']:.1%}"
        lines.append(f"| {row['tokens']:,} | {number(row['cpu'])} | {hits} | {row['peak_mb']:.1f} |")
    lines.append("""
## Run it

```sh
make bench                     # all of this, a quarter of an hour; ghz is fetched and built once
scripts/bench --only hot       # some cases, on the terminal only
scripts/bench --flat           # many tokens, issuers and keys beside one of each
scripts/bench --quick          # the targets, under a minute, fails when one is far missed
cargo bench                    # the decision alone, without sockets
make bench-envoy               # through a real Envoy, beside its own jwt_authn
```
""")
    envoy = here / "docs" / "performance-envoy.md"
    if envoy.exists():
        lines.append("Through a real Envoy: [performance-envoy.md](performance-envoy.md).\n")
    (here / "docs" / "performance.md").write_text("\n".join(lines))


def plot(rows):
    """Bars for ratios, ticks for targets, hand-drawn."""
    bar, left, scale = 22, 400, 150
    height = len(rows) * bar + 50
    width = left + int(scale * max(3, *(row["ratio"] for row in rows))) + 60
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
             ' font-family="sans-serif" font-size="12">',
             f'<rect width="{width}" height="{height}" fill="white"/>',
             f'<line x1="{left + scale}" y1="6" x2="{left + scale}" y2="{height - 34}" stroke="#555"/>',
             f'<text x="{left + scale}" y="{height - 20}" text-anchor="middle" fill="#333">1 = the floor</text>',
             f'<text x="{left}" y="{height - 5}" fill="#333">server CPU per check, ratio to the no-op floor;'
             ' red tick: target</text>']
    for index, row in enumerate(rows):
        y = index * bar + 8
        met = not row["target"] or row["ratio"] <= row["target"]
        colour = "#2a7" if met else "#c73"
        title = f"{row['title']} ({row['client']})".replace("&", "&amp;").replace("<", "&lt;")
        parts.append(f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{title}</text>')
        parts.append(f'<rect x="{left}" y="{y}" width="{row["ratio"] * scale:.0f}" height="{bar - 7}" fill="{colour}"/>')
        parts.append(f'<text x="{left + row["ratio"] * scale + 5:.0f}" y="{y + 12}">{row["ratio"]:.2f}</text>')
        if row["target"]:
            x = left + row["target"] * scale
            parts.append(f'<line x1="{x:.0f}" y1="{y - 2}" x2="{x:.0f}" y2="{y + bar - 5}" stroke="red" stroke-width="2"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"
