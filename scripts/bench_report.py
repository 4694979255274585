"""What scripts/bench has to say: a line per case on the terminal, a page and a plot."""


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


def write(here, rows, ready, scale, sizes):
    """To come."""
